import assert from "node:assert/strict";
import { test } from "node:test";

import { decisionWords, findingWords, reasonWords, waitingWords } from "../../../../gateway/web/assets/js/cases-words.js";

const flat = { rule: "flat", figure: 912, unit: "s at exactly the same rate", flagged_from: 180, rejected_from: 900 };

test("a finding is said with its figure and what that counts", () => {
  assert.equal(
    findingWords(flat),
    "One and the same heart rate for minutes: 912 s at exactly the same rate (marked from 180, does not count from 900)",
  );
  assert.match(findingWords({ ...flat, figure: 3.14159, rejected_from: null }), /: 3\.1 s .* \(marked from 180\)$/);
  assert.match(findingWords({ ...flat, rule: "of tomorrow" }), /^Something that hearts rarely do/);
});

test("what a decision comes to depends on what waits", () => {
  assert.match(waitingWords({ verdict: "rejected", waits_for: "appeal" }), /does not count.*appealed/);
  assert.match(waitingWords({ verdict: "flagged", waits_for: "review" }), /marked.*Nobody has looked/);
  assert.deepEqual(decisionWords({ waits_for: "appeal" }), ["Leave it as it stands", "It counts, unmarked"]);
  assert.deepEqual(decisionWords({ waits_for: "review" }), ["It does not count", "It counts, unmarked"]);
});

test("a report says why", () => {
  assert.equal(reasonWords("personal_data"), "Reported as personal data");
  assert.equal(reasonWords("of tomorrow"), "Reported as of tomorrow");
});
