/**
 * Who needs the coach: pure. Lost sensors first, because a coach is blind there, then hearts that have been in zone 5,
 * longest first; then whoever works hardest.
 */

/**
 * What is remembered of an athlete between two looks. Times on the caller's clock, ms; null while it is not so.
 * @typedef {{darkSince: number | null, redSince: number | null}} Watch
 */

/** @param {Watch | undefined} watch @param {import("./board.js").Line} line @param {number} now @returns {Watch} */
export function watched(watch, line, now) {
  const dark = line.freshness === "lost" || line.freshness === "stale";
  const red = line.zone === 5;
  return {
    darkSince: dark ? (watch?.darkSince ?? now) : null,
    redSince: red ? (watch?.redSince ?? now) : null,
  };
}

/** Higher needs the coach more. */
function need(line) {
  if (line.freshness === "lost") return 4;
  if (line.zone === 5) return 3;
  if (line.freshness === "stale") return 2;
  if (line.freshness === "live") return 1;
  return 0;
}

/**
 * @param {"attention" | "rank" | "name"} by
 * @param {import("./board.js").Line[]} lines
 * @param {Map<number, Watch>} watches
 */
export function ordered(by, lines, watches) {
  const sorted = [...lines];
  if (by === "name") return sorted.sort((a, b) => a.name.localeCompare(b.name) || a.n - b.n);
  if (by === "rank") return sorted.sort((a, b) => a.rank - b.rank || a.n - b.n);
  const since = (line) => watches.get(line.n)?.darkSince ?? watches.get(line.n)?.redSince ?? Infinity;
  return sorted.sort((a, b) => {
    const first = need(b) - need(a);
    if (first) return first;
    if (need(a) >= 2) return since(a) - since(b) || a.n - b.n;
    return (b.zone ?? -1) - (a.zone ?? -1) || a.name.localeCompare(b.name) || a.n - b.n;
  });
}
