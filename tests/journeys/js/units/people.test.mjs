import assert from "node:assert/strict";
import { test } from "node:test";

import { doable, inOrder, named, standingWords } from "../../../../gateway/web/assets/js/people-words.js";

const MIA = { n: 1, name: "Mia", role: "coach", leads: "coach", can_lead: true };
const NOE = { n: 2, name: "Noe", role: "spectator", can_lead: true };
const EVE = { n: 3, name: "Eve", role: "coach", leads: "co_coach", can_lead: true };
const ADA = { n: 4, name: "Ada", role: "athlete" };
const BOB = { n: 5, name: "Bob", role: "athlete", removed: true };

test("the coach decides who leads, a co-coach does not", () => {
  assert.deepEqual(doable("coach", NOE), ["co_coach", "mute", "remove"]);
  assert.deepEqual(doable("coach", EVE), ["coach", "none", "remove"]);
  assert.deepEqual(doable("co_coach", NOE), ["mute", "remove"]);
  assert.deepEqual(doable("co_coach", EVE), []);
  for (const leads of ["coach", "co_coach"]) assert.deepEqual(doable(leads, MIA), []);
});

test("only who could lead is made a co-coach, and who is out is let in before anything else", () => {
  assert.deepEqual(doable("coach", ADA), ["mute", "remove"]);
  assert.deepEqual(doable("coach", { ...ADA, muted: true }), ["unmute", "remove"]);
  assert.deepEqual(doable("coach", { ...NOE, removed: true, muted: true }), ["let_in"]);
});

test("who leads is first and who is out last", () => {
  const order = inOrder([BOB, NOE, ADA, EVE, MIA]).map(({ name }) => name);
  assert.deepEqual(order, ["Mia", "Eve", "Ada", "Noe", "Bob"]);
});

test("somebody is found by a part of their name, in either case", () => {
  assert.deepEqual(named([ADA, BOB], " aD "), [ADA]);
  assert.deepEqual(named([ADA, BOB], ""), [ADA, BOB]);
});

test("what somebody is in the class is said in words", () => {
  assert.equal(standingWords(MIA), "coach");
  assert.equal(standingWords({ ...ADA, muted: true }), "athlete, muted");
  assert.equal(standingWords(NOE), "watches");
  assert.equal(standingWords(BOB), "sent out");
});
