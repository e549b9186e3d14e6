/**
 * What the sockets of one node do, for those who look after it: counters, and the slowest connections, asked for every two
 * seconds while somebody looks.
 *
 * The admin token stays in this tab (sessionStorage): a shared computer forgets it with the tab, and no other page reads it.
 */
import { byId, make, setText, showView, whileBusy } from "./dom.js";
import { call } from "./http.js";
import { Problem } from "./problem.js";
import { COLUMNS, factsOf, pressed, sorted, tallyOf } from "./sockets-words.js";

const EVERY_MS = 2_000;
const KEY = "paceline.admin";
const CLOSED = new Set(["not_authenticated", "not_found"]);

class Page {
  constructor() {
    this.token = remembered();
    this.sort = null;
    this.hold = false;
    this.seen = null;
    this.before = null;
    this.asking = null;
    this.timer = 0;
    this.rows = new Map();
    this.#head();
    byId("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enter(byId("token").value.trim(), event.submitter ?? byId("token-form").querySelector("button"));
    });
    byId("forget").addEventListener("click", () => this.#leave(""));
    byId("hold").addEventListener("click", () => this.#turnHold());
    for (const id of ["order", "limit"]) byId(id).addEventListener("change", () => this.#now());
    document.addEventListener("visibilitychange", () => this.#now());
    if (this.token) this.#now();
    else this.#leave("");
  }

  async #enter(typed, button) {
    setText(byId("token-trouble"), "");
    if (!typed) {
      this.#leave("Enter the admin token.");
      return;
    }
    this.token = typed;
    await whileBusy(button, () => this.#ask());
    if (this.seen) remember(typed);
  }

  /** Back to the question; a server that is only away is no reason to forget the token. */
  #leave(trouble, { forget = true } = {}) {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.token = "";
    this.seen = this.before = null;
    if (forget) remember("");
    this.#sign("");
    byId("token").value = "";
    byId("forget").hidden = true;
    setText(byId("token-trouble"), trouble);
    showView("ask", { focus: false });
    byId("token").focus();
  }

  #turnHold() {
    this.hold = !this.hold;
    byId("hold").setAttribute("aria-pressed", String(this.hold));
    setText(byId("hold"), this.hold ? "Go on" : "Hold");
    if (this.hold) this.#sign("connecting", "On hold");
    this.#now();
  }

  /** Asks at once, unless nobody looks. */
  #now() {
    clearTimeout(this.timer);
    if (this.token && !this.hold && !document.hidden) this.#ask();
  }

  async #ask() {
    clearTimeout(this.timer);
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    const asked = new URLSearchParams({ order: byId("order").value, limit: byId("limit").value });
    try {
      const answer = await call("GET", `/v1/operations/sockets?${asked}`, { token: this.token, signal: asking.signal });
      if (asking.signal.aborted || this.hold) return;
      this.#show(answer);
    } catch (problem) {
      if (asking.signal.aborted) return;
      if (!(problem instanceof Problem)) throw problem;
      if (CLOSED.has(problem.code) || !this.seen) {
        this.#leave(problem.message, { forget: CLOSED.has(problem.code) });
        return;
      }
      this.#sign("away", "No answer: these numbers are old");
      document.body.classList.add("is-away");
    }
    this.timer = setTimeout(() => this.#now(), EVERY_MS);
  }

  #show(answer) {
    const first = !this.seen;
    this.before = this.seen;
    this.seen = answer;
    document.body.classList.remove("is-away");
    this.#sign("connected", "Live");
    byId("forget").hidden = false;
    setText(byId("node"), answer.node);
    this.#facts(factsOf(answer, this.before));
    for (const name of ["closed", "cut", "refused"]) tally(byId(name), answer.counts[name]);
    this.#lines();
    if (first) showView("shown");
  }

  #facts(facts) {
    const list = byId("facts");
    if (list.childElementCount !== facts.length) {
      list.replaceChildren(
        ...facts.map(({ name }) =>
          make(
            "div",
            { class: "fact card" },
            make("dt", {}, name),
            make("dd", { class: "fact-value" }),
            make("dd", { class: "fact-more" }),
          ),
        ),
      );
    }
    facts.forEach(({ value, more, alarm }, at) => {
      const [, shown, words] = list.children[at].children;
      setText(shown, value);
      setText(words, more);
      list.children[at].classList.toggle("is-alarm", Boolean(alarm));
    });
  }

  #head() {
    byId("lines-head").replaceChildren(
      ...COLUMNS.map(({ key, name, number }) =>
        make(
          "th",
          { scope: "col", class: number ? "number" : null, "data-key": key },
          make("button", { type: "button", class: "sort-button", onclick: () => this.#press(key) }, name),
        ),
      ),
    );
  }

  #press(key) {
    this.sort = pressed(this.sort, key);
    for (const head of byId("lines-head").children) {
      if (head.dataset.key === this.sort?.key) head.setAttribute("aria-sort", this.sort.direction);
      else head.removeAttribute("aria-sort");
    }
    if (this.seen) this.#lines();
  }

  #lines() {
    const lines = sorted(this.seen.lines, this.sort);
    const rows = new Map();
    for (const line of lines) {
      const row = this.rows.get(line.id) ?? make("tr", {}, ...COLUMNS.map(cell));
      COLUMNS.forEach(({ show }, at) => setText(row.children[at], show(line)));
      row.classList.toggle("is-alarm", line.waiting_s >= 3);
      rows.set(line.id, row);
    }
    this.rows = rows;
    byId("lines").replaceChildren(...rows.values());
    byId("none").hidden = lines.length > 0;
  }

  #sign(phase, words = "") {
    byId("sign").hidden = !phase;
    byId("sign").dataset.phase = phase;
    setText(byId("sign-words"), words);
  }
}

const cell = ({ number, key }) =>
  key === "id" ? make("th", { scope: "row" }) : make("td", { class: number ? "number" : null });

function tally(list, counts) {
  const entries = tallyOf(counts);
  const items = entries.map(([name, number]) =>
    make("li", {}, make("span", {}, name), make("strong", {}, String(number))),
  );
  list.replaceChildren(...(items.length ? items : [make("li", { class: "muted" }, "none")]));
}

function remembered() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch (refused) {
    console.info("the token is not remembered: this browser refuses storage", refused);
    return "";
  }
}

function remember(token) {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch (refused) {
    console.info("the token is not remembered: this browser refuses storage", refused);
  }
}

new Page();
