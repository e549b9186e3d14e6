/** A heat in words at an instant, and the server's time that everybody goes by. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { heatStateWords, rulesWords, whenWords } from "../../../../gateway/web/assets/js/challenge-words.js";
import { clockWords, heatOfClock, phaseOf, phaseWords } from "../../../../gateway/web/assets/js/heat-words.js";
import { exchanged, reportOf } from "../../../../gateway/web/assets/js/server-time.js";

const heat = { starts_ms: 100_000, ends_ms: 160_000, ready: 2, waiting: [] };
const gathering = { ...heat, starts_ms: null, ends_ms: null };

test("a heat gathers, is counted down, is ridden, is over", () => {
  assert.equal(phaseOf(gathering, 0), "gathering");
  assert.deepEqual(
    [99_999, 100_000, 159_999, 160_000].map((now) => phaseOf(heat, now)),
    ["countdown", "ridden", "ridden", "over"],
  );
});

test("the figure stands at a second until that second is over", () => {
  assert.deepEqual(
    [90_000, 90_001, 99_001, 99_999].map((now) => clockWords(heat, now)),
    ["10", "10", "1", "1"],
  );
  assert.deepEqual(
    [100_000, 100_999, 101_000, 159_999, 160_000].map((now) => clockWords(heat, now)),
    ["1:00", "1:00", "0:59", "0:01", "0:00"],
  );
});

test("it says for whom it waits, and for how many more", () => {
  assert.match(phaseWords({ ...gathering, ready: 0 }, 1, 0), /0 of 1 ready\. It starts by itself/);
  assert.equal(phaseWords({ ...gathering, waiting: ["Ben"] }, 3, 0), "2 of 3 ready. Waiting for Ben.");
  assert.equal(phaseWords({ ...gathering, waiting: ["Ben", "Eve"] }, 9, 0), "2 of 9 ready. Waiting for Ben, Eve, and 5 others.");
  assert.equal(phaseWords(gathering, 2, 0), "2 of 2 ready.");
});

test("a class clock says when a heat is ridden", () => {
  assert.equal(heatOfClock({ state: "waiting", at_ms: 0, duration_ms: 60_000 }).starts_ms, null);
  const running = heatOfClock({ state: "running", at_ms: 100_000, duration_ms: 60_000 });
  assert.deepEqual([running.starts_ms, running.ends_ms], [100_000, 160_000]);
});

test("what is agreed, as an invitation and as a member sees it", () => {
  const rules = { kind: "effort", ties: "first", heat: { length_ms: 1_200_000, target: 2_400_000, late: false } };
  assert.equal(
    rulesWords(rules),
    "Effort points in 20 min from a common start; whoever has 40.0 points is done; who comes late is not let in; of equals who got there first stands higher.",
  );
  assert.match(rulesWords({ ...rules, heat: { length_ms: 60_000, late: "starts_late" } }), /1 min from.*; who comes late starts late; /);
  assert.equal(whenWords(rules), "a heat of 20 min");
});

test("how it stands", () => {
  const words = (more, now = 0) => heatStateWords({ finished_ms: null, closes_ms: 9, heat, ...more }, now, String);
  assert.equal(words({ finished_ms: 1 }), "Over. This table is final.");
  assert.equal(words({ finished_ms: 1, heat: gathering }), "Closed: nobody has started it.");
  assert.equal(words({}, 170_000), "Ridden. Late data still counts until 9.");
  assert.equal(words({}, 120_000), "On.");
});

test("four timestamps say how far the clocks are apart", () => {
  assert.deepEqual(exchanged({ sent_ms: 1_000, received_ms: 6_020, answered_ms: 6_030 }, 1_050), { delayMs: 40, offsetMs: 5_000 });
});

test("what is reported of the server's time is how far off it was until then, within what the server takes", () => {
  assert.deepEqual(reportOf({ delayMs: 30, offsetMs: 12 }, null), { delay_ms: 30, moved_ms: 0 });
  assert.deepEqual(reportOf({ delayMs: 30, offsetMs: 12 }, 200), { delay_ms: 30, moved_ms: -188 });
  assert.deepEqual(reportOf({ delayMs: 99_999, offsetMs: 9e9 }, 0), { delay_ms: 60_000, moved_ms: 3_600_000 });
});
