/**
 * A board as this client knows it: pure, no socket, no page.
 *
 * The server tells a whole board (`snapshot`) and then only what changed. A change fits exactly one board: the same
 * `epoch`, one version earlier. Anything older is already in; anything else means that we missed something, and then
 * nothing but a new snapshot will do. On the wire a row is the array [n, rank, bpm, percent, zone, effort, freshness]
 * and a field at its default is left out.
 */

/**
 * One athlete's line. `bpm`, `percent`, `zone` are null unless the sensor is live.
 * @typedef {{n: number, name: string, present: boolean, accountId: string, rank: number, bpm: number | null,
 *            percent: number | null, zone: number | null, effort: number,
 *            freshness: "live" | "stale" | "lost" | "none"}} Line
 */

export class Board {
  constructor() {
    this.epoch = null;
    this.v = -1;
    this.atMs = 0;
    this.count = 0;
    this.members = new Map();
    this.rows = new Map();
  }

  /** Replaces everything by what a snapshot says. */
  take(snapshot) {
    this.epoch = snapshot.epoch;
    this.v = snapshot.v;
    this.atMs = snapshot.at_ms;
    this.count = snapshot.count ?? 0;
    this.members = new Map((snapshot.members ?? []).map((member) => [member.n, member]));
    this.rows = new Map((snapshot.rows ?? []).map((row) => [row[0], row]));
  }

  /**
   * Puts changes on top, if they fit.
   * @returns {"applied" | "old" | "gap"}
   */
  apply(changes) {
    if (changes.epoch !== this.epoch) return "gap";
    if (changes.v <= this.v) return "old";
    if (changes.v !== this.v + 1) return "gap";
    this.v = changes.v;
    this.atMs = changes.at_ms;
    for (const member of changes.members ?? []) this.members.set(member.n, member);
    for (const row of changes.rows ?? []) this.rows.set(row[0], row);
    return "applied";
  }

  /**
   * The athletes' lines by rank, then by number.
   * @returns {Line[]}
   */
  lines() {
    const lines = [];
    for (const [n, member] of this.members) {
      if ((member.role ?? "athlete") !== "athlete") continue;
      lines.push(lineOf(member, this.rows.get(n)));
    }
    return lines.sort((a, b) => a.rank - b.rank || a.n - b.n);
  }

  /** @param {number} n @returns {Line | null} */
  line(n) {
    const member = this.members.get(n);
    return member ? lineOf(member, this.rows.get(n)) : null;
  }
}

/** @returns {Line} */
function lineOf(member, row) {
  const [n, rank, bpm, percent, zone, effort, freshness] = row ?? [member.n, Infinity, null, null, null, 0, "none"];
  const live = freshness === "live";
  return {
    n,
    name: member.name,
    accountId: member.account_id,
    present: member.present ?? true,
    rank,
    // Whatever a server might send beside it: a number is shown only while its sensor is live.
    bpm: live ? bpm : null,
    percent: live ? percent : null,
    zone: live ? zone : null,
    effort,
    freshness,
  };
}
