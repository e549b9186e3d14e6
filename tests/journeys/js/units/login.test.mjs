/**
 * Logins of a browser in cookies: what it keeps, what its tabs do with one cookie, what becomes of a login from before.
 *
 * The server here is only what a browser sees of it: a cookie per side, which works once. Its own rules are tested where it is
 * (tests/gateway/http/test_page_login.py), and both together in the journeys.
 */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Timers } from "./timers.mjs";

const ANNA = { id: "a-1", name: "Anna", email: "anna@example.org", verified: true, roles: ["member"], units: "metric", max_hr: 181 };
const BEN = { ...ANNA, id: "b-2", name: "Ben" };

class Shelf {
  items = new Map();
  getItem(key) {
    return this.items.get(key) ?? null;
  }
  setItem(key, value) {
    this.items.set(key, value);
  }
  removeItem(key) {
    this.items.delete(key);
  }
  get text() {
    return JSON.stringify([...this.items]);
  }
}

class Server {
  cookies = new Map(); // by side: the refresh token in the browser's cookie
  logins = new Map(); // refresh token -> account
  used = [];
  asked = [];
  made = 0;
  away = false;
  credentials = ANNA;

  open(account) {
    const token = `plr_${(this.made += 1)}`;
    this.logins.set(token, account);
    return token;
  }

  async answer(path, { method, headers, body, credentials, keepalive }) {
    const side = headers["X-Paceline-Page"] ?? null;
    this.asked.push({ method, path, side, credentials, keepalive });
    await null;
    if (this.away) throw new TypeError("no network");
    const given = body ? JSON.parse(body) : {};
    if (path === "/v1/logins/refresh") {
      const token = given.refresh_token ?? (credentials === "same-origin" ? this.cookies.get(side) : undefined);
      this.used.push(token);
      const account = this.logins.get(token);
      if (!account) {
        if (!given.refresh_token) this.cookies.delete(side);
        return [401, { code: "refresh_refused", detail: "log in again" }];
      }
      this.logins.delete(token);
      return [200, this.told(account, side)];
    }
    if (path === "/v1/logins") return [201, this.told(this.credentials, side)];
    if (path === "/v1/logins/current") {
      this.logins.delete(this.cookies.get(side));
      this.cookies.delete(side);
      return [204, null];
    }
    return [200, { path, token: headers.Authorization }];
  }

  told(account, side) {
    const told = { account, access_token: `access-${this.made + 1}`, expires_in_s: 900 };
    const token = this.open(account);
    if (!side) return { ...told, refresh_token: token };
    this.cookies.set(side, token);
    return told;
  }
}

let server;
let tabs = 0;
let locked;

beforeEach(() => {
  server = new Server();
  locked = Promise.resolve();
  globalThis.localStorage = new Shelf();
  globalThis.sessionStorage = new Shelf();
  globalThis.window = { isSecureContext: true, addEventListener() {} };
  globalThis.indexedDB = { deleteDatabase() {} };
  const request = (name, work) => {
    const turn = locked.then(work);
    locked = turn.catch(() => {});
    return turn;
  };
  Object.defineProperty(globalThis, "navigator", { value: { userAgent: "", locks: { request } }, configurable: true });
  globalThis.fetch = async (path, options) => {
    const [status, body] = await server.answer(path, options);
    return { ok: status < 400, status, text: async () => (body === null ? "" : JSON.stringify(body)) };
  };
});

/** The module as a page of its own has it, with nothing in memory yet. */
async function tab(side = "athlete") {
  const { Login } = await import(`../../../../gateway/web/assets/js/login.js?tab=${(tabs += 1)}`);
  return new Login(side);
}

test("nothing that is kept is a token or about the body, and a page that is loaded again goes on by its cookie", async () => {
  const page = await tab();
  await page.logIn({ email: ANNA.email, password: "x" });
  assert.equal(page.account.max_hr, 181);
  const kept = localStorage.text + sessionStorage.text;
  for (const word of ["plr_", "access-", "181"]) assert.ok(!kept.includes(word), word);

  const again = await tab();
  assert.equal(again.account.name, "Anna", "known at once");
  assert.equal((await again.call("GET", "/v1/workouts")).token, `Bearer ${await again.token()}`);
  assert.equal(again.account.max_hr, 181, "and whole once the server was asked");
  assert.equal(server.used.length, 1, "one refresh for a page");
});

test("only what opens, renews or ends a login takes a cookie along, and outlives its page", async () => {
  const page = await tab();
  await page.logIn({ email: ANNA.email, password: "x" });
  await page.call("GET", "/v1/me");
  await page.logOut();
  assert.deepEqual(server.asked, [
    { method: "POST", path: "/v1/logins", side: "athlete", credentials: "same-origin", keepalive: true },
    { method: "GET", path: "/v1/me", side: null, credentials: "omit", keepalive: false },
    { method: "DELETE", path: "/v1/logins/current", side: "athlete", credentials: "same-origin", keepalive: true },
  ]);
});

test("tabs that are loaded together use the one cookie in turns, and no token twice", async () => {
  await (await tab()).logIn({ email: ANNA.email, password: "x" });
  const others = await Promise.all([1, 2, 3, 4].map(() => tab()));
  const tokens = await Promise.all(others.flatMap((one) => [one.token(), one.token()]));
  assert.equal(new Set(tokens).size, 4, "each page has its own, and asks once");
  assert.equal(new Set(server.used).size, server.used.length);
});

