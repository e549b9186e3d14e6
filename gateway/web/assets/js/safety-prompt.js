/**
 * The question whether somebody is all right, over everything else, until it is answered or over.
 *
 * It comes over the socket; what was missed while away is asked for after every connect.
 */
import { make, setText, whileBusy } from "./dom.js";
import { Problem } from "./problem.js";
import { askedWords, isNews, leftS, nextWords } from "./safety-words.js";

const AGAIN_MS = 3_000;

/** @param {import("./live.js").Live} live @param {import("./login.js").Login} login */
export function followSafety(live, login) {
  const prompt = new SafetyPrompt((incident) => live.ask("safety.cancel", { incident }));
  live.on("safety.prompt", (incident) => prompt.take(incident));
  let connected = false;
  let again = 0;
  live.watch(({ phase }) => {
    const before = connected;
    connected = phase === "connected";
    if (phase === "over") prompt.close();
    if (connected && !before) look();
  });

  async function look() {
    clearTimeout(again);
    try {
      const { incident } = await login.call("GET", "/v1/safety");
      if (incident) prompt.take(incident);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      console.info("whether a question is open is not known:", problem.message);
      if (problem.retry) again = setTimeout(() => live.connected && look(), problem.retryAfterMs ?? AGAIN_MS);
    }
  }
}

class SafetyPrompt {
  /** @param {(incident: string) => Promise<any>} cancel */
  constructor(cancel) {
    this.cancel = cancel;
    this.known = null;
    this.dialog = null;
    this.timer = 0;
  }

  take(incident) {
    if (!isNews(this.known, incident)) return;
    this.known = incident;
    if (["cancelled", "closed"].includes(incident.state)) this.close();
    else this.#show();
  }

  close() {
    clearInterval(this.timer);
    this.dialog?.close();
    this.dialog?.remove();
    this.dialog = null;
  }

  #show() {
    if (!this.dialog) {
      this.why = make("p", { id: "safety-why" });
      this.next = make("p", { id: "safety-next", class: "muted" });
      this.trouble = make("p", { class: "trouble", role: "alert" });
      const well = make("button", { class: "button button-primary button-wide", type: "button" }, "I am all right");
      well.addEventListener("click", () => whileBusy(well, () => this.#answer()));
      const dialog = make(
        "dialog",
        {
          class: "dialog",
          closedby: "none",
          role: "alertdialog",
          "aria-labelledby": "safety-ask",
          "aria-describedby": "safety-why safety-next",
        },
        make("h2", { id: "safety-ask" }, "Are you all right?"),
        this.why,
        this.next,
        this.trouble,
        well,
      );
      // Only an answer does away with it. Browsers that do not know `closedby` close at the second Escape, or Back.
      dialog.addEventListener("cancel", (event) => event.preventDefault());
      dialog.addEventListener("close", () => this.dialog === dialog && this.#show());
      document.body.append(dialog);
      this.dialog = dialog;
      this.timer = setInterval(() => this.#tick(), 500);
    }
    if (!this.dialog.open) this.dialog.showModal();
    setText(this.why, askedWords(this.known));
    this.#tick();
  }

  #tick() {
    setText(this.next, nextWords(this.known, leftS(this.known, Date.now())));
  }

  async #answer() {
    setText(this.trouble, "");
    try {
      this.take(await this.cancel(this.known.incident));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.code === "incident_over") this.close();
      else setText(this.trouble, `${problem.message} Try again.`);
    }
  }
}
