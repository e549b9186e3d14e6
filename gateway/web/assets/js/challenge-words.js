/**
 * A challenge in words: what counts, from when to when, how it stands, what a score is. Pure.
 *
 * @typedef {{kind: "count" | "zone_time" | "effort" | "streak" | "distance", first_day: string, last_day: string, ties: "first" | "shared",
 *            from_zone: number | null, teams: string[], members: number, heat?: any}} Rules
 */
import { phaseOf } from "./heat-words.js";
import { distanceWords } from "./units.js";
import { ZONE_WORDS, count, effortWords, span } from "./words.js";

const POINT = 60_000;
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
const LONG_DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

/** What heads the column of scores. @param {Rules} rules */
export function whatCounts({ kind, from_zone: zone }) {
  switch (kind) {
    case "count":
      return "Workouts";
    case "zone_time":
      return zone === 5 ? `Time in Z5 ${ZONE_WORDS[5]}` : `Time in Z${zone} ${ZONE_WORDS[zone]} and above`;
    case "effort":
      return "Effort points";
    case "streak":
      return "Days in a row";
    case "distance":
      return "Distance";
    default:
      return "Score";
  }
}

/** A score as people read it. @param {Rules} rules @param {number} value in the unit of the table */
export function valueWords({ kind }, value) {
  switch (kind) {
    case "zone_time":
      return span(value);
    case "effort":
      return effortWords(value / POINT);
    case "distance":
      return distanceWords(value);
    default:
      return String(value);
  }
}

/** A score in a sentence: "3 workouts", "12.5 points". @param {Rules} rules @param {number} value */
export function amountWords(rules, value) {
  switch (rules.kind) {
    case "count":
      return count(value, "workout");
    case "effort":
      return `${valueWords(rules, value)} points`;
    case "streak":
      return count(value, "day");
    default:
      return valueWords(rules, value);
  }
}

/** Mon, 23 Nov to Sun, 29 Nov: a day is a date on everybody's own calendar, and no instant. @param {Rules} rules */
export function daysWords({ first_day: first, last_day: last }) {
  const [from, until] = [new Date(`${first}T00:00:00Z`), new Date(`${last}T00:00:00Z`)];
  if (first === last) return DAY.format(from);
  const words = first.slice(0, 4) === last.slice(0, 4) ? DAY : LONG_DAY;
  return `${words.format(from)} to ${words.format(until)}`;
}

/** From when to when: days, or for a heat how long. @param {Rules} rules */
export const whenWords = (rules) => (rules.heat ? `a heat of ${span(rules.heat.length_ms)}` : daysWords(rules));

/** What is agreed in a challenge, in a line. @param {Rules} rules */
export function rulesWords(rules) {
  const ties = rules.ties === "first" ? "of equals who got there first stands higher" : "equals share the rank";
  if (rules.heat) {
    const { length_ms: length, target = null, late } = rules.heat;
    const done = target === null ? "" : `; whoever has ${amountWords(rules, target)} is done`;
    const comes = late === true || late === "starts_late" ? "starts late" : "is not let in";
    return `${whatCounts(rules)} in ${span(length)} from a common start${done}; who comes late ${comes}; ${ties}.`;
  }
  return `${whatCounts(rules)}, ${daysWords(rules)}, in everybody's own time zone; ${ties}.`;
}

/**
 * How a challenge stands for somebody whose calendar says `today`.
 * @param {Rules & {finished_ms?: number | null}} challenge @param {string} today as "2026-11-28"
 * @returns {"ahead" | "on" | "settling" | "over"}
 */
export function stateOf({ first_day: first, last_day: last, finished_ms: finished = null }, today) {
  if (finished !== null) return "over";
  if (today < first) return "ahead";
  return today <= last ? "on" : "settling";
}

/** How a heat stands. @param {any} challenge @param {number} nowMs @param {(ms: number) => string} at */
export function heatStateWords({ finished_ms: finished, closes_ms: closes, heat }, nowMs, at) {
  if (finished !== null) return heat.starts_ms === null ? "Closed: nobody has started it." : "Over. This table is final.";
  switch (phaseOf(heat, nowMs)) {
    case "gathering":
      return `Gathering, until ${at(heat.gathers_until_ms)} at most.`;
    case "over":
      return `Ridden. Late data still counts until ${at(closes)}.`;
    default:
      return "On.";
  }
}

/** The same in a sentence. @param {any} challenge @param {string} today @param {(ms: number) => string} at */
export function stateWords(challenge, today, at) {
  if (challenge.heat) return heatStateWords(challenge, Date.now(), at);
  switch (stateOf(challenge, today)) {
    case "ahead":
      return `Begins on ${DAY.format(new Date(`${challenge.first_day}T00:00:00Z`))}.`;
    case "on":
      return `On. ${left(today, challenge.last_day)}`;
    case "settling":
      return `The last day is over. Late workouts still count until ${at(challenge.closes_ms)}.`;
    default:
      return "Over. This table is final.";
  }
}

/** Today where this browser is, as "2026-11-28". @param {Date} now */
export function dayOf(now) {
  const two = (part) => String(part).padStart(2, "0");
  return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
}

/** The day so many days after another. @param {string} day @param {number} days */
export function dayAfter(day, days) {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
}

function left(today, last) {
  const days = Math.round((Date.parse(last) - Date.parse(today)) / 86_400_000);
  return days === 0 ? "Today is the last day." : `${count(days, "day")} left after today.`;
}
