/**
 * Racing a past workout of one's own, or a past class that one was in: the curve is fetched once, and drawn at the time since one's
 * first sample, or at class time where it goes by that. Pure but for the fetching.
 *
 * @typedef {{workout?: string, axis?: "class" | "own", step_ms: number, scores: number[], cut: boolean}} Curve scores in zone-milliseconds
 */
import { classTime } from "./clock-controls.js";
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

/**
 * Where on a curve one is: null while nobody can tell, because the class that one rides in has no class time yet.
 * @param {Curve} curve @param {{elapsedMs: number, clock: any, serverMs: number}} now
 */
export function placeOn({ axis }, { elapsedMs, clock, serverMs }) {
  if (axis !== "class") return elapsedMs;
  return clock && clock.state !== "waiting" ? classTime(clock, serverMs) : null;
}

/** Remembers for this tab what is raced: a workout, or `classes/<id>/ghosts/<who>`; "" for none. @param {string} what */
export function choose(what) {
  sessionStorage.setItem(KEY, what);
}

/** Where the curve of a choice is. @param {string} what */
export const pathOf = (what) =>
  what.startsWith("classes/") ? `/v1/${what}` : `/v1/workouts/${encodeURIComponent(what)}/ghost`;

/** The curve of what is raced in this tab, or null. @param {import("./login.js").Login} login */
export async function chosenCurve(login) {
  const what = sessionStorage.getItem(KEY);
  return what ? await login.call("GET", pathOf(what)) : null;
}
