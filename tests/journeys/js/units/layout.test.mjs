import assert from "node:assert/strict";
import { test } from "node:test";

import { layoutOf, placeOf } from "../../../../gateway/web/assets/js/layout.js";

const TELEVISION = { width: 1870, height: 950 };
const LAPTOP = { width: 1240, height: 690 };
const WALLS = [TELEVISION, LAPTOP, { width: 3800, height: 1980 }, { width: 800, height: 500 }];

test("up to sixty athletes fit a television as tiles on one page", () => {
  for (let athletes = 1; athletes <= 60; athletes += 1) {
    const layout = layoutOf({ ...TELEVISION, athletes });
    assert.equal(layout.mode, "tiles", `${athletes} athletes`);
    assert.equal(layout.pages, 1);
  }
});

test("nothing ever leaves the wall or lies on something else", () => {
  for (const wall of WALLS) {
    for (const athletes of [1, 2, 3, 5, 7, 12, 13, 31, 60, 61, 100, 137, 250, 499, 500]) {
      const layout = layoutOf({ ...wall, athletes });
      const seen = new Set();
      for (let index = 0; index < athletes; index += 1) {
        const { page, x, y } = placeOf(layout, index);
        assert.ok(x >= 0 && x + layout.width <= wall.width + 0.5, `${athletes} at ${index}: x ${x}`);
        assert.ok(y >= 0 && y + layout.height <= wall.height + 0.5, `${athletes} at ${index}: y ${y}`);
        assert.ok(page < layout.pages);
        seen.add(`${page}/${Math.round(x)}/${Math.round(y)}`);
      }
      assert.equal(seen.size, athletes);
    }
  }
});

test("more athletes than fit are turned in pages, and the last page is not empty", () => {
  const layout = layoutOf({ ...LAPTOP, athletes: 500 });
  assert.ok(layout.pages > 1);
  assert.equal(placeOf(layout, 499).page, layout.pages - 1);
});

test("letters stay readable however many there are", () => {
  for (const wall of WALLS) {
    for (const athletes of [1, 60, 500]) assert.ok(layoutOf({ ...wall, athletes }).em >= 12);
  }
});

test("a phone gets one list in the order of ranks", () => {
  const layout = layoutOf({ width: 366, height: 600, athletes: 40 });
  assert.deepEqual([layout.mode, layout.pages], ["list", 1]);
  assert.ok(placeOf(layout, 39).y > placeOf(layout, 38).y);
});

test("an empty wall can be laid out too", () => {
  assert.equal(layoutOf({ ...TELEVISION, athletes: 0 }).pages, 1);
});
