/**
 * Which team of a class one comes in for: asked beside the join code, before one is in. Whoever names none comes into the one with the
 * fewest members; whoever is in one stays in it, whatever is chosen here. In a heat one rides for the team of its challenge.
 */
import { make } from "./dom.js";

/** The teams that somebody who comes into a class chooses among. @param {{teams?: string[], team_rule?: string} | null} view */
export const choosableOf = (view) => (view?.team_rule === "sum" ? [] : (view?.teams ?? []));

/** "You ride for Red", and what became of another wish. @param {string | null} own @param {string | null} wanted */
export function ownTeamWords(own, wanted) {
  if (own === null) return "";
  return wanted === null || wanted === own
    ? `You ride for ${own}.`
    : `You ride for ${own}: you have been in it before, and who is in a team stays in it.`;
}

export class TeamChoice {
  /** @param {HTMLFieldSetElement} root @param {HTMLElement} list where its teams are written */
  constructor(root, list) {
    this.root = root;
    this.list = list;
    this.shownFor = "";
    this.hide();
  }

  /** The team that was chosen, null for whichever has the fewest. @returns {string | null} */
  get chosen() {
    return this.root.hidden ? null : this.root.querySelector("input:checked")?.value || null;
  }

  /** Whether there is something to choose. */
  get asks() {
    return !this.root.hidden;
  }

  /** Offers the teams of the class of a join code; what was chosen there stays chosen. @param {string} code @param {any} view */
  offer(code, view) {
    if (code === this.shownFor) return;
    this.shownFor = code;
    const teams = choosableOf(view);
    this.root.hidden = teams.length === 0;
    this.list.replaceChildren(
      entry("", "Whichever has the fewest", true),
      ...teams.map((name) => entry(name, name, false)),
    );
  }

  hide() {
    this.shownFor = "";
    this.root.hidden = true;
    this.list.replaceChildren();
  }
}

const entry = (value, words, checked) =>
  make("label", { class: "choice" }, make("input", { type: "radio", name: "team", value, checked }), make("span", {}, words));
