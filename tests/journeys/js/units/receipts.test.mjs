import assert from "node:assert/strict";
import { test } from "node:test";

import { receiptWords } from "../../../../gateway/web/assets/js/receipts.js";

test("the newest cue is told, with what is known of it", () => {
  assert.equal(receiptWords({}), "");
  assert.equal(receiptWords({ cues: [["a", 9, 9, 9, 1, 2], ["b", 48, 0, 0, null, null]] }), "Seen by 0 of 48");
  assert.equal(
    receiptWords({ cues: [["b", 48, 47, 45, 38, 121]] }),
    "Seen by 45 of 48, arrived at 47 · half within 38 ms, nearly all within 121 ms",
  );
  assert.equal(receiptWords({ cues: [["b", 2, 2, 2, 5, 6]] }), "Seen by 2 of 2 · half within 5 ms, nearly all within 6 ms");
});
