/**
 * A class without a coach in words: where it is, and who it waits for. Pure.
 */
import { classTime } from "./clock-controls.js";
import { clock as clockWords, count } from "./words.js";

/**
 * Where the class is at a server time.
 * @param {any} clock a ClockView, or null @param {number} now the server's wall clock, ms since 1970
 * @returns {{phase: "waiting" | "countdown" | "running" | "paused" | "done", words: string}}
 */
export function phaseOf(clock, now) {
  if (!clock || clock.state === "waiting") return { phase: "waiting", words: "In the lobby" };
  if (clock.state === "running" && now < clock.at_ms) {
    return { phase: "countdown", words: `Begins in ${Math.ceil((clock.at_ms - now) / 1_000)}` };
  }
  const at = classTime(clock, now);
  if (at >= clock.duration_ms) return { phase: "done", words: "The script is through" };
  const where = `${clockWords(at)} of ${clockWords(clock.duration_ms)}`;
  return clock.state === "paused" ? { phase: "paused", words: `Paused at ${where}` } : { phase: "running", words: where };
}

/** Those who are here and ride. @param {any[]} members of the board, as they are told: who is present is not said to be */
export function ridersOf(members) {
  return members.filter(({ role, present = true }) => present && role === "athlete");
}

/** Who the lobby waits for. @param {any[]} members of the board @param {number[]} ready numbers */
export function waitingWords(members, ready) {
  const here = ridersOf(members);
  const marked = here.filter(({ n }) => ready.includes(n)).length;
  if (here.length < 2) return "You are alone here. Give others the code, or start.";
  return marked === here.length ? "All are ready." : `${marked} of ${count(here.length, "rider")} ready. It begins when all are.`;
}
