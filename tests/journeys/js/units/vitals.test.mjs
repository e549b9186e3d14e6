import assert from "node:assert/strict";
import { test } from "node:test";

import { KIND_WORDS, UNITS, sinceWords, vitalWords } from "../../../../gateway/web/assets/js/vital-words.js";

const VITAL = { kind: "max_hr", value: 188, unit: "bpm", from_day: "2026-09-01", until_day: null, source: "test", stale: false };

test("a value says what it is, since when it holds and how it is known", () => {
  assert.equal(vitalWords(VITAL), "Maximum heart rate: 188 bpm");
  assert.match(sinceWords(VITAL), /^since .*2026, from a test$/);
  assert.match(sinceWords({ ...VITAL, stale: true }), /measure it again$/);
  assert.match(sinceWords({ ...VITAL, until_day: "2026-10-01" }), /2026 to .*2026, from a test$/);
});

test("a kind that is not known here is shown by its name", () => {
  assert.equal(vitalWords({ ...VITAL, kind: "vo2max", unit: "ml" }), "vo2max: 188 ml");
});

test("every kind has its unit", () => {
  assert.deepEqual(Object.keys(UNITS), Object.keys(KIND_WORDS));
});
