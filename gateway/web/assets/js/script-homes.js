/**
 * Where a script that is written belongs: a class, or the library. A home reads and stores it, and has it checked.
 *
 * Each has `read()`, which gives `{script, revision}` and, for the library, `label`; `check(script, revision)`; `store(script, revision)`,
 * which gives the new revision; and words for the page.
 */
import { newKey } from "./cue.js";
import { originWords } from "./library-words.js";
import { newScript } from "./script-model.js";

/** The script of a class (`/script#class=…`). */
export class ClassHome {
  constructor(login, id) {
    this.login = login;
    this.path = `/v1/classes/${encodeURIComponent(id)}`;
    this.back = { href: `/coach#class=${encodeURIComponent(id)}`, words: "Back to the class" };
    this.stored = "Stored. Start it from the class.";
    this.overtaken = "The script of this class was stored from elsewhere while you were writing.";
    this.mine = true;
    this.label = null;
  }

  /** The script that a class has, with revision 0 when it has none. */
  async read() {
    this.name ??= (await this.login.call("GET", this.path)).title;
    this.title = `Script of “${this.name}”`;
    try {
      return await this.login.call("GET", `${this.path}/script`);
    } catch (problem) {
      if (problem.code !== "not_found") throw problem;
      return { script: newScript(), revision: 0 };
    }
  }

  check(script, revision) {
    return this.login.call("POST", `${this.path}/script/check`, { script, revision });
  }

  async store(script, revision) {
    return (await this.login.call("PUT", `${this.path}/script`, { script, revision })).revision;
  }
}

/** A script in the library (`/script#library=…`, `new` for one that is not there yet). */
export class LibraryHome {
  constructor(login, id) {
    this.login = login;
    this.id = id === "new" ? null : id;
    this.key = newKey();
    this.back = { href: "/script", words: "Back to your library" };
    this.stored = "Stored in your library.";
    this.overtaken = "This script was stored from elsewhere while you were writing.";
    this.mine = true;
    this.label = { name: "", description: "", tags: [], shared: "private" };
  }

  get #path() {
    return `/v1/scripts/${encodeURIComponent(this.id)}`;
  }

  async read() {
    this.title = this.id ? "Script" : "A new script";
    if (!this.id) return { script: newScript(), revision: 0 };
    const kept = await this.login.call("GET", this.#path);
    const me = this.login.account?.id;
    this.mine = kept.owner_id === me;
    this.title = kept.label.name;
    this.about = [this.mine ? "" : `by ${kept.owner_name}`, originWords(kept.origin, me)].filter(Boolean).join(" · ");
    Object.assign(this.label, { description: "", tags: [], shared: "private" }, kept.label);
    return kept;
  }

  check(script) {
    return this.login.call("POST", "/v1/scripts/check", { script });
  }

  async store(script, revision) {
    const { label } = this;
    const kept = this.id
      ? await this.login.call("PUT", this.#path, { label, script, revision })
      : await this.#keep(label, script);
    this.title = kept.label.name;
    return kept.revision;
  }

  async #keep(label, script) {
    const said = JSON.stringify({ label, script });
    if (said !== this.said) [this.said, this.key] = [said, newKey()]; // the same again is the same wish
    const kept = await this.login.call("POST", "/v1/scripts", { key: this.key, label, script });
    this.id = kept.id;
    history.replaceState(null, "", `/script#library=${encodeURIComponent(kept.id)}`);
    return kept;
  }

  /** One's own of somebody else's; its id. */
  async copy() {
    return (await this.login.call("POST", `${this.#path}/copies`, { key: this.key })).id;
  }
}
