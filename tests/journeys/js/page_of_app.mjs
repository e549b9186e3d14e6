/**
 * An app that is nothing but a page of another origin: it finds us, sends its person to us, gets its tokens with PKCE and no secret, asks
 * and listens with them, and gives them back. Then what a page that belongs to no app gets with the same token, which is nothing; and what
 * the app's own page gets of our cookie, which is as little.
 *
 *     BASE_URL=http://127.0.0.1:8080 node page_of_app.mjs
 *
 * Both pages are on the host that we are on, where a browser takes our cookies along (SameSite knows no ports): worse neighbours than
 * anybody on another host.
 */
import assert from "node:assert/strict";
import { createServer } from "node:http";

import { NARROW_PHONE, accountOf, registerByKeyboard, shot, tokenOf, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, http, journey, register } from "./client.mjs";

/** What the app's page runs. Functions of it are called by the journey, as buttons would. */
const SCRIPT = `
const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

window.connect = async (base, clientId, scope) => {
  const found = await (await fetch(base + "/.well-known/oauth-authorization-server")).json();
  const verifier = base64url(crypto.getRandomValues(new Uint8Array(48)));
  const challenge = base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  const redirect = location.origin + "/callback";
  sessionStorage.setItem("begun", JSON.stringify({ found, verifier, redirect, clientId }));
  location.href = found.authorization_endpoint + "?" + new URLSearchParams({
    client_id: clientId, redirect_uri: redirect, response_type: "code", scope, state: "s",
    code_challenge: challenge, code_challenge_method: "S256",
  });
};

const form = async (url, fields) => {
  const answer = await fetch(url, { method: "POST", body: new URLSearchParams(fields) });
  return { status: answer.status, ...(await answer.json()) };
};

window.finish = async () => {
  const { found, verifier, redirect, clientId } = JSON.parse(sessionStorage.getItem("begun"));
  const code = new URLSearchParams(location.search).get("code");
  return form(found.token_endpoint, {
    grant_type: "authorization_code", client_id: clientId, code, redirect_uri: redirect, code_verifier: verifier,
  });
};

window.giveBack = async (token) => {
  const { found, clientId } = JSON.parse(sessionStorage.getItem("begun"));
  return form(found.revocation_endpoint, { client_id: clientId, token });
};
`;

/** What every page here can try; a browser that does not let it read an answer throws. */
const TRIES = `
window.ask = async (url, options = {}) => {
  try {
    const answer = await fetch(url, options);
    const body = await answer.json();
    return { status: answer.status, body, left: answer.headers.get("RateLimit") };
  } catch (error) {
    return { thrown: error.name };
  }
};

window.socket = (url, token) =>
  new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onmessage = ({ data }) => {
      if (data.startsWith("0{")) socket.send("40/live," + JSON.stringify({ token }));
      if (data.startsWith("40/live") || data.startsWith("44/live")) {
        socket.onclose = null;
        socket.close();
        resolve(data.slice(0, 7));
      }
    };
    socket.onclose = () => resolve("closed");
  });
`;

