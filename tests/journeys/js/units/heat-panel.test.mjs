/** The board of a heat on its challenge's page, when the connection goes and comes. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { HeatPanel } from "../../../../gateway/web/assets/js/heat-panel.js";
import { openDocument } from "./document.mjs";
import { Line } from "./line.mjs";
import { settle } from "./timers.mjs";

const BOARD = {
  class_id: "c",
  epoch: "a",
  v: 4,
  at_ms: Date.now(),
  members: [{ n: 1, name: "Ana", role: "athlete" }],
  rows: [[1, 1, 150, 81, 4, 2.1, "live"]],
};
const NOW = Date.now();
const HEAT = { class_code: "ABC234", starts_ms: NOW - 1_000, ends_ms: NOW + 600_000, ready: 2, waiting: [] };
const CHALLENGE = { id: "h", heat: HEAT, members: 2, you: 1, yours: false, finished_ms: null, closes_ms: HEAT.ends_ms };
const JOINED = { room: { id: "c", state: "live" }, you: { n: 1 }, board: BOARD, clock: null, position: null };

test("what a heat's board shows is hidden with the connection, until its room is joined again", async (test) => {
  const document = openDocument(test);
  const line = new Line();
  line.answers["room.join"] = JOINED;
  line.answers["clock.sync"] = () => ({ sent_ms: Date.now(), received_ms: Date.now(), answered_ms: Date.now() });
  const panel = new HeatPanel({}, line, () => {});
  test.after(() => panel.close());
  panel.show(CHALLENGE);
  line.connect();
  await settle();
  const board = document.getElementById("heat-board");
  assert.equal(board.textContent, "1AnaZ42.1");
  line.blank();
  assert.equal(board.textContent, "–Anahidden–");
  line.answers["room.join"] = () => new Promise(() => {});
  line.connect();
  await settle();
  assert.equal(board.textContent, "–Anahidden–");
});
