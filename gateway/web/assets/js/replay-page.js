/**
 * A class played again: the big board and one's own line, with a bar to go anywhere in it.
 *
 * The address names the class (`#<id>`, and `at=` a place in it, in seconds), so a link leads to the very moment.
 */
import { byId, make, setText, showView } from "./dom.js";
import { memberPage } from "./member-page.js";
import { ReplayPlayer } from "./replay-player.js";
import { showTeams } from "./team-board.js";
import { classTimeAt, clockAt, intervalAt, laidOut, marksOf, placeOnBar } from "./replay-times.js";
import { Wall } from "./wall.js";
import { clock, effortWords, freshnessWords, moment, zoneWords } from "./words.js";

const STEP_MS = 10_000;
const LEAP_MS = 60_000;
const CUE_MS = 20_000; // of class time that a cue stays on the screen
const BLANK = "–";

/** @type {Page | null} */
let page = null;

class Page {
  constructor(live, classId, startsAtMs) {
    this.startsAtMs = startsAtMs;
    this.laid = [];
    this.cues = [];
    this.cue = null;
    this.dragging = false;
    this.wall = new Wall(byId("wall"), { onPages: (...pages) => this.#pages(...pages) });
    this.player = new ReplayPlayer(live, classId, {
      onOpened: (opened) => this.#opened(opened),
      onBoard: (board) => this.#show(board),
      onEvent: (event, payload) => this.#said(event, payload),
      onMoved: () => this.tick(),
      onProblem: (problem) => this.#problem(problem),
    });
    this.ticker = setInterval(() => this.tick(), 250);
  }

  close() {
    clearInterval(this.ticker);
    this.player.close();
  }

  #opened(opened) {
    const { room, timeline, begins_ms: beginsMs, ends_ms: endsMs } = opened;
    document.title = `${room.title} again · Paceline`;
    setText(byId("title"), room.title);
    setText(byId("when"), `${moment(room.created_at_ms)} with ${room.coach_name}`);
    this.wall.you = opened.you ?? null;
    byId("own").hidden = opened.you == null;
    this.laid = laidOut(timeline.script);
    const { stretches, cues } = marksOf(timeline, beginsMs, endsMs);
    this.cues = cues;
    const seek = byId("seek");
    seek.max = String(endsMs - beginsMs);
    const left = (atMs) => `${(100 * placeOnBar(atMs, beginsMs, endsMs)).toFixed(2)}%`;
    const marks = [
      ...stretches.map(({ fromMs, toMs, interval }) => {
        const mark = make("i", { class: "stretch", "data-zone": interval.zone ?? "", title: interval.title });
        mark.style.left = left(fromMs);
        mark.style.width = `calc(${left(toMs)} - ${left(fromMs)})`;
        return mark;
      }),
      ...cues.map(({ atMs, text }) => {
        const mark = make("b", { class: "cue-mark", title: text });
        mark.style.left = left(atMs);
        return mark;
      }),
    ];
    byId("marks").replaceChildren(...marks);
    showView("play", { focus: false });
    if (this.startsAtMs) {
      const toMs = beginsMs + this.startsAtMs;
      this.startsAtMs = 0;
      queueMicrotask(() => this.player.seek(toMs));
    }
  }

  #show(board) {
    const lines = board.lines();
    this.wall.show(lines, { fresh: true });
    byId("empty").hidden = lines.length > 0;
    const { you } = this.wall;
    const own = you === null ? null : (board.members.get(you)?.team ?? null);
    showTeams(byId("teams"), board, this.player.opened?.room ?? null, { fresh: true, own });
    if (you !== null) showOwn(board.line(you), lines.length);
  }

