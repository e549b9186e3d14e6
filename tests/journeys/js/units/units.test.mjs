import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { figureWithUnit, rankedWords, shortUnit } from "../../../../gateway/web/assets/js/metric-words.js";
import { distanceWords, fieldValue, typedUnit, typedValue, useUnits, withUnit } from "../../../../gateway/web/assets/js/units.js";
import { vitalWords } from "../../../../gateway/web/assets/js/vital-words.js";

const IMPERIAL = { units: "imperial" };

afterEach(() => useUnits(null));

test("metric is as it is kept, also for nobody and for an account of an older server", () => {
  for (const account of [null, {}, { units: "metric" }]) {
    useUnits(account);
    assert.deepEqual([distanceWords(12_400), withUnit(72.5, "kg"), withUnit(188, "bpm")], ["12.40 km", "72.5 kg", "188 bpm"]);
    assert.deepEqual([typedUnit("kg"), typedValue(72.5, "kg"), fieldValue(72.5, "kg")], ["kg", 72.5, 72.5]);
  }
});

test("imperial shows miles, pounds and inches, and leaves what has no such unit", () => {
  useUnits(IMPERIAL);
  assert.deepEqual([distanceWords(12_400), withUnit(72.5, "kg"), withUnit(181, "cm")], ["7.71 mi", "159.8 lb", "71.3 in"]);
  assert.deepEqual([withUnit(188, "bpm"), typedUnit("W")], ["188 bpm", "W"]);
  assert.equal(vitalWords({ kind: "mass_kg", value: 72.5, unit: "kg" }), "Weight: 159.8 lb");
});

test("what is typed in pounds is kept in kilograms, and comes back as it was typed", () => {
  useUnits(IMPERIAL);
  for (const pounds of [99.9, 150, 159.8, 300.5]) assert.equal(fieldValue(typedValue(pounds, "kg"), "kg"), pounds);
});

test("a board by distance is shown in miles, any other as ever", () => {
  assert.deepEqual([figureWithUnit("distance", 5_000), shortUnit("distance", 1)], ["5000 m", "m"]);
  useUnits(IMPERIAL);
  assert.deepEqual([figureWithUnit("distance", 5_000), shortUnit("distance", 1)], ["3.11 mi", "mi"]);
  assert.equal(rankedWords("distance"), "Ranked by distance (mi)");
  assert.equal(figureWithUnit("calories", 12.5), "13 kcal");
});
