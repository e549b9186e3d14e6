/**
 * The apps that may do something in one's account, and taking that back.
 */
import { atHomeWords } from "./app-words.js";
import { byId, confirmed, make, setText, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";

export class AppsAtHome {
  /** @param {import("./login.js").Login} login */
  constructor(login) {
    this.login = login;
    this.words = new Map();
  }

  async load() {
    await guarded(byId("apps-trouble"), async () => {
      const [{ apps }, { scopes }] = await Promise.all([
        this.login.call("GET", "/v1/me/apps"),
        this.login.call("GET", "/v1/scopes"),
      ]);
      this.words = new Map(scopes.map(({ scope, allows }) => [scope, allows]));
      byId("apps").replaceChildren(...apps.map((app) => this.#row(app)));
      byId("apps-card").hidden = apps.length === 0;
    });
  }

  #row(app) {
    const back = make(
      "button",
      {
        class: "button button-small",
        type: "button",
        "aria-label": `Take back what ${app.name} may do`,
        onclick: () => whileBusy(back, () => this.#takeBack(app)),
      },
      "Take it back",
    );
    const allowed = app.scopes.map((scope) => make("small", {}, this.words.get(scope) ?? scope));
    return make("li", { class: "device" }, make("span", {}, make("strong", {}, app.name), make("small", {}, atHomeWords(app)), ...allowed), back);
  }

  async #takeBack(app) {
    const text = "It can do nothing in your account any more, within seconds. What it has read before stays with it.";
    if (!(await confirmed({ title: `Take everything back from ${app.name}?`, text, yes: "Take it back" }))) return;
    await guarded(byId("apps-trouble"), async () => {
      await this.login.call("DELETE", `/v1/me/apps/${app.app_id}`);
      setText(byId("account-said"), `${app.name} may do nothing here any more.`);
      await this.load();
      byId("logins-title").focus();
    });
  }
}
