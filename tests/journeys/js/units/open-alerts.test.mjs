/**
 * What a coach's page shows of athletes who have not answered: brought by the socket, and found by asking, whichever is first.
 *
 * The document and the connection are only what the list needs of them; in a browser it is shown by the chapter `safety` of
 * pages.mjs.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { OpenAlerts } from "../../../../gateway/web/assets/js/open-alerts.js";
import { Problem } from "../../../../gateway/web/assets/js/problem.js";
import { followAlerts } from "../../../../gateway/web/assets/js/safety-alerts.js";

const alert = (incident, { state = "coach_told", revision = 2, ...more } = {}) => ({
  incident,
  name: incident,
  kind: "over_limit",
  bpm: 197,
  state,
  revision,
  ...more,
});
const all = (...alerts) => ({ alerts, more: false });

// -- what is known --------------------------------------------------------------------------------------------------

test("what came over the socket is no news in the answer, unless it has another revision", () => {
  const open = new OpenAlerts();
  assert.ok(open.take(alert("Ada")));
  const answer = all(alert("Ada"), alert("Ben"));
  assert.deepEqual(open.takeAnswer(open.ask(), answer), { news: [alert("Ben")], gone: [] });
  const told = alert("Ada", { state: "contact_told", revision: 3 });
  assert.deepEqual(open.takeAnswer(open.ask(), all(told, alert("Ben"))).news, [told]);
  assert.ok(!open.take(alert("Ada")));
});

test("what the answer lacks waits no more, and is news when it waits again", () => {
  const open = new OpenAlerts();
  open.take(alert("Ada"));
  assert.deepEqual(open.takeAnswer(open.ask(), all()), { news: [], gone: [alert("Ada")] });
  assert.deepEqual(open.takeAnswer(open.ask(), all(alert("Ada"))).news, [alert("Ada")]);
});

test("what came while the question was on its way is newer than its answer", () => {
  const open = new OpenAlerts();
  open.take(alert("Ada"));
  const asked = open.ask();
  open.take(alert("Ben"));
  const taken = alert("Ada", { state: "acknowledged", revision: 3 });
  open.take(taken);
  assert.deepEqual(open.takeAnswer(asked, all(alert("Ada"))), { news: [], gone: [] });
  assert.deepEqual([...open.known.values()], [taken, alert("Ben")]);
});

test("what was taken on stays, though it waits for nobody", () => {
  const open = new OpenAlerts();
  open.take(alert("Ada", { state: "acknowledged", revision: 3 }));
  assert.deepEqual(open.takeAnswer(open.ask(), all()).gone, []);
});

test("an answer without room for all ends nothing, and one that was overtaken says nothing", () => {
  const open = new OpenAlerts();
  open.take(alert("Ada"));
  assert.deepEqual(open.takeAnswer(open.ask(), { alerts: [alert("Ben")], more: true }), { news: [alert("Ben")], gone: [] });
  const [first, second] = [open.ask(), open.ask()];
  assert.deepEqual(open.takeAnswer(second, all(alert("Ada"))).gone, [alert("Ben")]);
  assert.deepEqual(open.takeAnswer(first, all(alert("Ben"))), { news: [], gone: [] });
});

// -- what is shown --------------------------------------------------------------------------------------------------

class FakeElement {
  constructor() {
    this.parent = null;
    this.children = [];
    this.attributes = {};
    this.textContent = "";
  }
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  getAttribute(name) {
    return this.attributes[name] ?? null;
  }
  removeAttribute(name) {
    delete this.attributes[name];
  }
  addEventListener(name, listener) {
    this[`on${name}`] = listener;
  }
  append(...children) {
    for (const child of children) {
      if (child instanceof FakeElement) child.parent = this;
      this.children.push(child);
    }
  }
  prepend(child) {
    child.parent = this;
    this.children.unshift(child);
  }
  remove() {
    if (this.parent) this.parent.children = this.parent.children.filter((child) => child !== this);
    this.parent = null;
  }
  replaceWith(other) {
    if (!this.parent) return;
    other.parent = this.parent;
    this.parent.children = this.parent.children.map((child) => (child === this ? other : child));
    this.parent = null;
  }
  find(id) {
    if (this.attributes.id === id) return this;
    return this.children.map((child) => child instanceof FakeElement && child.find(id)).find(Boolean) ?? null;
  }
  get words() {
    return this.children.map((child) => child.words ?? child).join(" ") + this.textContent;
  }
}

class Connection {
  standing = { phase: "connecting", behind: false };
  watchers = [];
  handlers = {};
  watch(watcher) {
    this.watchers.push(watcher);
    watcher(this.standing);
  }
  on(event, handler) {
    this.handlers[event] = handler;
  }
  stand(standing) {
    this.standing = { ...this.standing, ...standing };
    for (const watcher of this.watchers) watcher(this.standing);
  }
}

const ASK_EVERY_MS = 30_000;
let live;
let server;
let main;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  main = new FakeElement();
  main.setAttribute("id", "main");
  globalThis.document = { createElement: () => new FakeElement(), getElementById: (id) => main.find(id) };
  live = new Connection();
  server = { waiting: [], asked: 0, problem: null };
});
afterEach(() => {
  mock.timers.reset();
  delete globalThis.document;
});

const login = {
  async call(method, path) {
    assert.deepEqual([method, path], ["GET", "/v1/safety/alerts"]);
    server.asked += 1;
    if (server.problem) throw server.problem;
    return all(...server.waiting);
  },
};
const shown = () => main.find("safety-alerts").children.map(({ words }) => words);
const settle = () => new Promise((resolve) => setImmediate(resolve));
const passes = async (ms) => {
  mock.timers.tick(ms);
  await settle();
};

/** The page has been loaded, and has a connection. */
async function loaded() {
  const page = followAlerts(live, login);
  live.stand({ phase: "connected" });
  await settle();
  return page;
}

