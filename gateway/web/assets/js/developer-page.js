/**
 * For who writes programs: keys for one's own scripts, and the apps that one has registered. A secret is shown once.
 */
import { keyWords, linesOf } from "./app-words.js";
import { copy } from "./copying.js";
import { byId, confirmed, make, setText, showView, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { memberPage } from "./member-page.js";

function showSecret(place, label, secret) {
  const input = make("input", { type: "text", readonly: true, "aria-label": label, value: secret, spellcheck: "false" });
  const said = make("span", { class: "muted", role: "status" });
  byId(place).replaceChildren(
    make(
      "div",
      { class: "secret" },
      make("strong", {}, `${label}: keep it now, it is not shown again.`),
      input,
      make("p", {}, make("button", { class: "button button-small", type: "button", onclick: () => copy(input, said) }, "Copy it"), " ", said),
    ),
  );
  input.focus();
}

class Page {
  constructor(login) {
    this.login = login;
    this.asked = { keys: 0, apps: 0 };
  }

  async load() {
    await guarded(byId("keys-trouble"), async () => {
      const { scopes } = await this.login.call("GET", "/v1/scopes");
      byId("key-scopes").replaceChildren(
        ...scopes
          .filter((each) => !each.for_services)
          .map(({ scope, allows }) => make("label", {}, make("input", { type: "checkbox", name: "scope", value: scope }), allows)),
      );
      await this.loadKeys();
      await this.loadApps();
    });
  }

  async loadKeys() {
    const asked = (this.asked.keys += 1);
    const { keys } = await this.login.call("GET", "/v1/api-keys");
    if (asked === this.asked.keys) byId("keys").replaceChildren(...keys.map((key) => this.#key(key)));
  }

  async loadApps() {
    const asked = (this.asked.apps += 1);
    const { apps } = await this.login.call("GET", "/v1/apps");
    if (asked === this.asked.apps) byId("apps").replaceChildren(...apps.map((app) => this.#app(app)));
  }

  #key(key) {
    return make(
      "li",
      { class: "device" },
      make("span", {}, make("strong", {}, key.name), make("small", {}, keyWords(key, Date.now())), make("small", {}, key.scopes.join(", "))),
      make(
        "span",
        { class: "row-tools" },
        this.#tool("New secret", `New secret for ${key.name}`, () => this.#rotateKey(key)),
        this.#tool("Revoke", `Revoke ${key.name}`, () => this.#revoke(key)),
      ),
    );
  }

  #app(app) {
    const kind = app.kind === "public" ? "on people's devices" : "on a server";
    return make(
      "li",
      { class: "device" },
      make("span", {}, make("strong", {}, app.name), make("small", {}, `client_id ${app.id}, ${kind}`), ...app.redirect_uris.map((uri) => make("small", {}, uri))),
      make(
        "span",
        { class: "row-tools" },
        app.kind === "confidential" && this.#tool("New secret", `New secret for ${app.name}`, () => this.#rotateApp(app)),
        this.#tool("Delete", `Delete ${app.name}`, () => this.#delete(app)),
      ),
    );
  }

  #tool(words, label, work) {
    const button = make(
      "button",
      { class: "button button-small", type: "button", "aria-label": label, onclick: () => whileBusy(button, work) },
      words,
    );
    return button;
  }

  async #rotateKey(key) {
    await guarded(byId("keys-trouble"), async () => {
      const { secret } = await this.login.call("POST", `/v1/api-keys/${key.id}/rotate`, {});
      showSecret("key-secret", `The new secret of ${key.name}`, secret);
      setText(byId("developer-said"), "The old secret works for another day.");
    });
  }

  async #revoke(key) {
    const text = "Whatever uses it stops working within seconds.";
    if (!(await confirmed({ title: `Revoke ${key.name}?`, text, yes: "Revoke it" }))) return;
    await guarded(byId("keys-trouble"), async () => {
      await this.login.call("DELETE", `/v1/api-keys/${key.id}`);
      byId("key-secret").replaceChildren();
      setText(byId("developer-said"), `${key.name} is revoked.`);
      await this.loadKeys();
      byId("keys-title").focus();
    });
  }

  async #rotateApp(app) {
    await guarded(byId("apps-trouble"), async () => {
      const { client_secret: secret } = await this.login.call("POST", `/v1/apps/${app.id}/rotate`, {});
      showSecret("app-secret", `The new secret of ${app.name}`, secret);
      setText(byId("developer-said"), "The old secret works for another day.");
    });
  }

  async #delete(app) {
    await guarded(byId("apps-trouble"), async () => {
      const { accounts } = await this.login.call("GET", `/v1/apps/${app.id}`);
      const text = `It is at home in ${accounts} ${accounts === 1 ? "account" : "accounts"}, and out of all of them within seconds.`;
      if (!(await confirmed({ title: `Delete ${app.name}?`, text, yes: "Delete it" }))) return;
      await this.login.call("DELETE", `/v1/apps/${app.id}`);
      byId("app-secret").replaceChildren();
      setText(byId("developer-said"), `${app.name} is deleted.`);
      await this.loadApps();
      byId("apps-title").focus();
    });
  }

  async makeKey() {
    const scopes = [...document.querySelectorAll("#key-scopes input:checked")].map(({ value }) => value);
    if (!byId("key-name").value.trim() || scopes.length === 0) {
      setText(byId("keys-trouble"), "Say what it is for, and choose at least one thing that it may do.");
      return;
    }
    const days = byId("key-days").value ? { days: Number(byId("key-days").value) } : {};
    await guarded(byId("keys-trouble"), async () => {
      const { key, secret } = await this.login.call("POST", "/v1/api-keys", { name: byId("key-name").value, scopes, ...days });
      byId("new-key").reset();
      await this.loadKeys();
      showSecret("key-secret", `The secret of ${key.name}`, secret);
    });
  }

  async registerApp() {
    const body = { name: byId("app-name").value, kind: byId("app-kind").value, redirect_uris: linesOf(byId("app-uris").value) };
    if (!body.name.trim()) {
      setText(byId("apps-trouble"), "Give it a name.");
      return;
    }
    await guarded(byId("apps-trouble"), async () => {
      const { app, client_secret: secret } = await this.login.call("POST", "/v1/apps", body);
      byId("new-app").reset();
      await this.loadApps();
      if (secret) showSecret("app-secret", `The secret of ${app.name}`, secret);
      else byId("app-secret").replaceChildren();
      setText(byId("developer-said"), `${app.name} is registered.`);
    });
  }
}

let page = null;

for (const [form, work] of [
  ["new-key", () => page.makeKey()],
  ["new-app", () => page.registerApp()],
]) {
  byId(form).addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(event.target.querySelector("[type=submit]"), work);
  });
}

await memberPage({
  meanwhile: "You can go on meanwhile.",
  async enter(login) {
    page = new Page(login);
    showView("home");
    await page.load();
  },
});
