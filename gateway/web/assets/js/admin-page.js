/**
 * Administration: accounts of others, their logins, rooms, flags, and the audit. Everything here asks for a second factor that was shown in the last
 * minutes; when the server says so, the page asks for it and does what it was about to do.
 */
import { FlagsCard } from "./admin-flags.js";
import { RoomsCard } from "./admin-rooms.js";
import { actorWords, connectionWords, silentWords, moreWords, personWords, stateWords, suspensionWords, when, whereToFind } from "./admin-words.js";
import { byId, confirmed, make, setText, showView, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { memberPage } from "./member-page.js";
import { Problem } from "./problem.js";
import { steppingUp } from "./step-up.js";
import { count } from "./words.js";

const PAGE = 50;

class Page {
  /** @param {import("./login.js").Login} login */
  constructor(login) {
    this.login = login;
    this.found = null;
    this.about = null;
    this.before = null;
    this.asked = 0;
    this.rooms = new RoomsCard(this);
    this.flags = new FlagsCard(this);
  }

  /** One call; when it needs a fresh factor, that is asked for and the call made again. */
  call(method, path, body) {
    return steppingUp(this.login, () => this.login.call(method, path, body), { factor: true });
  }

  // -- accounts ---------------------------------------------------------------------------------------------------

  async find(typed) {
    byId("found").hidden = true;
    this.found = null;
    if (!typed.trim()) {
      this.complain("find", byId("find-who"), "Whose? Give an address or an id.");
      return;
    }
    await this.guarded("find", async () => {
      this.#show(await this.call("GET", whereToFind(typed)));
      byId("found-title").focus();
    });
  }

  #show(account) {
    this.found = account;
    setText(byId("found-title"), account.name);
    const suspended = suspensionWords(account.suspension);
    const fact = (name, words, alarm = false) => make("div", {}, make("dt", {}, name), make("dd", { class: alarm ? "is-alarm" : null }, words));
    byId("found-facts").replaceChildren(
      fact("Address", account.email),
      fact("Id", account.id),
      fact("Roles", account.roles.join(", ") || "none"),
      fact("Since", when(account.created_at_ms)),
      fact("State", suspended || "May be used", Boolean(suspended)),
    );
    const rows = account.logins.map((one) => make("li", {}, make("strong", {}, one.device || "A device without a name"), make("small", {}, `last used ${when(one.used_at_ms)}`)));
    byId("found-logins").replaceChildren(...(rows.length ? rows : [make("li", { class: "muted" }, "Logged in nowhere.")]));
    const admin = this.login.has("admin");
    for (const [act, offered] of [["suspend", !suspended], ["lift", Boolean(suspended)]]) {
      document.querySelector(`#act [value=${act}]`).hidden = !admin || !offered;
    }
    byId("found-connections").hidden = true;
    setText(byId("found-connections-trouble"), "");
    byId("found").hidden = false;
  }

  /** Where they are connected, on all nodes; ending their logins ends these, too. */
  async connections() {
    const account = this.found;
    if (!account) return;
    await this.guarded("found-connections", async () => {
      const { connections, silent } = await this.call("GET", `/v1/staff/accounts/${account.id}/connections`);
      if (this.found !== account) return; // another one was looked up meanwhile
      const rows = connections.map((one) => make("li", {}, make("strong", {}, one.device || "A device without a name"), make("small", {}, connectionWords(one))));
      if (!rows.length) rows.push(make("li", { class: "muted" }, "Connected nowhere."));
      if (silent.length) rows.push(make("li", { class: "muted" }, silentWords(silent)));
      byId("found-connections").replaceChildren(...rows);
      byId("found-connections").hidden = false;
    });
  }

  async act(what) {
    const account = this.found;
    if (!account) return;
    if (what === "audit") {
      await this.narrow(account);
      return;
    }
    const reason = byId("act-reason").value.trim();
    if (!reason) {
      this.complain("act", byId("act-reason"), "Say why; it stands in the audit.");
      return;
    }
    const where = `/v1/staff/accounts/${account.id}`;
    await this.guarded("act", async () => {
      if (what === "end") {
        const { ended } = await this.call("POST", `${where}/logins/end`, { reason });
        setText(byId("said"), `${count(ended, "login of", "logins of")} ${account.name} ended.`);
      } else if (what === "suspend") {
        const yes = await confirmed({ title: `Suspend ${account.name}?`, text: "Nobody gets in with this account until it is lifted, and all its logins end now.", yes: "Suspend" });
        if (!yes) return;
        await this.call("PUT", `${where}/suspension`, { reason });
        setText(byId("said"), `${account.name} is suspended.`);
      } else {
        await this.call("DELETE", `${where}/suspension?reason=${encodeURIComponent(reason)}`);
        setText(byId("said"), `${account.name} may be used again.`);
      }
      byId("act-reason").value = "";
      this.#show(await this.call("GET", where));
      await this.audit();
    });
  }

  // -- the audit --------------------------------------------------------------------------------------------------

  async narrow(account) {
    this.about = account;
    byId("audit-about").hidden = !account;
    setText(byId("audit-about").firstElementChild, account ? `By and to ${account.email}.` : "");
    await this.audit();
    byId("audit-title").focus();
  }

  /** Reads the list anew, or goes on behind what is shown. */
  async audit({ older = false } = {}) {
    if (!this.login.has("admin")) return;
    const asked = (this.asked += 1);
    await this.guarded("audit", async () => {
      const query = new URLSearchParams({ limit: String(PAGE) });
      if (this.about) query.set("account", this.about.id);
      if (byId("audit-act").value) query.set("act", byId("audit-act").value);
      if (older && this.before) query.set("before", String(this.before));
      const page = await this.call("GET", `/v1/staff/audit?${query}`);
      const state = older ? null : await this.call("GET", "/v1/staff/audit/state");
      if (asked !== this.asked) return; // overtaken
      const rows = page.entries.map((entry) => this.#row(entry));
      if (older) byId("audit").append(...rows);
      else byId("audit").replaceChildren(...rows);
      this.before = page.next_before;
      byId("audit-more").hidden = page.next_before === null;
      byId("audit-none").hidden = byId("audit").childElementCount > 0;
      if (state) {
        const { whole, words } = stateWords(state);
        setText(byId("audit-state"), words);
        byId("audit-state").dataset.whole = whole ? "yes" : "no";
        const choice = byId("audit-act");
        if (choice.childElementCount === 1) choice.append(...state.acts.map((act) => make("option", { value: act }, act)));
      }
    });
  }

  #row(entry) {
    return make(
      "tr",
      {},
      make("td", {}, when(entry.at_ms)),
      make("td", {}, entry.act),
      make("td", {}, actorWords(entry)),
      make("td", {}, personWords(entry)),
      make("td", {}, moreWords(entry), entry.reason ? make("small", {}, entry.reason) : null),
    );
  }

  complain(form, field, words) {
    setText(byId(`${form}-trouble`), words);
    field.setAttribute("aria-invalid", "true");
    field.focus();
  }

  guarded(form, work) {
    for (const field of document.querySelectorAll(`#${form} [aria-invalid]`)) field.removeAttribute("aria-invalid");
    return guarded(byId(`${form}-trouble`), work);
  }
}

