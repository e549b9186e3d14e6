/**
 * Pages of a challenge's table put together to what is shown: the leaders, a gap, the lines around oneself. Pure.
 *
 * Pages come at different moments. Where two of them speak of one position or of one member, the page of the later revision is
 * believed: a member stands once.
 *
 * @typedef {{rank: number, n: number, name: string | null, value: number, team: string | null}} Line
 * @typedef {{revision: number, start: number, members: number, lines: Line[]}} Page
 * @typedef {{at: number, line: Line} | {gap: number}} Row a line in its position from 0, or how many are left out
 */

/**
 * @param {Page[]} pages
 * @param {number} members how many stand on the table altogether
 * @returns {Row[]}
 */
export function rowsOf(pages, members) {
  const placed = new Map();
  const seen = new Set();
  for (const page of [...pages].sort((one, other) => other.revision - one.revision)) {
    page.lines.forEach((line, index) => {
      const at = page.start + index;
      if (placed.has(at) || seen.has(line.n)) return;
      placed.set(at, line);
      seen.add(line.n);
    });
  }
  const rows = [];
  let next = 0;
  for (const at of [...placed.keys()].sort((one, other) => one - other)) {
    if (at > next) rows.push({ gap: at - next });
    rows.push({ at, line: placed.get(at) });
    next = at + 1;
  }
  if (next < members && placed.size) rows.push({ gap: members - next });
  return rows;
}

/** Somebody's line on the newest page that has it. @param {Page[]} pages @param {number | null} n */
export function lineOf(pages, n) {
  const newest = [...pages].sort((one, other) => other.revision - one.revision);
  for (const page of newest) {
    const found = page.lines.find((line) => line.n === n);
    if (found) return found;
  }
  return null;
}

/** How much the next better score is ahead of one's own; null for who leads. @param {Page[]} pages @param {Line} own */
export function behindOf(pages, own) {
  const better = pages.flatMap(({ lines }) => lines).filter(({ value }) => value > own.value);
  if (!better.length) return null;
  const next = better.reduce((least, line) => (line.value < least.value ? line : least));
  return { line: next, by: next.value - own.value };
}

/** Who has won: the first three ranks, with something to show for it. @param {Page[]} pages */
export function winnersOf(pages) {
  return rowsOf(pages, 0)
    .flatMap((row) => ("line" in row ? [row.line] : []))
    .filter(({ rank, value }) => rank <= 3 && value > 0);
}
