/** How one stands against a past workout of one's own. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { againstWords, pointsAt } from "../../../../gateway/web/assets/js/ghost.js";

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