test("a page that was loaded again shows the alert that went out before", async () => {
  server.waiting = [alert("Ada")];
  const page = await loaded();
  assert.match(shown()[0], /^Ada: heart rate above their limit, 197 bpm\. They have not answered\. Go and look\./);
  page.close();
  live = new Connection();
  await loaded();
  assert.equal(shown().length, 1);
});

test("an alert that went out while the connection was away is there once it is back, and once only", async () => {
  await loaded();
  live.handlers["safety.alert"](alert("Ada"));
  live.stand({ phase: "away" });
  server.waiting = [alert("Ada"), alert("Ben")];
  await passes(ASK_EVERY_MS);
  assert.equal(shown().length, 1);
  live.stand({ phase: "connected" });
  await settle();
  assert.deepEqual(shown().map((words) => words.slice(0, 3)), ["Ada", "Ben"]);
});

test("what was missed by a server that did not hear the others is asked for when it does, and in the meantime", async () => {
  await loaded();
  live.stand({ behind: true });
  server.waiting = [alert("Ada")];
  await passes(ASK_EVERY_MS);
  assert.equal(shown().length, 1);
  server.waiting.push(alert("Ben"));
  live.stand({ behind: false });
  await settle();
  assert.equal(shown().length, 2);
  assert.equal(server.asked, 3);
});

test("a question that was not answered is asked again soon", async () => {
  server.problem = new Problem({ code: "unavailable", message: "away", retry: true, retryAfterMs: 1_000 });
  await loaded();
  server.problem = null;
  server.waiting = [alert("Ada")];
  await passes(1_000);
  assert.equal(shown().length, 1);
});

test("what somebody else took on meanwhile says so and goes, and comes back if it waits again", async () => {
  server.waiting = [alert("Ada")];
  await loaded();
  server.waiting = [];
  await passes(ASK_EVERY_MS);
  assert.match(shown()[0], /Somebody has taken it on, or it is over\./);
  assert.doesNotMatch(shown()[0], /I am going/);
  await passes(20_000);
  assert.deepEqual(shown(), []);
  server.waiting = [alert("Ada")];
  await passes(10_000);
  assert.match(shown()[0], /Go and look\..*I am going/);
});

test("who is on the way stays in sight, though it waits for nobody, and what is over goes", async () => {
  server.waiting = [alert("Ada")];
  await loaded();
  server.waiting = [];
  live.handlers["safety.alert"](alert("Ada", { state: "acknowledged", revision: 3 }));
  await passes(ASK_EVERY_MS);
  assert.match(shown()[0], /Somebody is on the way\./);
  live.handlers["safety.alert"](alert("Ada", { state: "closed", revision: 4, ended_by: "athlete" }));
  assert.match(shown()[0], /all right/);
  await passes(20_000);
  assert.deepEqual(shown(), []);
});

test("who is on the way is not so for ever, should nobody say that it is over", async () => {
  await loaded();
  live.handlers["safety.alert"](alert("Ada", { state: "acknowledged", revision: 3 }));
  await passes(10 * 60_000);
  assert.equal(shown().length, 1);
  await passes(60_000);
  assert.deepEqual(shown(), []);
});

test("a page that follows no longer asks nothing and shows nothing", async () => {
  server.waiting = [alert("Ada")];
  const page = await loaded();
  page.close();
  await passes(10 * ASK_EVERY_MS);
  live.stand({ phase: "away" });
  live.stand({ phase: "connected" });
  await settle();
  assert.equal(server.asked, 1);
  assert.equal(main.find("safety-alerts"), null);
});