test("parts of a page that find the same token too old get one new one", async () => {
  const page = await tab();
  await page.logIn({ email: ANNA.email, password: "x" });
  const [first, second] = await Promise.all([page.token({ force: true }), page.token({ force: true })]);
  assert.equal(first, second);
  assert.equal(server.used.length, 1);
});

test("logging out is seen in the other tabs, and leaves no cookie", async () => {
  const page = await tab();
  await page.logIn({ email: ANNA.email, password: "x" });
  const other = await tab();
  await other.token();
  await page.logOut();
  assert.equal(other.account, null);
  await assert.rejects(other.token(), { code: "not_authenticated" });
  assert.equal(server.cookies.size, 0);
});

test("a login that was ended elsewhere is over here with the next refresh", async () => {
  const page = await tab();
  await page.logIn({ email: ANNA.email, password: "x" });
  server.logins.clear();
  let told = 0;
  page.onChange(() => (told += 1));
  await assert.rejects(page.token({ force: true }), { code: "refresh_refused" });
  assert.equal(page.account, null);
  assert.equal(told, 1);
});

test("a tab goes on as whoever logged in last", async () => {
  const page = await tab();
  await page.logIn({ email: ANNA.email, password: "x" });
  const stale = localStorage.getItem("paceline.account.athlete");
  server.credentials = BEN;
  await (await tab()).logIn({ email: BEN.email, password: "x" });
  localStorage.setItem("paceline.account.athlete", stale); // what this tab's copy may say for a moment
  let told = 0;
  page.onChange(() => (told += 1));
  await page.token({ force: true });
  assert.equal(page.account.name, "Ben");
  assert.equal(told, 1);
});

test("logged out without a network, the cookie is ended as soon as a page is loaded with one", async () => {
  const page = await tab();
  await page.logIn({ email: ANNA.email, password: "x" });
  server.away = true;
  await page.logOut();
  assert.equal(page.account, null);
  assert.equal((await tab()).account, null);
  await locked;
  assert.equal(server.cookies.size, 1, "it could not be");
  server.away = false;
  await tab();
  await locked;
  assert.equal(server.cookies.size, 0);
  assert.equal(localStorage.text, "[]");
});

test("a log-in meanwhile is not ended in its place", async () => {
  const page = await tab();
  await page.logIn({ email: ANNA.email, password: "x" });
  server.away = true;
  await page.logOut();
  server.away = false;
  const entering = page.logIn({ email: ANNA.email, password: "x" }); // has the lock first
  const other = await tab();
  await entering;
  await locked;
  assert.equal(server.cookies.size, 1);
  assert.equal(other.account.name, "Anna");
});

test("a login from before is swapped for a cookie once, and nothing of it stays", async () => {
  const refresh = server.open(ANNA);
  localStorage.setItem(
    "paceline.login.athlete",
    JSON.stringify({ account: ANNA, access: "access-old", refresh, expiresAtMs: Date.now() + 600_000 }),
  );
  const page = await tab();
  assert.equal(page.account.name, "Anna", "still logged in");
  const other = await tab();
  await Promise.all([page.token(), other.token()]);
  assert.equal(server.used[0], refresh);
  assert.equal(server.used.filter((token) => token === refresh).length, 1);
  assert.equal(server.cookies.size, 1);
  assert.deepEqual([...localStorage.items.keys()], ["paceline.account.athlete"]);
});

test("the two sides have a cookie each", async () => {
  await (await tab("athlete")).logIn({ email: ANNA.email, password: "x" });
  const coach = await tab("coach");
  assert.equal(coach.account, null);
  await coach.logIn({ email: ANNA.email, password: "x" });
  assert.deepEqual([...server.cookies.keys()], ["athlete", "coach"]);
});

test("over plain http from another machine the login stays in its tab, with its token in a body", async () => {
  globalThis.window.isSecureContext = false;
  const page = await tab();
  await page.logIn({ email: ANNA.email, password: "x" });
  await page.token({ force: true });
  assert.equal(localStorage.text, "[]");
  assert.match(sessionStorage.text, /plr_2/);
  assert.equal(server.cookies.size, 0);
  assert.ok(server.asked.every(({ side, credentials }) => side === null && credentials === "omit"));
});

test("what cannot be read is no login", async () => {
  localStorage.setItem("paceline.account.athlete", "{");
  assert.equal((await tab()).account, null);
  assert.equal(localStorage.text, "[]");
});

test("a refresh without an answer is asked once more while its token does no harm, and others get on", async (test) => {
  const page = await tab();
  await page.logIn({ email: ANNA.email, password: "x" });
  const timers = new Timers(test);
  const { fetch } = globalThis;
  const [token] = server.cookies.values();
  globalThis.fetch = async (path, options) => {
    const answer = await fetch(path, options);
    if (server.used.length !== 1) return answer;
    server.cookies.set("athlete", token); // the browser has not heard of another
    server.logins.set(token, ANNA); // and the server gives another one for some seconds
    return new Promise((_, reject) => options.signal?.addEventListener("abort", () => reject(new Error("aborted"))));
  };
  const [first, other] = [page.token({ force: true }), (await tab()).token()];
  await timers.jump(4_000);
  for (const got of [first, other]) assert.match(await got, /^access-/);
  assert.deepEqual(server.used.slice(0, 2), [token, token]);
});
