/**
 * Racing a past workout of one's own: its curve is fetched once, and drawn at the time since one's first sample. Pure but for the
 * fetching.
 *
 * @typedef {{workout: string, step_ms: number, scores: number[], cut: boolean}} Curve scores in zone-milliseconds
 */
import { effortWords } from "./words.js";

const POINT = 60_000;
const KEY = "paceline.ghost";

/** Points that the ghost had after so many ms; between two steps it rides evenly. @param {Curve} curve @param {number} ms */
export function pointsAt({ step_ms: step, scores }, ms) {
  const at = Math.max(ms, 0) / step;
  const before = Math.min(Math.floor(at), scores.length - 1);
  const after = Math.min(before + 1, scores.length - 1);
  return (scores[before] + (scores[after] - scores[before]) * Math.min(at - before, 1)) / POINT;
}

/** How one stands against it: "2.5 ahead", "0.3 behind", "level"; after a curve that was cut nobody knows. */
export function againstWords(curve, ms, points) {
  if (curve.cut && ms > (curve.scores.length - 1) * curve.step_ms) return "–";
  const ahead = points - pointsAt(curve, ms);
  if (Math.abs(ahead) < 0.05) return "level";
  return `${effortWords(Math.abs(ahead))} ${ahead > 0 ? "ahead" : "behind"}`;
}

/** Remembers for this tab which workout is raced; "" for none. @param {string} workout */
export function choose(workout) {
  sessionStorage.setItem(KEY, workout);
}

/** The curve of the workout that is raced in this tab, or null. @param {import("./login.js").Login} login */
export async function chosenCurve(login) {
  const workout = sessionStorage.getItem(KEY);
  return workout ? await login.call("GET", `/v1/workouts/${encodeURIComponent(workout)}/ghost`) : null;
}
