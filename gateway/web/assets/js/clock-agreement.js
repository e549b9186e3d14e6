/**
 * How well the clocks of the athletes agree, as the server tells it to who leads the class (`off_ms`, the last of a cockpit's row): pure,
 * no socket, no page. A cue of the script is seen at the same instant as far as they do.
 */

/** Off by more, a screen is named: the alert for operators has the same (docs/systems/class-clock.md). */
export const OFF_MS = 100;
const NAMED = 3; // more names are no help; by feeling

export class ClockAgreement {
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
    for (const [n, , , , , , , , , offMs = null] of rows) {
      if (offMs === null) this.byNumber.delete(n);
      else this.byNumber.set(n, offMs);
    }
  }

  /**
   * What is known: of how many, the middle and the worst of them in ms, and who is off, the worst first.
   * @returns {{known: number, medianMs: number, worstMs: number, off: {n: number, offMs: number}[]}}
   */
  get now() {
    const sorted = [...this.byNumber].map(([n, offMs]) => ({ n, offMs })).sort((a, b) => b.offMs - a.offMs || a.n - b.n);
    return {
      known: sorted.length,
      medianMs: sorted[Math.floor(sorted.length / 2)]?.offMs ?? 0,
      worstMs: sorted[0]?.offMs ?? 0,
      off: sorted.filter(({ offMs }) => offMs > OFF_MS),
    };
  }
}

/**
 * It in words; "" while nothing is known.
 * @param {ClockAgreement["now"]} now @param {(n: number) => string} nameOf
 */
export function agreementWords({ known, medianMs, worstMs, off }, nameOf) {
  if (known === 0) return "";
  const half = known > 1 ? `half within ${medianMs} ms` : "";
  if (off.length === 0)
    return [`Clocks agree: ${known > 1 ? `all ${known} ` : ""}within ${worstMs} ms`, half].filter(Boolean).join(", ");
  const named = off.slice(0, NAMED).map(({ n, offMs }) => `${nameOf(n)} by up to ${offWords(offMs)}`);
  const more = off.length - named.length;
  return [`Clocks differ: ${[...named, ...(more ? [`${more} more`] : [])].join(", ")}`, half].filter(Boolean).join(" · ");
}

const offWords = (ms) => (ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`);
