import assert from "node:assert/strict";
import { test } from "node:test";

import { Needs, REASONS, lackingWords, needWords, ordered, passes } from "../../../../gateway/web/assets/js/attention.js";

const line = (n, name = `Athlete ${n}`, over = {}) => ({ n, name, rank: n, zone: 3, present: true, ...over });
const row = (n, reasons, sinceMs = null) => [n, reasons, sinceMs, true, 140, 75, 3, 1.5, "live"];

function told(...rows) {
  const needs = new Needs();
  needs.take({ rows });
  return needs;
}

const numbers = (by, lines, needs) => ordered(by, lines, needs).map(({ n }) => n);

test("the worst reason comes first, then who has had it longest, then the number", () => {
  const needs = told(
    row(1, []),
    row(2, ["lost_sensor"], 900),
    row(3, ["over_limit", "first_class"], 950),
    row(4, ["lost_sensor"], 100),
    row(5, ["first_class"], 0),
    row(6, ["lost_sensor"], 100),
  );
  assert.deepEqual(
    numbers("attention", [1, 2, 3, 4, 5, 6].map((n) => line(n)), needs),
    [3, 4, 6, 2, 5, 1],
  );
});

test("changes replace rows by number, a snapshot replaces everything", () => {
  const needs = told(row(1, ["lost_sensor"], 5), row(2, ["no_data"], 5));
  needs.apply({ rows: [row(1, [])] });
  assert.deepEqual([needs.of(1).reasons, needs.of(2).reasons], [[], ["no_data"]]);
  needs.take({});
  assert.deepEqual(needs.of(2).reasons, []);
});

test("every reason has words, and several are all said", () => {
  for (const reason of REASONS) assert.notDeepEqual(needWords({ reasons: [reason] }), [reason]);
  assert.deepEqual(needWords({ reasons: ["lost_sensor", "first_class"] }), ["sensor lost", "first class"]);
});

test("by rank and by name", () => {
  const lines = [line(2, "Ána"), line(1, "Zoe"), line(3, "ben")];
  assert.deepEqual(numbers("rank", lines, told()), [1, 2, 3]);
  assert.deepEqual(numbers("name", lines, told()), [2, 3, 1]);
});

test("a filter lets through whom it says", () => {
  const needs = told(row(1, ["no_data"], 5), row(2, []));
  const lines = [line(1, "a", { zone: null }), line(2, "b", { present: false }), line(3, "c", { zone: 4 })];
  const through = (filter) => lines.filter((each) => passes(filter, each, needs)).map(({ n }) => n);
  assert.deepEqual(through("all"), [1, 2, 3]);
  assert.deepEqual(through("needs"), [1]);
  assert.deepEqual(through("here"), [1, 3]);
  assert.deepEqual(through("zone-4"), [3]);
});

test("a coach who lacks what is asked of coaches is told its name, and nobody else is told anything", () => {
  assert.match(lackingWords({ needs: "coaching" }), /need “coaching”, which your account does not have/);
  assert.equal(lackingWords({ members: [], rows: [] }), "");
});
