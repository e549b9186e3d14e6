import assert from "node:assert/strict";
import { test } from "node:test";

import { Steps, stepWords, stepsLaidOut } from "../../../../gateway/web/assets/js/step-words.js";

const BELOW = { type: "step", goal: { type: "below", bpm: 120 }, for_ms: 10_000, within_ms: 110_000 };
const HARD = { type: "step", goal: { type: "zone", low: 4, high: 5 }, for_ms: 60_000, within_ms: 180_000 };
const SCRIPT = {
  blocks: [
    { intervals: [{ duration_ms: 60_000 }] },
    { repeat: 2, intervals: [{ duration_ms: 300_000, steps: [{ type: "rounds", steps: [HARD, BELOW], at_most: 3 }, BELOW] }] },
  ],
};

test("repeats are written out, as the server counts intervals", () => {
  assert.deepEqual(
    stepsLaidOut(SCRIPT).map((steps) => steps.length),
    [0, 2, 2],
  );
});

test("an athlete's place is said with what is to be reached and how far they are", () => {
  const laid = stepsLaidOut(SCRIPT);
  assert.equal(
    stepWords(laid, [7, 1, 0, 1, 1, 4_000, true, false]),
    "Step 1 of 2, round 2 of at most 3: below 120 bpm · 0:04 of 0:10",
  );
  assert.equal(stepWords(laid, [7, 2, 0, 0, 0, 0, false, false]), "Step 1 of 2, round 1 of at most 3: zone 4 to 5");
  assert.equal(stepWords(laid, [7, 1, 1, 0, 0, 0, false, false]), "Step 2 of 2: below 120 bpm");
  assert.equal(stepWords(laid, [7, 1, 1, 0, 0, 0, true, true]), "Steps done");
});

test("of an interval without steps, and of a script that is not there yet, nothing is said", () => {
  assert.equal(stepWords(stepsLaidOut(SCRIPT), [7, 0, 0, 0, 0, 0, false, false]), "");
  assert.equal(stepWords([], [7, 1, 0, 0, 0, 0, false, false]), "");
});

test("a newer row takes the place of the older one, and another script that of all", () => {
  const steps = new Steps();
  steps.takeScript(SCRIPT);
  steps.apply({ rows: [[7, 1, 1, 0, 0, 0, false, false]] });
  steps.apply({ rows: [[7, 1, 1, 0, 0, 2_000, true, false]] });
  assert.equal(steps.wordsOf(7), "Step 2 of 2: below 120 bpm · 0:02 of 0:10");
  assert.equal(steps.wordsOf(8), "");
  steps.takeScript(SCRIPT);
  assert.equal(steps.wordsOf(7), "");
});
