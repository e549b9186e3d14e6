/**
 * The form in which a script is written: blocks of intervals with targets and steps, and cues. It changes the script it is given in
 * place and says so; what the server says against it is shown at the field that it is about.
 */
import { make, setText } from "./dom.js";
import {
  TARGETS,
  msOf,
  newBlock,
  newGoal,
  newInterval,
  newRounds,
  newStep,
  newTarget,
  placeOf,
  timeText,
} from "./script-model.js";

const GOALS = { below: "below a heart rate", above: "above a heart rate", zone: "in zones", hrr: "in reserve %" };

export class ScriptEditor {
  /** @param {HTMLElement} root @param {any} script @param {() => void} onChange */
  constructor(root, script, onChange) {
    this.root = root;
    this.onChange = onChange;
    this.take(script);
  }

  /** Another script to write on. */
  take(script) {
    this.script = script;
    this.#draw();
  }

  /** Shows what was refused at its field; null: nothing. @returns {boolean} whether there is such a field */
  refuse(problem) {
    for (const place of this.root.querySelectorAll("[data-path]")) {
      setText(place.querySelector(":scope > .trouble"), "");
      for (const control of place.querySelectorAll(":scope > label > [aria-invalid]")) control.removeAttribute("aria-invalid");
    }
    if (!problem?.path) return false;
    const places = [...this.root.querySelectorAll("[data-path]")];
    const found = placeOf(problem.path, places.map(({ dataset }) => dataset.path));
    const place = places.find(({ dataset }) => dataset.path === found);
    if (!place) return false;
    setText(place.querySelector(":scope > .trouble"), problem.message);
    place.querySelector(":scope > label > :is(input, select)")?.setAttribute("aria-invalid", "true");
    return true;
  }

