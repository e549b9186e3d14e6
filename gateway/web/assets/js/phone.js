/**
 * The telephone number for text messages: giving one, typing the code that was sent to it, taking it back.
 */
import { byId, confirmed, setText, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { askAgainWords, checkWords, phoneWords } from "./phone-words.js";
import { steppingUp } from "./step-up.js";

const URL = "/v1/phone";

export class Phone {
  /** @param {import("./login.js").Login} login */
  constructor(login) {
    this.login = login;
    this.view = null;
    this.#on("phone-give", () => this.#give(byId("phone-number").value));
    this.#on("phone-prove", () => this.#prove(byId("phone-code").value));
    byId("phone-again").addEventListener("click", (event) =>
      whileBusy(event.currentTarget, () => this.#give(this.view.check.number)),
    );
    byId("phone-forget").addEventListener("click", (event) => whileBusy(event.currentTarget, () => this.#takeBack()));
  }

  async load() {
    await this.#guarded(async () => this.#show(await this.login.call("GET", URL)));
  }

  async #give(number) {
    await this.#guarded(async () => {
      this.#show(await steppingUp(this.login, () => this.login.call("PUT", URL, { phone: number })));
      if (this.view.check) byId("phone-code").focus();
    });
  }

  async #prove(code) {
    await this.#guarded(async () => {
      this.#show(await this.login.call("POST", `${URL}/prove`, { code }));
      byId("phone-number").value = "";
    });
  }

  async #takeBack() {
    const sure = await confirmed({
      title: "Forget your number?",
      text: "You get no text messages any more, until you give a number again.",
      yes: "Forget",
    });
    if (!sure) return;
    await this.#guarded(async () => {
      await this.login.call("DELETE", URL);
      this.#show(await this.login.call("GET", URL));
    });
  }

  #show(view) {
    this.view = view;
    setText(byId("phone-state"), phoneWords(view));
    byId("phone-give").hidden = !view.offered;
    byId("phone-prove").hidden = !view.check;
    setText(byId("phone-check"), checkWords(view.check));
    byId("phone-code").value = "";
    byId("phone-forget").hidden = !view.number && !view.check;
  }

  #on(form, work) {
    byId(form).addEventListener("submit", (event) => {
      event.preventDefault();
      whileBusy(event.target.querySelector("[type=submit]"), work);
    });
  }

  async #guarded(work) {
    let told = null;
    await guarded(byId("phone-trouble"), work, (problem) => {
      told = problem;
      return askAgainWords(problem) || problem.message;
    });
    // What is left of a code is told by the server, which counts.
    if (["wrong_code", "code_expired"].includes(told?.code)) this.#show(await this.login.call("GET", URL));
  }
}
