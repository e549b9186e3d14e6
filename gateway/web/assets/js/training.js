/**
 * A workout while it runs: sensor, stream and room brought together on the athlete's page.
 *
 * The three fail apart from each other. Without a network the sensor goes on and samples are kept here; without a sensor
 * the room is still to be seen; when the room closes, the workout is finished and everything that is kept still goes out.
 */
import { Chat } from "./chat.js";
import { CueBanner } from "./cue.js";
import { byId, confirmed, make, setText } from "./dom.js";
import { friendSheet } from "./friend-sheet.js";
import { againstWords, placeOn } from "./ghost.js";
import { clockWords, heatOfClock, phaseOf } from "./heat-words.js";
import { Lobby } from "./lobby.js";
import { figureWords, rankedWords } from "./metric-words.js";
import { OwnNumbers } from "./own-numbers.js";
import { acknowledge } from "./receipt.js";
import { Room } from "./room.js";
import { ServerTime } from "./server-time.js";
import { showingChoice } from "./showing.js";
import { BluetoothStrap, EFFORTS, SimulatedStrap } from "./strap.js";
import { DeviceStream } from "./stream.js";
import { showTeams } from "./team-board.js";
import { choosableOf, ownTeamWords } from "./team-choice.js";
import { clock, count, freshnessWords } from "./words.js";

const MINI_AROUND = 2; // lines shown above and below one's own
const MINI_TOP = 3;

export class Training {
  /**
   * @param {{live: import("./live.js").Live, keep: import("./keep.js").Keep, body: any, source: "bluetooth" | "simulated",
   *          onOver: (workout: string) => void, onGivenUp: () => void}} parts
   */
  constructor({ live, keep, body, source, onOver, onGivenUp }) {
    this.live = live;
    this.keep = keep;
    this.onOver = onOver;
    this.onGivenUp = onGivenUp;
    this.numbers = new OwnNumbers(body);
    this.strap = this.#newStrap(source, body);
    this.source = source;
    this.stream = null;
    this.cue = new CueBanner(byId("cue"));
    this.room = null;
    /** @type {Chat | null} */
    this.chat = null;
    /** @type {Lobby | null} */
    this.lobby = null;
    /** @type {import("./ghost.js").Curve | null} */
    this.ghost = null;
    /** The heat that is ridden here, as the class clock tells it, and the time it goes by. */
    this.heat = null;
    this.clock = null;
    this.time = null;
    this.state = null;
    this.lock = null;
  }

  /** Starts a new stream. Raises `Problem` or a browser's refusal when there is no sensor. */
  async begin({ account, classCode, title, team }) {
    await this.strap.start();
    const fields = { account, classCode, title, team, device: this.strap.name.slice(0, 80) };
    this.stream = await DeviceStream.begin(this.live, this.keep, fields, (state) => this.#streamed(state));
    this.#run();
  }

  /** Takes up a stream that an earlier page load left; a Bluetooth strap then waits for a click. */
  async resume(kept) {
    this.stream = await DeviceStream.resume(this.live, this.keep, kept, (state) => this.#streamed(state));
    if (kept.finishing || this.source === "bluetooth") {
      byId("strap-again").hidden = kept.finishing;
      setText(
        byId("source-state"),
        kept.finishing ? "Sending what is left…" : "This workout goes on. Connect your sensor again.",
      );
    } else {
      await this.strap.start();
    }
    this.#run();
  }

  /** Races a past workout: its curve, or null for nobody. @param {import("./ghost.js").Curve | null} curve */
  race(curve) {
    this.ghost = curve;
    byId("ghost-line").hidden = !curve || !this.room;
  }

  stop() {
    clearInterval(this.ticker);
    this.cue.clear();
    this.strap.stop();
    this.room?.close();
    this.chat?.close();
    this.time?.close();
    this.live.stop();
    this.lock?.release().catch((failed) => console.info("the screen lock was gone:", failed.message));
    this.stopped = true;
  }

  #newStrap(source, body) {
    const watcher = {
      onReading: (reading) => {
        if (this.stopped) return;
        this.numbers.read(reading);
        this.stream?.add(reading);
      },
      onState: (words) => setText(byId("source-state"), words),
    };
    return source === "bluetooth" ? new BluetoothStrap(watcher) : new SimulatedStrap(watcher, body);
  }

  #run() {
    const { classCode, title } = this.stream.kept;
    setText(byId("live-title"), title || "Workout");
    setText(byId("live-where"), classCode ? "Live class" : "On your own");
    byId("room").hidden = !classCode;
    byId("heat-line").hidden = true;
    byId("showing").hidden = true;
    byId("take-back").hidden = true;
    byId("finish").hidden = false;
    setText(byId("stream-trouble"), "");
    this.#controls();
    if (classCode) this.#enter(classCode);
    this.ticker = setInterval(() => this.#tick(), 500);
    this.#tick();
    this.#stayAwake();
  }

  /** What is seen of the board below one's own numbers: everybody, or friends; and the dialog in which one asks. */
  #offerFriends() {
    let friends = false;
    byId("mini-friends").setAttribute("aria-pressed", "false");
    byId("mini-friends").onclick = ({ currentTarget }) => {
      friends = !friends;
      currentTarget.setAttribute("aria-pressed", String(friends));
      this.room.showOnly({ friends });
    };
    byId("mini-people").onclick = () => friendSheet(this.room, (...asked) => this.live.pass.call(...asked));
  }

