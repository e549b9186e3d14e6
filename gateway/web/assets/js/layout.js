/**
 * How a wall of athletes is divided, from one to five hundred: pure arithmetic, no page.
 *
 * Few athletes get tiles as large as fit. When tiles would become too small to read across a room, the wall turns to
 * dense rows in columns; when even those do not fit, to pages. A narrow screen is a hand's breadth away from its reader,
 * so it gets one scrolling list instead. Lengths are CSS pixels; `em` is the font size a tile derives all its sizes from.
 */

const GAP = 0.012; // of the shorter side: close enough to read as one wall
const NARROW_WIDTH = 700;
const TILE_SHAPE = 1.45; // width to height that a tile is drawn for
const SMALLEST_TILE = { width: 146, height: 104 };
const LARGEST_TILE_EM = 46;
const ROW = { em: 20, smallestEm: 13, heightEm: 2.4, tallestEm: 3, widthEm: 21, gap: 4, gapAcross: 10 };
const LIST_ROW = 60;

/**
 * @typedef {{mode: "tiles" | "rows" | "list", columns: number, rows: number, width: number, height: number, gap: number,
 *            gapAcross: number, em: number, left: number, pages: number, perPage: number}} Layout
 * @param {{width: number, height: number, athletes: number}} wall
 * @returns {Layout}
 */
export function layoutOf({ width, height, athletes }) {
  const wanted = Math.max(1, athletes);
  if (width < NARROW_WIDTH) {
    const gap = 8;
    const layout = {
      mode: "list",
      columns: 1,
      rows: wanted,
      width,
      height: LIST_ROW,
      gap,
      gapAcross: 0,
      em: 16,
      left: 0,
    };
    return { ...layout, pages: 1, perPage: wanted };
  }
  return tiles(width, height, wanted) ?? rows(width, height, wanted);
}

/** Where the athlete at `index` of the order goes. @param {Layout} layout */
export function placeOf(layout, index) {
  const onPage = index % layout.perPage;
  const page = Math.floor(index / layout.perPage);
  const across = layout.mode === "rows" ? Math.floor(onPage / layout.rows) : onPage % layout.columns;
  const down = layout.mode === "rows" ? onPage % layout.rows : Math.floor(onPage / layout.columns);
  return {
    page,
    x: layout.left + across * (layout.width + layout.gapAcross),
    y: down * (layout.height + layout.gap),
  };
}

function tiles(width, height, athletes) {
  const gap = Math.max(6, Math.round(Math.min(width, height) * GAP));
  let best = null;
  for (let columns = 1; columns <= athletes; columns += 1) {
    const down = Math.ceil(athletes / columns);
    const tile = {
      width: (width - gap * (columns - 1)) / columns,
      height: (height - gap * (down - 1)) / down,
    };
    // The font follows from the side that is shorter for the shape; the best division has the largest font.
    const em = Math.min(tile.width / TILE_SHAPE, tile.height) / 8;
    if (best === null || em > best.em) best = { columns, rows: down, ...tile, em };
  }
  if (best.width < SMALLEST_TILE.width || best.height < SMALLEST_TILE.height) return null;
  const em = Math.min(best.em, LARGEST_TILE_EM);
  // A lone athlete does not become a wall of colour: no tile is much wider or higher than its content.
  const wide = Math.min(best.width, em * 8 * TILE_SHAPE * 1.25);
  const high = Math.min(best.height, em * 8 * 1.2);
  const left = Math.max(0, (width - best.columns * wide - (best.columns - 1) * gap) / 2);
  const layout = {
    mode: "tiles",
    columns: best.columns,
    rows: best.rows,
    width: wide,
    height: high,
    gap,
    gapAcross: gap,
    em,
    left,
  };
  return { ...layout, pages: 1, perPage: best.columns * best.rows };
}

function rows(width, height, athletes) {
  const { gap, gapAcross } = ROW;
  for (let em = ROW.em; ; em -= 1) {
    const columns = Math.max(1, Math.floor((width + gapAcross) / (em * ROW.widthEm + gapAcross)));
    const down = Math.max(1, Math.floor((height + gap) / (em * ROW.heightEm + gap)));
    const perPage = columns * down;
    if (perPage < athletes && em > ROW.smallestEm) continue;
    const pages = Math.ceil(athletes / perPage);
    const used = pages > 1 ? down : Math.min(down, Math.ceil(athletes / columns));
    const row = {
      width: (width - gapAcross * (columns - 1)) / columns,
      height: Math.min((height - gap * (used - 1)) / used, em * ROW.tallestEm),
    };
    const layout = { mode: "rows", columns, rows: used, ...row, gap, gapAcross, em, left: 0 };
    return { ...layout, pages, perPage: pages > 1 ? perPage : used * columns };
  }
}
