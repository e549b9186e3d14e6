/**
 * A class script while it is written: pure. It is kept as the server takes it (`PUT /v1/classes/{id}/script`), so what is seen is what
 * is stored; a time that cannot be read is kept as null, which the server refuses at its place.
 *
 * Whether it contradicts itself only the server says, with the place as a path (`$.script.blocks[1].intervals[0].targets[2]`).
 */
import { goalWords } from "./step-words.js";
import { clock } from "./words.js";

/** The kinds of targets: their words, unit, and the range of their numbers. */
export const TARGETS = {
  zone: { label: "Heart-rate zone", unit: "", most: 5, low: 2, high: 3 },
  hrr: { label: "Heart-rate reserve", unit: "%", most: 100, low: 60, high: 70 },
  power: { label: "Power", unit: "% of threshold", most: 400, low: 85, high: 95 },
  cadence: { label: "Cadence", unit: "rpm", most: 250, low: 80, high: 95 },
  rpe: { label: "Effort felt", unit: "of 10", most: 10, low: 4, high: 6 },
};

export const newTarget = (type = "zone") => ({ type, low: TARGETS[type].low, high: TARGETS[type].high });
export const newGoal = (type) => (type === "below" || type === "above" ? { type, bpm: 120 } : newTarget(type));
export const newStep = () => ({
  type: "step",
  goal: newGoal("below"),
  for_ms: 10_000,
  within_ms: 60_000,
  unbroken: true,
  fallback: "wait",
});
export const newRounds = () => ({ type: "rounds", steps: [newStep()], at_most: 3 });
export const newInterval = () => ({ duration_ms: 180_000, title: "", targets: [newTarget()], steps: [] });
export const newBlock = () => ({ title: "", repeat: 1, intervals: [newInterval()] });
export const newScript = () => ({ blocks: [newBlock()], cues: [] });

/** 1:30, 90 s or 5 min as ms; null for what is no time. @param {string} text */
export function msOf(text) {
  const parts = /^(?:(\d{1,2}):)?(\d{1,3}):([0-5]\d)$/.exec(text.trim());
  if (parts) return ((Number(parts[1] ?? 0) * 60 + Number(parts[2])) * 60 + Number(parts[3])) * 1_000;
  const units = /^(\d{1,4})\s*(s|min)$/.exec(text.trim());
  return units ? Number(units[1]) * (units[2] === "min" ? 60_000 : 1_000) : null;
}

/** How a time is written into its field. @param {number | null} ms */
export const timeText = (ms) => (ms === null ? "" : clock(ms));

/** A script as the editor keeps it: with everything that a stored one may leave out. */
export function whole(script) {
  return {
    blocks: script.blocks.map((block) => ({
      title: "",
      repeat: 1,
      ...block,
      intervals: block.intervals.map((interval) => ({ title: "", targets: [], steps: [], ...interval })),
    })),
    cues: script.cues ?? [],
  };
}

/** How hard a target is, from 0 to 1, for the picture alone; cadence says nothing about it. */
function hardness({ type, low, high }) {
  const middle = (Number(low) + Number(high)) / 2;
  const most = { zone: 5, hrr: 100, power: 130, rpe: 10 }[type];
  return most ? Math.min(middle / most, 1) : null;
}

/**
 * The picture of a script: a bar for each interval with repeats written out, as parts of the whole.
 * @returns {{bars: {x: number, width: number, height: number, zone: number, words: string}[], cues: {x: number, text: string}[],
 *            durationMs: number}}
 */
export function profileOf(script) {
  const laid = script.blocks.flatMap(({ repeat, intervals }) =>
    Array.from({ length: Math.min(Math.max(repeat || 0, 0), 50) }, () => intervals).flat(),
  );
  const durationMs = laid.reduce((sum, { duration_ms: ms }) => sum + (ms ?? 0), 0);
  let at = 0;
  const bars = laid.map((interval) => {
    const hard = (interval.targets ?? []).map(hardness).find((value) => value !== null) ?? null;
    const bar = {
      x: durationMs ? at / durationMs : 0,
      width: durationMs ? (interval.duration_ms ?? 0) / durationMs : 0,
      height: 0.12 + 0.88 * (hard ?? 0.1),
      zone: hard === null ? 0 : Math.min(5, Math.max(1, Math.ceil(hard * 5))),
      words: intervalWords(interval),
    };
    at += interval.duration_ms ?? 0;
    return bar;
  });
  const cues = (script.cues ?? [])
    .filter(({ at_ms: ms }) => ms !== null && ms < durationMs)
    .map(({ at_ms: ms, text }) => ({ x: ms / durationMs, text }));
  return { bars, cues, durationMs };
}

/** An interval in a sentence. */
export function intervalWords({ duration_ms: ms, title, targets = [], steps = [] }) {
  const said = [timeText(ms) || "?", title, ...targets.map(targetWords)];
  if (steps.length) said.push(`steps: ${steps.map(stepGoal).join(", ")}`);
  return said.filter(Boolean).join(" · ");
}

const stepGoal = (step) => (step.type === "rounds" ? `rounds of ${step.steps.map(stepGoal).join(", ")}` : goalWords(step.goal));

function targetWords({ type, low, high }) {
  const { label, unit } = TARGETS[type];
  return `${label} ${low === high ? low : `${low} to ${high}`}${unit && ` ${unit}`}`;
}

/** Of places in a form the one that a problem is about: the place itself, or what it is part of, or its first part. */
export function placeOf(path, places) {
  const around = places.filter((place) => path === place || path.startsWith(`${place}.`) || path.startsWith(`${place}[`));
  if (around.length) return around.reduce((one, other) => (other.length > one.length ? other : one));
  return places.find((place) => place.startsWith(path)) ?? null;
}
