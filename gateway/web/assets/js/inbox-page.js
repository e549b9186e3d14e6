/**
 * The inbox: what Paceline has to tell, live; and how one wants to be told.
 *
 * Mails and pushes lead here with the id of a notification behind the #. It is marked as read, and if it is about a page of its own,
 * that page is opened.
 */
import { accountForm } from "./account-form.js";
import { Contact } from "./contact.js";
import { byId, make, setText, showView, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { badgeWords, inDays, safePath, withOne, withRead } from "./inbox.js";
import { Live } from "./live.js";
import { chosenLogin } from "./login.js";
import { Phone } from "./phone.js";
import { Problem } from "./problem.js";
import { Safety } from "./safety.js";
import { Settings } from "./settings.js";
import { showStanding } from "./standing.js";
import { Devices } from "./web-push.js";

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

class Page {
  constructor() {
    this.login = chosenLogin();
    this.list = [];
    this.unread = 0;
    this.next = null;
    this.onlyUnread = false;
    this.live = null;
    this.shownFor = null;
    this.settings = new Settings(this.login, () => this.#load());
    this.devices = new Devices(this.login);
    this.phone = new Phone(this.login);
    this.safety = new Safety(this.login);
    this.contact = new Contact(this.login);
    this.login.onChange(() => {
      if ((this.login.account?.id ?? null) !== this.shownFor) this.enter();
    });
    byId("log-out").addEventListener("click", () => this.login.logOut());
    byId("only-unread").addEventListener("click", (event) => {
      this.onlyUnread = !this.onlyUnread;
      event.currentTarget.setAttribute("aria-pressed", String(this.onlyUnread));
      this.#load();
    });
    byId("read-all").addEventListener("click", (event) => whileBusy(event.currentTarget, () => this.#readAll()));
    byId("more").addEventListener("click", (event) => whileBusy(event.currentTarget, () => this.#older()));
    byId("tab-inbox").addEventListener("click", (event) => {
      event.preventDefault();
      history.pushState(null, "", location.pathname + location.search);
      this.#route();
    });
    window.addEventListener("hashchange", () => this.#route());
    window.addEventListener("popstate", () => this.#route());
    navigator.serviceWorker?.addEventListener("message", ({ data }) => {
      if (typeof data?.open === "string" && safePath(data.open)) location.assign(data.open);
    });
  }

  async enter() {
    this.live?.stop();
    this.live = null;
    byId("sign").hidden = true;
    const { account } = this.login;
    this.shownFor = account?.id ?? null;
    setText(byId("who"), account?.name ?? "");
    byId("log-out").hidden = !account;
    this.list = [];
    this.#count(0);
    if (!account) {
      const as = this.login.side === "coach" ? "a coach" : "an athlete";
      accountForm(document.querySelector("[data-view=account]"), this.login, { as, onDone: () => {} });
      showView("account");
      return;
    }
    showView("home", { focus: false });
    this.#listen();
    await this.#route();
  }

  #listen() {
    const live = new Live(this.login);
    this.live = live;
    byId("sign").hidden = false;
    showStanding(byId("sign"), live, { meanwhile: "What is new shows when we are back." });
    let first = true;
    live.watch(({ phase }) => {
      if (phase !== "connected") return;
      if (!first) this.#load(); // what was told meanwhile came to no socket
      first = false;
    });
    live.on("notification.new", ({ notification, unread }) => {
      this.list = withOne(this.list, notification);
      this.#count(unread);
      this.#show();
      setText(byId("news"), `New: ${notification.title}`);
    });
    live.on("notifications.read", (read) => {
      this.list = withRead(this.list, read, Date.now());
      this.#count(read.unread);
      this.#show();
    });
    live.start();
  }

  async #route() {
    if (!this.login.account) return;
    const where = location.hash.slice(1);
    const settings = where === "settings";
    byId("inbox").hidden = settings;
    byId("settings").hidden = !settings;
    byId(settings ? "tab-settings" : "tab-inbox").setAttribute("aria-current", "page");
    byId(settings ? "tab-inbox" : "tab-settings").removeAttribute("aria-current");
    document.title = settings ? "What you are told · Paceline" : this.#title();
    byId(settings ? "settings-title" : "inbox-title").focus({ preventScroll: true });
    if (settings) {
      await Promise.all([this.settings.load(), this.devices.load(), this.phone.load(), this.safety.load(), this.contact.load(), this.#load()]);
      return;
    }
    if (ID.test(where) && (await this.#opened(where))) return;
    await this.#load();
    if (ID.test(where)) byId("days").querySelector(`[data-id="${where}"]`)?.scrollIntoView({ block: "center" });
  }

  /** Follows a notification to the page that it is about; whether there is one. */
  async #opened(id) {
    try {
      const notification = await this.login.call("GET", `/v1/notifications/${id}`);
      await this.#mark({ ids: [id] });
      const path = safePath(notification.path);
      if (!path || path === "/inbox") return false;
      location.replace(path);
      return true;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      return false; // gone, or somebody else's: the inbox is what there is to see
    }
  }

  async #load() {
    await guarded(byId("inbox-trouble"), async () => {
      const page = await this.#page(null);
      this.list = page.notifications;
      this.next = page.next;
      this.#count(page.unread);
      this.#show();
    });
  }

  async #older() {
    await guarded(byId("inbox-trouble"), async () => {
      const page = await this.#page(this.next);
      for (const one of page.notifications) this.list = withOne(this.list, one);
      this.next = page.next;
      this.#show();
    });
  }

  #page(before) {
    const asked = new URLSearchParams({ limit: 30, unread: this.onlyUnread });
    if (before) asked.set("before", before);
    return this.login.call("GET", `/v1/notifications?${asked}`);
  }

  async #readAll() {
    const [newest] = this.list;
    if (newest) await guarded(byId("inbox-trouble"), () => this.#mark({ up_to: newest.id }));
  }

  /** Marks some as read; the socket is quicker, HTTP is there without it. */
  async #mark(read) {
    const told = this.live?.connected
      ? await this.live.ask("inbox.read", read)
      : await this.login.call("POST", "/v1/notifications/read", read);
    this.list = withRead(this.list, read, Date.now());
    this.#count(told.unread);
    this.#show();
  }

  #count(unread) {
    this.unread = unread;
    byId("badge").hidden = unread === 0;
    byId("badge").replaceChildren(badgeWords(unread), make("span", { class: "visually-hidden" }, " unread"));
    byId("read-all").disabled = unread === 0;
    if (byId("settings").hidden) document.title = this.#title();
  }

  #title() {
    return `${this.unread ? `(${badgeWords(this.unread)}) ` : ""}Inbox · Paceline`;
  }

  #show() {
    const shown = this.onlyUnread ? this.list.filter((one) => one.read_at_ms === undefined) : this.list;
    const held = document.activeElement?.closest?.("[data-id]")?.dataset.id;
    byId("days").replaceChildren(
      ...inDays(shown, new Date()).map(([day, ones]) =>
        make(
          "section",
          { class: "day" },
          make("h2", { class: "small-title" }, day),
          make("ul", { class: "notes" }, ...ones.map((one) => this.#row(one))),
        ),
      ),
    );
    // The list is made anew; whoever was in it with the keyboard stays where they were.
    if (held) byId("days").querySelector(`[data-id="${held}"] a, [data-id="${held}"] button`)?.focus();
    byId("empty").hidden = shown.length > 0;
    setText(
      byId("empty-words"),
      this.onlyUnread
        ? "All read."
        : "Nothing yet. When a workout is summed up, or your coach has news, you read it here.",
    );
    byId("more").hidden = !this.next;
  }

  #row(one) {
    const fresh = one.read_at_ms === undefined;
    const path = safePath(one.path);
    const title = [fresh && make("span", { class: "visually-hidden" }, "Unread: "), one.title];
    const leads = path && path !== "/inbox";
    return make(
      "li",
      { class: `note card${fresh ? " is-unread" : ""}`, "data-id": one.id },
      make("span", { class: "note-dot", "aria-hidden": "true" }),
      make(
        "div",
        { class: "note-words" },
        make(
          "h3",
          { class: "note-title" },
          leads ? make("a", { href: path, onclick: (event) => this.#follow(event, one, path) }, ...title) : make("span", {}, ...title),
        ),
        one.body && make("p", { class: "note-body" }, one.body),
      ),
      make("time", { class: "note-time", datetime: new Date(one.told_at_ms).toISOString() }, TIME.format(one.told_at_ms)),
      fresh &&
        make(
          "button",
          {
            class: "note-read",
            type: "button",
            "aria-label": `Mark as read: ${one.title}`,
            title: "Mark as read",
            onclick: () => guarded(byId("inbox-trouble"), () => this.#mark({ ids: [one.id] })),
          },
          tick(),
        ),
    );
  }

  /** A plain click marks first; one that opens another tab is left to the browser. */
  async #follow(event, one, path) {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    await guarded(byId("inbox-trouble"), () => this.#mark({ ids: [one.id] }));
    location.assign(path);
  }
}

function tick() {
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawn.setAttribute("viewBox", "0 0 24 24");
  drawn.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", "m5 12.5 4.5 4.5L19 7.5");
  line.setAttribute("class", "tick-line");
  drawn.append(line);
  return drawn;
}

const page = new Page();
await page.enter();
