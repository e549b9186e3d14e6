import assert from "node:assert/strict";
import { test } from "node:test";

import { askLaterWords, contactPhoneWords, contactWords } from "../../../../gateway/web/assets/js/contact-words.js";

const ben = { name: "Ben", email: "ben@example.org", state: "asked", until_ms: 5 };
const dateOf = (ms) => `day ${ms}`;

test("how a contact stands says who is told, and who is not", () => {
  assert.match(contactWords(null, dateOf), /named nobody/);
  assert.match(contactWords(ben, dateOf), /Ben has been asked at ben@example.org, and can agree until day 5/);
  assert.match(contactWords({ ...ben, state: "agreed" }, dateOf), /is written to/);
  assert.match(contactWords({ ...ben, state: "refused" }, dateOf), /not asked again/);
  assert.match(contactWords({ ...ben, state: "unanswered" }, dateOf), /ask again/);
  assert.match(contactWords({ ...ben, state: "unreachable" }, dateOf), /address right/);
});

test("how their number stands says whether it is sent text messages", () => {
  const phone = { number: "+4915112345678", state: "asked", until_ms: 5 };
  assert.match(contactPhoneWords(null, dateOf), /give their number/);
  assert.match(contactPhoneWords(phone, dateOf), /asked by text message, and can agree until day 5/);
  assert.match(contactPhoneWords({ ...phone, state: "agreed" }, dateOf), /is sent a text message, too/);
  assert.match(contactPhoneWords({ ...phone, state: "refused" }, dateOf), /not asked again/);
  assert.match(contactPhoneWords({ ...phone, state: "unanswered" }, dateOf), /ask again/);
  assert.match(contactPhoneWords({ ...phone, state: "unreachable" }, dateOf), /number right/);
});

test("who asks too often reads when they may again", () => {
  const after = (ms) => askLaterWords({ code: "too_many_asked", retryAfterMs: ms });
  assert.match(after(600_000), /in 10 min/);
  assert.match(after(7_200_000), /in 2 h/);
  assert.match(after(6 * 86_400_000), /in 6 days/);
  assert.equal(askLaterWords({ code: "contact_refused", retryAfterMs: null }), "");
});
