/**
 * The coach's view of a live class: a card per athlete with the last three minutes as a trace.
 *
 * Traces grow by one point a second from whatever the board says then, and have a hole wherever it said nothing. Cards
 * change places at most every two seconds, and not at all while the coach points at them.
 *
 * Hundreds of athletes are on one screen: only what has changed of a card is written, browsers lay out only the cards in sight
 * (`content-visibility`), only those draw and travel, and from `MANY` on cards are rows without a trace.
 */
import { Needs, needWords, ordered, passes } from "./attention.js";
import { Trace, zoneColours } from "./canvas.js";
import { make, setText } from "./dom.js";
import { figureWithUnit } from "./metric-words.js";
import { Steps } from "./step-words.js";
import { clock, freshnessWords, zoneWords } from "./words.js";

const REORDER_MS = 2_000;
const LONG_WORTH_SAYING_MS = 10_000;
const MANY = 60; // athletes, from which on a coach looks for somebody rather than at everybody; by feeling

export class Cockpit {
  /** @param {HTMLElement} list @param {HTMLElement} counts */
  constructor(list, counts) {
    this.list = list;
    this.counts = counts;
    this.by = "attention";
    this.filter = "all";
    this.cards = new Map();
    this.needs = new Needs();
    this.steps = new Steps();
    this.chosen = new Set();
    /** Called when somebody else is chosen. */
    this.onChosen = () => {};
    this.serverNowMs = 0;
    this.lines = [];
    this.fresh = false;
    this.orderedAt = -Infinity;
    this.colours = zoneColours();
    this.pointed = false;
    this.inView = new IntersectionObserver((entries) => {
      for (const entry of entries) entry.target.classList.toggle("in-view", entry.isIntersecting);
    });
    list.addEventListener("pointerenter", (event) => {
      this.pointed = event.pointerType === "mouse";
    });
    list.addEventListener("pointerleave", () => {
      this.pointed = false;
    });
    document.addEventListener("paceline:theme", () => {
      this.colours = zoneColours();
    });
  }

  /** @param {import("./board.js").Line[]} lines @param {{fresh: boolean, serverNowMs: number}} state */
  show(lines, { fresh, serverNowMs }) {
    this.lines = lines;
    this.fresh = fresh;
    this.serverNowMs = serverNowMs;
    this.list.classList.toggle("many", lines.length >= MANY);
    const now = performance.now();
    for (const line of lines) {
      let card = this.cards.get(line.n);
      if (!card) {
        card = newCard((on) => this.#choose(line.n, on));
        this.cards.set(line.n, card);
        this.list.append(card.root);
        this.inView.observe(card.root);
        this.orderedAt = -Infinity;
      }
      fill(card, line, { fresh, need: this.needs.of(line.n), serverNowMs, step: this.steps.wordsOf(line.n) });
      const hidden = !passes(this.filter, line, this.needs) && !this.chosen.has(line.n);
      if (card.root.hidden !== hidden) card.root.hidden = hidden;
    }
    if (this.cards.size > lines.length) this.#forget(new Set(lines.map(({ n }) => n)));
    this.#count();
    this.#order(now);
  }

  /** Takes away the cards of those who are no longer seen: they have decided so. */
  #forget(seen) {
    for (const [n, { root }] of this.cards) {
      if (seen.has(n)) continue;
      this.inView.unobserve(root);
      root.remove();
      this.cards.delete(n);
      if (this.chosen.delete(n)) this.onChosen();
    }
  }

  filterBy(filter) {
    this.filter = filter;
    this.show(this.lines, { fresh: this.fresh, serverNowMs: this.serverNowMs });
  }

  /** Nobody is chosen any more. */
  chooseNobody() {
    for (const n of this.chosen) {
      const card = this.cards.get(n);
      if (card) card.pick.checked = false;
    }
    this.chosen.clear();
    this.onChosen();
  }

