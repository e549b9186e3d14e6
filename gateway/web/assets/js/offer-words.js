/**
 * A class on offer in words: what it is, how full, and what one may do about it now. Pure.
 */
import { count } from "./words.js";

export const LEVEL_WORDS = { all: "for all", beginner: "beginners", intermediate: "intermediate", advanced: "advanced" };

const MEMBERS_WORDS = { all: "", first: ", members first", only: ", members only" };

/** "teams: Red, Blue"; empty for a class without any. @param {any} terms */
export const teamsWords = ({ teams }) => (teams?.length ? `teams: ${teams.join(", ")}` : "");

/** Level, length, in whose name and for whom, its teams, and what to bring. @param {any} offer */
export function aboutWords({ terms, organisation }) {
  const name = organisation ? organisation + MEMBERS_WORDS[terms.members ?? "all"] : "";
  const bring = terms.equipment?.length ? `bring: ${terms.equipment.join(", ")}` : "";
  const said = [`${terms.duration_min} min`, LEVEL_WORDS[terms.level ?? "all"], name, teamsWords(terms), bring];
  return said.filter(Boolean).join(" · ");
}

/** How full it is. @param {any} offer */
export function placesWords({ terms, confirmed, waiting }) {
  const free = terms.capacity - confirmed;
  if (free > 0 && !waiting) return `${free} of ${count(terms.capacity, "place")} free`;
  return waiting ? `booked up, ${waiting} waiting` : "booked up";
}

/**
 * The entitlement that it needs, and whether somebody has it; empty for one that needs none.
 * @param {any} terms @param {ReadonlySet<string>} held the names of what they are entitled to now
 */
export function needsWords({ needs }, held) {
  if (!needs) return "";
  return held.has(needs) ? `needs ${needs}, which you have` : `needs ${needs}, which you do not have`;
}

/**
 * What somebody may do about an offer at `now`: book a place, wait for one, or nothing, and why.
 * @param {any} offer @param {number} now ms since 1970 @param {(ms: number) => string} at @param {string} me an account id
 * @param {ReadonlySet<string>} held the names of what they are entitled to now
 * @returns {{act: "book" | "wait" | null, why: string}}
 */
export function mayDo(offer, now, at, me, held = new Set()) {
  const { terms, confirmed, waiting } = offer;
  if (offer.state === "called_off") return { act: null, why: "called off" };
  if (offer.coach_id === me) return { act: null, why: "you give this class" };
  if (offer.booking_state === "confirmed") return { act: null, why: "you have a place" };
  if (offer.booking_state === "waitlisted") return { act: null, why: "you are waiting" };
  if (now < offer.booking_opens_at_ms) return { act: null, why: `booking opens ${at(offer.booking_opens_at_ms)}` };
  if (now >= offer.booking_closes_at_ms) return { act: null, why: "booking is closed" };
  if (terms.needs && !held.has(terms.needs)) return { act: null, why: `for who has ${terms.needs}` };
  if (confirmed < terms.capacity && !waiting) return { act: "book", why: "" };
  const room = terms.waitlist ?? DEFAULT_WAITLIST;
  return waiting < room ? { act: "wait", why: "" } : { act: null, why: "the waitlist is full" };
}

/** How a booking stands. @param {any} booking */
export function bookingWords({ state, ahead, promoted_at_ms: promoted }) {
  if (state === "waitlisted") return ahead ? `waitlist: ${ahead} in front of you` : "waitlist: you are next";
  return promoted ? "you have a place; it came free" : "you have a place";
}

const DEFAULT_WAITLIST = 50;
