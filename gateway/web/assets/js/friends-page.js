/**
 * Friends: who asks, who they are, and whom one has asked.
 */
import { byId, make, showView } from "./dom.js";
import { friendButtons } from "./friend-acts.js";
import { askedWords } from "./friend-words.js";
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

  #row(who, name, words, acts) {
    const where = {
      call: (...asked) => this.login.call(...asked),
      said: byId("friends-said"),
      trouble: byId("friends-trouble"),
      show: () => this.#show(),
    };
    return make(
      "li",
      { class: "friend-row", "data-account": who.account_id },
      make("span", {}, make("strong", { dir: "auto" }, name), make("small", {}, words)),
      make("span", { class: "row-tools" }, ...friendButtons(acts, { account_id: who.account_id, name }, where)),
    );
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
