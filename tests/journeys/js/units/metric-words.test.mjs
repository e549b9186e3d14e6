import assert from "node:assert/strict";
import { test } from "node:test";

import { METRICS, figureWithUnit, figureWords, rankedWords, shortUnit } from "../../../../gateway/web/assets/js/metric-words.js";

test("figures are written with the decimals of their metric", () => {
  assert.deepEqual(
    Object.keys(METRICS).map((metric) => figureWithUnit(metric, 12.5)),
    ["12.5 points", ...Array(5).fill("12.5 min"), "13 m", "13 kcal", "12.50 W/kg", "+13 %"],
  );
  assert.equal(figureWords("improvement", -4), "-4");
});

test("no figure is a dash without a unit", () => {
  assert.deepEqual([figureWithUnit("calories", null), shortUnit("calories", null)], ["–", ""]);
});

test("what is personal is said to be of those who show it", () => {
  assert.equal(rankedWords("effort"), "Ranked by effort (points)");
  assert.equal(rankedWords("minutes_from_zone_4"), "Ranked by minutes from zone 4 up (min)");
  assert.equal(rankedWords("calories"), "Ranked by calories (kcal), of those who show it");
});

test("a metric of a newer server is shown by its name", () => {
  assert.equal(rankedWords("jumps"), "Ranked by jumps");
  assert.equal(figureWithUnit("jumps", 3), "3.0");
});
