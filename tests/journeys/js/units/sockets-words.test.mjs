import assert from "node:assert/strict";
import { test } from "node:test";

import {
  COLUMNS,
  duration,
  factsOf,
  pressed,
  size,
  sorted,
  tallyOf,
} from "../../../../gateway/web/assets/js/sockets-words.js";

const answer = (over = {}, counts = {}) => ({
  node: "gateway-3",
  at_ms: 10_000,
  loop_lag_ms: 0.4,
  loop_lag_worst_ms: 6,
  counts: {
    sockets: 1200,
    websockets: 1190,
    polling: 10,
    open: 1198,
    unauthenticated: 1,
    closing: 1,
    queued_bytes: 2048,
    unwritten_bytes: 0,
    blocked: 0,
    frames_out: 100,
    frames_in: 50,
    merged: 1.5,
    bytes_out: 5_000_000,
    malformed: 0,
    pings: 3,
    round_trips: { count: 0, mean: null, p50: null, p99: null, max: null },
    ...counts,
  },
  ...over,
});
const fact = (facts, name) => facts.find((each) => each.name === name);

test("bytes are said in the unit that keeps them short", () => {
  assert.deepEqual([0, 1, 1023, 1024, 31_744, 1024 ** 2, 5 * 1024 ** 4, 2000 * 1024 ** 4].map(size), [
    "0 B",
    "1 B",
    "1023 B",
    "1.0 KiB",
    "31.0 KiB",
    "1.0 MiB",
    "5.0 TiB",
    "2000.0 TiB",
  ]);
});

test("durations grow from tenths of a second to days", () => {
  assert.deepEqual([0, 9.94, 42, 119, 121, 7_300, 200_000].map(duration), [
    "0.0 s",
    "9.9 s",
    "42 s",
    "119 s",
    "2 min",
    "2.0 h",
    "2.3 d",
  ]);
});

test("frames are a rate once there are two answers of one run, and a sum before", () => {
  const before = answer();
  const now = answer({ at_ms: 12_000 }, { frames_in: 250, frames_out: 140 });
  assert.equal(fact(factsOf(before), "Frames in").value, "50");
  assert.equal(fact(factsOf(now, before), "Frames in").value, "100 /s");
  const restarted = answer({ at_ms: 12_000 }, { frames_in: 3 });
  assert.equal(fact(factsOf(restarted, before), "Frames in").value, "3");
  assert.equal(
    fact(factsOf(answer({ at_ms: 12_000, node: "other" }, { frames_in: 99 }), before), "Frames in").value,
    "99",
  );
});

test("what an operator must see is marked", () => {
  assert.equal(fact(factsOf(answer()), "Queued").alarm, false);
  assert.equal(fact(factsOf(answer({}, { blocked: 1 })), "Queued").alarm, true);
  assert.equal(fact(factsOf(answer({ loop_lag_worst_ms: 300 })), "Loop late").alarm, true);
});

test("a press sorts naturally, then the other way, then not at all", () => {
  let sort = pressed(null, "queued_bytes");
  assert.deepEqual(sort, { key: "queued_bytes", direction: "descending" });
  sort = pressed(sort, "queued_bytes");
  assert.equal(sort.direction, "ascending");
  assert.equal(pressed(sort, "queued_bytes"), null);
  assert.equal(pressed(sort, "id").direction, "ascending");
});

test("what is not known comes last in both directions", () => {
  const lines = [{ rtt_ms: null }, { rtt_ms: 5 }, { rtt_ms: 90 }];
  const order = (direction) => sorted(lines, { key: "rtt_ms", direction }).map((line) => line.rtt_ms);
  assert.deepEqual(order("descending"), [90, 5, null]);
  assert.deepEqual(order("ascending"), [5, 90, null]);
  assert.equal(sorted(lines, null), lines);
});

test("every column reads a line that has nothing yet", () => {
  const line = {
    id: "a",
    account: null,
    transport: "polling",
    state: "unauthenticated",
    age_s: 0,
    queued_bytes: 0,
    queued_frames: 0,
    unwritten_bytes: 0,
    waiting_s: 0,
    dropped: 0,
    replaced: 0,
    rtt_ms: null,
    events_in: 0,
    rooms: 0,
    peer: "203.0.113.7",
  };
  assert.deepEqual(Object.keys(line).sort(), COLUMNS.map(({ key }) => key).sort());
  assert.ok(COLUMNS.every(({ show }) => typeof show(line) === "string" && show(line)));
});

test("the largest reason comes first", () => {
  assert.deepEqual(tallyOf({ a: 1, c: 9, b: 9 }), [
    ["b", 9],
    ["c", 9],
    ["a", 1],
  ]);
});
