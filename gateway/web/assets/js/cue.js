/**
 * What the coach says: as a banner for everybody, and the box in which it is written.
 *
 * A cue is about now. One that comes late, because the network was away, is shown only as long as it would still be on
 * everybody else's screen.
 */
import { setText, whileBusy } from "./dom.js";
import { Problem } from "./problem.js";

export const NEWS_FOR_MS = 45_000;

/** For how many ms a cue is still to be shown. @param {{at_ms: number}} cue */
export function newsForMs({ at_ms: atMs }, nowMs) {
  return Math.max(0, Math.min(NEWS_FOR_MS, atMs + NEWS_FOR_MS - nowMs));
}

export class CueBanner {
  /** @param {HTMLElement} element with role status, so that it is read out */
  constructor(element) {
    this.element = element;
    this.timer = 0;
  }

  show(cue, nowMs) {
    const forMs = newsForMs(cue, nowMs);
    if (forMs === 0) return;
    setText(this.element, cue.text);
    this.element.hidden = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.clear(), forMs);
  }

  clear() {
    clearTimeout(this.timer);
    this.element.hidden = true;
    setText(this.element, "");
  }
}

/**
 * A form that sends cues. What could not be sent stays in the box and is sent again under the same key, so that a cue whose
 * answer was lost is not said twice.
 * @param {HTMLFormElement} form with an input, a button and an element of class `said`
 * @param {(cue: {text: string, key: string, to?: any}) => Promise<unknown>} send
 * @param {() => any} [audience] for whom it is: null, for everybody
 */
export function cueBox(form, send, audience = () => null) {
  const input = form.querySelector("input");
  const button = form.querySelector("[type=submit]");
  const said = form.querySelector(".said");
  let unsure = null;
  form.onsubmit = (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    const to = audience();
    const asked = to ? { text, to } : { text };
    const same = unsure && JSON.stringify({ ...asked, key: unsure.key }) === JSON.stringify(unsure);
    const cue = same ? unsure : { ...asked, key: newKey() };
    whileBusy(button, async () => {
      try {
        await send(cue);
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        unsure = cue;
        setText(said, problem.message);
        return;
      }
      unsure = null;
      input.value = "";
      setText(said, `Said: ${text}`);
    });
  };
}

/** Not randomUUID: pages over plain http do not have it. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
