/**
 * The library of scripts: one's own and those that are shared, found by name; copied and deleted.
 */
import { newKey } from "./cue.js";
import { byId, confirmed, make, setText, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { emptyWords, entryWords, tagsText } from "./library-words.js";

const PAGE = 30;
const FIND_AFTER_MS = 250;

export class ScriptLibrary {
  constructor(login) {
    this.login = login;
    this.asked = 0;
    this.timer = 0;
    /** The key of a copy whose answer has not come, by script: asked again, it is the same wish. */
    this.keys = new Map();
    byId("find").addEventListener("submit", (event) => {
      event.preventDefault();
      this.load();
    });
    byId("find-whose").addEventListener("change", () => this.load());
    byId("find-name").addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.load(), FIND_AFTER_MS);
    });
    byId("library-more").addEventListener("click", ({ currentTarget }) => whileBusy(currentTarget, () => this.load(this.next)));
  }

  /** The list as it is wanted; behind `after` what comes is added to it. An answer that was overtaken counts no more. */
  async load(after = null) {
    const asked = (this.asked += 1);
    const whose = byId("find-whose").value;
    const name = byId("find-name").value.trim();
    const query = new URLSearchParams({ whose, limit: String(PAGE), ...(name && { name }), ...(after && { after }) });
    await guarded(byId("library-trouble"), async () => {
      const { scripts, next_after: next } = await this.login.call("GET", `/v1/scripts?${query}`);
      if (asked !== this.asked) return;
      const rows = scripts.map((entry) => this.#row(entry));
      if (after) byId("library-list").append(...rows);
      else byId("library-list").replaceChildren(...rows);
      this.next = next;
      byId("library-more").hidden = !next;
      byId("library-empty").hidden = byId("library-list").childElementCount > 0;
      setText(byId("library-empty"), emptyWords(whose, name));
    });
  }

  #row(entry) {
    const { label } = entry;
    const me = this.login.account?.id;
    const mine = entry.owner_id === me;
    const said = [label.description, label.tags?.length ? tagsText(label.tags) : ""].filter(Boolean);
    return make(
      "li",
      { class: "script-entry card" },
      make(
        "div",
        { class: "script-words" },
        make("a", { class: "script-name", href: `/script#library=${encodeURIComponent(entry.id)}` }, label.name),
        make("p", { class: "muted" }, entryWords(entry, me)),
        ...said.map((words) => make("p", {}, words)),
      ),
      make(
        "div",
        { class: "actions" },
        this.#button("Copy", `Copy “${label.name}”`, () => this.#copy(entry)),
        mine && this.#button("Delete", `Delete “${label.name}”`, () => this.#delete(entry)),
      ),
    );
  }

  #button(words, label, work) {
    const onclick = ({ currentTarget }) => whileBusy(currentTarget, () => guarded(byId("library-trouble"), work));
    return make("button", { class: "button button-small", type: "button", "aria-label": label, onclick }, words);
  }

  async #copy({ id, label }) {
    if (!this.keys.has(id)) this.keys.set(id, newKey());
    await this.login.call("POST", `/v1/scripts/${encodeURIComponent(id)}/copies`, { key: this.keys.get(id) });
    this.keys.delete(id);
    byId("find-whose").value = "own";
    await this.load();
    setText(byId("library-said"), `“${label.name}” is copied: this one is yours.`);
  }

  async #delete({ id, label }) {
    const sure = await confirmed({
      title: `Delete “${label.name}”?`,
      text: "Classes that have taken it keep what they took.",
      yes: "Delete it",
    });
    if (!sure) return;
    await this.login.call("DELETE", `/v1/scripts/${encodeURIComponent(id)}`);
    await this.load();
    setText(byId("library-said"), `“${label.name}” is deleted.`);
  }
}
