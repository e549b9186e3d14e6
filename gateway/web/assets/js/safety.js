/**
 * Being watched over: turned on and off, with a limit of one's own or none.
 */
import { byId, setText, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { safetyWords } from "./safety-words.js";

const URL = "/v1/safety";

export class Safety {
  /** @param {import("./login.js").Login} login */
  constructor(login) {
    this.login = login;
    byId("safety-form").addEventListener("submit", (event) => {
      event.preventDefault();
      whileBusy(event.target.querySelector("[type=submit]"), () => this.#save());
    });
  }

  async load() {
    await this.#guarded(async () => this.#show(await this.login.call("GET", URL)));
  }

  async #save() {
    const own = byId("safety-limit").value.trim();
    await this.#guarded(async () => {
      const chosen = { on: byId("safety-on").checked, limit_bpm: own ? Number(own) : null };
      this.#show(await this.login.call("PUT", URL, chosen));
    });
  }

  #show(view) {
    setText(byId("safety-state"), safetyWords(view));
    byId("safety-on").checked = view.on;
    byId("safety-limit").value = view.limit_source === "own" ? view.limit_bpm : "";
  }

  #guarded(work) {
    return guarded(byId("safety-trouble"), work, (problem) =>
      problem.code === "bad_shape" ? "A limit is a number from 90 to 230 bpm." : problem.message,
    );
  }
}
