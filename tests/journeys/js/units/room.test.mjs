/** When the board of a room may be shown as what is so now, and when it is only what was so before. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Problem } from "../../../../gateway/web/assets/js/problem.js";
import { Room } from "../../../../gateway/web/assets/js/room.js";
import { Line } from "./line.mjs";
import { Timers, settle } from "./timers.mjs";

const board = (v = 4) => ({
  class_id: "c",
  epoch: "a",
  v,
  at_ms: Date.now(),
  members: [{ n: 1, name: "Ana", role: "athlete" }],
  rows: [[1, 1, 150, 81, 4, 2.1, "live"]],
});
const JOINED = { room: { id: "c", state: "live" }, you: { n: 1 }, board: board(), clock: null, position: null };
const later = () => {
  throw new Problem({ code: "unavailable", message: "not now", retry: true });
};

/** A room that is joined, and what a page has drawn of it: whether as now. */
async function joined(test) {
  const timers = new Timers(test);
  const line = new Line();
  line.answers["room.join"] = JOINED;
  const drawn = [];
  const complaints = [];
  const room = new Room(
    line,
    { code: "ABC234", role: "spectator" },
    { onBoard: () => drawn.push(room.fresh), onProblem: (problem) => complaints.push(problem.message) },
  );
  test.after(() => room.close());
  line.connect();
  await settle();
  assert.deepEqual(drawn, [true]);
  return { timers, line, room, drawn, complaints };
}

test("a board from before a break is not shown as now while the join is refused", async (test) => {
  const { timers, line, room, drawn, complaints } = await joined(test);
  line.break();
  line.blank();
  assert.deepEqual(drawn, [true, false]);
  line.answers["room.join"] = later;
  line.connect();
  await timers.jump(3_000);
  await timers.jump(3_000);
  assert.deepEqual([room.fresh, drawn, complaints], [false, [true, false], []]);
  line.answers["room.join"] = JOINED;
  await timers.jump(3_000);
  assert.deepEqual([room.fresh, drawn], [true, [true, false, true]]);
});

test("nor while the answer to the join is on its way", async (test) => {
  const { line, room } = await joined(test);
  line.blank();
  let answer = null;
  line.answers["room.join"] = () => new Promise((resolve) => (answer = resolve));
  line.connect();
  await settle();
  assert.equal(room.fresh, false);
  answer(JOINED);
  await settle();
  assert.equal(room.fresh, true);
});

test("a break of a moment is not seen, unless the class takes longer than that to come back", async (test) => {
  const { timers, line, room, drawn } = await joined(test);
  line.break();
  line.connect();
  await settle();
  await timers.jump(3_000);
  assert.deepEqual(drawn, [true, true]);
  line.break();
  line.answers["room.join"] = () => new Promise(() => {});
  await timers.jump(1_000);
  line.connect();
  await timers.jump(1_999);
  assert.equal(room.fresh, true);
  await timers.jump(1);
  assert.deepEqual([room.fresh, drawn], [false, [true, true, false]]);
});

test("a connection that was recovered shows the board when the whole of it is there", async (test) => {
  const { line, room } = await joined(test);
  line.blank();
  line.recovered = true;
  line.connect();
  await settle();
  assert.deepEqual([room.fresh, line.asked], [false, ["room.join"]]);
  line.say("board.snapshot", board(9));
  assert.equal(room.fresh, true);
});

test("a gap that nobody fills is not shown as now for longer than a break", async (test) => {
  const { timers, line, room } = await joined(test);
  line.answers["board.get"] = later;
  line.say("board.changes", { ...board(7), rows: [] });
  await timers.jump(2_999);
  assert.equal(room.fresh, true);
  await timers.jump(1);
  assert.equal(room.fresh, false);
  line.say("board.changes", { ...board(5), rows: [] }); // what was missed comes late
  assert.equal(room.fresh, true);
});

test("a room that was left draws nothing more", async (test) => {
  const { line, room, drawn } = await joined(test);
  room.close();
  line.blank();
  assert.deepEqual(drawn, [true]);
});
