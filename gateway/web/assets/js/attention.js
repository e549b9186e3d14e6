/**
 * Who needs the coach: pure, no socket, no page. The server says it (`cockpit.snapshot`, `cockpit.changes`) and this puts the
 * athletes in its order: the worst reason, then who has had it longest, then the number.
 */

/** Why an athlete may need the coach, most urgent first. */
export const REASONS = ["over_limit", "lost_sensor", "above_target", "below_target", "no_data", "first_class"];

const WORDS = {
  over_limit: "above their limit",
  lost_sensor: "sensor lost",
  above_target: "above the target",
  below_target: "below the target",
  no_data: "no sensor yet",
  first_class: "first class",
};

/** @typedef {{reasons: string[], sinceMs: number | null}} Need */

/** @type {Need} */
const NOTHING = { reasons: [], sinceMs: null };

export class Needs {
  constructor() {
    this.byNumber = new Map();
  }

  /** Replaces everything. */
  take(snapshot) {
    this.byNumber.clear();
    this.apply(snapshot);
  }

  /** Puts rows in place of older ones. */
  apply({ rows = [] }) {
    for (const [n, reasons, sinceMs] of rows) this.byNumber.set(n, { reasons, sinceMs });
  }

  /** @param {number} n @returns {Need} */
  of(n) {
    return this.byNumber.get(n) ?? NOTHING;
  }
}

/**
 * Why a cockpit is empty, where its coach lacks what this installation asks of coaches; "" otherwise.
 * @param {{needs?: string}} snapshot
 */
export const lackingWords = ({ needs = "" }) =>
  needs && `You see what everybody in the room sees: heart rates for coaches need “${needs}”, which your account does not have.`;

/** The reasons in words. @param {Need} need */
export const needWords = ({ reasons }) => reasons.map((reason) => WORDS[reason] ?? reason);

/**
 * @param {"attention" | "rank" | "name"} by
 * @param {import("./board.js").Line[]} lines
 * @param {Needs} needs
 */
export function ordered(by, lines, needs) {
  const sorted = [...lines];
  if (by === "name") return sorted.sort((a, b) => a.name.localeCompare(b.name) || a.n - b.n);
  if (by === "rank") return sorted.sort((a, b) => a.rank - b.rank || a.n - b.n);
  const urgency = ({ n }) => {
    const { reasons, sinceMs } = needs.of(n);
    return [reasons.length ? REASONS.indexOf(reasons[0]) : REASONS.length, sinceMs ?? 0, n];
  };
  return sorted.sort((a, b) => {
    const [one, other] = [urgency(a), urgency(b)];
    return one[0] - other[0] || one[1] - other[1] || one[2] - other[2];
  });
}

/**
 * Those of the lines that a filter lets through: everybody, those who need the coach, those who are here, or a zone.
 * @param {string} filter "all", "needs", "here" or "zone-4"
 */
export function passes(filter, line, needs) {
  if (filter === "needs") return needs.of(line.n).reasons.length > 0;
  if (filter === "here") return line.present;
  if (filter.startsWith("zone-")) return line.zone === Number(filter.slice(5));
  return true;
}
