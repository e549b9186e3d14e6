/**
 * A heat on its challenge's page: who is ready, the countdown at the same instant for everybody, the board of its room.
 *
 * While it is ridden that board is what there is to see; the table of the challenge comes when it is over. When it begins is told
 * twice, by the class clock of the room and by the table that is watched; whichever comes first is shown.
 */
import { heatStateWords } from "./challenge-words.js";
import { byId, make, setText, whileBusy } from "./dom.js";
import { clockWords, heatOfClock, phaseOf, phaseWords } from "./heat-words.js";
import { figureWords, rankedWords } from "./metric-words.js";
import { Problem } from "./problem.js";
import { Room } from "./room.js";
import { ServerTime } from "./server-time.js";
import { showTeams } from "./team-board.js";
import { freshnessWords, moment } from "./words.js";

const SHOWN = 10;
const TICK_MS = 100;

export class HeatPanel {
  /** @param {import("./login.js").Login} login @param {import("./live.js").Live} live @param {(challenge: any) => void} onChanged */
  constructor(login, live, onChanged) {
    this.login = login;
    this.live = live;
    this.onChanged = onChanged;
    this.challenge = null;
    this.room = null;
    this.time = null;
    byId("ready").onclick = ({ currentTarget }) => whileBusy(currentTarget, () => this.#sayReady());
    byId("begin").onclick = ({ currentTarget }) => whileBusy(currentTarget, () => this.#ask("start"));
  }

  /** The challenge as it is now; one that is no heat shows nothing. */
  show(challenge) {
    byId("heat").hidden = !challenge.heat;
    if (!challenge.heat) return;
    const known = this.challenge?.heat.starts_ms ?? null;
    this.challenge = challenge;
    if (known !== null && challenge.heat.starts_ms === null) this.#startsAt(known, this.ends);
    this.ends = this.challenge.heat.ends_ms;
    byId("ride").href = `/athlete?code=${challenge.heat.class_code}`;
    if (!this.room && challenge.you !== null && challenge.finished_ms === null) this.#enter(challenge.heat.class_code);
    this.#tick();
  }

  #enter(code) {
    this.time = new ServerTime(this.live);
    this.room = new Room(
      this.live,
      { code, role: "athlete" },
      {
        onBoard: () => this.#board(),
        onClock: (clock) => this.#clock(clock),
        onEnded: () => this.#leave(),
        onProblem: (problem) => this.#complain(problem),
      },
    );
    this.timer = setInterval(() => this.#tick(), TICK_MS);
  }

  #leave() {
    this.close();
    this.#tick();
  }

  /** Somebody else looks at the page now, or it has been ridden. */
  close() {
    clearInterval(this.timer);
    this.room?.close();
    this.time?.close();
  }

  #clock(clock) {
    const heat = clock ? heatOfClock(clock) : null;
    if (heat?.starts_ms) this.#startsAt(heat.starts_ms, heat.ends_ms);
    this.#tick();
  }

  #startsAt(starts, ends) {
    const heat = { ...this.challenge.heat, starts_ms: starts, ends_ms: ends };
    this.challenge = { ...this.challenge, heat };
  }

  get nowMs() {
    return this.time?.nowMs ?? this.room?.serverNowMs ?? Date.now();
  }

  #tick() {
    const { heat, members, you, yours, finished_ms: finished } = this.challenge;
    const phase = finished === null ? phaseOf(heat, this.nowMs) : "over";
    byId("heat").dataset.phase = phase;
    document.body.dataset.heat = phase;
    setText(byId("state"), heatStateWords(this.challenge, this.nowMs, moment));
    setText(byId("heat-clock"), phase === "over" ? "0:00" : clockWords(heat, this.nowMs));
    byId("heat-clock").hidden = phase === "gathering" || phase === "over";
    setText(byId("heat-said"), phase === "over" ? "It has been ridden." : phaseWords(heat, members, this.nowMs));
    if (phase === "over" && heat.starts_ms === null) setText(byId("heat-said"), "Nobody has started it.");
    byId("ready").hidden = phase !== "gathering" || you === null;
    setText(byId("ready"), heat.you_ready ? "Not ready after all" : "I am ready");
    byId("ready").setAttribute("aria-pressed", String(heat.you_ready));
    byId("begin").hidden = phase !== "gathering" || !yours;
    byId("ride").hidden = phase === "over" || you === null;
  }

  #board() {
    const { fresh } = this.room;
    const lines = this.room.board.lines();
    const own = lines.find(({ n }) => n === this.room.you?.n);
    const shown = lines.filter((line, at) => at < SHOWN || line === own);
    byId("heat-board").replaceChildren(
      ...shown.map((line) => {
        const live = fresh && line.freshness === "live" && line.zone !== null;
        return make(
          "li",
          { class: line === own ? "is-you" : null },
          make("span", { class: "mini-rank" }, fresh && Number.isFinite(line.rank) ? String(line.rank) : "–"),
          make("span", { class: "mini-name" }, line.name),
          make(
            "span",
            { class: "zone-chip", "data-zone": live ? line.zone : "" },
            live ? `Z${line.zone}` : fresh ? freshnessWords(line) : "hidden",
          ),
          make("span", { class: "mini-effort" }, fresh ? figureWords(line.metric, line.figure) : "–"),
        );
      }),
    );
    showTeams(byId("heat-teams"), this.room.board, this.room.view, { fresh, own: own?.team });
    setText(byId("heat-ranked"), lines.length > 0 ? rankedWords(this.room.board.metric) : "");
    setText(byId("heat-more"), lines.length > shown.length ? `And ${lines.length - shown.length} more.` : "");
  }

  async #sayReady() {
    await this.#ask("ready", { ready: !this.challenge.heat.you_ready });
  }

  async #ask(what, body) {
    setText(byId("heat-trouble"), "");
    try {
      const path = `/v1/heats/${encodeURIComponent(this.challenge.id)}/${what}`;
      this.onChanged(await this.login.call("POST", path, body));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#complain(problem);
    }
  }

  #complain(problem) {
    setText(byId("heat-trouble"), problem.message);
  }
}