  #choose(n, on) {
    if (on) this.chosen.add(n);
    else this.chosen.delete(n);
    this.onChosen();
  }

  sortBy(by) {
    this.by = by;
    this.orderedAt = -Infinity;
    this.#order(performance.now());
  }

  /** Once a second: one more point for every trace. */
  tick() {
    for (const line of this.lines) {
      const card = this.cards.get(line.n);
      card.trace.add(this.fresh ? line.percent : null);
      if (card.root.classList.contains("in-view")) card.trace.draw(card.canvas, this.colours);
    }
    this.show(this.lines, { fresh: this.fresh, serverNowMs: this.serverNowMs + 1_000 });
  }

  clear() {
    this.inView.disconnect();
    this.list.replaceChildren();
    this.cards.clear();
    this.chosen.clear();
    this.lines = [];
  }

  #count() {
    const sums = { live: 0, stale: 0, lost: 0, none: 0, gone: 0 };
    for (const { freshness, present } of this.lines) sums[freshness === "none" && !present ? "gone" : freshness] += 1;
    const words = { live: "live", stale: "stale", lost: "sensor lost", none: "no sensor", gone: "not here" };
    const said = this.fresh ? Object.entries(sums).filter(([state, sum]) => sum || state === "live") : [];
    const text = JSON.stringify(said);
    if (this.counted === text) return;
    this.counted = text;
    this.counts.replaceChildren(
      ...said.map(([state, sum]) =>
        make("li", { "data-state": state }, make("strong", {}, String(sum)), ` ${words[state]}`),
      ),
    );
  }

  #order(now) {
    if (this.pointed || now - this.orderedAt < REORDER_MS) return;
    this.orderedAt = now;
    const order = ordered(this.by, this.lines, this.needs).map((line) => this.cards.get(line.n));
    const before = new Map();
    const moves = order.some((card, index) => this.list.children[index] !== card.root);
    if (!moves) return;
    const glides = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    const seen = glides ? order.filter(({ root }) => root.classList.contains("in-view")) : [];
    for (const card of seen) before.set(card, card.root.getBoundingClientRect());
    arrange(this.list, order);
    for (const card of seen) glide(card.root, before.get(card));
  }
}

/** Puts the cards into this order, from the end, and moves only those that are not in their place. */
function arrange(list, order) {
  let next = null;
  for (const { root } of order.toReversed()) {
    if (root.nextSibling !== next || root.parentNode !== list) list.insertBefore(root, next);
    next = root;
  }
}

/** Lets a card that changed places travel there. */
function glide(element, from) {
  const to = element.getBoundingClientRect();
  const [dx, dy] = [from.left - to.left, from.top - to.top];
  if (!dx && !dy) return;
  element.animate([{ transform: `translate(${dx}px, ${dy}px)` }, { transform: "none" }], {
    duration: 350,
    easing: "cubic-bezier(.2,.7,.2,1)",
  });
}

function newCard(onPick) {
  const pick = make("input", { type: "checkbox", class: "ath-pick", onchange: ({ target }) => onPick(target.checked) });
  const rank = make("span", { class: "ath-rank" });
  const name = make("h2", { class: "ath-name" });
  const bpm = make("strong", { class: "ath-bpm" });
  const percent = make("span", { class: "ath-percent" });
  const chip = make("span", { class: "zone-chip" });
  const why = make("span", { class: "ath-why" });
  const effort = make("span", { class: "ath-effort" });
  const step = make("p", { class: "ath-step", hidden: true });
  const canvas = make("canvas", { class: "ath-trace", "aria-hidden": "true" });
  const root = make(
    "li",
    { class: "card ath" },
    make("div", { class: "ath-head" }, pick, rank, name, chip),
    make(
      "div",
      { class: "ath-body" },
      make("div", { class: "ath-numbers" }, bpm, make("span", { class: "ath-unit" }, "bpm"), percent),
      canvas,
    ),
    step,
    make("div", { class: "ath-foot" }, why, effort),
  );
  return { root, pick, rank, name, bpm, percent, chip, why, effort, step, canvas, trace: new Trace(), shown: "" };
}

function fill(card, line, { fresh, need, serverNowMs, step }) {
  const reason = fresh ? why(line, need, serverNowMs) : "";
  const shown = JSON.stringify([fresh, line, need.reasons, reason, step]);
  if (card.shown === shown) return;
  card.shown = shown;
  const live = fresh && line.freshness === "live" && line.bpm !== null;
  card.root.dataset.state = fresh ? line.freshness : "hidden";
  card.root.dataset.zone = live ? String(line.zone) : "";
  card.chip.dataset.zone = live ? String(line.zone) : "";
  setText(card.rank, fresh && Number.isFinite(line.rank) ? String(line.rank) : "–");
  setText(card.name, line.name);
  card.pick.setAttribute("aria-label", `Choose ${line.name}`);
  card.root.dataset.needs = fresh ? (need.reasons[0] ?? "") : "";
  setText(card.bpm, live ? String(line.bpm) : "–");
  setText(card.percent, live ? `${line.percent}%` : "");
  setText(card.chip, live ? zoneWords(line.zone) : fresh ? freshnessWords(line) : "hidden");
  setText(card.why, reason);
  setText(card.step, fresh ? step : "");
  card.step.hidden = !fresh || !step;
  setText(card.effort, fresh ? figureWithUnit(line.metric, line.figure) : "–");
}

function why(line, need, serverNowMs) {
  if (need.reasons.length === 0) return line.present ? "" : "left the room";
  const [first, ...others] = needWords(need);
  const forMs = serverNowMs - need.sinceMs;
  const long = need.reasons[0] !== "first_class" && forMs > LONG_WORTH_SAYING_MS;
  return [long ? `${first} for ${clock(forMs)}` : first, ...others].join(", ");
}
