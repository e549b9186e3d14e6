import assert from "node:assert/strict";
import { test } from "node:test";

import { bodyOf, percentOf, zoneOf } from "../../../../gateway/web/assets/js/body.js";
import { clock, freshnessWords, span } from "../../../../gateway/web/assets/js/words.js";

const TODAY = new Date(2026, 4, 17);

test("a measured maximum is taken as it is", () => {
  assert.deepEqual(bodyOf({ max_hr: 187, rest_hr: 48 }, TODAY), { maxHr: 187, maxFrom: "measured", restHr: 48 });
});

test("without one it comes from the age, halves rounded up", () => {
  assert.equal(bodyOf({ birth_date: "1986-05-17" }, TODAY).maxHr, 180); // 40 years: 180.0
  assert.equal(bodyOf({ birth_date: "1981-05-17" }, TODAY).maxHr, 177); // 45 years: 176.5
  assert.equal(bodyOf({ birth_date: "1981-05-18" }, TODAY).maxHr, 177); // 44 years: 177.2
});

test("without either it is assumed, and says so", () => {
  assert.deepEqual(bodyOf({}, TODAY), { maxHr: 190, maxFrom: "assumed", restHr: 60 });
});

test("zone borders are exact and belong to the zone above", () => {
  const zone = (bpm, maxHr) => zoneOf(percentOf(bpm, maxHr));
  assert.equal(zone(119, 170), 3); // exactly 70 %
  assert.equal(zone(118, 170), 2);
  assert.equal(zone(95, 190), 1);
  assert.equal(zone(94, 190), 0);
  assert.equal(zone(210, 190), 5);
});

test("times are written for people", () => {
  assert.deepEqual([clock(0), clock(187_000), clock(3_729_000)], ["0:00", "3:07", "1:02:09"]);
  assert.deepEqual([span(8_000), span(750_000), span(3_900_000)], ["8 s", "12 min 30 s", "1 h 5 min"]);
});

test("a sensor that is not live is named by a word", () => {
  const words = (freshness, present = true) => freshnessWords({ freshness, present });
  assert.deepEqual(
    [words("live"), words("stale"), words("lost"), words("none"), words("none", false)],
    ["", "stale", "sensor lost", "no sensor", "not here"],
  );
});
