import assert from "node:assert/strict";
import { test } from "node:test";

import { loginWords } from "../../../../gateway/web/assets/js/login-words.js";
import { moment } from "../../../../gateway/web/assets/js/words.js";

const created_at_ms = Date.UTC(2026, 8, 1, 10);
const used_at_ms = Date.UTC(2026, 8, 3, 18);
const login = { device: "Chrome on Android", created_at_ms, used_at_ms, current: false };

test("a login says since when, and when it was last used", () => {
  const { name, since } = loginWords(login);
  assert.equal(name, "Chrome on Android");
  assert.equal(since, `since ${moment(created_at_ms)}, last used ${moment(used_at_ms)}`);
});

test("the one that is here, and one that was never used again, have no last time", () => {
  const alone = `since ${moment(created_at_ms)}`;
  assert.equal(loginWords({ ...login, current: true }).since, alone);
  assert.equal(loginWords({ ...login, used_at_ms: created_at_ms }).since, alone);
});

test("a device that did not say its name is still called something", () => {
  assert.equal(loginWords({ ...login, device: "" }).name, "A device without a name");
});
