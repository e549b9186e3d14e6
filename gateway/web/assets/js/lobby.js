/**
 * The panel of a class without a coach, on the athlete's page: who is ready, one's own mark, and for whoever has started it the clock.
 *
 * It is hidden in a class with a coach. What a press is answered with is shown at once; what others do comes by the room's log.
 */
import { newKey } from "./cue.js";
import { byId, make, setText, whileBusy } from "./dom.js";
import { phaseOf, ridersOf, waitingWords } from "./lobby-words.js";
import { Problem } from "./problem.js";

export class Lobby {
  /** @param {import("./live.js").Live} live @param {string} account one's own id */
  constructor(live, account) {
    this.live = live;
    this.account = account;
    this.view = null;
    this.you = null;
    this.lobby = { ready: [], n: -1 };
    this.clock = null;
    this.element = byId("lobby");
    this.element.hidden = true;
    byId("lobby-ready").onclick = (event) => whileBusy(event.currentTarget, () => this.#mark());
    for (const [id, type] of [["lobby-start", "start"], ["lobby-pause", "pause"], ["lobby-resume", "resume"]]) {
      byId(id).onclick = (event) => whileBusy(event.currentTarget, () => this.#control({ type }));
    }
  }

  /** The class was joined, first or again. */
  entered(view, you) {
    this.view = view;
    this.you = you;
    this.element.hidden = !view.group;
    setText(byId("lobby-code"), view.code);
  }

  /** Who is ready; an older word is dropped. @param {any} lobby */
  take(lobby) {
    if (lobby && lobby.n > this.lobby.n) this.lobby = lobby;
  }

  /** The clock of the class; an older one is dropped. @param {any} clock */
  takeClock(clock) {
    if (clock && (!this.clock || clock.n > this.clock.n)) this.clock = clock;
  }

  /** @param {any[]} members of the board @param {number} now server's wall clock */
  show(members, now) {
    if (!this.view?.group) return;
    const { phase, words } = phaseOf(this.clock, now);
    const waiting = phase === "waiting";
    const starter = this.view.coach_id === this.account;
    const ready = this.lobby.ready.includes(this.you?.n);
    this.element.dataset.phase = phase;
    setText(byId("lobby-phase"), words);
    setText(byId("lobby-waits"), waiting ? waitingWords(members, this.lobby.ready) : "");
    byId("lobby-share").hidden = phase === "done";
    byId("lobby-ready").hidden = !waiting;
    byId("lobby-ready").setAttribute("aria-pressed", String(ready));
    setText(byId("lobby-ready"), ready ? "Ready ✓" : "I am ready");
    byId("lobby-start").hidden = !(starter && waiting);
    byId("lobby-pause").hidden = !(starter && (phase === "running" || phase === "countdown"));
    byId("lobby-resume").hidden = !(starter && phase === "paused");
    byId("lobby-people").hidden = !waiting;
    if (waiting) this.#people(members);
  }

  #people(members) {
    const here = ridersOf(members);
    const shown = here.map(({ n, name }) => `${n} ${this.lobby.ready.includes(n)} ${name}`).join("\n");
    if (shown === this.shown) return; // not every half second anew: a screen reader would read it every time
    this.shown = shown;
    byId("lobby-people").replaceChildren(
      ...here.map(({ n, name }) => {
        const ready = this.lobby.ready.includes(n);
        return make(
          "li",
          { class: ready ? "is-ready" : null },
          make("span", {}, n === this.you?.n ? `${name} (you)` : name),
          make("span", { class: "muted" }, ready ? "ready" : "not yet"),
        );
      }),
    );
  }

  #mark() {
    const ready = !this.lobby.ready.includes(this.you?.n);
    return this.#asked(async () => this.take(await this.live.ask("class.ready", { class_id: this.view.id, ready })));
  }

  #control(command) {
    return this.#asked(async () =>
      this.takeClock(await this.live.ask("class.control", { class_id: this.view.id, do: command, key: newKey() })),
    );
  }

  async #asked(work) {
    setText(byId("lobby-trouble"), "");
    try {
      await work();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      setText(byId("lobby-trouble"), problem.message);
    }
  }
}
