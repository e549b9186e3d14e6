/**
 * The people of a class, for who leads it: a dialog with everybody who is or was in it, who helps, who is muted, who was sent out,
 * and the buttons that change it. What cannot be taken back at once is asked twice.
 */
import { confirmed, make, setText, whileBusy } from "./dom.js";
import { doable, inOrder, named, standingWords } from "./people-words.js";
import { Problem } from "./problem.js";
import { count } from "./words.js";

const SEARCH_FROM = 12; // people, from which on the list is searched rather than looked through
const MOST_SHOWN = 100;

const LABELS = {
  co_coach: "Make co-coach",
  coach: "Hand over",
  none: "Take back",
  mute: "Mute",
  unmute: "Let speak",
  remove: "Send out",
  let_in: "Let in again",
};

const QUESTIONS = {
  co_coach: (name) => ({
    title: `Make ${name} a co-coach?`,
    text: "They see everybody's numbers in the cockpit, give cues, control the clock and may send athletes out.",
    yes: "Make co-coach",
  }),
  coach: (name) => ({
    title: `Hand this class over to ${name}?`,
    text: "From then on only they end it, replace its script and decide who leads it. You stay as a co-coach.",
    yes: "Hand over",
  }),
  none: (name) => ({
    title: `Take the class back from ${name}?`,
    text: "They no longer lead it, and watch from then on. You can make them a co-coach again.",
    yes: "Take back",
  }),
  remove: (name) => ({
    title: `Send ${name} out?`,
    text: "They leave the class on all their devices and cannot come back until you let them in. Their score stays.",
    yes: "Send out",
  }),
};

export class People {
  /**
   * @param {any} view the class
   * @param {{leads: () => "coach" | "co_coach", read: () => Promise<any>, ask: (event: string, payload: any) => Promise<any>}} doing
   *        as what one leads it, how its people are read, and how the server is asked to change something
   */
  constructor(view, { leads, read, ask }) {
    this.view = view;
    this.leads = leads;
    this.read = read;
    this.ask = ask;
    this.people = [];
    this.asked = 0;
    this.shown = "";
    this.trouble = make("p", { class: "trouble", role: "alert" });
    this.list = make("ul", { class: "people-list", "aria-label": "People of the class" });
    this.more = make("p", { class: "muted" });
    this.search = make("input", {
      type: "search",
      placeholder: "Name",
      "aria-label": "Find somebody",
      autocomplete: "off",
      oninput: () => this.#show(),
    });
    this.dialog = make(
      "dialog",
      { class: "dialog people", "aria-labelledby": "people-title" },
      make("h2", { id: "people-title" }, "People of this class"),
      make("p", { class: "muted" }, "Whoever is to help you joins with the code and an account of a coach."),
      this.search,
      this.trouble,
      this.list,
      this.more,
      make("form", { method: "dialog", class: "actions" }, make("button", { class: "button" }, "Close")),
    );
    document.body.append(this.dialog);
  }

  async open() {
    if (!this.dialog.open) this.dialog.showModal();
    setText(this.trouble, "");
    await this.again();
  }

  /** Somebody else may have changed it: reads it again if it is looked at. */
  async again() {
    if (!this.dialog.open) return;
    await this.#attempt(async () => {
      const asked = (this.asked += 1);
      const { people } = await this.read();
      if (asked !== this.asked) return; // read again meanwhile
      this.people = inOrder(people);
      this.#show();
    });
  }

  close() {
    this.dialog.close();
    this.dialog.remove();
  }

  #show() {
    this.search.hidden = this.people.length < SEARCH_FROM;
    const found = named(this.people, this.search.hidden ? "" : this.search.value);
    const shown = JSON.stringify([this.leads(), found]);
    if (shown === this.shown) return; // a button that is being pressed stays where it is
    this.shown = shown;
    this.list.replaceChildren(...found.slice(0, MOST_SHOWN).map((person) => this.#row(person)));
    const rest = found.length - MOST_SHOWN;
    setText(this.more, rest > 0 ? `And ${count(rest, "other")}: type a name.` : found.length ? "" : "Nobody of this name.");
  }

  #row(person) {
    return make(
      "li",
      { "data-n": person.n },
      make("span", { class: "people-name" }, make("strong", {}, person.name), make("small", {}, standingWords(person))),
      make(
        "span",
        { class: "people-actions" },
        ...doable(this.leads(), person).map((what) =>
          make(
            "button",
            {
              class: what === "remove" ? "button button-small button-danger" : "button button-small",
              type: "button",
              "aria-label": `${LABELS[what]}: ${person.name}`,
              onclick: ({ currentTarget }) => this.#do(currentTarget, what, person),
            },
            LABELS[what],
          ),
        ),
      ),
    );
  }

  async #do(button, what, { n, name }) {
    const question = QUESTIONS[what]?.(name);
    if (question && !(await confirmed(question))) return;
    await whileBusy(button, () =>
      this.#attempt(async () => {
        setText(this.trouble, "");
        await this.ask(...this.#asked(what, n));
        await this.again();
      }),
    );
  }

  #asked(what, n) {
    const about = { class_id: this.view.id, n };
    switch (what) {
      case "mute":
      case "unmute":
        return [`chat.${what}`, about];
      case "remove":
      case "let_in":
        return [`member.${what}`, about];
      default:
        return ["coach.appoint", { ...about, to: what }];
    }
  }

  async #attempt(work) {
    try {
      await work();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      setText(this.trouble, problem.message);
    }
  }
}
