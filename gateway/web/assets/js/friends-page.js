/**
 * Friends: who asks, who they are, and whom one has asked.
 */
import { byId, confirmed, make, setText, showView, whileBusy } from "./dom.js";
import { LABELS, askedWords, doneWords, requestOf } from "./friend-words.js";
import { guarded } from "./guarded.js";
import { memberPage } from "./member-page.js";
import { moment } from "./words.js";

class Page {
  constructor(login) {
    this.login = login;
  }

  async load() {
    await guarded(byId("friends-trouble"), () => this.#show());
  }

  async #show() {
    const { friends, asked, asking } = await this.login.call("GET", "/v1/friends");
    fill("asking", asking.map((one) => this.#row(one, one.name, `Asked ${moment(one.asked_at_ms)}`, ["accept", "decline"])));
    fill("friends", friends.map((one) => this.#row(one, one.name, `Since ${moment(one.since_ms)}`, ["part"])));
    fill("asked", asked.map((one) => this.#row(one, one.called, askedWords(one), ["withdraw"])));
    byId("asking-card").hidden = asking.length === 0;
    byId("asked-card").hidden = asked.length === 0;
    byId("nobody").hidden = friends.length > 0;
  }

  #row({ account_id: account }, name, words, acts) {
    return make(
      "li",
      { class: "friend-row", "data-account": account },
      make("span", {}, make("strong", { dir: "auto" }, name), make("small", {}, words)),
      make("span", { class: "row-tools" }, ...acts.map((act) => this.#button(act, account, name))),
    );
  }

  #button(act, account, name) {
    const look = { accept: "button-primary", part: "button-danger" }[act] ?? "";
    const button = make(
      "button",
      {
        class: `button button-small ${look}`,
        type: "button",
        "aria-label": `${LABELS[act]}: ${name}`,
        onclick: () => whileBusy(button, () => this.#do(act, account, name)),
      },
      LABELS[act],
    );
    return button;
  }

  /** Does it, shows everything as it is then, also after a refusal, and says what was done. */
  async #do(act, account, name) {
    const text = "They are not told. To be friends again it takes both of you.";
    if (act === "part" && !(await confirmed({ title: `Part from ${name}?`, text, yes: "Part" }))) return;
    setText(byId("friends-said"), "");
    await guarded(byId("friends-trouble"), async () => {
      const answer = await this.login.call(...requestOf(act, account, name)).finally(() => this.#show());
      setText(byId("friends-said"), doneWords(act, name, answer));
    });
  }
}

function fill(id, rows) {
  byId(id).replaceChildren(...rows);
}

await memberPage({
  meanwhile: "You can go on meanwhile.",
  async enter(login, live) {
    const page = new Page(login);
    showView("home");
    // Somebody asks, or has said yes: it stands in the inbox as well, and comes here by itself.
    live.on("notification.new", ({ notification }) => notification.topic.startsWith("friend.") && page.load());
    await page.load();
  },
});
