/**
 * The history of one's body: what holds now first, what held before on request, a form that adds a value.
 */
import { byId, make, setText, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { typedUnit, typedValue } from "./units.js";
import { KIND_WORDS, UNITS, sinceWords, vitalWords } from "./vital-words.js";

export class Vitals {
  /** @param {import("./login.js").Login} login */
  constructor(login) {
    this.login = login;
    this.asked = 0;
    byId("vital-kind").replaceChildren(...Object.entries(KIND_WORDS).map(([kind, words]) => make("option", { value: kind }, words)));
    // Handlers, not listeners: whoever logs in next takes their place.
    byId("vital-kind").onchange = () => this.#showUnit();
    byId("vitals").onsubmit = (event) => {
      event.preventDefault();
      whileBusy(event.target.querySelector("[type=submit]"), () => this.#add());
    };
    this.#showUnit();
  }

  async load() {
    await this.#guarded(async () => {
      const asked = (this.asked += 1);
      const { vitals } = await this.login.call("GET", "/v1/me/vitals");
      if (asked === this.asked) this.#show(vitals);
    });
  }

  #showUnit() {
    setText(byId("vital-unit"), typedUnit(UNITS[byId("vital-kind").value]));
  }

  /** @param {import("./vital-words.js").Vital[]} vitals */
  #show(vitals) {
    const [now, before] = [vitals.filter(({ until_day }) => until_day === null), vitals.filter(({ until_day }) => until_day !== null)];
    byId("vitals-now").replaceChildren(...now.map((vital) => this.#row(vital)));
    byId("vitals-none").hidden = vitals.length > 0;
    byId("vitals-before").replaceChildren(...before.map((vital) => this.#row(vital)));
    byId("vitals-history").hidden = before.length === 0;
  }

  #row(vital) {
    const words = vitalWords(vital);
    const remove = make(
      "button",
      { class: "button button-small", type: "button", "aria-label": `Take out ${words}`, onclick: () => this.#remove(vital, remove) },
      "Take out",
    );
    return make("li", { class: "device" }, make("span", {}, make("strong", {}, words), make("small", {}, sinceWords(vital))), remove);
  }

  async #add() {
    const value = byId("vital-value");
    value.removeAttribute("aria-invalid");
    if (!value.value) return this.#complain("Type the value.");
    await this.#guarded(async () => {
      const kind = byId("vital-kind").value;
      const day = byId("vital-day").value;
      const added = await this.login.call("POST", "/v1/me/vitals", {
        kind,
        value: typedValue(Number(value.value), UNITS[kind]),
        ...(day ? { from_day: day } : {}),
        source: byId("vital-source").value,
      });
      value.value = "";
      byId("vital-day").value = "";
      setText(byId("account-said"), `${vitalWords(added)}, ${sinceWords(added)}.`);
      await this.load();
    });
  }

  async #remove(vital, button) {
    await whileBusy(button, () =>
      this.#guarded(async () => {
        await this.login.call("DELETE", `/v1/me/vitals/${vital.id}`);
        setText(byId("account-said"), `${vitalWords(vital)} is taken out.`);
        await this.load();
        byId("vitals-title").focus();
      }),
    );
  }

  #complain(words) {
    setText(byId("vitals-trouble"), words);
    this.#mark();
  }

  #mark() {
    byId("vital-value").setAttribute("aria-invalid", "true");
    byId("vital-value").focus();
  }

  #guarded(work) {
    return guarded(byId("vitals-trouble"), work, (problem) => {
      if (problem.field === "value") this.#mark();
      return problem.message;
    });
  }
}
