/**
 * The chat of a room: a panel that the athlete's and the coach's pages share, behind a button in the corner.
 *
 * It makes its own elements, so a page gives it a room and nothing else. On wide screens it stands beside the page, on a phone over
 * it. What people have said goes in as text. The list is a log for screen readers: what is said now is read out, what was said
 * before is not.
 */
import { ChatLog } from "./chat-log.js";
import { messageSheet } from "./chat-sheet.js";
import { REACTIONS, mutedWords, receivedWords, refusalWords } from "./chat-words.js";
import { newKey } from "./cue.js";
import { make, setText, whileBusy } from "./dom.js";
import { Problem } from "./problem.js";

const PAGE = 50;
const NEAR_END_PX = 60;
const PEEK_MS = 6_000;
const COUNTS_MS = 3_000;
const MAX_LENGTH = 1_000; // what the wire takes; the server counts characters as a reader does

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const timeOf = (ms) => TIME.format(new Date(ms));

export class Chat {
  /**
   * @param {import("./live.js").Live} live
   * @param {{leads: boolean}} may `leads`: whether this is who leads the class, and may take down and mute
   */
  constructor(live, { leads }) {
    this.live = live;
    this.leads = leads;
    this.log = new ChatLog();
    /** @type {import("./room.js").Room | null} */
    this.room = null;
    this.unread = 0;
    this.asked = 0;
    this.meanwhile = null;
    this.unsure = null;
    this.closed = false;
    this.#build();
    const mine = (told) => !this.closed && told.class_id === this.room?.view?.id;
    live.on("reaction.counts", (told) => mine(told) && this.#counted(told.counts));
    live.on("reaction.received", (told) => mine(told) && this.#peek(receivedWords(told)));
    live.on("chat.muted", (told) => mine(told) && this.#muted(told));
  }

  /** The page is in the room, or in it again: what was said is asked for. @param {import("./room.js").Room} room */
  entered(room) {
    if (this.closed) return;
    this.room = room;
    this.launcher.hidden = false;
    this.#load();
  }

  /** Somebody says something now. @param {import("./chat-log.js").Message} message */
  said(message) {
    this.meanwhile?.push(message);
    if (!this.log.take(message)) return;
    const following = this.#atEnd();
    this.list.append(this.#entry(message));
    while (this.list.children.length > this.log.messages.length) this.list.firstElementChild.remove();
    this.older.hidden = this.log.before === null;
    if (following || this.#isOwn(message)) this.#toEnd();
    else this.newer.hidden = false;
    if (this.panel.hidden && !this.#isOwn(message)) {
      this.unread += 1;
      this.#badge();
      this.#peek(`${message.name}: ${message.text}`);
    }
  }

  /** A message was taken down. @param {string} position */
  removed(position) {
    if (!this.log.remove(position)) return;
    const entry = [...this.list.children].find(({ dataset }) => dataset.position === position);
    entry?.remove();
    this.sheet?.closeFor(position);
    this.empty.hidden = this.log.messages.length > 0;
  }

  /** Takes the panel off the page. */
  close() {
    this.closed = true;
    for (const timer of [this.peekTimer, this.countTimer, this.muteTimer, this.waitTimer]) clearTimeout(timer);
    this.sheet?.close();
    for (const element of [this.panel, this.launcher, this.peek]) element.remove();
    document.body.classList.remove("has-chat");
  }

  open() {
    this.panel.hidden = false;
    this.launcher.setAttribute("aria-expanded", "true");
    document.body.classList.add("has-chat");
    this.unread = 0;
    this.#badge();
    this.#hush();
    this.#toEnd();
    this.input.focus({ preventScroll: true });
  }

  #shut() {
    this.panel.hidden = true;
    this.launcher.setAttribute("aria-expanded", "false");
    document.body.classList.remove("has-chat");
    this.launcher.focus({ preventScroll: true });
  }

  #build() {
    this.badge = make("span", { class: "badge", hidden: true });
    this.launcher = make(
      "button",
      {
        class: "chat-launcher",
        type: "button",
        "aria-expanded": "false",
        "aria-controls": "chat",
        hidden: true,
        onclick: () => (this.panel.hidden ? this.open() : this.#shut()),
      },
      "Chat",
      this.badge,
    );
    this.peek = make("p", { class: "chat-peek", role: "status", dir: "auto", hidden: true });
    this.older = make("button", { class: "link", type: "button", hidden: true }, "Show older");
    this.older.onclick = () => whileBusy(this.older, () => this.#extend());
    this.list = make("ol", { class: "chat-list", role: "log", "aria-label": "Messages" });
    this.empty = make("p", { class: "muted chat-empty" }, "Nobody has said anything yet.");
    this.newer = make("button", { class: "button button-small chat-newer", type: "button", hidden: true }, "New messages");
    this.newer.onclick = () => this.#toEnd();
    this.status = make("p", { class: "chat-said", role: "status" });
    this.input = make("input", {
      "aria-label": "Say something to the class",
      placeholder: "Say something",
      autocomplete: "off",
      dir: "auto",
      maxlength: MAX_LENGTH,
      enterkeyhint: "send",
    });
    this.send = make("button", { class: "button button-primary", type: "submit" }, "Send");
    const shut = make("button", { class: "icon-button", type: "button", "aria-label": "Close the chat" }, "×");
    shut.onclick = () => this.#shut();
    this.panel = make(
      "aside",
      { id: "chat", class: "chat", "aria-labelledby": "chat-title", hidden: true },
      make("header", { class: "chat-head" }, make("h2", { id: "chat-title", class: "small-title" }, "Chat"), shut),
      make("div", { class: "chat-scroll", tabindex: "0", role: "group", "aria-label": "What was said" }, this.older, this.empty, this.list),
      this.newer,
      this.#reactions(),
      make("form", { class: "chat-form", novalidate: true, onsubmit: (event) => this.#submit(event) }, this.input, this.send),
      this.status,
    );
    this.scroll = this.panel.querySelector(".chat-scroll");
    this.scroll.onscroll = () => this.#atEnd() && (this.newer.hidden = true);
    this.panel.onkeydown = (event) => {
      if (event.key === "Escape" && !event.defaultPrevented) this.#shut();
    };
    document.getElementById("chat")?.remove();
    document.body.append(this.launcher, this.peek, this.panel);
  }

  #reactions() {
    this.counts = new Map();
    const buttons = REACTIONS.map(([kind, sign, word]) => {
      const count = make("span", { class: "chat-count", "aria-hidden": "true" });
      this.counts.set(kind, count);
      return make(
        "button",
        { class: "chat-react", type: "button", onclick: () => this.#react(kind) },
        make("span", { class: "chat-sign", "aria-hidden": "true" }, sign),
        make("span", {}, word),
        count,
      );
    });
    return make("div", { class: "chat-reactions", role: "group", "aria-label": "React to the class" }, ...buttons);
  }

  /** Asks for the last page; what comes live meanwhile stays. */
  async #load() {
    const asked = ++this.asked;
    this.meanwhile = [];
    this.list.setAttribute("aria-busy", "true");
    try {
      const page = await this.#ask("chat.history", { limit: PAGE });
      if (asked !== this.asked || this.closed) return;
      this.log.begin(page, this.meanwhile);
      this.#draw();
      this.#toEnd();
      this.#tell("");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      // The next join asks again; what is said from now on is shown in any case.
      if (asked === this.asked && problem.code !== "no_network") this.#tell("What was said before cannot be shown now.");
    } finally {
      if (asked === this.asked) {
        this.meanwhile = null;
        this.list.removeAttribute("aria-busy");
      }
    }
  }

  async #extend() {
    const { before } = this.log;
    if (before === null) return;
    try {
      const page = await this.#ask("chat.history", { before, limit: PAGE });
      if (this.log.before !== before) return;
      this.log.extend(page);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#tell(problem.message);
      return;
    }
    const fromEnd = this.scroll.scrollHeight - this.scroll.scrollTop;
    this.#draw();
    this.scroll.scrollTop = this.scroll.scrollHeight - fromEnd;
  }

  /** All of it anew, not to be read out. */
  #draw() {
    this.list.setAttribute("aria-live", "off");
    this.list.replaceChildren(...this.log.messages.map((message) => this.#entry(message)));
    this.older.hidden = this.log.before === null;
    this.empty.hidden = this.log.messages.length > 0;
    requestAnimationFrame(() => this.list.removeAttribute("aria-live"));
  }

  #entry(message) {
    this.empty.hidden = true;
    const own = this.#isOwn(message);
    const role = this.room?.board.member(message.n)?.role;
    const head = make(
      "p",
      { class: "chat-by" },
      make("strong", { dir: "auto" }, own ? "You" : message.name),
      role === "coach" && make("span", { class: "chat-role" }, "coach"),
      make("time", {}, timeOf(message.at_ms)),
    );
    const more = make(
      "button",
      {
        class: "chat-more",
        type: "button",
        "aria-haspopup": "dialog",
        "aria-label": `More about what ${own ? "you" : message.name} said`,
        onclick: () => this.#more(message),
      },
      "⋯",
    );
    return make(
      "li",
      { class: own ? "chat-entry is-own" : "chat-entry", "data-position": message.position },
      head,
      make("p", { class: "chat-text", dir: "auto" }, message.text),
      (!own || this.leads) && more,
    );
  }

  #more(message) {
    const member = this.room?.board.member(message.n) ?? null;
    this.sheet = messageSheet(message, {
      own: this.#isOwn(message),
      leads: this.leads,
      mutable: member?.role !== "coach",
      account: member?.account_id ?? null,
      ask: (event, payload) => this.#ask(event, payload),
      call: (method, path) => this.live.pass.call(method, path),
      onTakenDown: () => this.removed(message.position),
      onBlocked: () => {
        this.log.silence(message.n);
        this.#draw();
      },
      onUnblocked: () => this.#load(),
      say: (words) => this.#tell(words),
    });
  }

  async #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text) return;
    const key = this.unsure?.text === text ? this.unsure.key : newKey();
    await whileBusy(this.send, async () => {
      try {
        await this.#ask("chat.send", { text, key });
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        this.unsure = { text, key };
        this.#tell(refusalWords(problem, timeOf));
        if (problem.code === "rate_limited") this.#wait(problem.retryAfterMs ?? 1_000);
        return;
      }
      this.unsure = null;
      if (this.input.value.trim() === text) this.input.value = "";
      this.#tell("");
    });
  }

  /** Until something can be said again; the words stay in the box. */
  #wait(forMs) {
    clearTimeout(this.waitTimer);
    this.send.disabled = true;
    this.waitTimer = setTimeout(() => {
      this.send.disabled = false;
      this.#tell("You can send it now.");
    }, forMs);
  }

  async #react(kind) {
    try {
      await this.#ask("reaction.send", { kind });
      this.#tell("");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#tell(problem.code === "rate_limited" ? "That is plenty for now." : refusalWords(problem, timeOf));
    }
  }

  #counted(counts) {
    for (const [kind, more] of counts) {
      const shown = this.counts.get(kind);
      if (shown) setText(shown, `+${Number(shown.textContent) + more}`);
    }
    clearTimeout(this.countTimer);
    this.countTimer = setTimeout(() => {
      for (const shown of this.counts.values()) setText(shown, "");
    }, COUNTS_MS);
  }

