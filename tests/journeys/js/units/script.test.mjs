import assert from "node:assert/strict";
import { test } from "node:test";

import { msOf, newScript, placeOf, profileOf, timeText, whole } from "../../../../gateway/web/assets/js/script-model.js";

test("a time is read as people write it, and what is none is none", () => {
  for (const [text, ms] of [
    ["1:30", 90_000],
    [" 0:05 ", 5_000],
    ["1:02:03", 3_723_000],
    ["90 s", 90_000],
    ["5 min", 300_000],
  ])
    assert.equal(msOf(text), ms, text);
  for (const text of ["", "90", "1:60", "soon", "-1:00"]) assert.equal(msOf(text), null, text);
  assert.equal(timeText(msOf("12:05")), "12:05");
  assert.equal(timeText(null), "");
});

test("the picture has a bar for every interval with repeats written out, and fills the time", () => {
  const script = whole({
    blocks: [
      { intervals: [{ duration_ms: 60_000 }] },
      {
        repeat: 2,
        intervals: [
          { duration_ms: 30_000, targets: [{ type: "cadence", low: 90, high: 95 }, { type: "zone", low: 5, high: 5 }] },
          { duration_ms: 30_000, targets: [{ type: "rpe", low: 2, high: 2 }] },
        ],
      },
    ],
    cues: [{ at_ms: 90_000, text: "Up!" }],
  });
  const { bars, cues, durationMs } = profileOf(script);
  assert.equal(durationMs, 180_000);
  assert.deepEqual(
    bars.map(({ zone }) => zone),
    [0, 5, 1, 5, 1],
  );
  assert.ok(Math.abs(bars.at(-1).x + bars.at(-1).width - 1) < 1e-9);
  assert.deepEqual(cues, [{ x: 0.5, text: "Up!" }]);
});

test("a script that is half written has a picture, too", () => {
  const script = newScript();
  script.blocks[0].intervals[0].duration_ms = null;
  script.blocks[0].repeat = null;
  assert.deepEqual(profileOf(script), { bars: [], cues: [], durationMs: 0 });
});

test("a problem is shown at its field, or at what it is part of, or at the first of its parts", () => {
  const places = ["$.script.blocks", "$.script.blocks[1]", "$.script.blocks[1].repeat", "$.script.blocks[10]", "$.script.cues"];
  assert.equal(placeOf("$.script.blocks[1].repeat", places), "$.script.blocks[1].repeat");
  assert.equal(placeOf("$.script.blocks[1].intervals[0].targets[2]", places), "$.script.blocks[1]");
  assert.equal(placeOf("$.script.blocks[2]", places), "$.script.blocks");
  assert.equal(placeOf("$.script", places), "$.script.blocks");
  assert.equal(placeOf("$.revision", places), null);
});
