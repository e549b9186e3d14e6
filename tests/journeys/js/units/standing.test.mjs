import assert from "node:assert/strict";
import { test } from "node:test";

import { showStanding, words } from "../../../../gateway/web/assets/js/standing.js";
import { openDocument } from "./document.mjs";

const standing = (over = {}) => ({ phase: "connected", fresh: true, reason: "", behind: false, ...over });
const MEANWHILE = "Numbers are hidden.";

test("a connection that is well is one word", () => {
  assert.equal(words(standing(), MEANWHILE), "Live");
});

test("while the server does not hear its other nodes, something may be missing", () => {
  const said = words(standing({ behind: true }), MEANWHILE);
  assert.equal(said, "Part of the class may be missing right now. It comes back by itself.");
});

test("a connection that is gone is told before anything else", () => {
  const gone = standing({ phase: "away", fresh: false, reason: "the connection was lost.", behind: true });
  assert.equal(words(gone, MEANWHILE), "Disconnected: the connection was lost. Numbers are hidden.");
});

test("a connection that is back is not called live while what is shown is from before", (test) => {
  const document = openDocument(test);
  const sign = document.getElementById("sign");
  sign.classList.add = () => {};
  const live = { standing: standing(), watch: (watcher) => watcher(live.standing) };
  let inStep = false;
  const again = showStanding(sign, live, { inStep: () => inStep });
  const [, text] = sign.children;
  assert.equal(text.textContent, "Catching up with the class…");
  assert.equal(sign.dataset.phase, "behind");
  inStep = true;
  again();
  assert.equal(text.textContent, "Live");
  assert.equal(sign.dataset.phase, "connected");
});
