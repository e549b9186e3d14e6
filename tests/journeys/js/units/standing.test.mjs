import assert from "node:assert/strict";
import { test } from "node:test";

import { words } from "../../../../gateway/web/assets/js/standing.js";

const standing = (over = {}) => ({ phase: "connected", fresh: true, reason: "", behind: "", ...over });
const MEANWHILE = "Numbers are hidden.";

test("a connection that is well is one word", () => {
  assert.equal(words(standing(), MEANWHILE), "Live");
});

test("a node that does not hear the others says that something may be missing, and why", () => {
  const said = words(standing({ behind: "this node has not heard its own heartbeat for 6 s" }), MEANWHILE);
  assert.equal(
    said,
    "Part of the class may be missing: this node has not heard its own heartbeat for 6 s. It comes back by itself.",
  );
});

test("a connection that is gone is told before anything else", () => {
  const gone = standing({ phase: "away", fresh: false, reason: "the connection was lost.", behind: "deaf" });
  assert.equal(words(gone, MEANWHILE), "Disconnected: the connection was lost. Numbers are hidden.");
});
