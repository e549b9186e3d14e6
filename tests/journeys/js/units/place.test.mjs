import assert from "node:assert/strict";
import { test } from "node:test";

import { Place } from "../../../../gateway/web/assets/js/place.js";

const at = (number, epoch = "0f3a9c41") => `${epoch}-${String(number).padStart(12, "0")}`;

test("an event counts once, whether it comes twice, late, or with the answer and by itself", () => {
  const place = new Place();
  assert.equal(place.take(at(9)), true);
  assert.equal(place.take(at(10)), true);
  for (const number of [10, 9, 1]) assert.equal(place.take(at(number)), false);
  assert.equal(place.position, at(10));
});

test("numbers are compared as numbers", () => {
  const place = new Place();
  place.set(at(99));
  assert.equal(place.take(at(100)), true);
  assert.equal(place.take(at(99)), false);
});

test("another epoch begins anew", () => {
  const place = new Place();
  place.take(at(500));
  assert.equal(place.take(at(1, "a1b2c3d4")), true);
  assert.equal(place.position, at(1, "a1b2c3d4"));
});

test("a server that does not know its position leaves none", () => {
  const place = new Place();
  place.take(at(3));
  place.set(undefined);
  assert.equal(place.position, null);
  assert.equal(place.take(at(1)), true);
});
