/** A heat at an instant: gathering, counted down, ridden, over. Pure. */
import { clock, count } from "./words.js";

/** @typedef {{starts_ms: number | null, ends_ms: number | null, ready: number, waiting: string[]}} Heat */

/** @param {Heat} heat @param {number} nowMs server time @returns {"gathering" | "countdown" | "ridden" | "over"} */
export function phaseOf({ starts_ms: starts, ends_ms: ends }, nowMs) {
  if (starts === null) return "gathering";
  if (nowMs < starts) return "countdown";
  return nowMs < ends ? "ridden" : "over";
}

/** The large figure: what is left until the start, then until the end. A second is counted until it is over. @param {Heat} heat */
export function clockWords(heat, nowMs) {
  switch (phaseOf(heat, nowMs)) {
    case "gathering":
      return "–";
    case "countdown":
      return String(Math.ceil((heat.starts_ms - nowMs) / 1_000));
    case "ridden":
      return clock(Math.ceil((heat.ends_ms - nowMs) / 1_000) * 1_000);
    default:
      return "0:00";
  }
}

/** What that figure means. @param {Heat} heat @param {number} members @param {number} nowMs */
export function phaseWords(heat, members, nowMs) {
  switch (phaseOf(heat, nowMs)) {
    case "gathering":
      return `${heat.ready} of ${members} ready.${waitingWords(heat, members)}`;
    case "countdown":
      return "Get ready: it starts when this is zero.";
    case "ridden":
      return "Time left";
    default:
      return "Over.";
  }
}

function waitingWords({ ready, waiting }, members) {
  if (members < 2) return " It starts by itself once two or more are in and all are ready.";
  if (!waiting.length) return "";
  const more = members - ready - waiting.length;
  const names = more > 0 ? [...waiting, count(more, "other")] : waiting;
  return ` Waiting for ${new Intl.ListFormat("en").format(names)}.`;
}

/** A heat as the class clock tells it: for whoever is in its room. @param {any} clock a ClockView that runs from its beginning */
export const heatOfClock = ({ state, at_ms: at, duration_ms: lasts }) =>
  state === "running"
    ? { starts_ms: at, ends_ms: at + lasts, ready: 0, waiting: [] }
    : { starts_ms: null, ends_ms: null, ready: 0, waiting: [] };
