/**
 * A board as this client knows it: pure, no socket, no page.
 *
 * The server tells a whole board (`snapshot`) and then only what changed. A change fits exactly one board: the same
 * `epoch`, one version earlier. Anything older is already in; anything else means that we missed something, and then
 * nothing but a new snapshot will do. On the wire a row is the array [n, rank, bpm, percent, zone, effort, freshness]
 * and a field at its default is left out. What the board is ranked by is its `metric`; ranked by effort the rows say the figures,
 * by anything else `figures` do, `[n, figure]`, and another metric than before makes all old figures void.
 *
 * A filter does not change the board: the server says whose lines pass it and in which places (`board.filtered`), and `passing` are those.
 *
 * What this client may see beyond what everybody sees (`board.private`) lies over the board, in place of its lines by number;
 * the newest telling is all there is of it.
 */

/**
 * One athlete's line. `bpm`, `percent`, `zone` are null unless the sensor is live; `rank` is Infinity for whoever has none,
 * `figure` what they have of the `metric` that the board is ranked by, null where that is not known, and `beyond` says that others see less of them.
 * @typedef {{n: number, name: string, present: boolean, beyond: boolean, accountId: string | null, rank: number, bpm: number | null,
 *            percent: number | null, zone: number | null, effort: number,
 *            metric: string, figure: number | null,
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
    this.metric = "effort";
    this.places = null;
    /** What the teams have, `[team, rank, figure, athletes]` by rank. */
    this.teams = [];
    this.figures = new Map();
    this.beyond = { members: new Map(), rows: new Map(), figures: new Map() };
  }

  /** Replaces everything by what a snapshot says. */
  take(snapshot) {
    this.epoch = snapshot.epoch;
    this.v = snapshot.v;
    this.atMs = snapshot.at_ms;
    this.count = snapshot.count ?? 0;
    this.members = new Map((snapshot.members ?? []).map((member) => [member.n, member]));
    this.rows = new Map((snapshot.rows ?? []).map((row) => [row[0], row]));
    this.metric = snapshot.metric ?? "effort";
    this.figures = new Map(snapshot.figures ?? []);
    this.teams = snapshot.teams ?? [];
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
    const metric = changes.metric ?? "effort";
    if (metric !== this.metric) this.figures.clear();
    this.metric = metric;
    this.teams = changes.teams ?? this.teams;
    for (const [n, figure] of changes.figures ?? []) this.figures.set(n, figure);
    for (const member of changes.members ?? []) this.members.set(member.n, member);
    for (const row of changes.rows ?? []) this.rows.set(row[0], row);
    for (const n of changes.gone ?? []) {
      this.members.delete(n);
      this.rows.delete(n);
      this.figures.delete(n);
    }
    return "applied";
  }

  /** Replaces what this client sees beyond the others. */
  takePrivate(told) {
    this.beyond = {
      members: new Map((told.members ?? []).map((member) => [member.n, member])),
      rows: new Map((told.rows ?? []).map((row) => [row[0], row])),
      figures: new Map(told.figures ?? []),
    };
  }

  /**
   * The athletes' lines by rank, then by number.
   * @returns {Line[]}
   */
  lines() {
    const lines = [];
    for (const n of new Set([...this.members.keys(), ...this.beyond.members.keys()])) {
      const line = this.line(n);
      if (line) lines.push(line);
    }
    return lines.sort((a, b) => (a.rank === b.rank ? a.n - b.n : a.rank - b.rank));
  }

  /** Who passes the filter, as the server says it; null: there is none. @param {{places?: [number, number | null][]} | null} told */
  takeFiltered(told) {
    this.places = told && (told.places ?? []);
  }

  /** The lines that pass the filter, with their ranks among each other; all of them where there is none. @returns {Line[]} */
  passing() {
    if (!this.places) return this.lines();
    const lines = this.places.map(([n, rank]) => [this.line(n), rank ?? Infinity]);
    return lines.filter(([line]) => line !== null).map(([line, rank]) => ({ ...line, rank }));
  }

  /** Whoever has this number, as far as this client may know: an athlete or a coach. @param {number} n */
  member(n) {
    return this.beyond.members.get(n) ?? this.members.get(n) ?? null;
  }

  /** @param {number} n @returns {Line | null} */
  line(n) {
    const beyond = this.beyond.members.get(n);
    const member = this.member(n);
    if (!member || (member.role ?? "athlete") !== "athlete") return null;
    const line = lineOf(member, this.beyond.rows.get(n) ?? this.rows.get(n), beyond !== undefined);
    const figure = this.metric === "effort" ? line.effort : (this.beyond.figures.get(n) ?? this.figures.get(n) ?? null);
    return { ...line, metric: this.metric, figure };
  }
}

function lineOf(member, row, beyond) {
  const [n, rank, bpm, percent, zone, effort, freshness] = row ?? [member.n, Infinity, null, null, null, 0, "none"];
  const live = freshness === "live";
  return {
    n,
    name: member.name,
    team: member.team ?? null,
    accountId: member.account_id ?? null,
    present: member.present ?? true,
    beyond,
    rank: rank ?? Infinity,
    // Whatever a server might send beside it: a number is shown only while its sensor is live.
    bpm: live ? bpm : null,
    percent: live ? percent : null,
    zone: live ? zone : null,
    effort,
    freshness,
  };
}
