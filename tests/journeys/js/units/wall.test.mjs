/** A wall leaves its element to the next one. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Wall } from "../../../../gateway/web/assets/js/wall.js";
import { openDocument } from "./document.mjs";

const line = (n, name) => ({
  n,
  name,
  present: true,
  rank: n,
  bpm: 150,
  percent: 81,
  zone: 4,
  effort: 1,
  metric: "effort",
  figure: 1,
  freshness: "live",
});

test("a wall that is closed takes its tiles away and looks at its size no more", (test) => {
  const element = openDocument(test).getElementById("wall");
  const observed = new Set();
  globalThis.ResizeObserver = class {
    observe() {
      observed.add(this);
    }
    disconnect() {
      observed.delete(this);
    }
  };
  test.after(() => delete globalThis.ResizeObserver);
  const first = new Wall(element);
  first.show([line(1, "Ana"), line(2, "Ben")], { fresh: true });
  first.close();
  const second = new Wall(element);
  second.show([line(3, "Chidi")], { fresh: true });
  assert.deepEqual([element.children.length, observed.size], [1, 1]);
});
