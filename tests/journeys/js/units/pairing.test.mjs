// What is said about a screen that asks to be let in.
import assert from "node:assert/strict";
import { test } from "node:test";

import { asksWords, isCode, nextAsk, spelledCode } from "../../../../gateway/web/assets/js/pairing-words.js";

test("a code is shown as the screen shows it, however it was typed", () => {
  for (const typed of ["wdjbmjht", "WDJB-MJHT", " wdjb mjht ", "WDJB–MJHT"]) {
    assert.equal(spelledCode(typed), "WDJB-MJHT");
    assert.ok(isCode(typed));
  }
  assert.equal(spelledCode("wdj"), "WDJ");
});

test("what has not eight letters is no code", () => {
  for (const typed of ["", "WDJB", "WDJB-MJH", "WDJB-MJHTT", "2345-6789"]) assert.ok(!isCode(typed), typed);
});

test("somebody is told where a screen asks from, also when that is not known", () => {
  assert.match(asksWords({ network: "203.0.113.0/24", asked_at_ms: 1_790_000_000_000 }), /203\.0\.113\.0\/24/);
  assert.match(asksWords({ network: "", asked_at_ms: 1_790_000_000_000 }), /do not know/);
});

test("a screen waits as long as it was told, and keeps its pace where it was told nothing", () => {
  assert.equal(nextAsk({ retryAfterMs: 10_000 }, 5_000), 10_000);
  assert.equal(nextAsk({ retryAfterMs: null }, 15_000), 15_000);
  assert.equal(nextAsk({ retryAfterMs: 50 }, 5_000), 1_000);
});
