import assert from "node:assert/strict";
import { test } from "node:test";

import { NEWS_FOR_MS, newsForMs } from "../../../../gateway/web/assets/js/cue.js";

const cue = { at_ms: 1_000_000 };

test("a cue is news from when it was said, not from when it came", () => {
  assert.equal(newsForMs(cue, 1_000_000), NEWS_FOR_MS);
  assert.equal(newsForMs(cue, 1_030_000), NEWS_FOR_MS - 30_000);
  assert.equal(newsForMs(cue, 1_000_000 + NEWS_FOR_MS), 0);
  assert.equal(newsForMs(cue, 9_000_000), 0);
});

test("a clock that is behind does not keep it longer than others see it", () => {
  assert.equal(newsForMs(cue, 0), NEWS_FOR_MS);
});
