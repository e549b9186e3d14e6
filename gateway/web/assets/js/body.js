/**
 * The body that live numbers are judged by, from a profile: the same rules as the server's physiology. Pure.
 *
 * The server's own judgement is what counts for points and summaries; this one lets an athlete see percent and zone at
 * once, also while the network is away.
 */

const ASSUMED_MAX_HR = 190;
const ASSUMED_REST_HR = 60;

/**
 * @param {{max_hr?: number | null, rest_hr?: number | null, birth_date?: string | null}} profile
 * @param {Date} today
 * @returns {{maxHr: number, maxFrom: "measured" | "age" | "assumed", restHr: number}}
 */
export function bodyOf(profile, today) {
  const restHr = profile.rest_hr ?? ASSUMED_REST_HR;
  if (profile.max_hr) return { maxHr: profile.max_hr, maxFrom: "measured", restHr };
  if (!profile.birth_date) return { maxHr: ASSUMED_MAX_HR, maxFrom: "assumed", restHr };
  const tenths = 2080 - 7 * ageOn(today, profile.birth_date); // Tanaka 2001: 208 - 0.7 age, in whole tenths
  return { maxHr: Math.floor((tenths + 5) / 10), maxFrom: "age", restHr };
}

function ageOn(today, birthDate) {
  const [year, month, day] = birthDate.split("-").map(Number);
  const before = today.getMonth() + 1 < month || (today.getMonth() + 1 === month && today.getDate() < day);
  return today.getFullYear() - year - (before ? 1 : 0);
}

/** Whole percent of maximum, rounded down, as on the board. */
export const percentOf = (bpm, maxHr) => Math.floor((bpm * 100) / maxHr);

/** Zone 0 to 5 of a percentage of maximum. */
export const zoneOf = (percent) => (percent < 50 ? 0 : Math.min(Math.floor(percent / 10) - 4, 5));
