import assert from "node:assert/strict";
import { test } from "node:test";

import { ordered, watched } from "../../../../gateway/web/assets/js/attention.js";

const line = (n, name, over = {}) => ({ n, name, rank: n, bpm: 140, percent: 75, zone: 3, freshness: "live", ...over });
const lost = { bpm: null, percent: null, zone: null, freshness: "lost" };

function watches(lines, since = {}) {
  return new Map(lines.map((each) => [each.n, watched(undefined, each, since[each.n] ?? 0)]));
}

const names = (by, lines, since) => ordered(by, lines, watches(lines, since)).map(({ name }) => name);

test("lost sensors come first, then zone 5, then stale, then by zone", () => {
  const lines = [
    line(1, "steady"),
    line(2, "gone", { freshness: "none", zone: null }),
    line(3, "stale", { freshness: "stale", zone: null }),
    line(4, "red", { zone: 5 }),
    line(5, "lost", lost),
    line(6, "hard", { zone: 4 }),
  ];
  assert.deepEqual(names("attention", lines), ["lost", "red", "stale", "hard", "steady", "gone"]);
});

test("whoever has been lost or red the longest comes first", () => {
  const lines = [
    line(1, "late", lost),
    line(2, "early", lost),
    line(3, "new red", { zone: 5 }),
    line(4, "old red", { zone: 5 }),
  ];
  assert.deepEqual(names("attention", lines, { 1: 900, 2: 100, 3: 900, 4: 100 }), [
    "early",
    "late",
    "old red",
    "new red",
  ]);
});

test("since when is remembered while it lasts and forgotten when it ends", () => {
  const red = watched(undefined, line(1, "a", { zone: 5 }), 100);
  assert.equal(watched(red, line(1, "a", { zone: 5 }), 700).redSince, 100);
  assert.equal(watched(red, line(1, "a", { zone: 4 }), 700).redSince, null);
});

test("a sensor that goes from stale to lost has been dark since it went stale", () => {
  const stale = watched(undefined, line(1, "a", { freshness: "stale", zone: null }), 100);
  assert.equal(watched(stale, line(1, "a", lost), 900).darkSince, 100);
});

test("by rank and by name", () => {
  const lines = [line(2, "Ána"), line(1, "Zoe"), line(3, "ben")];
  assert.deepEqual(names("rank", lines), ["Zoe", "Ána", "ben"]);
  assert.deepEqual(names("name", lines), ["Ána", "ben", "Zoe"]);
});
