/**
 * A screen on which nobody can type: it shows a code and its picture, and asks every few seconds whether somebody has let it in.
 *
 * A code is good for ten minutes; then there is a new one, for an hour. After that a button gets the next, so that screens that
 * nobody needs do not take the places of others all night.
 */
import { byId, setText } from "./dom.js";
import { call } from "./http.js";
import { nextAsk } from "./pairing-words.js";
import { Problem } from "./problem.js";

const CODES = 6;
const AGAIN_MS = 30_000;

export class WaitingScreen {
  /** @param {(told: {access_token: string, expires_in_s: number, class: any}) => void} onLetIn */
  constructor(onLetIn) {
    this.onLetIn = onLetIn;
    this.stopping = null;
    byId("pair-again").addEventListener("click", () => this.start());
  }

  /** Shows codes until somebody has let the screen in, or `stop`; goes on with the code that it shows already. */
  async start() {
    if (this.stopping) return;
    const stopping = new AbortController();
    this.stopping = stopping;
    byId("pair-again").hidden = true;
    for (let codes = 0; codes < CODES && !stopping.signal.aborted; codes += 1) {
      const told = await this.#oneCode(stopping.signal);
      if (told && !stopping.signal.aborted) {
        this.stop();
        this.onLetIn(told);
        return;
      }
    }
    if (stopping.signal.aborted) return;
    this.stopping = null;
    this.#nothing("");
  }

  stop() {
    this.stopping?.abort();
    this.stopping = null;
  }

  /** @returns {Promise<any>} what the screen was given; null when this code came to nothing */
  async #oneCode(signal) {
    const begun = await this.#asked("/v1/pairings", undefined, signal);
    if (begun instanceof Problem) {
      if (!begun.retry) {
        this.#nothing(begun.message);
        this.stop();
        return null;
      }
      setText(byId("pair-trouble"), begun.message);
      await pause(begun.retryAfterMs ?? AGAIN_MS, signal);
      return null;
    }
    if (!begun) return null;
    this.#show(begun);
    let interval = begun.interval_s * 1_000;
    while (!signal.aborted) {
      await pause(interval, signal);
      const told = await this.#asked("/v1/pairings/token", { device_code: begun.device_code }, signal);
      if (!(told instanceof Problem)) return told;
      if (!told.retry) return null;
      interval = nextAsk(told, interval);
    }
    return null;
  }

  /** One call: its answer, a `Problem`, or null when it was stopped. */
  async #asked(path, body, signal) {
    if (signal.aborted) return null;
    try {
      return await call("POST", path, { body, signal });
    } catch (problem) {
      if (signal.aborted) return null;
      if (!(problem instanceof Problem)) throw problem;
      return problem;
    }
  }

  #show(begun) {
    setText(byId("pair-trouble"), "");
    const picture = new DOMParser().parseFromString(begun.picture, "image/svg+xml").documentElement;
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", "QR code of the address below");
    byId("pair-picture").replaceChildren(document.importNode(picture, true));
    setText(byId("pair-code"), begun.user_code);
    setText(byId("pair-where"), begun.verification_uri.replace(/^https?:\/\//, ""));
    byId("pairing").hidden = false;
  }

  #nothing(trouble) {
    byId("pairing").hidden = true;
    setText(byId("pair-trouble"), trouble);
    byId("pair-again").hidden = false;
  }
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
