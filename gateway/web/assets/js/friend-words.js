/**
 * What can be done about a friendship, and how it is said. Pure.
 */
import { moment } from "./words.js";

/** @typedef {"friend" | "asked" | "asking" | "none"} Standing */
/** @typedef {"ask" | "withdraw" | "accept" | "decline" | "part"} Act */
/**
 * @typedef {{friends: {account_id: string, name: string, since_ms: number}[],
 *            asked: {account_id: string, called: string, asked_at_ms: number, until_ms: number}[],
 *            asking: {account_id: string, name: string, asked_at_ms: number}[]}} Circle as the server tells it
 */

/** @type {Record<Standing, Act[]>} */
export const DOABLE = { none: ["ask"], asked: ["withdraw"], asking: ["accept", "decline"], friend: ["part"] };

/** @type {Record<Act, string>} */
export const LABELS = { ask: "Ask", withdraw: "Take back", accept: "Say yes", decline: "Decline", part: "Part" };

/** @type {Record<Standing, string>} */
export const STANDING_WORDS = { none: "", asked: "You have asked", asking: "Asks you to be friends", friend: "Your friend" };

/** How somebody stands to whoever this circle is of. @param {Circle} circle @param {string} account @returns {Standing} */
export function standingOf(circle, account) {
  const has = (list) => list.some(({ account_id: id }) => id === account);
  if (has(circle.friends)) return "friend";
  if (has(circle.asking)) return "asking";
  return has(circle.asked) ? "asked" : "none";
}

/**
 * The request that does it: method, path, body.
 * @param {Act} act @param {string} account @param {string} name
 * @returns {[string, string, any?]}
 */
export function requestOf(act, account, name) {
  const path = `/v1/friends/${encodeURIComponent(account)}`;
  switch (act) {
    case "ask":
      return ["PUT", `${path}/request`, { called: [...name].slice(0, 80).join("") }];
    case "withdraw":
      return ["DELETE", `${path}/request`];
    case "accept":
      return ["PUT", path];
    case "decline":
      return ["POST", `${path}/decline`];
    case "part":
      return ["DELETE", path];
  }
}

/** What is said once it is done. `answer` is the server's. @param {Act} act @param {string} name @param {any} [answer] */
export function doneWords(act, name, answer) {
  switch (act) {
    case "ask":
      return answer?.state === "friends" ? `${name} had asked you, too: you are friends.` : `${name} is asked.`;
    case "withdraw":
      return `You do not ask ${name} any more.`;
    case "accept":
      return `${name} and you are friends.`;
    case "decline":
      return `You have declined. ${name} is not told.`;
    case "part":
      return `${name} and you are friends no more.`;
  }
}

/** @param {{asked_at_ms: number, until_ms: number}} request */
export const askedWords = ({ asked_at_ms: asked, until_ms: until }) => `Asked ${moment(asked)}, waits until ${moment(until)}`;

/**
 * Who of a board can be asked: everybody shown by name but oneself, by name.
 * @param {Iterable<{n: number, name: string, account_id?: string, role?: string}>} members @param {number | undefined} you
 */
export function askable(members, you) {
  const found = [...members].filter(({ n, account_id: account }) => account !== undefined && n !== you);
  return found.sort((one, other) => one.name.localeCompare(other.name) || one.n - other.n);
}
