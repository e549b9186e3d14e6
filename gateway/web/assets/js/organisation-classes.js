/**
 * The classes in the name of an organisation, and for who administers it, who has booked each. Asked for when somebody opens them.
 */
import { make } from "./dom.js";
import { guarded } from "./guarded.js";
import { bookedWords, classWords } from "./organisation-words.js";

const MOST = 50;

/**
 * @param {import("./login.js").Login} login
 * @param {{id: string, name: string}} organisation
 * @param {boolean} administers whether they see who has booked
 */
export function classesOf(login, { id, name }, administers) {
  return unfolding("Classes in its name", async () => {
    const { offers } = await login.call("GET", `/v1/offers?organisation=${id}&limit=${MOST}`);
    if (!offers.length) return make("p", { class: "muted" }, "None is on offer.");
    return make("ul", { class: "list", "aria-label": `Classes of ${name}` }, ...offers.map((offer) => one(login, offer, administers)));
  });
}

function one(login, offer, administers) {
  return make(
    "li",
    { class: "seat-row" },
    make("span", {}, make("strong", {}, offer.terms.title), make("small", {}, classWords(offer))),
    administers && unfolding("Who has booked", async () => {
      const lines = await roster(login, offer.id);
      if (!lines.length) return make("p", { class: "muted" }, "Nobody yet.");
      return make("ol", { "aria-label": `Booked: ${offer.terms.title}` }, ...lines.map((line) => make("li", {}, bookedWords(line))));
    }),
  );
}

async function roster(login, id) {
  const all = [];
  let after = 0;
  while (after !== null) {
    const { lines, next_after: next } = await login.call("GET", `/v1/offers/${id}/bookings?after=${after}&limit=200`);
    all.push(...lines);
    after = next;
  }
  return all;
}

/** What is asked for whenever it is opened. */
function unfolding(title, load) {
  const place = make("div", {});
  const trouble = make("p", { class: "trouble", role: "alert" });
  const details = make("details", { class: "unfolding" }, make("summary", {}, title), trouble, place);
  details.addEventListener("toggle", () => {
    if (details.open) guarded(trouble, async () => place.replaceChildren(await load()));
  });
  return details;
}
