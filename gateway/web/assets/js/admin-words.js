/**
 * How the page of administration says things. Pure.
 */
import { count } from "./words.js";

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Where an account is asked for, by what was typed: its address or its id. */
export function whereToFind(typed) {
  const who = typed.trim();
  return ID.test(who) ? `/v1/staff/accounts/${who.toLowerCase()}` : `/v1/staff/accounts?email=${encodeURIComponent(who)}`;
}

/** An instant, in the reader's own time. */
export function when(ms) {
  return new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** Who acted: a person by their address, else what they are. */
export function actorWords(entry) {
  const kinds = { operator: "the admin token", command: "a command", system: "the program", app: "an app", account: "somebody who left" };
  return entry.actor_email ?? [kinds[entry.actor_kind] ?? entry.actor_kind, entry.name].filter(Boolean).join(" of ");
}

/** To whom. */
export function personWords(entry) {
  return entry.account_email ?? "";
}

/** What more there is to say: the thing, the data, where from, and why. */
export function moreWords(entry) {
  const data = Object.entries(JSON.parse(entry.data)).map(([name, value]) => `${name}: ${value}`);
  const from = entry.network ? [`from ${entry.network}`] : [];
  const thing = entry.thing ? [`${entry.thing_kind} ${entry.thing}`] : [];
  return [...thing, ...data, ...from].join(", ");
}

/** How the chain stands, in one sentence, and whether it is whole. */
export function stateWords(state) {
  if (state.breaches.length) return { whole: false, words: `The audit is not whole: ${state.breaches.join("; ")}. Run paceline audit verify.` };
  const signed = state.signed_row === null ? "not signed yet" : `signed up to row ${state.signed_row} on ${when(state.signed_at_ms)}`;
  const waiting = state.waiting ? `, ${count(state.waiting, "entry waits", "entries wait")} for a place` : "";
  return { whole: true, words: `${count(state.rows, "row", "rows")}, whole from row ${state.checked_from} on, ${signed}${waiting}.` };
}

/** Until when an account is suspended, and why; "" when it is not. */
export function suspensionWords(suspension) {
  if (!suspension) return "";
  const until = suspension.until_ms ? ` until ${when(suspension.until_ms)}` : "";
  return `Suspended${until}: ${suspension.reason}`;
}

/** What a live class is called among others, and who leads it. */
export function roomWords(room) {
  const kinds = { class: room.coach ? `Class of ${room.coach}` : "Class", heat: "Heat", on_demand: room.coach ? `On demand, started by ${room.coach}` : "On demand" };
  return kinds[room.kind] ?? room.kind;
}

/** How many are in a room right now; nobody knows while the register of presence is away. */
export function thereWords(there) {
  return there === null ? "nobody knows how many are there" : count(there, "person there", "people there");
}

/** What somebody in a room is, and through which nodes they are connected. */
export function inRoomWords(person, known) {
  const leads = { coach: "Coach", co_coach: "Co-coach" };
  const roles = { coach: "Coach", athlete: "Athlete", spectator: "Spectator" };
  const role = leads[person.leads] ?? (person.role === "coach" ? "Spectator" : (roles[person.role] ?? person.role));
  if (!known) return `${role}, number ${person.n}`;
  const where = person.nodes.length ? `connected to ${person.nodes.join(" and ")}` : "just left";
  return `${role}, number ${person.n}, ${where}`;
}

/** Since when a flag stands so, by whom, and why; "" while nobody has set it. */
export function flagWords(flag) {
  if (flag.set_at_ms === null || flag.set_at_ms === undefined) return "";
  const by = flag.set_by ? ` by ${flag.set_by}` : "";
  return `Set on ${when(flag.set_at_ms)}${by}: ${flag.reason}`;
}

/** Where one connection goes, since when, and in how many rooms it is. */
export function connectionWords(one) {
  const rooms = one.rooms.length ? `, in ${count(one.rooms.length, "room", "rooms")}` : "";
  return `${one.app ? "an app, " : ""}to ${one.node} since ${when(one.opened_at_ms)}${rooms}`;
}

/** That some nodes have not answered. */
export function silentWords(silent) {
  return `No answer from ${silent.join(" and ")}: there may be more.`;
}
