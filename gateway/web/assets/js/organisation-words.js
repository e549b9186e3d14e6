/**
 * Organisations in words, and what a page offers whoever looks at one: pure. What may be done is decided by the server; this only
 * keeps a page from offering what it would refuse.
 */
import { placesWords } from "./offer-words.js";
import { moment } from "./words.js";

/** What each role is called. */
export const ROLES = { owner: "Owner", admin: "Admin", coach: "Coach", member: "Member" };

/** The roles that somebody with the role `own` may give and take. @param {string} own @returns {string[]} */
export function mayGive(own) {
  if (own === "owner") return ["owner", "admin", "coach", "member"];
  return own === "admin" ? ["coach", "member"] : [];
}

/** How many seats are taken, and how many are kept for somebody who was invited. */
export function seatsWords(seats, taken, kept) {
  const sit = `${taken} of ${seats} ${seats === 1 ? "seat" : "seats"} taken`;
  return kept === 0 ? sit : `${sit}, ${kept} kept for who is invited`;
}

/** The part of the bar that is filled, in percent. */
export const filled = (seats, taken) => Math.min(100, Math.round((100 * taken) / seats));

/** @param {{role: string, until_ms: number}} invitation */
export const invitedWords = ({ role, until_ms: until }) => `invited as ${ROLES[role].toLowerCase()}, until ${moment(until)}`;

/** When a class is, who gives it and how full it is. @param {any} offer */
export const classWords = (offer) => `${moment(offer.starts_at_ms)}, with ${offer.coach_name}: ${placesWords(offer)}`;

/** Somebody who has booked. @param {{name: string, state: string}} line */
export const bookedWords = ({ name, state }) => (state === "waitlisted" ? `${name}, waiting` : name);

/** What a link asks. @param {{organisation: string, email: string, role: string}} seen */
export const questionWords = ({ organisation, email, role }) =>
  `${organisation} has a seat for ${email}, as ${ROLES[role].toLowerCase()}. Taking it needs an account with this address.`;
