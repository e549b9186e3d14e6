/**
 * The account: where one is logged in, ending that from here, the e-mail address and the password.
 */
import { AppsAtHome } from "./apps-at-home.js";
import { byId, confirmed, make, setText, showView, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { loginWords } from "./login-words.js";
import { memberPage } from "./member-page.js";
import { Problem } from "./problem.js";
import { SecondFactor, wireSecondFactor } from "./second-factor.js";
import { steppingUp } from "./step-up.js";
import { leaveFor, providersHere } from "./signing-in.js";
import { Vitals } from "./vitals.js";
import { count, moment } from "./words.js";
import { YourData } from "./your-data.js";

class Page {
  /** @param {import("./login.js").Login} login */
  constructor(login) {
    this.login = login;
    this.asked = 0;
    this.shown = "";
  }

  async load() {
    await guarded(byId("logins-trouble"), async () => {
      const asked = (this.asked += 1);
      const { logins } = await this.login.call("GET", "/v1/logins");
      const told = JSON.stringify(logins);
      if (asked !== this.asked || told === this.shown) return; // overtaken, or as it stands: a button keeps its focus
      this.shown = told;
      byId("logins").replaceChildren(...logins.map((one) => this.#row(one)));
      byId("end-others").hidden = logins.every(({ current }) => current);
    });
  }

  #row(one) {
    const { name, since } = loginWords(one);
    const end = make(
      "button",
      { class: "button button-small", type: "button", "aria-label": `Log out ${name}`, onclick: () => this.#end(one, name, end) },
      "Log out",
    );
    return make(
      "li",
      { class: "device" },
      make("span", {}, make("strong", {}, name), make("small", {}, since)),
      one.current ? make("span", { class: "muted" }, "This one") : end,
    );
  }

  async #end(one, name, button) {
    await whileBusy(button, () =>
      guarded(byId("logins-trouble"), async () => {
        await this.login.call("DELETE", `/v1/logins/${one.id}`);
        setText(byId("account-said"), `${name} is logged out.`);
        await this.load();
        byId("logins-title").focus();
      }),
    );
  }

  async loadProviders() {
    await guarded(byId("providers-trouble"), async () => {
      const [providers, { identities }] = await Promise.all([providersHere(), this.login.call("GET", "/v1/me/identities")]);
      const names = new Map(providers.map(({ id, name }) => [id, name]));
      byId("providers-card").hidden = !providers.length && !identities.length;
      byId("identities").replaceChildren(...identities.map((one) => this.#identity(one, names.get(one.provider) ?? one.provider)));
      const linked = new Set(identities.map(({ provider }) => provider));
      byId("linkable").replaceChildren(
        ...providers.filter(({ id }) => !linked.has(id)).map(({ id, name }) => this.#linking(id, name)),
      );
    });
  }

  #identity(one, name) {
    const remove = make(
      "button",
      { class: "button button-small", type: "button", "aria-label": `Remove ${name}`, onclick: () => this.#unlink(one, name, remove) },
      "Remove",
    );
    const since = `since ${moment(one.linked_at_ms)}`;
    return make(
      "li",
      { class: "device" },
      make("span", {}, make("strong", {}, name), make("small", {}, one.email ? `${one.email}, ${since}` : since)),
      remove,
    );
  }

  #linking(id, name) {
    const button = make(
      "button",
      {
        class: "button button-small",
        type: "button",
        onclick: () =>
          whileBusy(button, () =>
            guarded(byId("providers-trouble"), async () => {
              const begun = await this.login.call("POST", "/v1/me/identities", { provider: id });
              leaveFor(begun, { side: this.login.side, linking: true, back: location.pathname + location.search });
            }),
          ),
      },
      `Link ${name}`,
    );
    return button;
  }

  async #unlink(one, name, button) {
    await whileBusy(button, () =>
      guarded(byId("providers-trouble"), async () => {
        await this.login.call("DELETE", `/v1/me/identities/${one.id}`);
        setText(byId("account-said"), `You sign in with ${name} no more.`);
        await this.loadProviders();
        byId("providers-title").focus();
      }),
    );
  }

  async endOthers() {
    const yes = await confirmed({
      title: "Log out all other devices?",
      text: "You stay logged in here. Whatever they have not sent yet stays on them until you log in there again.",
      yes: "Log them out",
    });
    if (!yes) return;
    await guarded(byId("logins-trouble"), async () => {
      this.#ended((await this.login.call("POST", "/v1/logins/end-others")).ended);
      await this.load();
    });
  }

  async loadEmail() {
    this.#showEmail();
    await guarded(byId("email-trouble"), async () => {
      await this.login.reload();
      this.#showEmail();
    });
  }

  #showEmail() {
    const { email, verified } = this.login.account;
    setText(byId("email-now"), email);
    setText(byId("email-state"), verified ? "is confirmed." : "is not confirmed yet.");
    byId("email-confirm").hidden = verified;
  }

  async confirmEmail() {
    await guarded(byId("email-trouble"), async () => {
      await this.login.call("POST", "/v1/me/email/confirmation");
      setText(byId("account-said"), `A mail is on its way to ${this.login.account.email}. Follow the link in it.`);
    });
  }

  async changeEmail() {
    const wanted = byId("email-new");
    wanted.removeAttribute("aria-invalid");
    setText(byId("email-trouble"), "");
    const email = wanted.value.trim();
    if (!email) return this.#refuse("email-trouble", "Type the address that you want.", wanted);
    try {
      await steppingUp(this.login, () => this.login.call("PUT", "/v1/me/email", { email }));
      byId("email").reset();
      setText(byId("account-said"), `A link is on its way to ${email}. Follow it, and your account has that address.`);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.code === "step_up_needed") setText(byId("email-trouble"), problem.message);
      else this.#refuse("email-trouble", problem.message, wanted);
    }
  }

  #refuse(place, words, field) {
    setText(byId(place), words);
    field.setAttribute("aria-invalid", "true");
    field.focus();
  }

  async changePassword() {
    const old = byId("password-old");
    const wanted = byId("password-new");
    for (const field of [old, wanted]) field.removeAttribute("aria-invalid");
    const empty = [old, wanted].find((field) => !field.value);
    if (empty) {
      this.#complain(empty, "Both are needed: the password you have, and the one you want.");
      return;
    }
    try {
      setText(byId("password-trouble"), "");
      const { ended } = await steppingUp(this.login, () =>
        this.login.call("PUT", "/v1/me/password", { old: old.value, new: wanted.value }),
      );
      byId("password").reset();
      this.#ended(ended, "Your password is changed. ");
      await this.load();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      const of = problem.code === "wrong_password" ? old : problem.field === "new" ? wanted : null;
      this.#complain(of, problem.message);
    }
  }

  #complain(field, words) {
    setText(byId("password-trouble"), words);
    field?.setAttribute("aria-invalid", "true");
    field?.focus();
  }

  #ended(number, before = "") {
    const others = number ? `${count(number, "other device is", "other devices are")} logged out.` : "No other device was logged in.";
    setText(byId("account-said"), before + others);
  }
}

let page = null;
let factor = null;

wireSecondFactor(() => factor);

byId("end-others").addEventListener("click", (event) => whileBusy(event.currentTarget, () => page.endOthers()));
byId("email-confirm").addEventListener("click", (event) => whileBusy(event.currentTarget, () => page.confirmEmail()));
byId("email").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(event.target.querySelector("[type=submit]"), () => page.changeEmail());
});
byId("password").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(event.target.querySelector("[type=submit]"), () => page.changePassword());
});

await memberPage({
  meanwhile: "You can go on meanwhile.",
  async enter(login, live) {
    page = new Page(login);
    factor = new SecondFactor(login);
    factor.endScan();
    factor.hideCodes();
    const apps = new AppsAtHome(login);
    const data = new YourData(login, live);
    byId("password-name").value = login.account.email;
    showView("home");
    await Promise.all([
      page.load(),
      factor.load(),
      page.loadProviders(),
      page.loadEmail(),
      new Vitals(login).load(),
      apps.load(),
      data.load(),
    ]);
    // Another tab or device may have logged in or out while we were away, and a copy got on.
    live.watch(({ phase }) => {
      if (phase !== "connected") return;
      page.load();
      data.loadCopy();
    });
  },
});
