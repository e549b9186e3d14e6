/**
 * Apps and keys in words: pure.
 */
import { moment } from "./words.js";

/** @param {{created_at_ms: number, expires_at_ms: number | null, used_at_ms: number | null}} key */
export function keyWords({ created_at_ms: created, expires_at_ms: ends, used_at_ms: used }, nowMs) {
  const use = used === null ? "never used" : `last used ${moment(used)}`;
  if (ends !== null && ends <= nowMs) return `ended ${moment(ends)}, ${use}`;
  return `since ${moment(created)}, ${use}${ends === null ? "" : `, until ${moment(ends)}`}`;
}

/** @param {{since_ms: number, used_at_ms: number}} app */
export function atHomeWords({ since_ms: since, used_at_ms: used }) {
  return used === since ? `since ${moment(since)}` : `since ${moment(since)}, last seen ${moment(used)}`;
}

/** The redirect URIs of a text field. @param {string} text @returns {string[]} */
export function linesOf(text) {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}
