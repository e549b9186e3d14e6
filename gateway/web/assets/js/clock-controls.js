/**
 * The clock of a class in the coach's hand: where the script is, and what can be done about it now.
 *
 * A class without a script has no clock, and then there is nothing to be seen. Each press has a key of its own, so one that is sent
 * again after an answer that did not come is done once.
 */
import { newKey } from "./cue.js";
import { make, setText, whileBusy } from "./dom.js";
import { Problem } from "./problem.js";
import { clock as clockWords } from "./words.js";

const WORDS = { waiting: "not started", running: "running", paused: "paused" };
const BUTTONS = [
  ["Start", { type: "start" }, (state) => state === "waiting"],
  ["Pause", { type: "pause" }, (state) => state === "running"],
  ["Go on", { type: "resume" }, (state) => state === "paused"],
  ["Next interval", { type: "skip" }, (state) => state !== "waiting"],
  ["One minute more", { type: "extend", by_ms: 60_000 }, (state) => state !== "waiting"],
];

/** Class time at a server time (docs/systems/class-clock.md). */
export function classTime(clock, serverMs) {
  let left = clock.state === "running" ? Math.max(serverMs - clock.at_ms, 0) : 0;
  let at = clock.class_ms;
  for (const [where, rest] of clock.rests ?? []) {
    if (left < where - at) return at + left;
    left -= where - at;
    at = where;
    if (left < rest) return at;
    left -= rest;
  }
  return Math.min(at + left, clock.duration_ms);
}

export class ClockControls {
  /** @param {HTMLElement} element @param {(command: any, key: string) => Promise<any>} send */
  constructor(element, send) {
    this.element = element;
    this.clock = null;
    this.at = make("strong", { class: "clock-at" });
    this.trouble = make("span", { class: "trouble", role: "alert" });
    this.buttons = BUTTONS.map(([label, command, fits]) => {
      const button = make("button", { class: "button button-small", type: "button" }, label);
      let key = newKey();
      button.addEventListener("click", () =>
        whileBusy(button, async () => {
          setText(this.trouble, "");
          try {
            this.take(await send(command, key));
          } catch (problem) {
            if (!(problem instanceof Problem)) throw problem;
            setText(this.trouble, problem.message);
            if (problem.retry) return;
          }
          key = newKey();
        }),
      );
      return { button, fits };
    });
    element.replaceChildren(this.at, ...this.buttons.map(({ button }) => button), this.trouble);
    element.hidden = true;
  }

  /** A clock of the class; one with a lower number than the present one is older. */
  take(clock) {
    if (!clock || (this.clock && clock.n <= this.clock.n)) return;
    this.clock = clock;
    this.element.hidden = false;
    for (const { button, fits } of this.buttons) button.hidden = !fits(clock.state);
  }

  tick(serverMs) {
    if (!this.clock) return;
    const at = clockWords(classTime(this.clock, serverMs));
    setText(this.at, `${at} of ${clockWords(this.clock.duration_ms)} · ${WORDS[this.clock.state] ?? this.clock.state}`);
  }
}
