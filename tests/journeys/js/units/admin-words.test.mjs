import assert from "node:assert/strict";
import { test } from "node:test";

import { actorWords, connectionWords, flagWords, inRoomWords, moreWords, roomWords, silentWords, stateWords, suspensionWords, thereWords, whereToFind } from "../../../../gateway/web/assets/js/admin-words.js";

const entry = {
  position: 7, at_ms: 0, act: "role.granted", actor_kind: "account", actor: "a", actor_email: "mira@example.org", account: null,
  account_email: null, name: "", network: "", thing_kind: "", thing: "", reason: "", data: "{}",
};
const state = { rows: 1, waiting: 0, checked_from: 1, breaches: [], signed_row: null, signed_at_ms: null };

test("an id leads to the account itself, anything else is an address", () => {
  const id = "01900000-0000-7000-8000-00000000000A";
  assert.equal(whereToFind(` ${id} `), `/v1/staff/accounts/${id.toLowerCase()}`);
  assert.equal(whereToFind("ana+1@example.org"), "/v1/staff/accounts?email=ana%2B1%40example.org");
  assert.equal(whereToFind("../me"), "/v1/staff/accounts?email=..%2Fme");
});

test("who acted is an address, a command with its user, or what they are", () => {
  assert.equal(actorWords(entry), "mira@example.org");
  assert.equal(actorWords({ ...entry, actor_email: null }), "somebody who left");
  assert.equal(actorWords({ ...entry, actor_kind: "command", actor_email: null, name: "root" }), "a command of root");
  assert.equal(actorWords({ ...entry, actor_kind: "operator", actor_email: null }), "the admin token");
});

test("what more there is to say", () => {
  assert.equal(moreWords(entry), "");
  const much = { ...entry, thing_kind: "key", thing: "abc", data: '{"stolen":"yes","count":2}', network: "203.0.113.0/24" };
  assert.equal(moreWords(much), "key abc, stolen: yes, count: 2, from 203.0.113.0/24");
});

test("a chain that is not whole says so, and what to do", () => {
  assert.deepEqual(stateWords(state), { whole: true, words: "1 row, whole from row 1 on, not signed yet." });
  const { whole, words } = stateWords({ ...state, breaches: ["altered at 3: entry x"], waiting: 2 });
  assert.equal(whole, false);
  assert.match(words, /altered at 3.*paceline audit verify/);
  assert.match(stateWords({ ...state, waiting: 2 }).words, /2 entries wait for a place/);
});

test("a suspension says why", () => {
  assert.equal(suspensionWords(null), "");
  assert.equal(suspensionWords({ reason: "shared", until_ms: null }), "Suspended: shared");
});

test("a room is a class of somebody, a heat, or one on demand", () => {
  assert.equal(roomWords({ kind: "class", coach: "Mia" }), "Class of Mia");
  assert.equal(roomWords({ kind: "heat", coach: "" }), "Heat");
  assert.equal(roomWords({ kind: "on_demand", coach: "Ana" }), "On demand, started by Ana");
  assert.equal(thereWords(1), "1 person there");
  assert.equal(thereWords(0), "0 people there");
  assert.equal(thereWords(null), "nobody knows how many are there");
});

test("somebody in a room is what they lead or ride as, where they are connected", () => {
  const person = { n: 3, role: "athlete", leads: null, nodes: ["one", "two"] };
  assert.equal(inRoomWords(person, true), "Athlete, number 3, connected to one and two");
  assert.equal(inRoomWords({ ...person, leads: "co_coach", nodes: [] }, true), "Co-coach, number 3, just left");
  assert.equal(inRoomWords({ ...person, role: "coach" }, false), "Spectator, number 3", "who led once and does no longer");
});

test("a flag that nobody has set says nothing more", () => {
  assert.equal(flagWords({ set_at_ms: null }), "");
  assert.match(flagWords({ set_at_ms: 0, set_by: "otto@example.org", reason: "too many" }), /^Set on .+ by otto@example\.org: too many$/);
  assert.match(flagWords({ set_at_ms: 0, set_by: null, reason: "too many" }), /^Set on [^:]+:[^:]+:[^:]+: too many$/);
});

test("a connection goes to a node since an instant, and may be in rooms", () => {
  const one = { node: "one", opened_at_ms: 0, rooms: [], app: null };
  assert.match(connectionWords(one), /^to one since [^,]+,[^,]+,[^,]+$/);
  assert.match(connectionWords({ ...one, rooms: ["a", "b"], app: "x" }), /^an app, to one since .+, in 2 rooms$/);
  assert.equal(silentWords(["two", "three"]), "No answer from two and three: there may be more.");
});
