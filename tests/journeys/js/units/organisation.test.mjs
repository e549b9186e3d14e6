import assert from "node:assert/strict";
import { test } from "node:test";

import { aboutWords } from "../../../../gateway/web/assets/js/offer-words.js";
import { bookedWords, filled, mayGive, questionWords, seatsWords } from "../../../../gateway/web/assets/js/organisation-words.js";

test("an admin is offered no role above their own, and a member none", () => {
  assert.deepEqual(mayGive("owner"), ["owner", "admin", "coach", "member"]);
  assert.deepEqual(mayGive("admin"), ["coach", "member"]);
  assert.deepEqual(mayGive("coach"), []);
  assert.deepEqual(mayGive("member"), []);
});

test("seats are counted in words", () => {
  assert.equal(seatsWords(10, 3, 0), "3 of 10 seats taken");
  assert.equal(seatsWords(1, 1, 0), "1 of 1 seat taken");
  assert.equal(seatsWords(10, 3, 2), "3 of 10 seats taken, 2 kept for who is invited");
});

test("the bar of an organisation that has more people than seats is full", () => {
  assert.equal(filled(10, 3), 30);
  assert.equal(filled(2, 5), 100);
});

test("a class on offer says in whose name it is, and for whom", () => {
  const terms = { duration_min: 45, members: "only" };
  assert.equal(aboutWords({ terms, organisation: "Harbour Gym" }), "45 min · for all · Harbour Gym, members only");
  assert.equal(aboutWords({ terms: { duration_min: 45, level: "beginner" } }), "45 min · beginners");
  const teams = ["Red", "Blue"];
  assert.equal(aboutWords({ terms: { duration_min: 45, teams } }), "45 min · for all · teams: Red, Blue");
});

test("whoever waits for a place is told from who has one", () => {
  assert.equal(bookedWords({ name: "Ana", state: "confirmed" }), "Ana");
  assert.equal(bookedWords({ name: "Ben", state: "waitlisted" }), "Ben, waiting");
});

test("a link says which organisation asks whom", () => {
  const words = questionWords({ organisation: "Harbour Gym", email: "ana@example.org", role: "coach" });
  assert.match(words, /^Harbour Gym has a seat for ana@example.org, as coach\./);
});
