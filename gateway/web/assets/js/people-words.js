/**
 * The people of a class as the coach reads them, and what may be done with each: pure. A person is as `GET /v1/classes/{id}/people`
 * says; the server decides in the end.
 */

/** What somebody is in the class, in a few words. */
export function standingWords(person) {
  if (person.removed) return "sent out";
  const words = [];
  if (person.leads === "coach") words.push("coach");
  else if (person.leads === "co_coach") words.push("co-coach");
  else words.push(person.role === "athlete" ? "athlete" : "watches");
  if (person.muted) words.push("muted");
  return words.join(", ");
}

/**
 * What whoever leads the class may do with somebody, in the order of the buttons.
 * @param {"coach" | "co_coach"} leads as what they lead it
 * @returns {("co_coach" | "none" | "coach" | "mute" | "unmute" | "remove" | "let_in")[]}
 */
export function doable(leads, person) {
  if (person.leads === "coach") return [];
  if (person.removed) return ["let_in"];
  const own = leads === "coach";
  const can = [];
  if (own && person.leads === "co_coach") can.push("coach", "none");
  if (own && !person.leads && person.can_lead) can.push("co_coach");
  if (!person.leads) can.push(person.muted ? "unmute" : "mute");
  if (own || !person.leads) can.push("remove");
  return can;
}

/** Who leads first, then who is in it, then who was sent out; by name. */
export function inOrder(people) {
  const rank = ({ leads, removed }) => (removed ? 3 : leads === "coach" ? 0 : leads ? 1 : 2);
  return [...people].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name) || a.n - b.n);
}

/** Those whose name has what was typed. */
export function named(people, text) {
  const wanted = text.trim().toLocaleLowerCase();
  return people.filter(({ name }) => name.toLocaleLowerCase().includes(wanted));
}
