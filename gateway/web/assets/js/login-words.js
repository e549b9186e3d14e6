/**
 * A login in words: pure.
 */
import { moment } from "./words.js";

/**
 * What a login is called, and since when.
 * @param {{device: string, created_at_ms: number, used_at_ms: number, current: boolean}} login
 * @returns {{name: string, since: string}}
 */
export function loginWords({ device, created_at_ms: created, used_at_ms: used, current }) {
  const since = `since ${moment(created)}`;
  const name = device || "A device without a name";
  // Whoever is here uses it now; the last asking for tokens would say less.
  return { name, since: current || used === created ? since : `${since}, last used ${moment(used)}` };
}
