/**
 * Writing the script of a class: typed, checked by the server while it is typed, seen as a picture, stored for the class
 * (`/script#class=…`). Another class's script can be the beginning.
 */
import { accountForm } from "./account-form.js";
import { byId, confirmed, make, setText, showView, whileBusy } from "./dom.js";
import { showInboxLink } from "./inbox-link.js";
import { Login } from "./login.js";
import { Problem } from "./problem.js";
import { ScriptEditor } from "./script-editor.js";
import { newScript, profileOf, whole } from "./script-model.js";
import { clock, count } from "./words.js";

const CHECK_AFTER_MS = 400;
const SVG = "http://www.w3.org/2000/svg";

const login = new Login("coach");
const classId = new URLSearchParams(location.hash.slice(1)).get("class");
const path = `/v1/classes/${encodeURIComponent(classId ?? "")}/script`;
let shownFor = null;
let page = null;

login.onChange(() => {
  if ((login.account?.id ?? null) !== shownFor) enter();
});
byId("log-out").addEventListener("click", () => login.logOut());

async function enter() {
  const { account } = login;
  shownFor = account?.id ?? null;
  setText(byId("who"), account?.name ?? "");
  byId("log-out").hidden = !account;
  showInboxLink(login);
  if (!account) {
    accountForm(document.querySelector("[data-view=account]"), login, { as: "a coach", onDone: () => {} });
    showView("account");
    return;
  }
  showView("script");
  byId("to-class").href = `/coach#class=${encodeURIComponent(classId ?? "")}`;
  if (!classId) {
    setText(byId("script-trouble"), "Open this page from one of your classes.");
    return;
  }
  try {
    const view = await login.call("GET", `/v1/classes/${encodeURIComponent(classId)}`);
    setText(byId("script-title"), `Script of “${view.title}”`);
    page ??= new Page(await stored(path));
    await beginnings();
  } catch (problem) {
    told(problem);
  }
}

/** The script that a class has, with revision 0 when it has none. */
async function stored(from) {
  try {
    return await login.call("GET", from);
  } catch (problem) {
    if (problem.code !== "not_found") throw problem;
    return { script: newScript(), revision: 0 };
  }
}

/** One's other classes, whose scripts can be the beginning of this one. */
async function beginnings() {
  const { classes } = await login.call("GET", "/v1/classes");
  const others = classes.filter(({ id }) => id !== classId);
  byId("begin").hidden = others.length === 0;
  byId("begin-with").replaceChildren(...others.map(({ id, title }) => make("option", { value: id }, title)));
}

function told(problem) {
  if (!(problem instanceof Problem)) throw problem;
  setText(byId("script-trouble"), problem.message);
}

class Page {
  constructor({ script, revision }) {
    this.revision = revision;
    this.asked = 0;
    this.changes = 0;
    this.timer = 0;
    this.editor = new ScriptEditor(byId("editor"), whole(script), () => this.#changed());
    byId("save").addEventListener("click", ({ currentTarget }) => whileBusy(currentTarget, () => this.#save()));
    byId("begin").addEventListener("submit", (event) => {
      event.preventDefault();
      whileBusy(event.submitter, () => this.#beginWith(byId("begin-with").value));
    });
    this.#picture();
    addEventListener("beforeunload", (event) => this.unsaved && event.preventDefault());
  }

  #changed() {
    this.unsaved = true;
    this.changes += 1;
    setText(byId("script-said"), "");
    this.#picture();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#check(), CHECK_AFTER_MS);
  }

  get #draft() {
    return { script: this.editor.script, revision: this.revision };
  }

  /** What the server says of it; an answer that was overtaken by another change counts no more. */
  async #check() {
    const asked = (this.asked += 1);
    let refused = null;
    try {
      await login.call("POST", `${path}/check`, this.#draft);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      refused = problem;
    }
    if (asked === this.asked) this.#show(refused);
  }

  #show(refused) {
    const placed = this.editor.refuse(refused);
    setText(byId("script-trouble"), refused && !placed ? refused.message : "");
    byId("save").disabled = Boolean(refused?.path);
  }

  async #save() {
    clearTimeout(this.timer);
    this.asked += 1;
    const { changes } = this;
    try {
      const { revision } = await login.call("PUT", path, this.#draft);
      this.revision = revision;
      if (changes !== this.changes) return; // written on meanwhile: that is not stored yet
      this.unsaved = false;
      this.#show(null);
      setText(byId("script-said"), "Stored. Start it from the class.");
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
      text: "The script of this class was stored from elsewhere while you were writing.",
      yes: "Yes, store mine",
      no: "Show me theirs",
    });
    if (mine) {
      this.revision = problem.data.revision;
      await this.#save();
      return;
    }
    const { script, revision } = await stored(path);
    this.revision = revision;
    this.editor.take(whole(script));
    this.unsaved = false;
    this.#picture();
    this.#show(null);
  }

  async #beginWith(other) {
    try {
      const { script } = await login.call("GET", `/v1/classes/${encodeURIComponent(other)}/script`);
      this.editor.take(whole(script));
      this.#changed();
    } catch (problem) {
      if (problem.code !== "not_found") told(problem);
      else setText(byId("script-trouble"), "That class has no script.");
    }
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

enter();
