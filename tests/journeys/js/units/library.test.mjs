import assert from "node:assert/strict";
import { test } from "node:test";

import { emptyWords, entryWords, originWords, tagsOf, tagsText } from "../../../../gateway/web/assets/js/library-words.js";

const ENTRY = { duration_ms: 720_000, owner_id: "mira", owner_name: "Mira", label: { name: "Hills", shared: "private" } };

test("a script of one's own says how long it is and whether it is shared", () => {
  assert.equal(entryWords(ENTRY, "mira"), "12:00");
  assert.equal(entryWords({ ...ENTRY, label: { shared: "coaches" } }, "mira"), "12:00 · shared");
});

test("a script of somebody else says whose it is, and a copy what it was made of", () => {
  assert.equal(entryWords({ ...ENTRY, label: { shared: "coaches" } }, "noe"), "12:00 · Mira");
  const origin = { id: null, owner_id: "noe", owner_name: "Noe", revision: 2 };
  assert.equal(entryWords({ ...ENTRY, origin }, "mira"), "12:00 · a copy of Noe's");
  assert.equal(originWords({ ...origin, owner_id: "mira" }, "mira"), "a copy of your own");
  assert.equal(originWords(undefined, "mira"), "");
});

test("tags are written with commas between, and nothing between two is no tag", () => {
  assert.deepEqual(tagsOf(" hills, ,threshold ,"), ["hills", "threshold"]);
  assert.deepEqual(tagsOf(""), []);
  assert.equal(tagsText(tagsOf("hills,threshold")), "hills, threshold");
});

test("an empty list says why it is empty", () => {
  assert.match(emptyWords("own", ""), /no scripts yet/);
  assert.match(emptyWords("shared", ""), /Nobody shares/);
  assert.match(emptyWords("any", "hil"), /“hil”/);
});
