/** How one stands against a past workout of one's own. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { againstWords, pathOf, placeOn, pointsAt } from "../../../../gateway/web/assets/js/ghost.js";

const curve = { workout: "w", step_ms: 1_000, scores: [0, 60_000, 180_000, 180_000], cut: false };

test("between two steps a ghost rides evenly, and at its end it stands", () => {
  assert.deepEqual(
    [-5, 0, 500, 1_000, 1_500, 2_000, 99_000].map((ms) => pointsAt(curve, ms)),
    [0, 0, 0.5, 1, 2, 3, 3],
  );
});

test("one is ahead, level or behind", () => {
  assert.equal(againstWords(curve, 1_000, 3.5), "2.5 ahead");
  assert.equal(againstWords(curve, 2_000, 2), "1.0 behind");
  assert.equal(againstWords(curve, 1_500, 2.01), "level");
});

test("where a curve was cut nobody knows", () => {
  assert.equal(againstWords({ ...curve, cut: true }, 3_000, 3), "level");
  assert.equal(againstWords({ ...curve, cut: true }, 3_001, 3), "–");
});

test("a past class goes by class time, and is nowhere before the class begins", () => {
  const clock = { state: "running", at_ms: 1_000, class_ms: 0, duration_ms: 60_000 };
  const now = { elapsedMs: 7_000, clock, serverMs: 6_000 };
  assert.equal(placeOn({ ...curve, axis: "class" }, now), 5_000);
  assert.equal(placeOn({ ...curve, axis: "class" }, { ...now, clock: { ...clock, state: "waiting" } }), null);
  assert.equal(placeOn({ ...curve, axis: "class" }, { ...now, clock: null }), null);
  assert.equal(placeOn({ ...curve, axis: "own" }, now), 7_000);
  assert.equal(placeOn(curve, now), 7_000, "a workout of one's own has no axis to choose");
});

test("what is raced is fetched from where it is", () => {
  assert.equal(pathOf("0199-a"), "/v1/workouts/0199-a/ghost");
  assert.equal(pathOf("classes/0199-b/ghosts/leader"), "/v1/classes/0199-b/ghosts/leader");
});
