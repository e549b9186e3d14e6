import assert from "node:assert/strict";
import { test } from "node:test";

import { Board } from "../../../../gateway/web/assets/js/board.js";
import { teamFigure, teamsOf, teamsOfTable } from "../../../../gateway/web/assets/js/team-board.js";
import { choosableOf, ownTeamWords } from "../../../../gateway/web/assets/js/team-choice.js";

const snapshot = (over = {}) => ({
  class_id: "c",
  epoch: "a",
  v: 4,
  at_ms: 1,
  members: [
    { n: 1, account_id: "x", name: "Ana", role: "athlete" },
    { n: 2, account_id: "y", name: "Ben", role: "athlete", present: false },
    { n: 3, account_id: "z", name: "Coach", role: "coach" },
  ],
  rows: [
    [2, 1, null, null, null, 3.5, "lost"],
    [1, 2, 150, 81, 4, 2.1, "live"],
  ],
  ...over,
});
const changes = (over) => ({ class_id: "c", epoch: "a", v: 5, at_ms: 2, ...over });

function boardOf(told) {
  const board = new Board();
  board.take(told);
  return board;
}

test("lines are the athletes by rank, without the coach", () => {
  assert.deepEqual(
    boardOf(snapshot())
      .lines()
      .map(({ n, rank, name, present }) => [n, rank, name, present]),
    [
      [2, 1, "Ben", false],
      [1, 2, "Ana", true],
    ],
  );
});

test("changes that follow directly are applied, and fields at their default may be left out", () => {
  const board = boardOf(snapshot());
  assert.equal(board.apply(changes({ rows: [[1, 1, 155, 84, 4, 4, "live"]] })), "applied");
  assert.equal(board.apply(changes({ v: 6 })), "applied");
  assert.equal(board.line(1).bpm, 155);
  assert.equal(board.line(1).rank, 1);
});

test("a new member comes with the changes", () => {
  const board = boardOf(snapshot());
  board.apply(changes({ members: [{ n: 4, account_id: "w", name: "Dee", role: "athlete" }] }));
  assert.deepEqual(
    board.lines().map(({ name }) => name),
    ["Ben", "Ana", "Dee"],
  );
  assert.equal(board.line(4).freshness, "none");
});

test("a missed version is a gap and changes nothing", () => {
  const board = boardOf(snapshot());
  assert.equal(board.apply(changes({ v: 6, rows: [[1, 1, 190, 99, 5, 9, "live"]] })), "gap");
  assert.equal(board.line(1).bpm, 150);
});

test("another epoch is a gap, whatever its version", () => {
  assert.equal(boardOf(snapshot()).apply(changes({ epoch: "b" })), "gap");
});

test("changes that a newer snapshot already holds are old news", () => {
  const board = boardOf(snapshot({ v: 9 }));
  assert.equal(board.apply(changes({ v: 9, rows: [[1, 1, 60, 30, 0, 0, "live"]] })), "old");
  assert.equal(board.line(1).bpm, 150);
});

test("no number is given for a sensor that is not live, even if a row carries one", () => {
  const board = boardOf(snapshot({ rows: [[1, 1, 150, 81, 4, 2.1, "stale"]] }));
  const { bpm, percent, zone, effort } = board.line(1);
  assert.deepEqual([bpm, percent, zone, effort], [null, null, null, 2.1]);
});

test("a board by something else than effort has figures, and another metric makes the old ones void", () => {
  const board = boardOf(snapshot({ metric: "calories", figures: [[1, 310], [2, null]] }));
  const figures = () => [1, 2].map((n) => board.line(n).figure);
  assert.deepEqual([board.line(1).metric, figures()], ["calories", [310, null]]);
  board.apply(changes({ metric: "calories", figures: [[2, 20]] }));
  assert.deepEqual(figures(), [310, 20]);
  board.takePrivate({ members: [{ n: 1, name: "Ana" }], rows: [[1, null, 150, 81, 4, 2.1, "live"]], figures: [[1, 311]] });
  assert.deepEqual(figures(), [311, 20]);
  board.takePrivate({});
  board.apply(changes({ v: 6, metric: "zone_minutes", figures: [[1, 4.5]] }));
  assert.deepEqual(figures(), [4.5, null]);
  board.apply(changes({ v: 7 }));
  assert.deepEqual([board.metric, figures()], ["effort", [2.1, 3.5]]);
});

