/** The inbox as a list: what the server says of it, in any order, leads to the same page on every device. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { badgeWords, inDays, safePath, withOne, withRead } from "../../../../gateway/web/assets/js/inbox.js";

const one = (id, at, rest = {}) => ({ id, topic: "t", title: id, body: "", path: "/inbox", told_at_ms: at, ...rest });
const ids = (list) => list.map(({ id }) => id);

test("the newest stands first, whatever comes first", () => {
  const told = [one("a", 1), one("b", 2), one("c", 3)];
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
  ])
    assert.deepEqual(ids(order.reduce((list, at) => withOne(list, told[at]), [])), ["c", "b", "a"]);
});

test("two of the same moment stand as the server sorts them", () => {
  assert.deepEqual(ids(withOne(withOne([], one("b", 1)), one("a", 1))), ["b", "a"]);
});

test("one that comes again takes the place of the older one, and goes up when it is told again", () => {
  const list = [one("b", 2), one("a", 1, { read_at_ms: 5 })];
  assert.deepEqual(withOne(list, one("a", 1, { title: "new" })).at(-1).title, "new");
  const again = withOne(list, one("a", 3));
  assert.deepEqual(ids(again), ["a", "b"]);
  assert.equal(again[0].read_at_ms, undefined);
});

test("reading some marks those, once", () => {
  const list = [one("c", 3), one("b", 2, { read_at_ms: 1 }), one("a", 1)];
  const read = withRead(list, { ids: ["a", "b", "unknown"] }, 9);
  assert.deepEqual(
    read.map(({ read_at_ms }) => read_at_ms),
    [undefined, 1, 9],
  );
  assert.equal(list[2].read_at_ms, undefined, "what was there before is not changed");
});

test("reading up to one leaves what is newer", () => {
  const list = [one("c", 3), one("b", 2), one("a", 1)];
  assert.deepEqual(
    withRead(list, { up_to: "b" }, 9).map(({ read_at_ms }) => read_at_ms),
    [undefined, 9, 9],
  );
});

test("reading up to one that is not shown marks nothing that is", () => {
  assert.equal(withRead([one("a", 1)], { up_to: "z" }, 9)[0].read_at_ms, undefined);
});

test("days are those of the reader's clock", () => {
  const now = new Date(2026, 10, 28, 0, 30);
  const list = [
    one("d", new Date(2026, 10, 28, 0, 10).getTime()),
    one("c", new Date(2026, 10, 27, 23, 50).getTime()),
    one("b", new Date(2026, 10, 26, 12, 0).getTime()),
    one("a", new Date(2025, 11, 31, 12, 0).getTime()),
  ];
  const days = inDays(list, now);
  assert.deepEqual(
    days.slice(0, 2).map(([day, ones]) => [day, ids(ones)]),
    [
      ["Today", ["d"]],
      ["Yesterday", ["c"]],
    ],
  );
  assert.equal(days.length, 4);
  assert.match(days[3][0], /2025/);
});

test("a badge has room for two digits", () => {
  assert.deepEqual([1, 99, 100, 1000].map(badgeWords), ["1", "99", "99+", "99+"]);
});

test("only pages and addresses may be opened", () => {
  for (const path of ["/athlete#workout=1", "https://example.org/"]) assert.equal(safePath(path), path);
  for (const path of ["//evil.example", "javascript:alert(1)", "", "athlete"]) assert.equal(safePath(path), null);
});
