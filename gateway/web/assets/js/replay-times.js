/**
 * Where things lie in a class that plays again: pure arithmetic, no page.
 *
 * A recording goes by the server's clock, a script by class time, and the coach may have paused, skipped and extended in between. So the
 * script is looked at from the recording: what was on at each of many instants. Times of the recording are ms since 1970.
 */
import { classTime } from "./clock-controls.js";

const STEPS = 1_000; // how finely a recording is looked at: about the pixels of a bar

/** The clock that held at an instant; null before the class had one. */
export function clockAt(clocks, atMs) {
  return clocks.findLast((clock) => clock.noted_at_ms <= atMs) ?? null;
}

/** Class time at an instant of the recording; null without a script. */
export function classTimeAt(clocks, atMs) {
  const clock = clockAt(clocks, atMs);
  return clock && classTime(clock, atMs);
}

/** The intervals of a script with all repeats written out, in class time. */
export function laidOut(script) {
  const laid = [];
  let from = 0;
  for (const block of script?.blocks ?? []) {
    const rounds = block.repeat ?? 1;
    for (let round = 0; round < rounds; round += 1) {
      for (const interval of block.intervals) {
        const to = from + interval.duration_ms;
        laid.push({ from, to, block, title: titleOf(block, interval, round, rounds), zone: zoneOf(interval) });
        from = to;
      }
    }
  }
  return laid;
}

/** What is on at a class time; null at the end of the script. */
export const intervalAt = (laid, classMs) => laid.find(({ from, to }) => from <= classMs && classMs < to) ?? null;

/**
 * What stands on the bar of a recording: stretches of intervals as they were ridden, and the cues of the script where they came.
 * @param {{script?: any, clocks?: any[]}} timeline
 * @returns {{stretches: {fromMs: number, toMs: number, interval: any}[], cues: {atMs: number, text: string}[]}}
 */
export function marksOf({ script, clocks = [] }, beginsMs, endsMs) {
  const laid = laidOut(script);
  const stretches = [];
  const cues = [];
  const stepMs = Math.max(1, (endsMs - beginsMs) / STEPS);
  let before = -1;
  for (let atMs = beginsMs; laid.length && atMs <= endsMs; atMs += stepMs) {
    const clock = clockAt(clocks, atMs);
    if (!clock || clock.state === "waiting") continue;
    const now = classTime(clock, atMs);
    const interval = intervalAt(laid, now);
    const last = stretches.at(-1);
    if (last && last.interval === interval) last.toMs = atMs + stepMs;
    else if (interval) stretches.push({ fromMs: atMs, toMs: atMs + stepMs, interval });
    // What was skipped was not shown.
    const skipped = now - before > 2 * stepMs + 1 && before >= 0;
    for (const cue of script.cues ?? [])
      if (!skipped && before < cue.at_ms && cue.at_ms <= now) cues.push({ atMs, text: cue.text });
    before = now;
  }
  for (const stretch of stretches) stretch.toMs = Math.min(stretch.toMs, endsMs);
  return { stretches, cues };
}

/** Where on the bar an instant lies, 0 to 1. */
export const placeOnBar = (atMs, beginsMs, endsMs) =>
  endsMs > beginsMs ? Math.min(1, Math.max(0, (atMs - beginsMs) / (endsMs - beginsMs))) : 0;

function titleOf(block, interval, round, rounds) {
  const name = interval.title || block.title || "";
  return rounds > 1 ? `${name} ${round + 1} of ${rounds}`.trim() : name;
}

function zoneOf({ targets = [] }) {
  const aim = targets.find(({ type }) => type === "zone");
  return aim ? aim.high : null;
}
