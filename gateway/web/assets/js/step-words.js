/**
 * Where athletes are in the steps of an interval, in words: pure. The script says what the steps are, `steps.progress` where each
 * athlete is, as the array [n, interval, item, round, step, held_ms, inside, over] with places counted from 0.
 */
import { clock } from "./words.js";

/** What a heart is to reach, in words. */
export function goalWords(goal) {
  switch (goal.type) {
    case "below":
      return `below ${goal.bpm} bpm`;
    case "above":
      return `above ${goal.bpm} bpm`;
    case "zone":
      return goal.low === goal.high ? `zone ${goal.low}` : `zone ${goal.low} to ${goal.high}`;
    case "hrr":
      return `${goal.low} to ${goal.high}% of reserve`;
    default:
      return goal.type;
  }
}

/** The steps of every interval in the order of class time, repeats written out. @param {any} script */
export function stepsLaidOut(script) {
  const laid = [];
  for (const block of script?.blocks ?? [])
    for (let round = 0; round < (block.repeat ?? 1); round += 1)
      for (const interval of block.intervals) laid.push(interval.steps ?? []);
  return laid;
}

/** Where an athlete is; "" where the script does not say. @param {any[][]} laid @param {any[]} row */
export function stepWords(laid, row) {
  const [, interval, item, round, step, heldMs, inside, over] = row;
  const items = laid[interval] ?? [];
  if (items.length === 0) return "";
  if (over) return "Steps done";
  const here = items[item];
  if (!here) return "";
  const doing = here.type === "rounds" ? here.steps[step] : here;
  if (!doing) return "";
  const where = [`Step ${item + 1} of ${items.length}`];
  if (here.type === "rounds") where.push(`round ${round + 1} of at most ${here.at_most}`);
  const held = inside || heldMs > 0 ? ` · ${clock(heldMs)} of ${clock(doing.for_ms)}` : "";
  return `${where.join(", ")}: ${goalWords(doing.goal)}${held}`;
}

/** The rows of all athletes, newest by number. */
export class Steps {
  constructor() {
    this.laid = [];
    this.rows = new Map();
  }

  /** Another script: rows of before are of no use. */
  takeScript(script) {
    this.laid = stepsLaidOut(script);
    this.rows.clear();
  }

  apply({ rows = [] }) {
    for (const row of rows) this.rows.set(row[0], row);
  }

  /** @param {number} n */
  wordsOf(n) {
    const row = this.rows.get(n);
    return row ? stepWords(this.laid, row) : "";
  }
}
