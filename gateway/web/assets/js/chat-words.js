/**
 * What the chat says in words people read: reactions, reasons, and why something cannot be said right now. Pure.
 */
import { span } from "./words.js";

/** Reactions as [kind, sign, word]: never a sign alone, since not every device can draw it. */
export const REACTIONS = [
  ["high_five", "🖐", "High five"],
  ["clap", "👏", "Clap"],
  ["fire", "🔥", "Fire"],
  ["heart", "❤", "Heart"],
  ["strong", "💪", "Strong"],
  ["laugh", "😄", "Laugh"],
];

/** Reasons for a report as [reason, words]. */
export const REASONS = [
  ["insult", "It is an insult"],
  ["harassment", "It harasses somebody"],
  ["sexual", "It is sexual"],
  ["hate", "It is hateful"],
  ["spam", "It is spam"],
  ["personal_data", "It gives away personal data"],
  ["other", "Something else"],
];

const TO_ONE = {
  high_five: "gives you a high five",
  clap: "claps for you",
  fire: "says you are on fire",
  heart: "sends you a heart",
  strong: "says you are strong",
  laugh: "laughs with you",
};

/** What a reaction to oneself is called. @param {{name: string, kind: string}} received */
export const receivedWords = ({ name, kind }) => `${name} ${TO_ONE[kind] ?? "reacts to you"}`;

/**
 * Why something was not said, and that it is still in the box.
 * @param {{code: string, message: string, retryAfterMs: number | null, data: Record<string, any>}} problem
 */
export function refusalWords(problem, clockOf) {
  if (problem.code === "rate_limited")
    return `One breath: you can send this in ${span(Math.max(1_000, problem.retryAfterMs ?? 1_000))}.`;
  if (problem.code === "muted") return mutedWords({ until_ms: problem.data.until_ms ?? null }, clockOf);
  if (problem.code === "no_network" || problem.code === "no_answer")
    return "It has not arrived. Your words are kept here; send them again.";
  return problem.message;
}

/** That one may not speak. @param {{until_ms?: number | null}} muted @param {(ms: number) => string} clockOf */
export function mutedWords({ until_ms: untilMs }, clockOf) {
  return untilMs == null
    ? "The coach has muted you for the rest of this class."
    : `The coach has muted you until ${clockOf(untilMs)}.`;
}