  #draw() {
    const { blocks, cues } = this.script;
    this.root.replaceChildren(
      place("$.script.blocks", "div", { class: "blocks" }, ...blocks.map((block, index) => this.#block(block, index))),
      this.#adds(blocks, newBlock, "Add a block"),
      place(
        "$.script.cues",
        "section",
        { class: "card cues", "aria-label": "Cues" },
        make("h2", {}, "Cues"),
        make("p", { class: "muted" }, "Shown to everybody when the class is at this time."),
        ...cues.map((cue, index) => this.#cue(cue, index)),
        this.#adds(cues, () => ({ at_ms: (cues.at(-1)?.at_ms ?? 0) + 60_000, text: "" }), "Add a cue"),
      ),
    );
  }

  #block(block, index) {
    const path = `$.script.blocks[${index}]`;
    return place(
      path,
      "section",
      { class: "card block", "aria-label": `Block ${index + 1}` },
      make(
        "div",
        { class: "script-row" },
        this.#text(`${path}.title`, `Title of block ${index + 1}`, block, "title", { most: 80 }),
        this.#number(`${path}.repeat`, "Times", block, "repeat", { least: 1, most: 50 }),
        this.#drops(this.script.blocks, index, `Remove block ${index + 1}`),
      ),
      ...block.intervals.map((interval, at) => this.#interval(interval, block, at, path)),
      this.#adds(block.intervals, newInterval, "Add an interval"),
    );
  }

  #interval(interval, block, index, of) {
    const path = `${of}.intervals[${index}]`;
    return place(
      path,
      "fieldset",
      { class: "interval" },
      make("legend", {}, `Interval ${index + 1}`),
      make(
        "div",
        { class: "script-row" },
        this.#time(`${path}.duration_ms`, "Lasts", interval, "duration_ms"),
        this.#text(`${path}.title`, "Title", interval, "title", { most: 80 }),
        this.#drops(block.intervals, index, `Remove interval ${index + 1}`),
      ),
      ...interval.targets.map((target, at) =>
        place(
          `${path}.targets[${at}]`,
          "div",
          { class: "script-row" },
          this.#band(interval.targets, at, TARGETS, newTarget, `${path}.targets[${at}]`, "Target"),
          this.#drops(interval.targets, at, `Remove target ${at + 1}`),
        ),
      ),
      ...interval.steps.map((step, at) => this.#step(step, interval.steps, at, `${path}.steps`)),
      make(
        "div",
        { class: "actions" },
        this.#adds(interval.targets, newTarget, "Add a target"),
        this.#adds(interval.steps, newStep, "Add a step"),
        this.#adds(interval.steps, newRounds, "Add rounds of steps"),
      ),
    );
  }

  #step(step, steps, index, of) {
    const path = `${of}[${index}]`;
    if (step.type === "rounds")
      return place(
        path,
        "div",
        { class: "rounds" },
        make(
          "div",
          { class: "script-row" },
          this.#number(`${path}.at_most`, "Rounds at most", step, "at_most", { least: 1, most: 50 }),
          this.#drops(steps, index, `Remove rounds ${index + 1}`),
        ),
        ...step.steps.map((each, at) => this.#step(each, step.steps, at, `${path}.steps`)),
        this.#until(step, `${path}.until`),
        this.#adds(step.steps, newStep, "Add a step to the round"),
      );
    return place(
      path,
      "div",
      { class: "step" },
      make(
        "div",
        { class: "script-row" },
        this.#goal(step, "goal", `${path}.goal`, "Until the heart is"),
        this.#time(`${path}.for_ms`, "For", step, "for_ms"),
        this.#field(
          `${path}.unbroken`,
          "Counted",
          "",
          select({ true: "in one piece", false: "in all" }, String(step.unbroken ?? true), (chosen) =>
            this.#set(step, "unbroken", chosen === "true"),
          ),
        ),
        this.#time(`${path}.within_ms`, "Go on after", step, "within_ms"),
        this.#field(
          `${path}.fallback`,
          "Without a sensor",
          "",
          select({ wait: "wait", skip: "skip it" }, step.fallback ?? "wait", (chosen) => this.#set(step, "fallback", chosen)),
        ),
        this.#drops(steps, index, `Remove step ${index + 1}`),
      ),
    );
  }

  #until(rounds, path) {
    const has = Boolean(rounds.until);
    const button = make(
      "button",
      { class: "button button-small", type: "button", onclick: () => this.#redo(() => toggle(rounds)) },
      has ? "Only the number of rounds" : "Also end when the heart is …",
    );
    return make("div", { class: "script-row" }, has && this.#goal(rounds, "until", path, "Or until the heart is"), button);
  }

  #goal(owner, key, path, label) {
    const goal = owner[key];
    const type = this.#pick(label, GOALS, goal.type, (chosen) => {
      owner[key] = newGoal(chosen);
    });
    if ("bpm" in goal) return place(path, "div", { class: "script-row" }, type, this.#number(`${path}.bpm`, "bpm", goal, "bpm"));
    return place(path, "div", { class: "script-row" }, type, ...this.#ends(goal, path, TARGETS[goal.type]));
  }

  #band(list, index, kinds, make_, path, label) {
    const target = list[index];
    const labels = Object.fromEntries(Object.entries(kinds).map(([type, kind]) => [type, kind.label]));
    const type = this.#pick(label, labels, target.type, (chosen) => {
      list[index] = make_(chosen);
    });
    return make("div", { class: "script-row" }, type, ...this.#ends(target, path, kinds[target.type]));
  }

  #ends(band, path, { unit, most }) {
    return [
      this.#number(`${path}.low`, "from", band, "low", { most }),
      this.#number(`${path}.high`, unit ? `to ${unit}` : "to", band, "high", { most }),
    ];
  }

  #cue(cue, index) {
    const path = `$.script.cues[${index}]`;
    return place(
      path,
      "div",
      { class: "script-row" },
      this.#time(`${path}.at_ms`, "At", cue, "at_ms"),
      this.#text(`${path}.text`, "Text", cue, "text", { most: 200 }),
      this.#drops(this.script.cues, index, `Remove cue ${index + 1}`),
    );
  }

  // -- fields -------------------------------------------------------------------------------------------------------

  #field(path, label, kind, control) {
    return place(path, "div", { class: `script-field ${kind}` }, make("label", {}, make("span", {}, label), control));
  }

  #text(path, label, owner, key, { most }) {
    const oninput = ({ target }) => this.#set(owner, key, target.value);
    return this.#field(path, label, "wide", make("input", { value: owner[key], maxlength: most, autocomplete: "off", oninput }));
  }

  #number(path, label, owner, key, { least = 0, most = 250 } = {}) {
    const oninput = ({ target }) => this.#set(owner, key, target.value === "" ? null : Number(target.value));
    const control = make("input", { type: "number", min: least, max: most, value: owner[key] ?? "", oninput });
    return this.#field(path, label, "short", control);
  }

  #time(path, label, owner, key) {
    const control = make("input", {
      value: timeText(owner[key]),
      placeholder: "m:ss",
      autocomplete: "off",
      oninput: ({ target }) => this.#set(owner, key, msOf(target.value)),
    });
    return this.#field(path, label, "short", control);
  }

  /** A choice that makes other fields. */
  #pick(label, words, chosen, take) {
    const control = select(words, chosen, (type) => this.#redo(() => take(type)));
    return make("div", { class: "script-field" }, make("label", {}, make("span", {}, label), control));
  }

  #adds(list, one, label) {
    const onclick = () => this.#redo(() => list.push(one()));
    return make("button", { class: "button button-small", type: "button", onclick }, label);
  }

  #drops(list, index, label) {
    const onclick = () => this.#redo(() => list.splice(index, 1));
    return make("button", { class: "link drop", type: "button", "aria-label": label, title: label, onclick }, "Remove");
  }

  #set(owner, key, value) {
    owner[key] = value;
    this.onChange();
  }

  #redo(change) {
    change();
    this.#draw();
    this.onChange();
  }
}

function toggle(rounds) {
  if (rounds.until) delete rounds.until;
  else rounds.until = newGoal("below");
}

function select(words, chosen, take) {
  return make(
    "select",
    { onchange: ({ target }) => take(target.value) },
    ...Object.entries(words).map(([value, word]) => make("option", { value, selected: value === chosen }, word)),
  );
}

/** A part of the form that a problem can be about, with room for it. */
function place(path, tag, attributes, ...children) {
  return make(tag, { ...attributes, "data-path": path }, ...children, make("small", { class: "trouble", role: "alert" }));
}
