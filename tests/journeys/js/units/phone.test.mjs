import assert from "node:assert/strict";
import { test } from "node:test";

import { askAgainWords, checkWords, phoneWords } from "../../../../gateway/web/assets/js/phone-words.js";

const check = { number: "+4915112345678", expires_at_ms: 0, guesses_left: 5, message: "sent" };

test("a number is told with whether it is used", () => {
  assert.match(phoneWords({ number: null, dead: false, check, offered: true }), /There is none yet/);
  assert.equal(phoneWords({ number: "+43660", dead: false, check: null, offered: true }), "Text messages go to +43660.");
  assert.equal(phoneWords({ number: null, dead: false, check: null, offered: false }), "This server sends no text messages.");
  assert.match(phoneWords({ number: "+43660", dead: true, check: null, offered: true }), /nothing is sent there/);
});

test("a code is told as far as it has come", () => {
  assert.equal(checkWords(null), "");
  assert.match(checkWords(check), /^We have sent a code to \+4915112345678/);
  assert.match(checkWords({ ...check, message: "waiting" }), /^We are sending/);
  assert.match(checkWords({ ...check, message: "failed" }), /could not be delivered/);
});

test("whoever must wait is told how long", () => {
  const after = (minutes) => askAgainWords({ code: "too_many_codes", retryAfterMs: minutes * 60_000 });
  assert.match(after(0.5), /in a minute/);
  assert.match(after(30), /in 30 minutes/);
  assert.match(after(90), /an hour or two/);
  assert.match(after(1_435), /in 24 hours/);
  assert.equal(askAgainWords({ code: "wrong_code", retryAfterMs: null }), "");
});
