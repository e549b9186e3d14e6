import assert from "node:assert/strict";
import { test } from "node:test";

import {
  alertState,
  alertWords,
  askedWords,
  isNews,
  leftS,
  nextWords,
  safetyWords,
} from "../../../../gateway/web/assets/js/safety-words.js";

const asked = { incident: "a", kind: "over_limit", state: "prompted", revision: 1, bpm: 197, next_ms: 20_000 };

test("the athlete is asked about what was seen, also about what only a newer server sees", () => {
  assert.match(askedWords(asked), /above your limit \(197 bpm\)/);
  for (const kind of ["no_recovery", "signal_lost", "rate_fell"]) assert.ok(askedWords({ kind, bpm: 90 }).length > 20);
  assert.match(askedWords({ kind: "unheard of", bpm: 1 }), /unusual/);
});

test("the seconds that are left are between none and fifteen, whatever this clock says", () => {
  assert.equal(leftS(asked, 5_001), 15);
  assert.equal(leftS(asked, 18_500), 2);
  assert.equal(leftS(asked, -1e9), 15);
  assert.equal(leftS(asked, 1e9), 0);
  assert.equal(leftS({ ...asked, next_ms: null }, 0), 0);
});

test("what comes next is told, and what has happened", () => {
  assert.match(nextWords(asked, 7), /told in 7 s/);
  assert.match(nextWords(asked, 0), /being told/);
  assert.match(nextWords({ state: "coach_told" }, 0), /has been told/);
  assert.match(nextWords({ state: "contact_told" }, 0), /contact has been written to/);
  assert.match(nextWords({ state: "acknowledged" }, 0), /looking after you/);
});

test("an older revision is no news, another incident is", () => {
  assert.ok(isNews(null, asked));
  assert.ok(!isNews({ ...asked, revision: 2 }, asked));
  assert.ok(!isNews(asked, asked));
  assert.ok(isNews({ ...asked, incident: "b", revision: 9 }, asked));
});

test("the coach reads who and what, and how it stands", () => {
  assert.equal(alertWords({ ...asked, name: "Ada" }), "Ada: heart rate above their limit, 197 bpm.");
  assert.match(alertState({ state: "coach_told" }), /Go and look/);
  assert.match(alertState({ state: "closed", ended_by: "athlete" }), /all right/);
  assert.match(alertState({ state: "closed", ended_by: "time" }), /over/);
  assert.match(alertState({ state: "gone" }), /taken it on, or it is over/);
});

test("the settings say which limit holds and why", () => {
  const view = { on: true, limit_bpm: 210, limit_source: "guessed_maximum" };
  assert.match(safetyWords(view), /210 bpm: your maximum is estimated/);
  assert.match(safetyWords({ ...view, limit_source: "own" }), /own limit is 210/);
  assert.equal(safetyWords({ ...view, on: false }), "Nobody watches over you.");
});
