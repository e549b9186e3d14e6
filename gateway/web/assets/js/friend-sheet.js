/**
 * The people of a class whom one can ask to be friends: a dialog with everybody who is shown by name, and what can be done about each.
 */
import { make, setText } from "./dom.js";
import { friendButtons } from "./friend-acts.js";
import { DOABLE, STANDING_WORDS, askable, standingOf } from "./friend-words.js";
import { guarded } from "./guarded.js";
import { count } from "./words.js";

const SEARCH_FROM = 12; // people, from which on the list is searched rather than looked through
const MOST_SHOWN = 100;

/**
 * Opens it.
 * @param {import("./room.js").Room} room
 * @param {(method: string, path: string, body?: any) => Promise<any>} call as whoever looks
 */
export function friendSheet(room, call) {
  const people = askable(room.board.members.values(), room.you?.n);
  const said = make("p", { class: "said", role: "status" });
  const trouble = make("p", { class: "trouble", role: "alert" });
  const list = make("ul", { class: "friend-list", "aria-label": "People of the class" });
  const more = make("p", { class: "muted" });
  const search = make("input", { type: "search", placeholder: "Name", "aria-label": "Find somebody", autocomplete: "off", oninput: show });
  search.hidden = people.length < SEARCH_FROM;
  const dialog = make(
    "dialog",
    { class: "dialog friend-sheet", "aria-labelledby": "friend-sheet-title" },
    make("h2", { id: "friend-sheet-title" }, "Friends"),
    make("p", { class: "muted" }, "Whom you ask is told your name. Whoever goes by another name here cannot be asked. All your friends are on ", make("a", { href: "/friends", target: "_blank", rel: "noopener" }, "your page"), "."),
    search,
    said,
    trouble,
    list,
    more,
    make("form", { method: "dialog", class: "actions" }, make("button", { class: "button" }, "Close")),
  );
  let circle = null;
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  guarded(trouble, load);
  return dialog;

  async function load() {
    circle = await call("GET", "/v1/friends");
    show();
  }

  function show() {
    if (circle === null) return;
    const wanted = search.hidden ? "" : search.value.trim().toLowerCase();
    const found = people.filter(({ name }) => name.toLowerCase().includes(wanted));
    list.replaceChildren(...found.slice(0, MOST_SHOWN).map(row));
    const rest = found.length - MOST_SHOWN;
    setText(more, rest > 0 ? `And ${count(rest, "other")}: type a name.` : found.length ? "" : "Nobody is shown by this name.");
  }

  function row({ account_id, name }) {
    const standing = standingOf(circle, account_id);
    return make(
      "li",
      { class: "friend-row" },
      make("span", {}, make("strong", { dir: "auto" }, name), make("small", {}, STANDING_WORDS[standing])),
      make("span", { class: "row-tools" }, ...friendButtons(DOABLE[standing], { account_id, name }, { call, said, trouble, show: load })),
    );
  }
}
