/**
 * An inbox as a list, newest first, and what the server says of it: pure, so that two devices that hear the same show the same.
 *
 * @typedef {{id: string, topic: string, title: string, body: string, path: string, told_at_ms: number,
 *            read_at_ms?: number}} Notification
 */

/** Whether `one` stands above `other`. Ids that were made later are greater. */
const above = (one, other) =>
  one.told_at_ms > other.told_at_ms || (one.told_at_ms === other.told_at_ms && one.id > other.id);

/**
 * The list with a notification in its place; an older one of the same id goes.
 * @param {Notification[]} list @param {Notification} notification
 */
export function withOne(list, notification) {
  const others = list.filter(({ id }) => id !== notification.id);
  const at = others.findIndex((other) => above(notification, other));
  return at < 0 ? [...others, notification] : others.toSpliced(at, 0, notification);
}

/**
 * The list after some were read: `ids`, or everything up to one of them, itself included.
 * @param {Notification[]} list
 * @param {{ids?: string[], up_to?: string | null}} read
 * @param {number} atMs when, for those that were unread
 */
export function withRead(list, { ids = [], up_to: upTo = null }, atMs) {
  const named = new Set(ids);
  const last = upTo === null ? null : list.find(({ id }) => id === upTo);
  // One that is not shown stands below everything that is, or above it; the newest that is shown cannot tell.
  const isRead = (one) => named.has(one.id) || (last && (one.id === last.id || above(last, one)));
  return list.map((one) => (one.read_at_ms === undefined && isRead(one) ? { ...one, read_at_ms: atMs } : one));
}

/**
 * The list in days, as their owner's clock has them: [["Today", [...]], ["Yesterday", [...]], ["Mon, 23 Nov", [...]]].
 * @param {Notification[]} list @param {Date} now
 */
export function inDays(list, now) {
  const days = new Map();
  for (const one of list) {
    const name = dayWords(new Date(one.told_at_ms), now);
    days.set(name, [...(days.get(name) ?? []), one]);
  }
  return [...days];
}

const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const OLD_DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });

function dayWords(day, now) {
  const before = Math.round((midnight(now) - midnight(day)) / 86_400_000);
  if (before <= 0) return "Today";
  if (before === 1) return "Yesterday";
  return (day.getFullYear() === now.getFullYear() ? DAY : OLD_DAY).format(day);
}

const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

/** What stands on the badge. @param {number} unread */
export const badgeWords = (unread) => (unread > 99 ? "99+" : String(unread));

/** A path on this server, or an address that may be opened; null for anything else. @param {string} path */
export const safePath = (path) => (/^\/(?!\/)/.test(path) || /^https?:\/\//.test(path) ? path : null);
