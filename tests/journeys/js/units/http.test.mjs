/** Calls over a network that says nothing: each is over in time, and what waits for it goes on. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { call, callForFile } from "../../../../gateway/web/assets/js/http.js";
import { Timers, settle } from "./timers.mjs";

/** What never comes, but ends with the signal as a fetch and its body do. */
const never = (signal) =>
  new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));
const answered = (text, options, { ok = true, whole = true } = {}) => {
  const read = async () => (whole ? text : never(options.signal));
  return { ok, status: ok ? 200 : 503, text: read, blob: read };
};

let fetched;

beforeEach(() => {
  fetched = (options) => answered(`{"ok":true}`, options);
  globalThis.fetch = async (_, options) => {
    if (options.signal?.aborted) throw new Error("aborted");
    return fetched(options);
  };
});

/** How a call went, once it has. */
function watched(calling) {
  const seen = { done: false };
  calling.then(
    (value) => Object.assign(seen, { done: true, value }),
    (problem) => Object.assign(seen, { done: true, problem }),
  );
  return seen;
}

test("an answer that never begins is no network after ten seconds", async (test) => {
  const timers = new Timers(test);
  fetched = ({ signal }) => never(signal);
  const seen = watched(call("POST", "/v1/tickets", { token: "t" }));
  await timers.jump(9_999);
  assert.equal(seen.done, false);
  await timers.jump(1);
  assert.deepEqual([seen.problem.code, seen.problem.retry], ["no_network", true]);
});

test("an answer that never ends is one, too", async (test) => {
  const timers = new Timers(test);
  fetched = (options) => answered("", options, { whole: false });
  const seen = watched(call("GET", "/v1/me"));
  await timers.jump(29_999);
  assert.equal(seen.done, false);
  await timers.jump(1);
  assert.equal(seen.problem.code, "no_network");
});

test("a network that breaks in the middle of an answer is one, too", async () => {
  fetched = (options) => ({ ...answered("", options), text: () => Promise.reject(new TypeError("network error")) });
  await assert.rejects(call("GET", "/v1/me"), { code: "no_network" });
});

test("a file has time to come, and has to begin as soon as everything else", async (test) => {
  const timers = new Timers(test);
  fetched = (options) => answered("", options, { whole: false });
  const slow = watched(callForFile("/v1/tasks/1/result", "t"));
  await timers.jump(300_000);
  assert.equal(slow.done, false);
  fetched = ({ signal }) => never(signal);
  const silent = watched(callForFile("/v1/tasks/1/result", "t"));
  await timers.jump(10_000);
  assert.equal(silent.problem.code, "no_network");
});

test("whoever stops a call is told that it was stopped", async () => {
  fetched = ({ signal }) => never(signal);
  const stopping = new AbortController();
  const seen = watched(call("GET", "/v1/me", { signal: stopping.signal }));
  await settle();
  stopping.abort();
  await settle();
  assert.equal(seen.problem.message, "aborted");
  const late = watched(call("GET", "/v1/me", { signal: stopping.signal }));
  await settle();
  assert.equal(late.problem.message, "aborted");
});

test("an answer and a refusal are what they were, and leave no timer behind", async (test) => {
  const timers = new Timers(test);
  assert.deepEqual(await call("GET", "/v1/me"), { ok: true });
  fetched = (options) => answered(`{"code":"unavailable","retry":true}`, options, { ok: false });
  await assert.rejects(call("GET", "/v1/me"), { code: "unavailable", retry: true });
  assert.equal(timers.waits.size, 0);
});
