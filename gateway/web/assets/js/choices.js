/**
 * What somebody wants to be told: from the server's document to the controls, and back. Pure.
 *
 * @typedef {"off" | "now" | "digest"} Way
 * @typedef {{topic: string, about: string, essential: boolean,
 *            channels: Record<string, {way: Way, allowed: Way[]}>}} TopicChoices
 */

/** Channels in words, in the order of the columns. */
export const CHANNEL_WORDS = { email: "E-mail", push: "Push", sms: "SMS" };
export const WAY_WORDS = { off: "Off", now: "At once", digest: "Gathered" };

/** Channels that a topic has anything to choose on, or always uses. @param {TopicChoices} topic */
export const channelsOf = (topic) => Object.keys(CHANNEL_WORDS).filter((channel) => channel in topic.channels);

/** What has to be said of channels that this server cannot send on; "" when it can on all. @param {string[]} leaving */
export function awayWords(leaving) {
  const away = Object.keys(CHANNEL_WORDS).filter((channel) => !leaving.includes(channel));
  if (!away.length) return "";
  const names = new Intl.ListFormat("en").format(away.map((channel) => CHANNEL_WORDS[channel]));
  return `${names} ${away.length === 1 ? "is" : "are"} not set up on this server: what you choose for ${away.length === 1 ? "it" : "them"} counts from the day ${away.length === 1 ? "it is" : "they are"}.`;
}

/**
 * The document to send: the preferences that were read, with what the controls say now.
 * @param {{preferences: any, topics: TopicChoices[]}} view
 * @param {Record<string, Record<string, Way>>} ways by topic and channel
 * @param {{quiet: null | [string, string], digest: {hour: number, weekday: number | null}, timeZone: string, locale: string}} times
 */
export function preferencesOf(view, ways, { quiet, digest, timeZone, locale }) {
  return {
    ...view.preferences,
    locale,
    time_zone: timeZone,
    quiet_hours: quiet && { begins: minutesOf(quiet[0]), until: minutesOf(quiet[1]) },
    digest,
    chosen: ways,
  };
}

/** "22:30" as minutes past midnight. @param {string} time */
export function minutesOf(time) {
  const [hours, minutes] = time.split(":").map(Number);
  return hours * 60 + minutes;
}

/** Minutes past midnight as a time field wants it. @param {number} minutes */
export const timeOf = (minutes) =>
  `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;

/** The zones to choose from; the one that is chosen is always among them. @param {string[]} known @param {string} chosen */
export const zonesWith = (known, chosen) => [...new Set(["UTC", chosen, ...known])].sort();
