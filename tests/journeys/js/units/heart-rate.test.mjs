import assert from "node:assert/strict";
import { test } from "node:test";

import { readMeasurement } from "../../../../gateway/web/assets/js/heart-rate.js";

const bytes = (hex) => new DataView(Uint8Array.from(hex.split(" "), (byte) => parseInt(byte, 16)).buffer);

test("eight-bit rate with contact and two intervals of 1/1024 s", () => {
  assert.deepEqual(readMeasurement(bytes("16 38 37 04 07 03")), { bpm: 56, rr: [1054, 757] });
});

test("sixteen-bit rate beyond what a heart can do is no heart rate", () => {
  assert.deepEqual(readMeasurement(bytes("19 2c 01 10 00 00 04")), { bpm: null, rr: [] });
});

test("energy between rate and intervals is stepped over", () => {
  assert.deepEqual(readMeasurement(bytes("18 48 10 00 00 04")), { bpm: 72, rr: [1000] });
});

test("a strap that says it touches nothing gives no number", () => {
  assert.deepEqual(readMeasurement(bytes("04 48")), { bpm: null, rr: [] });
});

test("a strap that cannot tell whether it touches is believed", () => {
  assert.deepEqual(readMeasurement(bytes("00 48")), { bpm: 72, rr: [] });
});

test("zero means no value", () => {
  assert.deepEqual(readMeasurement(bytes("06 00")), { bpm: null, rr: [] });
});

test("bytes that are too short are no measurement, half an interval is left out", () => {
  assert.equal(readMeasurement(bytes("16")), null);
  assert.equal(readMeasurement(bytes("01 48")), null);
  assert.deepEqual(readMeasurement(bytes("10 48 00 04 07")), { bpm: 72, rr: [1000] });
});
