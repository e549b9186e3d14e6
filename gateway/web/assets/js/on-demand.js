/**
 * The classes on demand, on the page of classes: what there is, and starting one for oneself and whoever is given its code.
 */
import { byId, make, setText, whileBusy } from "./dom.js";
import { newKey } from "./cue.js";
import { LEVEL_WORDS, needsWords, teamsWords } from "./offer-words.js";
import { Problem } from "./problem.js";
import { clock, namesIn } from "./words.js";

const SHOWN = 20;

export class OnDemand {
  /** @param {import("./login.js").Login} login @param {() => ReadonlySet<string>} held what one is entitled to now */
  constructor(login, held) {
    this.login = login;
    this.held = held;
    /** The key of a start whose answer has not come, by what was asked for: asked again, it is the same class. */
    this.keys = new Map();
  }

  async load() {
    setText(byId("demand-trouble"), "");
    try {
      const { on_demand: found } = await this.login.call("GET", `/v1/on-demand?limit=${SHOWN}`);
      byId("demand").replaceChildren(...found.map((each) => this.#entry(each)));
      byId("demand-empty").hidden = found.length > 0;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      setText(byId("demand-trouble"), problem.message);
    }
  }

  #entry(each) {
    const { terms } = each;
    const trouble = make("p", { class: "trouble", role: "alert" });
    const needs = needsWords(terms, this.held());
    const about = [`up to ${terms.places ?? 20}`, LEVEL_WORDS[terms.level ?? "all"]];
    if (terms.teams?.length) about.push(teamsWords(terms));
    if (terms.equipment?.length) about.push(`bring: ${terms.equipment.join(", ")}`);
    const teams = make("textarea", { rows: 2, id: `teams-${each.id}` });
    teams.value = (terms.teams ?? []).join("\n");
    const may = !terms.needs || this.held().has(terms.needs);
    return make(
      "li",
      { class: "offer card", "data-id": each.id },
      make("span", { class: "offer-time" }, clock(each.duration_ms)),
      make(
        "div",
        { class: "offer-words" },
        make("h4", {}, terms.title),
        make("p", { class: "muted" }, `by ${each.coach_name} · ${about.join(" · ")}`),
        needs ? make("p", { class: "muted" }, needs) : null,
        may
          ? make(
              "details",
              { class: "field" },
              make("summary", {}, "In teams"),
              make("label", { for: teams.id }, "One in each line, or none"),
              teams,
            )
          : null,
        trouble,
      ),
      make(
        "div",
        { class: "offer-act" },
        may
          ? make(
              "button",
              {
                class: "button",
                type: "button",
                "aria-label": `Start with others: ${terms.title}`,
                onclick: (event) => whileBusy(event.currentTarget, () => this.#start(each, namesIn(teams.value), trouble)),
              },
              "Start with others",
            )
          : make("span", { class: "muted" }, `for who has ${terms.needs}`),
      ),
    );
  }

  async #start({ id, terms }, teams, trouble) {
    const asked = JSON.stringify(teams) === JSON.stringify(terms.teams ?? []) ? {} : { teams };
    const wish = JSON.stringify([id, asked]);
    const key = this.keys.get(wish) ?? newKey();
    this.keys.set(wish, key);
    setText(trouble, "");
    try {
      const { code } = await this.login.call("POST", `/v1/on-demand/${id}/classes`, { key, ...asked });
      location.assign(`/athlete?code=${encodeURIComponent(code)}`);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (!problem.retry) this.keys.delete(wish);
      setText(trouble, problem.message);
    }
  }
}
