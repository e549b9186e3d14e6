/**
 * The emergency contact: naming somebody, who is asked by mail; giving their number, which is asked by text message; and taking both
 * back.
 */
import { askLaterWords, contactPhoneWords, contactWords } from "./contact-words.js";
import { byId, confirmed, setText, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";

const URL = "/v1/emergency-contact";

export class Contact {
  /** @param {import("./login.js").Login} login */
  constructor(login) {
    this.login = login;
    byId("contact-form").addEventListener("submit", (event) => {
      event.preventDefault();
      whileBusy(event.target.querySelector("[type=submit]"), () => this.#name());
    });
    byId("contact-phone-form").addEventListener("submit", (event) => {
      event.preventDefault();
      whileBusy(event.target.querySelector("[type=submit]"), () => this.#givePhone());
    });
    byId("contact-phone-forget").addEventListener("click", ({ currentTarget }) =>
      whileBusy(currentTarget, () => this.#takePhoneBack()),
    );
    byId("contact-forget").addEventListener("click", (event) => whileBusy(event.currentTarget, () => this.#takeBack()));
  }

  async load() {
    await this.#guarded(async () => this.#show(await this.login.call("GET", URL)));
  }

  async #name() {
    await this.#guarded(async () => {
      const named = { name: byId("contact-name").value, email: byId("contact-email").value };
      this.#show(await this.login.call("PUT", URL, named));
    });
  }

  async #takeBack() {
    const sure = await confirmed({
      title: "Have nobody told?",
      text: "Nobody but your coach hears of it any more when you do not answer.",
      yes: "Take back",
    });
    if (!sure) return;
    await this.#guarded(async () => {
      await this.login.call("DELETE", URL);
      this.#show({ contact: null, phone: null });
    });
  }

  async #givePhone() {
    await this.#guarded(async () => {
      this.#showPhone(await this.login.call("PUT", `${URL}/phone`, { phone: byId("contact-phone").value }));
    });
  }

  async #takePhoneBack() {
    await this.#guarded(async () => {
      await this.login.call("DELETE", `${URL}/phone`);
      this.#showPhone(null);
    });
  }

  #showPhone(phone) {
    setText(byId("contact-phone-state"), contactPhoneWords(phone, (ms) => new Date(ms).toLocaleDateString()));
    byId("contact-phone").value = phone?.number ?? "";
    byId("contact-phone-forget").hidden = !phone;
  }

  #show({ contact, phone }) {
    byId("contact-phone-form").hidden = !contact;
    this.#showPhone(phone);
    setText(byId("contact-state"), contactWords(contact, (ms) => new Date(ms).toLocaleDateString()));
    byId("contact-name").value = contact?.name ?? "";
    byId("contact-email").value = contact?.email ?? "";
    byId("contact-forget").hidden = !contact;
  }

  #guarded(work) {
    return guarded(byId("contact-trouble"), work, (problem) => askLaterWords(problem) || problem.message);
  }
}
