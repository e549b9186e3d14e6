import assert from "node:assert/strict";
import { test } from "node:test";

import { copyWords, erasureWords, fileOf, isUnderWay, sizeWords } from "../../../../gateway/web/assets/js/your-data-words.js";

const NOW = Date.UTC(2026, 10, 28, 12);
const FILE = { name: "copy.zip", bytes: 812_300, until_ms: NOW + 86_400_000 };
const DONE = { state: "done", result: { file: FILE } };

test("a size is said in the unit that fits", () => {
  assert.deepEqual([120, 1_500, 812_300, 12_400_000, 3e9, 4e12].map(sizeWords), ["0.1 kB", "1.5 kB", "812 kB", "12 MB", "3.0 GB", "4000 GB"]);
});

test("a copy says how far it is, and what came of it", () => {
  assert.equal(copyWords(null, NOW), "");
  assert.equal(copyWords({ state: "waiting" }, NOW), "It begins in a moment.");
  assert.equal(copyWords({ state: "running" }, NOW), "It is being written.");
  assert.equal(copyWords({ state: "running", done: 3, total: 12, note: "workouts" }, NOW), "3 of 12 workouts are written.");
  assert.equal(copyWords({ state: "running", cancelling: true }, NOW), "It is being stopped.");
  assert.match(copyWords(DONE, NOW), /^Your copy is ready: 812 kB, until /);
  assert.match(copyWords({ state: "failed", problem: "the disk is full" }, NOW), /the disk is full/);
  assert.match(copyWords({ state: "cancelled" }, NOW), /stopped/);
});

test("a copy that has been removed is not offered", () => {
  const later = FILE.until_ms;
  assert.equal(fileOf(DONE, NOW), FILE);
  assert.deepEqual([fileOf(DONE, later), fileOf(null, NOW), fileOf({ state: "running" }, NOW)], [null, null, null]);
  assert.match(copyWords(DONE, later), /removed/);
});

test("what waits or runs is under way", () => {
  assert.deepEqual(["waiting", "running", "done", "failed", "cancelled"].map((state) => isUnderWay({ state })), [true, true, false, false, false]);
  assert.equal(isUnderWay(null), false);
});

test("an erasure that was asked for says when, and that one may still stay", () => {
  assert.match(erasureWords({ due_ms: NOW }), /closed on .*you can keep it/);
  assert.match(erasureWords(null), /a week to think again/);
});
