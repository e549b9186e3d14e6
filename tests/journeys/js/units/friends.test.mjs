import assert from "node:assert/strict";
import { test } from "node:test";

import { Board } from "../../../../gateway/web/assets/js/board.js";
import { DOABLE, askable, doneWords, requestOf, standingOf } from "../../../../gateway/web/assets/js/friend-words.js";

const CIRCLE = {
  friends: [{ account_id: "f", name: "Fay", since_ms: 1 }],
  asked: [{ account_id: "a", called: "Al", asked_at_ms: 1, until_ms: 2 }],
  asking: [{ account_id: "b", name: "Bo", asked_at_ms: 1 }],
};

test("what can be done about somebody follows from how they stand", () => {
  const doable = ["f", "a", "b", "x"].map((account) => DOABLE[standingOf(CIRCLE, account)]);
  assert.deepEqual(doable, [["part"], ["withdraw"], ["accept", "decline"], ["ask"]]);
});

test("only a request to somebody says what they are called, and never more than may be said", () => {
  assert.deepEqual(requestOf("ask", "a/b", "🚲".repeat(90)), ["PUT", "/v1/friends/a%2Fb/request", { called: "🚲".repeat(80) }]);
  for (const act of ["withdraw", "accept", "decline", "part"]) assert.equal(requestOf(act, "a", "Al").length, 2, act);
});

test("asking somebody who has asked makes friends, and is said so", () => {
  assert.equal(doneWords("ask", "Bo", { state: "friends" }), "Bo had asked you, too: you are friends.");
  assert.equal(doneWords("ask", "Al", { state: "asked" }), "Al is asked.");
  assert.equal(doneWords("decline", "Bo"), "You have declined. Bo is not told.");
});

test("who goes by another name, and oneself, cannot be asked", () => {
  const members = [
    { n: 1, name: "Zoe", account_id: "z", role: "coach" },
    { n: 2, name: "Me", account_id: "m" },
    { n: 3, name: "Fox" },
    { n: 4, name: "Ada", account_id: "a" },
  ];
  assert.deepEqual(askable(members, 2).map(({ name }) => name), ["Ada", "Zoe"]);
});

test("friends alone are shown in the places that the server gives them", () => {
  const board = new Board();
  const members = [1, 2, 3].map((n) => ({ n, name: `N${n}`, account_id: String(n) }));
  const rows = [1, 2, 3].map((n) => [n, n, 120, 60, 2, 9 - n, "live"]);
  board.take({ epoch: "e", v: 0, at_ms: 0, members, rows });
  board.takeFiltered({ friends: true, places: [[2, 1], [3, 2]] });
  assert.deepEqual(board.passing().map(({ n, rank }) => [n, rank]), [[2, 1], [3, 2]]);
});