async function serve(script) {
  const server = createServer((request, response) => {
    const kind = request.url === "/page.js" ? "text/javascript" : "text/html";
    response.setHeader("Content-Type", `${kind}; charset=utf-8`);
    response.end(kind === "text/html" ? '<!doctype html><title>Diary</title><h1>Diary</h1><script src="/page.js"></script>' : script);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

const bearer = (token) => ({ headers: { Authorization: `Bearer ${token}` } });
const SOCKET = `${BASE_URL.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
const AS_A_PAGE = {
  method: "POST",
  credentials: "include",
  headers: { "Content-Type": "application/json", "X-Paceline-Page": "athlete" },
  body: "{}",
};

await journey(async (tell) => {
  const [diary, stranger] = [await serve(SCRIPT + TRIES), await serve(TRIES)];
  const developer = await register("Dev", "member");
  const app = { name: "Diary", kind: "public", redirect_uris: [`${diary.origin}/callback`] };
  const made = await http("POST", "/v1/apps", { token: developer.token, body: app, status: 201 });
  assert.equal(made.client_secret ?? null, null);
  try {
    await withBrowser(async (browser) => {
      // Not quiet: the browser writes what it keeps from a page into its console.
      const settings = { viewport: NARROW_PHONE, quiet: false, elsewhere: [diary.origin, stranger.origin] };
      await withPage(browser, settings, async (page, context) => {
        await page.goto(diary.origin);
        await page.evaluate(([base, id]) => window.connect(base, id, "profile:read live:stream"), [BASE_URL, made.app.id]);
        await page.waitForURL(/oauth\/authorize/);
        await registerByKeyboard(page, "Ana");
        await page.getByRole("button", { name: "Let it in" }).click();
        await page.waitForURL(/callback\?code=/);
        const tokens = await page.evaluate(() => window.finish());
        assert.deepEqual([tokens.status, tokens.scope], [200, "profile:read live:stream"]);
        tell("the page of an app has its tokens");

        const ask = (where, url, options) => where.evaluate(([url, options]) => window.ask(url, options), [BASE_URL + url, options]);
        const me = await ask(page, "/v1/me", bearer(tokens.access_token));
        assert.deepEqual([me.status, me.body.name], [200, "Ana"]);
        assert.match(me.left, /^"key";/, "it can see how often it may ask");
        const shut = await ask(page, "/v1/notifications", bearer(tokens.access_token));
        assert.deepEqual([shut.status, shut.body.code], [403, "forbidden"], "and read why it may not");
        const opened = await page.evaluate(([url, token]) => window.socket(url, token), [SOCKET, tokens.access_token]);
        assert.equal(opened, "40/live");
        await shot(page, "page-of-an-app");
        tell("and asks and listens with them");

        for (const [what, tried] of Object.entries({
          "the cookie's login": ["/v1/logins/refresh", AS_A_PAGE],
          "the same as a form's": ["/v1/logins/refresh", { ...AS_A_PAGE, headers: { "Content-Type": "text/plain" } }],
          "its logins": ["/v1/logins", bearer(tokens.access_token)],
          "an answer with cookies": ["/v1/me", { ...bearer(tokens.access_token), credentials: "include" }],
        }))
          assert.deepEqual(await ask(page, ...tried), { thrown: "TypeError" }, what);
        tell("our cookie is not for it");

        const elsewhere = await context.newPage();
        await elsewhere.goto(stranger.origin);
        for (const url of ["/v1/me", "/v1/workouts"])
          assert.deepEqual(await ask(elsewhere, url, bearer(tokens.access_token)), { thrown: "TypeError" }, url);
        const refused = await elsewhere.evaluate(([url, token]) => window.socket(url, token), [SOCKET, tokens.access_token]);
        assert.equal(refused, "closed");
        assert.equal((await ask(elsewhere, "/.well-known/jwks.json")).status, 200, "the public keys are for everybody");
        tell("the page of nobody's app reads nothing with the same token");

        assert.equal((await page.evaluate((token) => window.giveBack(token), tokens.refresh_token)).status, 200);
        const dead = await page.evaluate(async (token) => {
          const { found, clientId } = JSON.parse(sessionStorage.getItem("begun"));
          const body = new URLSearchParams({ grant_type: "refresh_token", client_id: clientId, refresh_token: token });
          return (await (await fetch(found.token_endpoint, { method: "POST", body })).json()).error;
        }, tokens.refresh_token);
        assert.equal(dead, "invalid_grant");
        await page.goto(`${BASE_URL}/account`);
        assert.notEqual(await accountOf(page), null);
        assert.equal((await http("GET", "/v1/me", { token: await tokenOf(page) })).name, "Ana");
        tell("given back; our own page is logged in as before");
      });
    });
  } finally {
    diary.close();
    stranger.close();
  }
});
