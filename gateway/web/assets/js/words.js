/**
 * Numbers and states in the words people read: zones, durations, freshness.
 */

/** What zones 0 to 5 are called; colour alone never says it. */
export const ZONE_WORDS = ["Rest", "Very easy", "Easy", "Steady", "Hard", "Max"];
/** Percent of maximum heart rate that zones 0 to 5 begin at. */
export const ZONE_FLOORS = [0, 50, 60, 70, 80, 90];

/** @param {number | null} zone */
export const zoneWords = (zone) => (zone === null ? "" : `Z${zone} ${ZONE_WORDS[zone]}`);

/** The word beside an athlete whose sensor is not live; "" while it is. */
export function freshnessWords({ freshness, present }) {
  if (freshness === "live") return "";
  if (freshness === "stale") return "stale";
  if (freshness === "lost") return "sensor lost";
  return present ? "no sensor" : "not here";
}

/** 3:07, 1:02:09: a running clock. @param {number} ms */
export function clock(ms) {
  const whole = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** 45 s, 12 min 30 s, 1 h 5 min: a length of time in a sentence. @param {number} ms */
export function span(ms) {
  const whole = Math.round(ms / 1000);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 60)} h`;
}

/** @param {number} points */
export const effortWords = (points) => (points >= 1000 ? String(Math.round(points)) : points.toFixed(1));

const DAY = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});

/** @param {number} ms since 1970 */
export const moment = (ms) => DAY.format(new Date(ms));

/** "1 athlete", "12 athletes". */
export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

/** The names in a text that has one in each line. @param {string} text */
export const namesIn = (text) =>
  text
    .split("\n")
    .map((name) => name.trim())
    .filter(Boolean);