  #said(event, payload) {
    if (event === "cue") this.cue = { text: payload.text, atMs: payload.at_ms };
  }

  #problem(problem) {
    if (problem && !this.player.opened && !problem.retry) {
      setText(byId("ask-trouble"), problem.message);
      showView("ask");
      return;
    }
    setText(byId("trouble"), problem?.message ?? "");
  }

  /** Everything that follows from the place alone. */
  tick() {
    const { opened, atMs, playing, over, speed } = this.player;
    if (!opened || atMs === null) return;
    const { begins_ms: beginsMs, ends_ms: endsMs, timeline } = opened;
    const gone = atMs - beginsMs;
    const seek = byId("seek");
    if (!this.dragging) seek.value = String(Math.round(gone));
    setText(byId("at"), `${clock(gone)} / ${clock(endsMs - beginsMs)}`);
    const classMs = classTimeAt(timeline.clocks ?? [], atMs);
    const words = classMs === null ? "" : classWords(timeline, this.laid, classMs, atMs);
    setText(byId("class-time"), words);
    seek.setAttribute("aria-valuetext", [`${clock(gone)} of ${clock(endsMs - beginsMs)}`, words].filter(Boolean).join(", "));
    byId("seek-done").style.width = `${(100 * placeOnBar(atMs, beginsMs, endsMs)).toFixed(2)}%`;
    const toggle = byId("toggle");
    const label = over ? "Play from the beginning" : playing ? "Pause" : "Play";
    toggle.setAttribute("aria-label", label);
    toggle.title = label;
    toggle.dataset.state = playing && !over ? "playing" : "standing";
    byId("speed").value = String(speed);
    this.#cue(atMs);
  }

  /** The newest cue, of the script or of the coach, for as long as it is one. */
  #cue(atMs) {
    const known = this.cue ? [...this.cues, this.cue] : this.cues;
    const shown = known.filter((cue) => cue.atMs <= atMs && atMs < cue.atMs + CUE_MS);
    const newest = shown.reduce((one, other) => (one && one.atMs > other.atMs ? one : other), null);
    byId("cue").hidden = !newest;
    setText(byId("cue"), newest?.text ?? "");
  }

  #pages(shown, pages, layout) {
    byId("pager").hidden = pages < 2;
    if (pages < 2) return;
    const first = shown * layout.perPage + 1;
    const last = Math.min(first + layout.perPage - 1, this.wall.lines.length);
    setText(byId("page-words"), `${first} to ${last} of ${this.wall.lines.length}`);
  }

  toggle() {
    const { player } = this;
    if (player.playing && !player.over) player.pause();
    else player.play();
  }

  step(byMs) {
    if (this.player.atMs !== null) this.player.seek(this.player.atMs + byMs);
  }

  /** To `gone` ms from the beginning. */
  go(gone) {
    if (this.player.opened) this.player.seek(this.player.opened.begins_ms + gone);
  }

  faster(by) {
    const speeds = [...byId("speed").options].map((option) => Number(option.value));
    const at = speeds.indexOf(this.player.speed) + by;
    if (at >= 0 && at < speeds.length) this.player.setSpeed(speeds[at]);
  }
}

function classWords({ clocks }, laid, classMs, atMs) {
  const held = clockAt(clocks, atMs);
  if (held.state === "waiting") return "not started";
  const title = intervalAt(laid, classMs)?.title;
  const paused = held.state === "paused" ? "paused" : null;
  return [`Class time ${clock(classMs)} of ${clock(held.duration_ms)}`, title, paused].filter(Boolean).join(" · ");
}

/** @param {import("./board.js").Line | null} line */
function showOwn(line, of) {
  const live = line?.freshness === "live" && line.zone !== null;
  byId("own").dataset.zone = live ? String(line.zone) : "";
  setText(byId("own-zone"), live ? zoneWords(line.zone) : line ? freshnessWords(line) : "not here yet");
  setText(byId("own-bpm"), live && line.bpm !== null ? String(line.bpm) : BLANK);
  setText(byId("own-effort"), line ? effortWords(line.effort) : BLANK);
  setText(byId("own-rank"), line && Number.isFinite(line.rank) ? `${line.rank} of ${of}` : BLANK);
}

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16];
byId("speed").replaceChildren(...SPEEDS.map((speed) => make("option", { value: speed }, `${speed} ×`)));
byId("speed").value = "1";
byId("speed").addEventListener("change", ({ target }) => page?.player.setSpeed(Number(target.value)));
byId("toggle").addEventListener("click", () => page?.toggle());
byId("back").addEventListener("click", () => page?.step(-STEP_MS));
byId("on").addEventListener("click", () => page?.step(STEP_MS));
byId("page-back").addEventListener("click", () => page?.wall.turnTo(page.wall.page - 1));
byId("page-on").addEventListener("click", () => page?.wall.turnTo(page.wall.page + 1));
byId("seek").addEventListener("input", ({ target }) => {
  if (!page) return;
  page.dragging = true;
  page.go(Number(target.value));
});
byId("seek").addEventListener("change", () => page && (page.dragging = false));

document.addEventListener("keydown", (event) => {
  if (!page?.player.opened || event.altKey || event.ctrlKey || event.metaKey) return;
  const { target } = event;
  const types = target instanceof HTMLInputElement && target.type !== "range";
  if (types || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement) return;
  const leap = event.shiftKey ? LEAP_MS : STEP_MS;
  const does = {
    ArrowLeft: () => page.step(-leap),
    ArrowRight: () => page.step(leap),
    Home: () => page.go(0),
    End: () => page.go(Number(byId("seek").max)),
    PageUp: () => page.wall.turnTo(page.wall.page - 1),
    PageDown: () => page.wall.turnTo(page.wall.page + 1),
    "+": () => page.faster(1),
    "-": () => page.faster(-1),
    k: () => page.toggle(),
    // A button that has the focus is pressed by it.
    " ": target instanceof HTMLButtonElement || target instanceof HTMLAnchorElement ? null : () => page.toggle(),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

addEventListener("hashchange", () => location.reload());

await memberPage({
  meanwhile: "The class goes on where it was when we are back.",
  well: "Connected",
  async enter(_, live) {
    page?.close();
    const [classId, ...rest] = location.hash.slice(1).split("&");
    const at = Number(new URLSearchParams(rest.join("&")).get("at") ?? 0);
    if (!classId) {
      showView("ask");
      return;
    }
    page = new Page(live, classId, Number.isFinite(at) ? at * 1_000 : 0);
  },
});
