/**
 * A third-party app in a real browser: its own page sends somebody to us, they agree, it gets a token and uses it, on a socket too;
 * then it is taken back. And the developer's page, with a key and an app.
 *
 *     BASE_URL=http://127.0.0.1:8080 OTHER_URL=http://127.0.0.1:8081 node apps.mjs
 *
 * ARTIFACTS names a folder for screenshots.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";

import { LAPTOP, NARROW_PHONE, fits, registerByKeyboard, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, connect, eventually, http, journey } from "./client.mjs";

const OTHER_URL = process.env.OTHER_URL ?? BASE_URL;

const form = (path, fields, auth = null) =>
  fetch(BASE_URL + path, {
    method: "POST",
    body: new URLSearchParams(fields),
    headers: auth ? { Authorization: `Basic ${Buffer.from(auth.join(":")).toString("base64")}` } : {},
  });

/** The app of somebody else: one page with a link to us, and the address to come back to. */
async function thirdParty(client) {
  const app = { ...client, verifier: randomBytes(48).toString("base64url"), state: randomBytes(16).toString("hex"), came: [] };
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://127.0.0.1");
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    if (url.pathname === "/callback") {
      app.came.push(Object.fromEntries(url.searchParams));
      response.end(`<!doctype html><title>Diary</title><h1>${url.searchParams.get("code") ? "Connected" : "Not connected"}</h1>`);
    } else {
      response.end(`<!doctype html><title>Diary</title><h1>Pulse Diary</h1><a href="${app.ask("profile:read live:stream").replaceAll("&", "&amp;")}">Connect</a>`);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  app.home = `http://127.0.0.1:${server.address().port}/`;
  app.redirect = `http://127.0.0.1:${server.address().port}/callback`;
  app.close = () => server.close();
  app.ask = (scope, more = {}) =>
    `${BASE_URL}/oauth/authorize?${new URLSearchParams({
      client_id: app.id,
      redirect_uri: app.redirect,
      response_type: "code",
      scope,
      state: app.state,
      code_challenge: createHash("sha256").update(app.verifier).digest("base64url"),
      code_challenge_method: "S256",
      ...more,
    })}`;
  app.token = (fields) => form("/oauth/token", fields, [app.id, app.secret]);
  return app;
}

async function developer(browser, tell) {
  let client = null;
  await withPage(browser, { viewport: LAPTOP }, async (page) => {
    await page.goto(`${BASE_URL}/developer`);
    await registerByKeyboard(page, "Dev");
    await page.getByRole("heading", { name: "Keys for your own scripts" }).waitFor();
    await page.getByLabel("What it is for").fill("Weekly report");
    await page.getByLabel("See your name").check();
    await page.getByRole("button", { name: "Make a key" }).click();
    const secret = page.getByLabel("The secret of Weekly report");
    await secret.waitFor();
    const key = await secret.inputValue();
    assert.match(key, /^plk_/);
    const me = await http("GET", "/v1/me", { token: key });
    assert.equal(me.name, "Dev");
    tell("a key is made, and works");

    await page.locator("#new-app").getByLabel("Name").fill("Pulse Diary");
    await page.getByLabel("Redirect URIs").fill("http://127.0.0.1/callback");
    await page.getByRole("button", { name: "Register it" }).click();
    const appSecret = page.getByLabel("The secret of Pulse Diary");
    await appSecret.waitFor();
    const row = await page.locator("#apps .device").innerText();
    client = { id: /client_id (\S+),/.exec(row)[1], secret: await appSecret.inputValue() };
    await speaks(page, "the developer's page");
    await fits(page, "the developer's page");
    await shot(page, "developer-laptop-dark");
    await page.setViewportSize(NARROW_PHONE);
    await fits(page, "the developer's page on a phone");
    await shot(page, "developer-phone-dark");
    await page.getByRole("button", { name: "Revoke Weekly report" }).click();
    await page.getByRole("button", { name: "Revoke it" }).click();
    await page.getByText("Weekly report is revoked.").waitFor();
    await eventually("the key to be dead", async () => (await fetch(`${BASE_URL}/v1/me`, { headers: { Authorization: `Bearer ${key}` } })).status === 401);
    tell("and revoked");
  });
  return client;
}

async function person(browser, app, tell) {
  // Not quiet: the browser writes refused requests into its console.
  await withPage(browser, { viewport: NARROW_PHONE, quiet: false, elsewhere: [new URL(app.home).origin] }, async (page) => {
    await page.goto(app.ask("profile:read", { redirect_uri: "https://evil.example/callback" }));
    await registerByKeyboard(page, "Ana");
    await page.getByRole("heading", { name: "This does not lead anywhere" }).waitFor();
    assert.ok(page.url().startsWith(BASE_URL), "nobody is sent to an address that the app has not registered");
    await shot(page, "authorize-wrong-phone");

    await page.goto(app.home);
    await page.getByRole("link", { name: "Connect" }).click();
    await page.getByRole("heading", { name: "Pulse Diary would like to be let in" }).waitFor();
    await page.getByText("Send heart rates and movement as your workouts.").waitFor();
    assert.equal(await page.locator("#place").innerText(), new URL(app.home).host);
    await speaks(page, "the question");
    await fits(page, "the question");
    await shot(page, "authorize-phone-dark");
    await page.getByRole("button", { name: "No" }).click();
    await page.getByRole("heading", { name: "Not connected" }).waitFor();
    assert.equal(app.came.at(-1).error, "access_denied");

    await page.goto(app.home);
    await page.getByRole("link", { name: "Connect" }).click();
    await page.getByRole("button", { name: "Let it in" }).click();
    await page.getByRole("heading", { name: "Connected", exact: true }).waitFor();
    const { code, state, iss } = app.came.at(-1);
    assert.equal(state, app.state);
    assert.equal(iss, (await http("GET", "/.well-known/oauth-authorization-server")).issuer);
    tell("agreed to");

    const fields = { grant_type: "authorization_code", code, redirect_uri: app.redirect, code_verifier: app.verifier };
    const tokens = await (await app.token(fields)).json();
    assert.equal((await http("GET", "/v1/me", { token: tokens.access_token })).name, "Ana");
    const socket = await connect(tokens.access_token, OTHER_URL);
    tell("the app is in, and has a socket at the other node");

    await page.setViewportSize(LAPTOP);
    await page.goto(`${BASE_URL}/account`);
    await page.getByRole("heading", { name: "Apps at home here" }).waitFor();
    await page.locator("#apps").getByText("Pulse Diary", { exact: true }).waitFor();
    await speaks(page, "the account with an app");
    await fits(page, "the account with an app");
    await shot(page, "account-with-app-laptop");
    await page.getByRole("button", { name: "Take back what Pulse Diary may do" }).click();
    await page.getByRole("button", { name: "Take it back", exact: true }).last().click();
    await page.getByText("Pulse Diary may do nothing here any more.").waitFor();
    const refused = await app.token({ grant_type: "refresh_token", refresh_token: tokens.refresh_token });
    assert.equal((await refused.json()).error, "invalid_grant", "refresh is dead at once");
    await eventually("the app's socket to close", async () => !socket.socket.connected);
    await eventually("its access token to be dead", async () =>
      (await fetch(`${BASE_URL}/v1/me`, { headers: { Authorization: `Bearer ${tokens.access_token}` } })).status === 401);
    tell("taken back");
  });
}

await journey(async (tell) => {
  await withBrowser(async (browser) => {
    const app = await thirdParty(await developer(browser, tell));
    try {
      await person(browser, app, tell);
    } finally {
      app.close();
    }
  });
});
