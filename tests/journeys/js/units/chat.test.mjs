import assert from "node:assert/strict";
import { test } from "node:test";

import { ChatLog, MAX_SHOWN } from "../../../../gateway/web/assets/js/chat-log.js";
import { REACTIONS, mutedWords, receivedWords, refusalWords } from "../../../../gateway/web/assets/js/chat-words.js";
import { Problem } from "../../../../gateway/web/assets/js/problem.js";

const at = (number, { n = 1, epoch = "0f3a9c41" } = {}) => ({
  n,
  name: `Member ${n}`,
  text: `Text ${number}`,
  at_ms: number,
  position: `${epoch}-${String(number).padStart(12, "0")}`,
});
const numbers = (log) => log.messages.map(({ at_ms: number }) => number);

test("a message that comes live and in a page is there once, in its place", () => {
  const log = new ChatLog();
  log.take(at(9));
  log.begin({ messages: [at(3), at(8), at(9)], before: at(3).position }, [at(9), at(10)]);
  assert.deepEqual(numbers(log), [3, 8, 9, 10]);
  assert.equal(log.take(at(9)), false);
  log.extend({ messages: [at(1), at(2)] });
  assert.deepEqual(numbers(log), [1, 2, 3, 8, 9, 10]);
  assert.equal(log.before, null);
});

test("what was taken down stays down, whatever comes first", () => {
  const log = new ChatLog();
  log.take(at(1));
  assert.equal(log.remove(at(1).position), true);
  assert.equal(log.remove(at(2).position), false);
  assert.equal(log.take(at(2)), false);
  log.begin({ messages: [at(1), at(2), at(3)] });
  assert.deepEqual(numbers(log), [3]);
});

test("whoever is silenced is not seen, others are", () => {
  const log = new ChatLog();
  for (const message of [at(1), at(2, { n: 2 }), at(3)]) log.take(message);
  log.silence(1);
  assert.deepEqual(numbers(log), [2]);
});

test("it keeps the newest, and older ones can be asked for again", () => {
  const log = new ChatLog();
  for (let number = 1; number <= MAX_SHOWN + 5; number += 1) log.take(at(number));
  assert.equal(log.messages.length, MAX_SHOWN);
  assert.equal(log.before, at(6).position);
});

test("a log that began anew goes on behind what was said before", () => {
  const log = new ChatLog();
  log.take(at(500));
  log.take({ ...at(1, { epoch: "a1b2c3d4" }), at_ms: 501 });
  assert.deepEqual(numbers(log), [500, 501]);
});

test("being too quick, muted or away is said kindly, and everything else as the server says it", () => {
  const clock = (ms) => `clock ${ms}`;
  const problem = (view) => refusalWords(new Problem({ message: "as it says", ...view }), clock);
  assert.equal(problem({ code: "rate_limited", retryAfterMs: 1_600 }), "One breath: you can send this in 2 s.");
  assert.equal(problem({ code: "rate_limited" }), "One breath: you can send this in 1 s.");
  assert.equal(problem({ code: "muted", data: { until_ms: 7 } }), "The coach has muted you until clock 7.");
  assert.equal(problem({ code: "muted" }), mutedWords({}, clock));
  assert.match(problem({ code: "no_answer" }), /Your words are kept here/);
  assert.equal(problem({ code: "bad_shape" }), "as it says");
});

test("every reaction has a word, and says who it is from", () => {
  for (const [kind, , word] of REACTIONS) {
    assert.ok(word);
    assert.match(receivedWords({ name: "Ana", kind }), /^Ana .* ?you( are \w+)?/);
  }
  assert.equal(receivedWords({ name: "Ana", kind: "of tomorrow" }), "Ana reacts to you");
});
