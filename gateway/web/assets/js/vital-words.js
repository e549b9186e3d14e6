/**
 * Values of a body in words. Pure.
 *
 * @typedef {{id: string, kind: string, value: number, unit: string, from_day: string, until_day: string | null, source: string, stale: boolean}} Vital
 */
import { withUnit } from "./units.js";

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

export const KIND_WORDS = {
  max_hr: "Maximum heart rate",
  rest_hr: "Resting heart rate",
  threshold_hr: "Threshold heart rate",
  ftp_w: "Threshold power (FTP)",
  mass_kg: "Weight",
  height_cm: "Height",
};
const SOURCE_WORDS = { typed: "typed in", test: "from a test", device: "from a device", estimated: "estimated", imported: "imported" };

export const UNITS = { max_hr: "bpm", rest_hr: "bpm", threshold_hr: "bpm", ftp_w: "W", mass_kg: "kg", height_cm: "cm" };

/** "Maximum heart rate: 188 bpm". @param {Vital} vital */
export const vitalWords = ({ kind, value, unit }) => `${KIND_WORDS[kind] ?? kind}: ${withUnit(value, unit)}`;

/** "since 1 Sep 2026, from a test; measure it again". @param {Vital} vital */
export function sinceWords({ from_day: from, until_day: until, source, stale }) {
  const day = (text) => DAY.format(new Date(`${text}T00:00:00Z`));
  const when = until === null ? `since ${day(from)}` : `${day(from)} to ${day(until)}`;
  return `${when}, ${SOURCE_WORDS[source] ?? source}${stale ? "; measure it again" : ""}`;
}
