/**
 * What a case of fair play and a report say, in words people read. Pure.
 */

const RULES = {
  faster_than_hearts: "A heart rate above 230",
  far_above_own_maximum: "A heart rate far above their own maximum",
  jumps: "Jumps that no heart makes",
  flat: "One and the same heart rate for minutes",
  metronome: "Beats as even as those of a clock",
  beats_disagree: "Beats that do not fit the heart rate beside them",
  cadence_lock: "A heart rate that follows their steps",
  copied: "The same heart rate as in another account",
  two_hearts: "Two different hearts at the same time",
  two_places: "Two places at the same time",
};

const REASONS = {
  insult: "an insult",
  harassment: "harassment",
  sexual: "sexual",
  hate: "hateful",
  spam: "spam",
  personal_data: "personal data",
  other: "another reason",
};

/** What a rule has found, with its figures. @param {{rule: string, figure: number, unit: string, flagged_from: number | null, rejected_from: number | null}} finding */
export function findingWords({ rule, figure, unit, flagged_from: flagged, rejected_from: rejected }) {
  const from = [flagged !== null && `marked from ${number(flagged)}`, rejected !== null && `does not count from ${number(rejected)}`];
  const bounds = from.filter(Boolean).join(", ");
  return `${RULES[rule] ?? "Something that hearts rarely do"}: ${number(figure)} ${unit}${bounds ? ` (${bounds})` : ""}`;
}

/** What stands, and what it waits for. @param {{verdict: string, waits_for: string}} waiting */
export function waitingWords({ verdict, waits_for: waitsFor }) {
  const stands = verdict === "rejected" ? "It does not count." : "It counts, marked.";
  return waitsFor === "appeal" ? `${stands} They have appealed.` : `${stands} Nobody has looked at it yet.`;
}

/** What the two decisions come to, as [what it does if the rules were right, what if they were wrong]. @param {{waits_for: string}} waiting */
export const decisionWords = ({ waits_for: waitsFor }) => [
  waitsFor === "appeal" ? "Leave it as it stands" : "It does not count",
  "It counts, unmarked",
];

/** Why a message was reported. @param {string} reason */
export const reasonWords = (reason) => `Reported as ${REASONS[reason] ?? reason}`;

const number = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(1));