  #muted({ muted, until_ms: untilMs = null }) {
    clearTimeout(this.muteTimer);
    clearTimeout(this.waitTimer);
    this.input.disabled = muted;
    this.send.disabled = muted;
    this.#tell(muted ? mutedWords({ until_ms: untilMs }, timeOf) : "You may speak again.");
    if (muted && untilMs !== null) {
      const forMs = untilMs - this.room.serverNowMs;
      this.muteTimer = setTimeout(() => this.#muted({ muted: false }), Math.max(0, forMs));
    }
  }

  #peek(words) {
    if (!this.panel.hidden) {
      this.#tell(words);
      return;
    }
    setText(this.peek, words);
    this.peek.hidden = false;
    clearTimeout(this.peekTimer);
    this.peekTimer = setTimeout(() => this.#hush(), PEEK_MS);
  }

  #hush() {
    clearTimeout(this.peekTimer);
    this.peek.hidden = true;
    setText(this.peek, "");
  }

  #badge() {
    this.badge.hidden = this.unread === 0;
    setText(this.badge, this.unread > 99 ? "99+" : String(this.unread));
    this.launcher.setAttribute("aria-label", this.unread ? `Chat, ${this.unread} unread` : "Chat");
  }

  #tell(words) {
    setText(this.status, words);
  }

  #ask(event, payload) {
    return this.live.ask(event, { class_id: this.room?.view?.id, ...payload });
  }

  #isOwn(message) {
    return message.n === this.room?.you?.n;
  }

  #atEnd() {
    return this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < NEAR_END_PX;
  }

  #toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.newer.hidden = true;
  }
}
