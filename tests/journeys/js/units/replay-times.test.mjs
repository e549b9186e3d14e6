import assert from "node:assert/strict";
import { test } from "node:test";

import {
  classTimeAt,
  intervalAt,
  laidOut,
  marksOf,
  placeOnBar,
} from "../../../../gateway/web/assets/js/replay-times.js";

const SCRIPT = {
  blocks: [
    { title: "Warm up", intervals: [{ duration_ms: 30_000, targets: [{ type: "zone", low: 1, high: 2 }] }] },
    { title: "Hills", repeat: 2, intervals: [{ duration_ms: 20_000, title: "Up" }, { duration_ms: 10_000 }] },
  ],
  cues: [
    { at_ms: 0, text: "Welcome" },
    { at_ms: 30_000, text: "First hill" },
    { at_ms: 55_000, text: "Skipped" },
  ],
};
const clock = (noted, state, classMs, atMs = noted) => ({
  noted_at_ms: noted,
  state,
  at_ms: atMs,
  class_ms: classMs,
  duration_ms: 90_000,
});
// Begun after 10 s, stood from 40 to 60 s, and from 70 s on at the second hill.
const CLOCKS = [
  clock(0, "waiting", 0),
  clock(10_000, "running", 0),
  clock(40_000, "paused", 30_000),
  clock(60_000, "running", 30_000),
  clock(70_000, "running", 60_000),
];

test("a script is written out with its repeats", () => {
  const laid = laidOut(SCRIPT);
  assert.deepEqual(
    laid.map(({ from, to, title, zone }) => [from, to, title, zone]),
    [
      [0, 30_000, "Warm up", 2],
      [30_000, 50_000, "Up 1 of 2", null],
      [50_000, 60_000, "Hills 1 of 2", null],
      [60_000, 80_000, "Up 2 of 2", null],
      [80_000, 90_000, "Hills 2 of 2", null],
    ],
  );
  assert.equal(intervalAt(laid, 30_000).title, "Up 1 of 2");
  assert.equal(intervalAt(laid, 90_000), null);
  assert.deepEqual(laidOut(undefined), []);
});

test("class time is that of the clock which held then", () => {
  assert.equal(classTimeAt(CLOCKS, -1), null);
  assert.deepEqual(
    [5_000, 25_000, 50_000, 65_000, 75_000].map((at) => classTimeAt(CLOCKS, at)),
    [0, 15_000, 30_000, 35_000, 65_000],
  );
});

test("the bar shows what was ridden: pauses make it longer, what was skipped is not there", () => {
  const { stretches, cues } = marksOf({ script: SCRIPT, clocks: CLOCKS }, 0, 100_000);
  const about = (ms) => Math.round(ms / 1_000);
  assert.deepEqual(
    stretches.map(({ fromMs, toMs, interval }) => [about(fromMs), about(toMs), interval.title]),
    [
      [10, 40, "Warm up"],
      [40, 70, "Up 1 of 2"],
      [70, 90, "Up 2 of 2"],
      [90, 100, "Hills 2 of 2"],
    ],
  );
  assert.deepEqual(
    cues.map(({ atMs, text }) => [about(atMs), text]),
    [
      [10, "Welcome"],
      [40, "First hill"],
    ],
  );
});

test("a class without a script, and one of an instant, have a bar as well", () => {
  assert.deepEqual(marksOf({}, 0, 100_000), { stretches: [], cues: [] });
  assert.deepEqual(marksOf({ script: SCRIPT, clocks: CLOCKS }, 5, 5), { stretches: [], cues: [] });
  assert.deepEqual([placeOnBar(5, 5, 5), placeOnBar(50, 0, 100), placeOnBar(999, 0, 100)], [0, 0.5, 1]);
});