let page = null;

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(event.target.querySelector("[type=submit]"), () => page.find(byId("find-who").value));
});
byId("act").addEventListener("submit", (event) => {
  event.preventDefault();
  const button = event.submitter ?? event.target.querySelector("[type=submit]");
  whileBusy(button, () => page.act(button.value));
});
byId("audit-filter").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(event.target.querySelector("[type=submit]"), () => page.audit());
});
byId("found-connect").addEventListener("click", (event) => whileBusy(event.currentTarget, () => page.connections()));
byId("rooms-show").addEventListener("click", (event) => whileBusy(event.currentTarget, () => page.rooms.show()));
byId("rooms-more").addEventListener("click", (event) => whileBusy(event.currentTarget, () => page.rooms.show({ older: true })));
byId("room-more").addEventListener("click", (event) => whileBusy(event.currentTarget, () => page.rooms.people()));
byId("room-act").addEventListener("submit", (event) => {
  event.preventDefault();
  const button = event.target.querySelector("[type=submit]");
  if (!button.hidden) whileBusy(button, () => page.rooms.end()); // Enter in the reason ends nothing for whoever may not
});
byId("flags-show").addEventListener("click", (event) => whileBusy(event.currentTarget, () => page.flags.show()));
byId("flags-act").addEventListener("submit", (event) => event.preventDefault());
byId("audit-all").addEventListener("click", () => page.narrow(null));
byId("audit-more").addEventListener("click", (event) => whileBusy(event.currentTarget, () => page.audit({ older: true })));

await memberPage({
  meanwhile: "You can go on meanwhile.",
  async enter(login) {
    try {
      await login.reload(); // a role may have been given or taken since
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
    }
    if (!login.has("admin") && !login.has("support")) {
      showView("closed");
      return;
    }
    page = new Page(login);
    for (const part of document.querySelectorAll("[data-for=admin]")) part.hidden = !login.has("admin");
    showView("home");
    await page.audit();
  },
});
