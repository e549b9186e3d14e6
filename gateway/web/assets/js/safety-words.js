/**
 * What is said of an incident, to the athlete and to the coach. Pure. It asks and never diagnoses.
 *
 * @typedef {"over_limit" | "no_recovery" | "signal_lost" | "rate_fell"} Kind
 * @typedef {"prompted" | "cancelled" | "coach_told" | "acknowledged" | "contact_told" | "closed"} State
 */

const ASKED = {
  over_limit: (bpm) => `Your heart rate is above your limit (${bpm} bpm).`,
  no_recovery: (bpm) => `Your heart rate has hardly fallen since the class stopped (${bpm} bpm).`,
  signal_lost: () => "Your heart rate was high, and now there is none.",
  rate_fell: (bpm) => `Your heart rate has fallen very quickly (${bpm} bpm).`,
};
const ALERTED = {
  over_limit: (bpm) => `heart rate above their limit, ${bpm} bpm`,
  no_recovery: (bpm) => `heart rate has hardly fallen since the class stopped, ${bpm} bpm`,
  signal_lost: () => "was in hard effort, and now there is no heart rate",
  rate_fell: (bpm) => `heart rate has fallen very quickly, ${bpm} bpm`,
};
const LIMITS = {
  own: (bpm) => `Your own limit is ${bpm} bpm.`,
  measured_maximum: (bpm) => `Your limit is ${bpm} bpm: your measured maximum and a little more.`,
  guessed_maximum: (bpm) => `Your limit is ${bpm} bpm: your maximum is estimated, so it has room.`,
};

/** Why the athlete is asked. @param {{kind: Kind, bpm: number}} incident */
export function askedWords({ kind, bpm }) {
  return (ASKED[kind] ?? (() => "Something about your heart rate is unusual."))(bpm);
}

/** What happens next, or has. @param {{state: State}} incident @param {number} leftS seconds until somebody is told */
export function nextWords({ state }, leftS) {
  switch (state) {
    case "prompted":
      return leftS > 0
        ? `Without an answer, whoever coaches your class or your emergency contact is told in ${leftS} s.`
        : "Whoever coaches your class or your emergency contact is being told.";
    case "coach_told":
      return "Your coach has been told.";
    case "contact_told":
      return "Your emergency contact has been written to.";
    case "acknowledged":
      return "Your coach is looking after you.";
    default:
      return "";
  }
}

/** Seconds until the next step, as far as this clock can be believed. */
export function leftS({ next_ms: nextMs }, nowMs) {
  return nextMs ? Math.max(0, Math.min(15, Math.ceil((nextMs - nowMs) / 1_000))) : 0;
}

/** Whether this changes what is known of it: a later revision, or another incident. */
export function isNews(known, incident) {
  return !known || known.incident !== incident.incident || incident.revision > known.revision;
}

/** What the coach reads. @param {{name: string, kind: Kind, bpm: number}} alert */
export function alertWords({ name, kind, bpm }) {
  return `${name}: ${(ALERTED[kind] ?? (() => "something about their heart rate is unusual"))(bpm)}.`;
}

/**
 * How it stands for the coach. "gone" waits no more, and why is not known.
 * @param {{state: State | "gone", ended_by?: string}} alert
 */
export function alertState({ state, ended_by: endedBy }) {
  if (state === "acknowledged") return "Somebody is on the way.";
  if (state === "closed") return endedBy === "athlete" ? "They say that they are all right." : "This is over.";
  if (state === "gone") return "Somebody has taken it on, or it is over.";
  return "They have not answered. Go and look.";
}

/** How being watched over stands. @param {{on: boolean, limit_bpm: number, limit_source: string}} view */
export function safetyWords({ on, limit_bpm: bpm, limit_source: source }) {
  if (!on) return "Nobody watches over you.";
  return `You are asked whether you are all right when your heart rate gives reason to. ${LIMITS[source](bpm)}`;
}
