/**
 * The desk at which a script is written: typed, checked by the server while it is typed, seen as a picture, stored where it belongs
 * (script-homes.js). What was written elsewhere can be the beginning.
 */
import { newKey } from "./cue.js";
import { byId, confirmed, setText, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { Problem } from "./problem.js";
import { ScriptEditor } from "./script-editor.js";
import { ScriptLabel } from "./script-label.js";
import { profileOf, whole } from "./script-model.js";
import { clock, count } from "./words.js";

const CHECK_AFTER_MS = 400;
const SVG = "http://www.w3.org/2000/svg";

export class ScriptDesk {
  /** @param {any} login @param {any} home where it belongs @param {any} stored what `home.read()` gave */
  constructor(login, home, { script, revision }) {
    this.login = login;
    this.home = home;
    this.revision = revision;
    this.asked = 0;
    this.changes = 0;
    this.timer = 0;
    this.editor = new ScriptEditor(byId("editor"), whole(script), () => this.#changed());
    byId("save").addEventListener("click", ({ currentTarget }) =>
      whileBusy(currentTarget, () => (home.mine ? this.#save() : this.#copy())),
    );
    byId("begin").addEventListener("submit", (event) => {
      event.preventDefault();
      whileBusy(event.submitter, () => this.#beginWith(byId("begin-with").value));
    });
    byId("keep").addEventListener("submit", (event) => {
      event.preventDefault();
      whileBusy(event.submitter, () => this.#keep(byId("keep-name").value));
    });
    byId("keep").hidden = Boolean(home.label);
    byId("keep-name").value = home.name ?? "";
    byId("written").disabled = !home.mine;
    setText(byId("save"), home.mine ? "Store" : "Copy into my library");
    this.#labelled();
    this.#picture();
    addEventListener("beforeunload", (event) => this.unsaved && event.preventDefault());
  }

  /** The title of the page, and the label of the script where it has one. */
  #labelled() {
    const { about = "", label, title } = this.home;
    setText(byId("script-title"), title);
    setText(byId("script-about"), about);
    byId("script-about").hidden = !about;
    this.label = label && new ScriptLabel(byId("label"), label, () => this.#changed());
  }

  #changed() {
    this.unsaved = true;
    this.changes += 1;
    setText(byId("script-said"), "");
    this.#picture();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#check(), CHECK_AFTER_MS);
  }

  /** What the server says of it; an answer that was overtaken by another change counts no more. */
  async #check() {
    const asked = (this.asked += 1);
    let refused = null;
    try {
      await this.home.check(this.editor.script, this.revision);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      refused = problem;
    }
    if (asked === this.asked) this.#show(refused);
  }

  #show(refused) {
    const placed = [this.editor.refuse(refused), this.label?.refuse(refused)].some(Boolean);
    setText(byId("script-trouble"), refused && !placed ? refused.message : "");
    byId("save").disabled = Boolean(refused?.path);
  }

  async #save() {
    clearTimeout(this.timer);
    this.asked += 1;
    const { changes } = this;
    try {
      this.revision = await this.home.store(this.editor.script, this.revision);
      setText(byId("script-title"), this.home.title);
      if (changes !== this.changes) return; // written on meanwhile: that is not stored yet
      this.unsaved = false;
      this.#show(null);
      setText(byId("script-said"), this.home.stored);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#show(problem);
      if (problem.code === "changed_meanwhile") await this.#overtaken(problem);
    }
  }

  /** Somebody has stored another one since: whose is to stay is for the coach to say. */
  async #overtaken(problem) {
    const mine = await confirmed({
      title: "Put yours in its place?",
      text: this.home.overtaken,
      yes: "Yes, store mine",
      no: "Show me theirs",
    });
    if (mine) {
      this.revision = problem.data.revision;
      await this.#save();
      return;
    }
    await guarded(byId("script-trouble"), async () => {
      const { script, revision } = await this.home.read();
      this.revision = revision;
      this.editor.take(whole(script));
      this.unsaved = false;
      this.#labelled();
      this.#picture();
      this.#show(null);
    });
  }

  /** Begins with another script; `other` is its address behind `/v1/`. */
  async #beginWith(other) {
    await guarded(
      byId("script-trouble"),
      async () => {
        const { script } = await this.login.call("GET", `/v1/${other}`);
        this.editor.take(whole(script));
        this.#changed();
      },
      (problem) => (problem.code === "not_found" ? "There is no script any more." : problem.message),
    );
  }

  /** Keeps what is written here in the library, too. The same again, after an answer that did not come, is the same wish. */
  async #keep(name) {
    const said = { label: { name }, script: this.editor.script };
    if (JSON.stringify(said) !== this.kept?.said) this.kept = { said: JSON.stringify(said), key: newKey() };
    await guarded(byId("script-trouble"), async () => {
      await this.login.call("POST", "/v1/scripts", { ...said, key: this.kept.key });
      setText(byId("script-said"), `Kept in your library as “${name}”.`);
    });
  }

  async #copy() {
    await guarded(byId("script-trouble"), async () => {
      location.hash = `#library=${encodeURIComponent(await this.home.copy())}`;
    });
  }

  #picture() {
    const { bars, cues, durationMs } = profileOf(this.editor.script);
    const svg = byId("profile");
    svg.replaceChildren(
      ...bars.map(({ x, width, height, zone, words }) => {
        const bar = shape("rect", {
          x: x * 1_000,
          y: 200 - height * 190,
          width: Math.max(width * 1_000 - 1, 0.5),
          height: height * 190,
          "data-zone": zone,
        });
        bar.append(Object.assign(shape("title", {}), { textContent: words }));
        return bar;
      }),
      ...cues.map(({ x }) => shape("line", { x1: x * 1_000, x2: x * 1_000, y1: 0, y2: 200, class: "cue-mark" })),
    );
    setText(byId("lasts"), `${clock(durationMs)} in ${count(bars.length, "interval")}`);
  }
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}
