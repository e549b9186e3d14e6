/**
 * The sockets of a node in words: which counters are shown and how, the columns of the table, and its order. Pure, so that it
 * is tested without a page.
 */

const UNITS = ["KiB", "MiB", "GiB", "TiB"];
const STEPS = [
  [120, 1, "s", 0],
  [7_200, 60, "min", 0],
  [172_800, 3_600, "h", 1],
];

/** 512 B, 31.0 KiB, 4.2 MiB. */
export function size(bytes) {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length);
  return power === 0 ? `${bytes} B` : `${(bytes / 1024 ** power).toFixed(1)} ${UNITS[power - 1]}`;
}

/** 0.4 s, 42 s, 12 min, 3.1 h, 2.0 d. */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  for (const [limit, divisor, unit, digits] of STEPS)
    if (seconds < limit) return `${(seconds / divisor).toFixed(digits)} ${unit}`;
  return `${(seconds / 86_400).toFixed(1)} d`;
}

/** Thousands apart, so that a glance tells a million from ten. */
export const count = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");

const ms = (value) =>
  value === null || value === undefined ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

/**
 * The counters: name, value, what it is made of. `before` is the answer before this one, for rates.
 * @returns {{name: string, value: string, more: string, alarm?: boolean}[]}
 */
export function factsOf(now, before = null) {
  const { counts } = now;
  const trips = counts.round_trips;
  return [
    {
      name: "Sockets",
      value: count(counts.sockets),
      more: `${count(counts.open)} open · ${count(counts.unauthenticated)} not authenticated · ${count(counts.closing)} closing`,
    },
    {
      name: "WebSocket / poll",
      value: `${count(counts.websockets)} / ${count(counts.polling)}`,
      more: "what carries them",
    },
    {
      name: "Queued",
      value: size(counts.queued_bytes),
      more: `${size(counts.unwritten_bytes)} unwritten · ${count(counts.blocked)} do not read`,
      alarm: counts.blocked > 0,
    },
    {
      name: "Frames out",
      value: rate(now, before, "frames_out") ?? count(counts.frames_out),
      more: `${counts.merged.toFixed(2)} in a write · ${size(counts.bytes_out)} in all`,
    },
    {
      name: "Frames in",
      value: rate(now, before, "frames_in") ?? count(counts.frames_in),
      more: `${count(counts.malformed)} malformed`,
    },
    {
      name: "Ping",
      value: ms(trips.p50),
      more: `p99 ${ms(trips.p99)} · worst ${ms(trips.max)} · ${count(counts.pings)} sent`,
    },
    {
      name: "Loop late",
      value: ms(now.loop_lag_ms),
      more: `at worst ${ms(now.loop_lag_worst_ms)} in the last minute`,
      alarm: now.loop_lag_worst_ms >= 250,
    },
  ];
}

/** "120 /s" between two answers of one run of the server; null when there is nothing to compare with. */
function rate(now, before, field) {
  const seconds = before ? (now.at_ms - before.at_ms) / 1000 : 0;
  const more = before ? now.counts[field] - before.counts[field] : -1;
  if (seconds <= 0 || more < 0 || now.node !== before.node) return null;
  return `${count(Math.round(more / seconds))} /s`;
}

/** The columns: what they are called, what they sort by, how they read. Numbers sort from the largest at first. */
export const COLUMNS = [
  { key: "id", name: "Connection", show: (line) => line.id },
  { key: "transport", name: "By", show: (line) => (line.transport === "websocket" ? "WebSocket" : "polling") },
  { key: "state", name: "State", show: (line) => line.state },
  { key: "age_s", name: "Open for", number: true, show: (line) => duration(line.age_s) },
  { key: "queued_bytes", name: "Queued", number: true, show: (line) => size(line.queued_bytes) },
  { key: "queued_frames", name: "Frames", number: true, show: (line) => count(line.queued_frames) },
  { key: "unwritten_bytes", name: "Unwritten", number: true, show: (line) => size(line.unwritten_bytes) },
  { key: "waiting_s", name: "Waits", number: true, show: (line) => (line.waiting_s ? duration(line.waiting_s) : "–") },
  { key: "dropped", name: "Dropped", number: true, show: (line) => count(line.dropped) },
  { key: "replaced", name: "Replaced", number: true, show: (line) => count(line.replaced) },
  { key: "rtt_ms", name: "Ping", number: true, show: (line) => ms(line.rtt_ms) },
  { key: "events_in", name: "Events", number: true, show: (line) => count(line.events_in) },
  { key: "rooms", name: "Rooms", number: true, show: (line) => count(line.rooms) },
  { key: "peer", name: "Peer", show: (line) => line.peer },
  { key: "account", name: "Account", show: (line) => line.account ?? "–" },
];

/** What a press on a column's name does to the order: first its natural direction, then the other, then the server's own. */
export function pressed(sort, key) {
  const first = COLUMNS.find((column) => column.key === key).number ? "descending" : "ascending";
  if (sort?.key !== key) return { key, direction: first };
  if (sort.direction === first) return { key, direction: first === "descending" ? "ascending" : "descending" };
  return null;
}

/** The lines in that order; what is not known comes last either way. Null: as the server sent them. */
export function sorted(lines, sort) {
  if (!sort) return lines;
  const sign = sort.direction === "ascending" ? 1 : -1;
  const known = (line) => line[sort.key] !== null && line[sort.key] !== undefined;
  return [...lines].sort((a, b) => {
    if (!known(a) || !known(b)) return Number(known(b)) - Number(known(a));
    const [x, y] = [a[sort.key], b[sort.key]];
    return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
  });
}

/** The counts by name, the largest first. */
export const tallyOf = (counts) => Object.entries(counts).sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
