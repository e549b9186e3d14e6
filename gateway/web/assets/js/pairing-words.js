/**
 * What is said about a screen that asks to be let in: pure.
 */
import { moment } from "./words.js";

const LETTERS = 8;

/**
 * A code as the screen shows it, from what somebody types or what stands behind the # of an address.
 * @param {string} text
 */
export function spelledCode(text) {
  const letters = text.replace(/[^A-Za-z]/g, "").toUpperCase();
  return letters.length > LETTERS / 2 ? `${letters.slice(0, LETTERS / 2)}-${letters.slice(LETTERS / 2)}` : letters;
}

/** Whether there is a whole code. @param {string} text */
export const isCode = (text) => spelledCode(text).length === LETTERS + 1;

/**
 * Where a screen asks from, and since when.
 * @param {{network: string, asked_at_ms: number}} asking
 */
export function asksWords({ network, asked_at_ms: at }) {
  const where = network ? `from the network ${network}` : "from a network that we do not know";
  return `It asks ${where}, since ${moment(at)}. If you do not stand before it, refuse.`;
}

/**
 * How long a screen waits before it asks what became of it, ms.
 * @param {{retryAfterMs: number | null}} problem
 * @param {number} interval the last one, ms
 */
export const nextAsk = (problem, interval) => Math.max(problem.retryAfterMs ?? interval, 1_000);
