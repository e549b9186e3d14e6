import assert from "node:assert/strict";
import { test } from "node:test";

import { Backlog } from "../../../../gateway/web/assets/js/backlog.js";

function filled(count, kept) {
  const backlog = new Backlog(kept);
  for (let index = 0; index < count; index += 1) backlog.add([index, 100, []]);
  return backlog;
}

test("samples go out once, in order, in batches of the allowed size", () => {
  const backlog = filled(5);
  backlog.maxBatch = 2;
  assert.deepEqual(
    [backlog.take(), backlog.take(), backlog.take()].map(({ seq, samples }) => [seq, samples.length]),
    [
      [0, 2],
      [2, 2],
      [4, 1],
    ],
  );
  assert.equal(backlog.take(), null);
});

test("no more is under way than the server allows", () => {
  const backlog = filled(10);
  backlog.maxUnacked = 6;
  assert.equal(backlog.take().samples.length, 6);
  assert.equal(backlog.take(), null);
  backlog.stored(4);
  assert.deepEqual(backlog.take(), { seq: 6, samples: backlog.samples.slice(2, 6) });
});

test("stored samples are forgotten and numbering goes on", () => {
  const backlog = filled(3);
  backlog.take();
  backlog.stored(2);
  assert.deepEqual([backlog.base, backlog.next, backlog.waiting], [2, 3, 1]);
  assert.equal(backlog.add([9, 90, []]), 3);
});

test("after a break everything that is not stored goes out again", () => {
  const backlog = filled(4);
  backlog.take();
  backlog.stored(1);
  backlog.rewind();
  assert.equal(backlog.take().seq, 1);
});

test("a rewind never asks for samples that are gone or not there yet", () => {
  const backlog = filled(4);
  backlog.stored(2);
  backlog.rewind(0);
  assert.equal(backlog.cursor, 2);
  backlog.rewind(99);
  assert.equal(backlog.cursor, 4);
});

test("an old acknowledgement takes nothing back", () => {
  const backlog = filled(4);
  backlog.stored(3);
  backlog.stored(1);
  assert.equal(backlog.base, 3);
});

test("a server that knows more than this device is believed", () => {
  const backlog = filled(2);
  backlog.stored(7);
  assert.deepEqual([backlog.base, backlog.next, backlog.take()], [7, 7, null]);
});
