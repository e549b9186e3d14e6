/**
 * All words that people can be told, for those who write them: one template at a time, its languages side by side, on every channel.
 *
 * The admin token stays in this tab (sessionStorage), as on the page of the sockets. A mail is shown in a frame that may run nothing and
 * knows nothing of this page.
 */
import { byId, make, setText, showView, whileBusy } from "./dom.js";
import { call } from "./http.js";
import { mailFrame } from "./mail-frame.js";
import { Problem } from "./problem.js";
import { count } from "./words.js";

const KEY = "paceline.admin";
const LANGUAGES = { en: "English", de: "Deutsch" };

class Page {
  constructor() {
    this.previews = [];
    byId("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const button = event.submitter ?? byId("token-form").querySelector("button");
      whileBusy(button, () => this.#ask(byId("token").value.trim()));
    });
    byId("forget").addEventListener("click", () => this.#leave(""));
    byId("template").addEventListener("change", () => this.#offerExamples());
    for (const id of ["example", "width"]) byId(id).addEventListener("change", () => this.#show());
  }

  async enter() {
    const token = sessionStorage.getItem(KEY);
    if (token) await this.#ask(token);
    else this.#leave("");
  }

  async #ask(token) {
    if (!token) {
      this.#leave("Enter the admin token.");
      return;
    }
    const zone = new URLSearchParams({ time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC" });
    try {
      this.previews = (await call("GET", `/v1/operations/words?${zone}`, { token })).previews;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#leave(problem.message);
      return;
    }
    sessionStorage.setItem(KEY, token);
    byId("forget").hidden = false;
    const names = [...new Set(this.previews.map(nameOf))];
    byId("template").replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    this.#offerExamples();
    showView("shown");
  }

  #leave(trouble) {
    sessionStorage.removeItem(KEY);
    byId("token").value = "";
    byId("forget").hidden = true;
    setText(byId("token-trouble"), trouble);
    showView("ask", { focus: false });
    byId("token").focus();
  }

  #offerExamples() {
    const examples = new Set(this.#chosen().map(({ example }) => example));
    byId("example").replaceChildren(
      ...[...examples].map((number) => make("option", { value: number }, String(number + 1))),
    );
    this.#show();
  }

  #chosen() {
    return this.previews.filter((preview) => nameOf(preview) === byId("template").value);
  }

  #show() {
    const example = Number(byId("example").value);
    const shown = this.#chosen().filter((preview) => preview.example === example);
    byId("languages").replaceChildren(...shown.map(column));
  }
}

const nameOf = ({ template, version }) => `${template} ${version}`;

function column({ language, inbox, push, sms, mail }) {
  return make(
    "section",
    { class: "language", lang: language },
    make("h2", {}, LANGUAGES[language] ?? language),
    inbox && part("Inbox", make("strong", {}, inbox.title), make("p", {}, inbox.body)),
    push && part("Push", make("strong", {}, push.title), make("p", {}, push.body)),
    sms && part(`SMS, ${count(sms.segments, "segment")}`, make("p", {}, sms.text)),
    part(
      "Mail",
      make("strong", {}, mail.subject),
      mailFrame(mail, byId("width").value),
      make("details", {}, make("summary", {}, "As text"), make("pre", {}, mail.text)),
    ),
  );
}

const part = (name, ...what) =>
  make("section", { class: "card part" }, make("h3", { class: "small-title" }, name), ...what);

const page = new Page();
await page.enter();
