/** A class without a coach in words. */
import assert from "node:assert/strict";
import test from "node:test";

import { phaseOf, waitingWords } from "../../../../gateway/web/assets/js/lobby-words.js";

const clock = (over = {}) => ({ state: "running", at_ms: 10_000, class_ms: 0, duration_ms: 60_000, ...over });

test("the countdown says the second that has begun, and the script where it is", () => {
  assert.equal(phaseOf(null, 0).phase, "waiting");
  assert.equal(phaseOf(clock({ state: "waiting" }), 0).phase, "waiting");
  assert.deepEqual(phaseOf(clock(), 0), { phase: "countdown", words: "Begins in 10" });
  assert.equal(phaseOf(clock(), 9_999).words, "Begins in 1");
  assert.deepEqual(phaseOf(clock(), 15_000), { phase: "running", words: "0:05 of 1:00" });
  assert.deepEqual(phaseOf(clock({ state: "paused", class_ms: 7_000 }), 99_000), { phase: "paused", words: "Paused at 0:07 of 1:00" });
  assert.equal(phaseOf(clock(), 70_000).phase, "done");
});

test("the lobby waits for those who are here and ride", () => {
  const rider = (n, present = undefined, role = "athlete") => ({ n, present, role });
  assert.equal(waitingWords([rider(1)], [1]), "You are alone here. Give others the code, or start.");
  assert.equal(waitingWords([rider(1), rider(2), rider(3, false), rider(4, true, "spectator")], [1]), "1 of 2 riders ready. It begins when all are.");
  assert.equal(waitingWords([rider(1), rider(2)], [2, 1]), "All are ready.");
});
