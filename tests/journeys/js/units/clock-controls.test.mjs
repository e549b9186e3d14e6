import assert from "node:assert/strict";
import { test } from "node:test";

import { classTime } from "../../../../gateway/web/assets/js/clock-controls.js";

test("class time is what the table of the documentation says", () => {
  const running = { state: "running", at_ms: 1_000, class_ms: 0, duration_ms: 180_000 };
  const at = (clock, times) => times.map((ms) => classTime(clock, clock.at_ms + ms));
  assert.deepEqual(at(running, [-1, 0, 90_000, 999_999]), [0, 0, 90_000, 180_000]);
  assert.deepEqual(at({ ...running, state: "paused", class_ms: 12_345 }, [87_654]), [12_345]);
  assert.deepEqual(at({ ...running, rests: [[59_999, 20_000]] }, [59_999, 79_998, 79_999, 80_000]), [
    59_999, 59_999, 59_999, 60_000,
  ]);
});
