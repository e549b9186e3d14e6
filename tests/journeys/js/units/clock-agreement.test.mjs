import assert from "node:assert/strict";
import { test } from "node:test";

import { ClockAgreement, OFF_MS, agreementWords } from "../../../../gateway/web/assets/js/clock-agreement.js";

const row = (n, offMs) => [n, [], null, true, 150, 80, 4, 1.5, "live", offMs];
const nameOf = (n) => `Athlete ${n}`;

function clocks(...offs) {
  const clocks = new ClockAgreement();
  clocks.take({ rows: offs.map((offMs, index) => row(index + 1, offMs)) });
  return clocks;
}

test("nothing is said while nobody has said how far off they are", () => {
  assert.equal(agreementWords(clocks(null, null).now, nameOf), "");
  const older = new ClockAgreement();
  older.take({ rows: [row(1, null).slice(0, 9)] });
  assert.equal(agreementWords(older.now, nameOf), "", "a server that does not tell it");
});

test("clocks that agree are summed up by the worst and the middle", () => {
  assert.equal(agreementWords(clocks(5, 40, 12, null).now, nameOf), "Clocks agree: all 3 within 40 ms, half within 12 ms");
  assert.equal(agreementWords(clocks(OFF_MS).now, nameOf), "Clocks agree: within 100 ms");
});

test("who is off is named, the worst first and not too many", () => {
  assert.equal(
    agreementWords(clocks(5, 101, 12, 2_340).now, nameOf),
    "Clocks differ: Athlete 4 by up to 2.3 s, Athlete 2 by up to 101 ms · half within 12 ms",
  );
  assert.match(agreementWords(clocks(200, 201, 202, 203, 204, 1).now, nameOf), /Athlete 5 .*Athlete 3 by up to 202 ms, 2 more/);
});

test("a later row takes the place of an earlier one, and who left is counted no more", () => {
  const known = clocks(5, 300);
  known.apply({ rows: [row(2, 7)] });
  assert.deepEqual(known.now, { known: 2, medianMs: 5, worstMs: 7, off: [] });
  known.apply({ rows: [row(2, null)] });
  assert.equal(known.now.known, 1);
  known.take({ rows: [] });
  assert.equal(known.now.known, 0);
});
