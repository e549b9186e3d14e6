/** A challenge in words, and its table put together from pages that were made at different moments. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { behindOf, lineOf, rowsOf, winnersOf } from "../../../../gateway/web/assets/js/challenge-table.js";
import { amountWords, dayAfter, stateOf, whatCounts } from "../../../../gateway/web/assets/js/challenge-words.js";
import { bookingWords, mayDo, needsWords, placesWords } from "../../../../gateway/web/assets/js/offer-words.js";

const line = (rank, n, value = 100 - rank) => ({ rank, n, value, name: `P${n}`, team: null });
const page = (revision, start, ...lines) => ({ revision, start, members: 20, lines });
const shown = (rows) => rows.map((row) => ("gap" in row ? `+${row.gap}` : row.line.n));

test("leaders, a gap, the lines around me, and who stands behind them", () => {
  assert.deepEqual(shown(rowsOf([page(1, 0, line(1, 7), line(2, 8)), page(1, 9, line(10, 3))], 20)), [7, 8, "+7", 3, "+10"]);
});

test("pages that meet leave no gap, and pages that overlap show everybody once", () => {
  const pages = [page(1, 0, line(1, 7), line(2, 8)), page(1, 1, line(2, 8), line(3, 9))];
  assert.deepEqual(shown(rowsOf(pages, 3)), [7, 8, 9]);
});

test("of two moments the later one is believed, and nobody stands twice", () => {
  const before = page(4, 0, line(1, 7), line(2, 8));
  const after = page(5, 1, line(2, 7), line(3, 9));
  assert.deepEqual(shown(rowsOf([before, after], 3)), ["+1", 7, 9]);
  assert.equal(lineOf([before, after], 7).rank, 2);
});

test("an empty table has no gap", () => {
  assert.deepEqual(rowsOf([page(1, 0)], 0), []);
});

test("how far the next better one is ahead, whoever shares one's own score", () => {
  const own = line(3, 9, 50);
  const pages = [page(1, 0, line(1, 7, 90), line(2, 8, 60), own, line(3, 10, 50))];
  assert.deepEqual(behindOf(pages, own), { line: line(2, 8, 60), by: 10 });
  assert.equal(behindOf(pages, line(1, 7, 90)), null);
});

test("prizes are for the first three ranks with something to show for it", () => {
  const pages = [page(9, 0, line(1, 7, 5), line(1, 8, 5), line(3, 9, 1), line(4, 10, 0))];
  assert.deepEqual(
    winnersOf(pages).map(({ n }) => n),
    [7, 8, 9],
  );
  assert.deepEqual(winnersOf([page(9, 0, line(1, 7, 0))]), []);
});

test("a challenge is ahead, on, waiting for late workouts, over", () => {
  const week = { first_day: "2026-11-23", last_day: "2026-11-29", finished_ms: null };
  assert.deepEqual(
    ["2026-11-22", "2026-11-23", "2026-11-29", "2026-11-30"].map((today) => stateOf(week, today)),
    ["ahead", "on", "on", "settling"],
  );
  assert.equal(stateOf({ ...week, finished_ms: 1 }, "2026-11-24"), "over");
  assert.equal(dayAfter("2026-02-28", 1), "2026-03-01");
});

test("each kind says what it counts", () => {
  assert.equal(amountWords({ kind: "effort" }, 90_000), "1.5 points");
  assert.equal(amountWords({ kind: "count" }, 1), "1 workout");
  assert.equal(amountWords({ kind: "zone_time" }, 3_660_000), "1 h 1 min");
  assert.equal(amountWords({ kind: "streak" }, 4), "4 days");
  assert.equal(amountWords({ kind: "distance" }, 12_345), "12.35 km");
  assert.equal(whatCounts({ kind: "zone_time", from_zone: 4 }), "Time in Z4 Hard and above");
});

const offer = (over = {}) => ({
  state: "offered",
  coach_id: "c",
  booking_opens_at_ms: 10,
  booking_closes_at_ms: 20,
  terms: { capacity: 2, waitlist: 1 },
  confirmed: 1,
  waiting: 0,
  ...over,
});
const may = (over, now = 15) => mayDo(offer(over), now, String, "me").act;

test("a place is booked while one is free and nobody waits; then one waits; then neither", () => {
  assert.equal(may({}), "book");
  assert.equal(may({ waiting: 1 }), null);
  assert.equal(may({ confirmed: 2 }), "wait");
  assert.equal(may({ confirmed: 2, waiting: 1 }), null);
  assert.equal(may({}, 9), null);
  assert.equal(may({}, 20), null);
  assert.equal(may({ coach_id: "me" }), null);
  assert.equal(may({ booking_state: "waitlisted" }), null);
  assert.equal(may({ state: "called_off" }), null);
  assert.equal(placesWords(offer()), "1 of 2 places free");
  assert.equal(placesWords(offer({ confirmed: 2, waiting: 3 })), "booked up, 3 waiting");
});

test("a class that needs something is for who is entitled to it now", () => {
  const terms = { capacity: 2, waitlist: 1, needs: "premium" };
  const held = new Set(["live"]);
  assert.deepEqual(mayDo(offer({ terms }), 15, String, "me", held), { act: null, why: "for who has premium" });
  assert.equal(needsWords(terms, held), "needs premium, which you do not have");
  held.add("premium");
  assert.equal(mayDo(offer({ terms }), 15, String, "me", held).act, "book");
  assert.equal(needsWords(terms, held), "needs premium, which you have");
  assert.equal(needsWords({ capacity: 2 }, held), "");
});

test("a booking says how many wait in front", () => {
  assert.equal(bookingWords({ state: "waitlisted", ahead: 0 }), "waitlist: you are next");
  assert.equal(bookingWords({ state: "waitlisted", ahead: 2 }), "waitlist: 2 in front of you");
});