  #enter(code) {
    this.chat = new Chat(this.live, { leads: false });
    this.lobby = new Lobby(this.live, this.stream.kept.account);
    this.#offerFriends();
    this.room = new Room(
      this.live,
      { code, role: "athlete", team: this.stream.kept.team },
      {
        onJoined: (view, you) => {
          setText(byId("live-title"), view.title);
          const told = view.coach_name ? `Live class with ${view.coach_name}` : "Heat";
          setText(byId("live-where"), view.group ? `Together, started by ${view.coach_name}` : told);
          this.lobby.entered(view, you);
          this.stream.kept.title = view.title;
          this.#offerShowing(view.id);
          this.chat.entered(this.room);
        },
        onChat: (message) => this.chat.said(message),
        onChatRemoved: (position) => this.chat.removed(position),
        onReset: () => this.chat.entered(this.room),
        onBoard: () => this.#tick(),
        onClock: (clock) => this.#clock(clock),
        onLobby: (lobby) => this.lobby.take(lobby),
        onCue: (cue) => {
          this.cue.show(cue, this.room.serverNowMs);
          acknowledge(this.live, cue, () => this.room.serverNowMs);
        },
        onEnded: () => this.#classEnded(),
        onProblem: (problem) => {
          setText(byId("stream-trouble"), problem.message);
          if (problem.code === "class_over") this.#classEnded();
        },
      },
    );
  }

  /** Nobody leads a heat: its clock is all there is to go by. */
  #clock(clock) {
    if (!clock) return;
    this.clock = clock;
    const { view } = this.room;
    this.time ??= new ServerTime(this.live);
    if (view?.coach_name && !view.group) return;
    if (view?.group) this.lobby.takeClock(clock);
    else this.heat = heatOfClock(clock);
    this.#tick();
  }

  #against(points) {
    const serverMs = this.time?.nowMs ?? this.room?.serverNowMs ?? Date.now();
    const at = placeOn(this.ghost, { elapsedMs: this.stream.elapsedMs, clock: this.clock, serverMs });
    return at === null ? "when the class begins" : againstWords(this.ghost, at, points);
  }

  #showHeat() {
    const nowMs = this.time?.nowMs ?? this.room.serverNowMs;
    const phase = phaseOf(this.heat, nowMs);
    byId("heat-line").hidden = false;
    byId("heat-line").dataset.phase = phase;
    setText(byId("heat-clock"), phase === "gathering" ? "Waiting for the start" : clockWords(this.heat, nowMs));
    setText(byId("heat-what"), { countdown: "to the start", ridden: "left", over: "over" }[phase] ?? "");
  }

  /** Who sees you in this class: answered on the socket you are on, asked for again after each join. */
  #offerShowing(classId) {
    byId("showing").hidden = false;
    showingChoice(byId("showing-choice"), "showing", {
      load: () => this.live.pass.call("GET", `/v1/classes/${classId}/display`),
      save: (choice) => this.live.ask("display.set", { class_id: classId, ...choice }),
    });
  }

  #classEnded() {
    this.chat.close();
    setText(byId("live-where"), "The class is over");
    if (!this.stream.over) this.#finish();
  }

  /** Wires the buttons of this workout; they are assigned, so that the next workout replaces them. */
  #controls() {
    const strap = this.strap;
    const simulated = strap instanceof SimulatedStrap;
    byId("simulated").hidden = !simulated || this.stream.over;
    if (simulated) {
      byId("contact").checked = true;
      byId("contact").onchange = ({ target }) => {
        strap.contact = target.checked;
      };
      byId("efforts").replaceChildren(
        ...Object.keys(EFFORTS).map((effort) =>
          make(
            "label",
            {},
            make("input", {
              type: "radio",
              name: "effort",
              value: effort,
              checked: effort === strap.effort,
              onchange: () => (strap.effort = effort),
            }),
            make("span", {}, effort[0].toUpperCase() + effort.slice(1)),
          ),
        ),
      );
    }
    byId("strap-again").onclick = async () => {
      try {
        await strap.start();
        byId("strap-again").hidden = true;
      } catch (refused) {
        setText(byId("source-state"), `No sensor: ${refused.message}`);
      }
    };
    byId("take-back").onclick = () => {
      byId("take-back").hidden = true;
      this.stream.takeBack();
    };
    byId("finish").onclick = async () => {
      if (this.state?.phase === "refused") {
        const yes = await confirmed({
          title: "Give this workout up?",
          text: "The server refused it. What it has stored stays stored; what is only on this device is deleted.",
          yes: "Give it up",
        });
        if (yes) await this.#giveUp();
        return;
      }
      const yes = await confirmed({
        title: "Finish this workout?",
        text: "Your summary is made from everything you have sent. Points on the board stay.",
        yes: "Finish",
        no: "Go on",
      });
      if (yes) this.#finish();
    };
  }

  #finish() {
    this.strap.stop();
    byId("simulated").hidden = true;
    byId("strap-again").hidden = true;
    byId("finish").hidden = true;
    setText(byId("source-state"), "Finishing: sending what is left…");
    this.stream.finish();
  }

  async #giveUp() {
    await this.keep.forget(this.stream.kept.stream);
    this.stop();
    this.onGivenUp();
  }

  #streamed(state) {
    if (this.stopped) return;
    this.state = state;
    setText(byId("stored"), storedWords(state, this.keep.durable));
    setText(
      byId("stream-trouble"),
      state.phase === "taken" ? "This workout goes on in another tab or on another device." : state.message,
    );
    byId("take-back").hidden = state.phase !== "taken";
    if (state.phase === "refused") {
      byId("finish").hidden = false;
      setText(byId("finish"), "Give up this workout");
    } else {
      setText(byId("finish"), "Finish workout");
    }
    if (state.phase === "finished") {
      this.stop();
      this.onOver(state.workout);
    }
  }

  #tick() {
    if (!this.stream || this.stopped) return;
    const fresh = this.room?.fresh ?? false;
    const lines = this.room?.board.lines() ?? [];
    const you = this.room?.you?.n;
    const own = lines.find((line) => line.n === you) ?? null;
    this.numbers.show(own, { fresh, of: lines.filter((line) => Number.isFinite(line.rank)).length });
    setText(byId("elapsed"), clock(this.stream.elapsedMs));
    if (this.ghost) setText(byId("ghost"), fresh && own ? this.#against(own.effort) : "–");
    if (this.room) {
      this.#mini(this.room.board.passing(), you, fresh);
      this.lobby.show([...this.room.board.members.values()], this.time?.nowMs ?? this.room.serverNowMs);
    }
    if (this.heat) this.#showHeat();
  }

  /** The first three and one's own neighbourhood, of the lines that pass the filter. */
  #mini(lines, you, fresh) {
    const at = lines.findIndex((line) => line.n === you);
    const own = lines[at] ?? null;
    const shown = lines.filter((_, index) => index < MINI_TOP || (at >= 0 && Math.abs(index - at) <= MINI_AROUND));
    const entries = shown.map((line) => {
      const live = fresh && line.freshness === "live" && line.zone !== null;
      return make(
        "li",
        { class: line === own ? "is-you" : null },
        make("span", { class: "mini-rank" }, fresh && Number.isFinite(line.rank) ? String(line.rank) : "–"),
        make("span", { class: "mini-name" }, line === own ? `${line.name} (you)` : line.name),
        make(
          "span",
          { class: "zone-chip", "data-zone": live ? line.zone : "" },
          live ? `Z${line.zone}` : fresh ? freshnessWords(line) : "hidden",
        ),
        make("span", { class: "mini-effort" }, fresh ? figureWords(line.metric, line.figure) : "–"),
      );
    });
    this.#teams(own, fresh);
    setText(byId("mini-ranked"), rankedWords(this.room.board.metric));
    byId("mini").replaceChildren(...entries);
    byId("mini-empty").hidden = this.room.board.places === null || lines.some((line) => line !== own);
  }

  /** One's own team, also where nobody else is shown that one is in it; and what all of them have. */
  #teams(own, fresh) {
    const { board, view, you } = this.room;
    const team = own?.team ?? you?.team ?? null;
    const wanted = choosableOf(view).length ? (this.stream.kept.team ?? null) : null;
    const words = team === null ? "" : ownTeamWords(view?.teams?.[team] ?? null, wanted);
    byId("own-team").hidden = !words;
    setText(byId("own-team"), words);
    showTeams(byId("mini-teams"), board, view, { fresh, own: team });
  }

  async #stayAwake() {
    const hold = async () => {
      if (document.visibilityState !== "visible" || this.stopped || !navigator.wakeLock) return;
      try {
        this.lock = await navigator.wakeLock.request("screen");
      } catch (refused) {
        console.info("the screen may sleep:", refused.message);
      }
    };
    document.addEventListener("visibilitychange", hold);
    await hold();
  }
}

/** @param {import("./stream.js").StreamState} state */
function storedWords({ waiting, stored, phase }, durable) {
  if (phase === "opening" && !waiting) return "Opening the stream…";
  const safe = `${count(stored, "sample")} stored`;
  if (waiting <= 3) return `${safe}.`;
  const where = durable ? "kept on this device" : "kept in this tab only (this browser refuses storage)";
  return `${safe}, ${waiting} ${where} until the server has them.`;
}
