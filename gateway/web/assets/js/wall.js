/**
 * The wall: one element per athlete, placed by `layout.js`, moved to its new rank by a transform the eye can follow.
 *
 * Elements stay where they are in the document; only their position changes, so a thousand re-rankings make no garbage.
 * Numbers are written only while they are live and only while `fresh`: when the connection is gone the wall is blank.
 */
import { make, setText } from "./dom.js";
import { layoutOf, placeOf } from "./layout.js";
import { figureWords, shortUnit } from "./metric-words.js";
import { ZONE_WORDS, freshnessWords } from "./words.js";

const BLANK = "–";

export class Wall {
  /**
   * @param {HTMLElement} element an empty list; becomes the wall
   * @param {{onPages?: (page: number, pages: number, layout: import("./layout.js").Layout) => void, highlight?: number | null}} [options]
   */
  constructor(element, { onPages } = {}) {
    this.element = element;
    this.onPages = onPages;
    this.tiles = new Map();
    this.lines = [];
    this.fresh = true;
    this.page = 0;
    this.you = null;
    this.layout = null;
    this.resizing = new ResizeObserver(() => this.#place());
    this.resizing.observe(element);
  }

  /** @param {import("./board.js").Line[]} lines in their order @param {{fresh: boolean}} state */
  show(lines, { fresh }) {
    this.lines = lines;
    this.fresh = fresh;
    const here = new Set();
    for (const line of lines) {
      here.add(line.n);
      let tile = this.tiles.get(line.n);
      if (!tile) {
        tile = newTile();
        this.tiles.set(line.n, tile);
        this.element.append(tile.root);
      }
      fill(tile, line, { fresh, you: line.n === this.you });
    }
    for (const [n, tile] of this.tiles) {
      if (here.has(n)) continue;
      tile.root.remove();
      this.tiles.delete(n);
    }
    this.element.classList.toggle("is-blank", !fresh);
    this.#place();
  }

  /** Leaves the element as it was, for another wall. */
  close() {
    this.resizing.disconnect();
    this.show([], { fresh: this.fresh });
  }

  turnTo(page) {
    if (!this.layout) return;
    this.page = (page + this.layout.pages) % this.layout.pages;
    this.#place();
  }

  #place() {
    const { clientWidth: width } = this.element;
    const height = this.element.parentElement?.clientHeight ?? 0;
    if (!width || !height) return;
    const layout = layoutOf({ width, height, athletes: this.lines.length });
    this.layout = layout;
    this.page = Math.min(this.page, layout.pages - 1);
    const { style, dataset } = this.element;
    dataset.mode = layout.mode;
    style.fontSize = `${layout.em}px`;
    style.setProperty("--tile-width", `${layout.width}px`);
    style.setProperty("--tile-height", `${layout.height}px`);
    const deep = layout.mode === "list" ? this.lines.length : layout.rows;
    style.height = `${deep * (layout.height + layout.gap) - layout.gap}px`;
    this.lines.forEach((line, index) => {
      const { root } = this.tiles.get(line.n);
      const { page, x, y } = placeOf(layout, index);
      root.hidden = page !== this.page;
      root.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
    });
    this.onPages?.(this.page, layout.pages, layout);
  }
}

function newTile() {
  const part = (name, tag = "span") => make(tag, { class: `tile-${name}` });
  const parts = {
    rank: part("rank"),
    name: part("name"),
    bpm: part("bpm"),
    unit: part("unit"),
    zone: part("zone"),
    word: part("word"),
    percent: part("percent"),
    effort: part("effort"),
  };
  parts.unit.textContent = "bpm";
  const where = make("span", { class: "tile-where" }, parts.zone, parts.word);
  const pips = make("span", { class: "tile-pips", "aria-hidden": "true" });
  for (let zone = 1; zone <= 5; zone += 1) pips.append(make("i"));
  const pulse = make("span", { class: "tile-pulse" }, parts.bpm, parts.unit);
  const root = make("li", { class: "tile" }, parts.rank, parts.name, pulse, where, parts.percent, parts.effort, pips);
  return { root, ...parts };
}

/** @param {import("./board.js").Line} line */
function fill(tile, line, { fresh, you }) {
  // Who shows only their zone has one without a number.
  const live = fresh && line.freshness === "live" && line.zone !== null;
  const { dataset } = tile.root;
  dataset.zone = live ? String(line.zone) : "";
  dataset.state = fresh ? line.freshness : "hidden";
  dataset.present = String(line.present);
  tile.root.classList.toggle("is-you", you);
  setText(tile.rank, fresh && Number.isFinite(line.rank) ? String(line.rank) : BLANK);
  setText(tile.name, line.name);
  setText(tile.bpm, live && line.bpm !== null ? String(line.bpm) : BLANK);
  setText(tile.zone, live ? `Z${line.zone}` : fresh ? freshnessWords(line) : "hidden");
  setText(tile.word, live ? ZONE_WORDS[line.zone] : "");
  setText(tile.percent, live && line.percent !== null ? `${line.percent}%` : "");
  setText(tile.effort, fresh ? figureWords(line.metric, line.figure) : BLANK);
  tile.effort.dataset.unit = fresh ? shortUnit(line.metric, line.figure) : "";
}
