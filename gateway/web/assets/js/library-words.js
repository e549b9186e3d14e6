/**
 * What is said of a script in the library, and its label as a form has it. Pure.
 */
import { clock } from "./words.js";

export const SHARED = { private: "only you", coaches: "all coaches and authors" };

/** A line about a script for whoever looks at the list. @param {any} entry @param {string} me the account that looks */
export function entryWords({ duration_ms: ms, owner_id: owner, owner_name: name, label, origin }, me) {
  const whose = owner === me ? label.shared === "coaches" && "shared" : name;
  return [clock(ms), whose, originWords(origin, me)].filter(Boolean).join(" · ");
}

/** What a copy was made of. */
export function originWords(origin, me) {
  if (!origin) return "";
  return origin.owner_id === me ? "a copy of your own" : `a copy of ${origin.owner_name}'s`;
}

/** What is said where the list is empty. */
export function emptyWords(whose, name) {
  if (name) return `No script has “${name}” in its name.`;
  return whose === "own" ? "You keep no scripts yet." : "Nobody shares a script yet.";
}

/** Tags as they are written into one field. @param {string} text */
export const tagsOf = (text) => text.split(",").map((tag) => tag.trim()).filter(Boolean);

/** And how they stand in it. @param {string[]} tags */
export const tagsText = (tags) => tags.join(", ");