test("what passes a filter are the lines that the server names, in its places", () => {
  const board = boardOf(snapshot());
  const passing = () => board.passing().map(({ n, rank }) => [n, rank]);
  assert.deepEqual(passing(), [
    [2, 1],
    [1, 2],
  ]);
  board.takeFiltered({ places: [[1, 1], [9, 2]] });
  assert.deepEqual(passing(), [[1, 1]], "of who is not on the board yet there is nothing to show");
  board.takeFiltered({});
  assert.deepEqual(passing(), []);
  board.takeFiltered(null);
  assert.equal(passing().length, 2);
});

test("teams have their names from the class, and stay what they were until they are told anew", () => {
  const board = boardOf(snapshot({ teams: [[1, 1, 3.5, 2], [0, null, null, 1]] }));
  const words = (view) => teamsOf(board, view).map((team) => [team.rank, team.name, teamFigure(team, board.metric)]);
  const view = { teams: ["Red", "Blue"] };
  assert.deepEqual(words(view), [
    [1, "Blue", "3.5 points"],
    [null, "Red", "–"],
  ]);
  board.apply(changes({ rows: [[1, 1, 150, 81, 4, 2.2, "live"]] }));
  assert.equal(words(view).length, 2);
  board.apply(changes({ v: 6, teams: [] }));
  assert.deepEqual(words(view), []);
});

test("the teams of a final table stand there with what they had", () => {
  const teams = [
    { team: 1, rank: 1, name: "Blue", figure: 12.5, athletes: 2 },
    { team: 0, rank: null, name: "Red", figure: null, athletes: 1 },
  ];
  assert.deepEqual(teamsOfTable({ teams }), teams);
  assert.deepEqual(teamsOfTable({}), []);
});

test("teams are chosen in a class, and in a heat they are those of its challenge", () => {
  const teams = ["Red", "Blue"];
  assert.deepEqual(choosableOf({ teams, team_rule: "mean" }), teams);
  assert.deepEqual(choosableOf({ teams, team_rule: "sum" }), []);
  assert.deepEqual(choosableOf({}), []);
});

test("one is told one's team, and why it is not the one that was chosen", () => {
  assert.equal(ownTeamWords(null, "Red"), "");
  assert.equal(ownTeamWords("Red", null), "You ride for Red.");
  assert.equal(ownTeamWords("Red", "Red"), "You ride for Red.");
  assert.match(ownTeamWords("Blue", "Red"), /^You ride for Blue: you have been in it before/);
});

test("who is gone from the board has no line any more", () => {
  const board = boardOf(snapshot());
  assert.equal(board.apply(changes({ gone: [1] })), "applied");
  assert.deepEqual(
    board.lines().map(({ n }) => n),
    [2],
  );
});

test("what only this client may see lies over the board, and only as long as it is told", () => {
  const board = boardOf(snapshot());
  board.takePrivate({
    members: [
      { n: 1, account_id: "x", name: "Ana Maria", role: "athlete" },
      { n: 7, account_id: "q", name: "Quiet", role: "athlete" },
    ],
    rows: [
      [1, 2, 151, 82, 4, 2.1, "live"],
      [7, null, 120, 60, 2, 1, "live"],
    ],
  });
  const told = () => board.lines().map(({ n, name, bpm, rank, beyond }) => [n, name, bpm, rank, beyond]);
  assert.deepEqual(told(), [
    [2, "Ben", null, 1, false],
    [1, "Ana Maria", 151, 2, true],
    [7, "Quiet", 120, Infinity, true],
  ]);
  board.takePrivate({});
  assert.deepEqual(told(), [
    [2, "Ben", null, 1, false],
    [1, "Ana", 150, 2, false],
  ]);
});
