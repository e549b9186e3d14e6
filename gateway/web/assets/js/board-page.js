/**
 * The big screen: everybody in a class, readable from across the room.
 *
 * It needs no account; knowing the join code is the right to watch. Where nobody can type the code, somebody lets the screen in with
 * their phone (pairing.js), and it goes on as if the code had been typed. The address carries the code, so a television that
 * restarts comes back to its class by itself.
 */
import { ageGroupChoice } from "./age-words.js";
import { CueBanner } from "./cue.js";
import { byId, setText, showView } from "./dom.js";
import { Live } from "./live.js";
import { DisplayPass } from "./login.js";
import { rankedWords } from "./metric-words.js";
import { WaitingScreen } from "./pairing.js";
import { Problem } from "./problem.js";
import { Room } from "./room.js";
import { showStanding } from "./standing.js";
import { awaitClassSummary, standingsOf } from "./standings.js";
import { showTeams } from "./team-board.js";
import { Wall } from "./wall.js";
import { clock } from "./words.js";

const PAGE_FOR_MS = 8_000;
const SUMMARY_AFTER_MS = 4_000;

byId("code-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = byId("code").value.trim().toUpperCase();
  if (!typed) {
    ask("", "Enter the join code.");
    return;
  }
  history.replaceState(null, "", `/board?code=${encodeURIComponent(typed)}`);
  watch(typed);
});
byId("fullscreen").addEventListener("click", () => {
  const turned = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  turned.catch((refused) => console.info("no full screen:", refused.message));
});
byId("fullscreen").hidden = !document.fullscreenEnabled;

let turns = 0;
const waiting = new WaitingScreen((told) => {
  const { code: given } = told.class;
  history.replaceState(null, "", `/board?code=${encodeURIComponent(given)}`);
  watch(given, new DisplayPass(given, told));
});

function ask(typed, trouble) {
  byId("code").value = typed;
  setText(byId("code-trouble"), trouble);
  for (const id of ["facts", "here", "age-group"]) byId(id).hidden = true;
  showView("ask", { focus: false });
  byId("code").focus();
  waiting.start();
}

async function watch(ofCode, pass = new DisplayPass(ofCode)) {
  const turn = ++turns;
  setText(byId("code-trouble"), "");
  try {
    await pass.token();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (!problem.retry) {
      ask(ofCode, problem.message);
      return;
    }
    // The server is away for a moment: the socket goes on trying, and says so.
  }
  if (turn !== turns) return; // somebody has let the screen in while a code was looked for
  waiting.stop();
  new Screen(ofCode, pass);
}

class Screen {
  constructor(ofCode, pass) {
    this.pass = pass;
    this.over = false;
    this.summarised = false;
    this.heldUntil = 0;
    this.hold = false;
    this.filter = { here: false, age_group: null };
    this.cue = new CueBanner(byId("cue"));
    this.live = new Live(pass);
    this.wall = new Wall(byId("wall"), { onPages: (...pages) => this.#pages(...pages) });
    this.room = new Room(
      this.live,
      { code: ofCode, role: "spectator" },
      {
        onJoined: (room) => this.#joined(room),
        onBoard: () => this.#show(),
        onEnded: () => this.#ended(),
        onCue: (cue) => this.cue.show(cue, this.room.serverNowMs),
        onSummary: (summary) => this.#summary(summary),
        onProblem: (problem) => {
          this.#stop();
          ask(ofCode, problem.message);
        },
      },
    );
    this.showSign = showStanding(byId("sign"), this.live, { inStep: () => this.over || this.room.fresh });
    showView("wall", { focus: false });
    this.#show();
    this.live.start();
    this.ticker = setInterval(() => this.#tick(), 1_000);
    for (const id of ["here", "page-hold"]) byId(id).setAttribute("aria-pressed", "false");
    byId("age-group").value = "";
    this.#turning();
    keepAwake();
  }

  #joined(room) {
    document.title = `${room.title} · Paceline`;
    setText(byId("title"), room.title);
    setText(byId("coach"), `with ${room.coach_name}`);
    setText(byId("join-code"), room.code);
    setText(byId("join-where"), `${location.host}/athlete`);
    byId("facts").hidden = false;
    for (const id of ["here", "age-group"]) byId(id).hidden = false;
    byId("here").onclick = ({ currentTarget }) => {
      const here = !this.filter.here;
      currentTarget.setAttribute("aria-pressed", String(here));
      this.#filterBy({ here });
    };
    byId("age-group").onchange = ({ currentTarget }) => this.#filterBy({ age_group: currentTarget.value || null });
  }

  /** The server decides who passes. @param {{here?: boolean, age_group?: string | null}} change */
  #filterBy(change) {
    this.filter = { ...this.filter, ...change };
    this.room.showOnly(this.filter);
  }

  #show() {
    if (this.over) return;
    const all = this.room.board.lines();
    const lines = this.room.board.passing();
    const filtered = this.room.board.places !== null;
    const { fresh } = this.room;
    this.showSign();
    this.wall.show(lines, { fresh });
    setText(byId("athletes"), !fresh ? "–" : filtered ? `${lines.length}/${all.length}` : String(all.length));
    setText(byId("ranked"), rankedWords(this.room.board.metric));
    showTeams(byId("team-board"), this.room.board, this.room.view, { fresh });
    const empty = byId("empty");
    empty.hidden = lines.length > 0 || !this.room.view;
    if (all.length && this.filter.age_group) setText(empty, "Nobody on this board is shown in this age group. Who wants to be says so under “Others see”.");
    else if (all.length) setText(empty, "Nobody who rode in this class is here right now.");
    else setText(empty, "Nobody is here yet. Take your phone, open the address above and enter the code.");
  }

  #tick() {
    if (!this.room.view || this.over) return;
    setText(byId("elapsed"), clock(this.room.serverNowMs - this.room.view.created_at_ms));
    const mayTurn = !this.hold && performance.now() > this.heldUntil && !document.hidden;
    if (mayTurn && this.wall.layout?.pages > 1 && performance.now() - this.turnedAt > PAGE_FOR_MS) this.#turn(1);
  }

  #turn(by) {
    this.turnedAt = performance.now();
    this.wall.turnTo(this.wall.page + by);
  }

  /** Handlers, not listeners: those of the next screen on this page take their place. */
  #turning() {
    this.turnedAt = performance.now();
    const byHand = (by) => {
      this.heldUntil = performance.now() + 3 * PAGE_FOR_MS; // whoever turned a page wants to read it
      this.#turn(by);
    };
    byId("page-back").onclick = () => byHand(-1);
    byId("page-on").onclick = () => byHand(1);
    byId("page-hold").onclick = ({ currentTarget }) => {
      this.hold = !this.hold;
      currentTarget.setAttribute("aria-pressed", String(this.hold));
    };
    document.onkeydown = (event) => {
      if (event.target instanceof HTMLInputElement || !(this.wall.layout?.pages > 1)) return;
      if (event.key === "ArrowRight" || event.key === "PageDown") byHand(1);
      if (event.key === "ArrowLeft" || event.key === "PageUp") byHand(-1);
    };
  }

  #pages(page, pages, layout) {
    byId("pager").hidden = pages < 2;
    if (pages < 2) return;
    const first = page * layout.perPage + 1;
    const last = Math.min(first + layout.perPage - 1, this.wall.lines.length);
    setText(byId("page-words"), `${first} to ${last} of ${this.wall.lines.length}`);
  }

  async #ended() {
    if (this.over) return;
    this.over = true;
    this.cue.clear();
    clearInterval(this.ticker);
    const { title, created_at_ms: from, ended_at_ms: to } = this.room.view;
    setText(byId("end-title"), `${title}: the final table`);
    if (to) setText(byId("elapsed"), clock(to - from));
    byId("facts").classList.add("is-over");
    for (const id of ["here", "age-group"]) byId(id).hidden = true;
    showView("end");
    try {
      // The socket usually brings it within a second; this is for a screen that lost its connection just then.
      const options = { afterMs: SUMMARY_AFTER_MS, wanted: () => !this.summarised };
      const summary = await awaitClassSummary(this.room.view.id, this.pass, options);
      if (summary) this.#summary(summary);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      byId("end-table").replaceChildren(problem.message);
    }
  }

  #summary(summary) {
    this.over = true;
    this.summarised = true;
    byId("end-table").replaceChildren(standingsOf(summary));
    this.#stop(); // nothing more will come, and a screen that says "disconnected" now would only worry people
  }

  #stop() {
    clearInterval(this.ticker);
    this.cue.clear();
    this.room.close();
    this.live.stop();
    this.wall.close();
    byId("sign").replaceChildren();
    document.body.classList.remove("is-away");
  }
}

/** A board must not go dark in the middle of a class; browsers that cannot help it are left alone. */
function keepAwake() {
  stayAwake();
  document.addEventListener("visibilitychange", stayAwake);
}

function stayAwake() {
  if (document.visibilityState !== "visible") return;
  navigator.wakeLock?.request("screen").catch((refused) => console.info("the screen may sleep:", refused.message));
}

ageGroupChoice(byId("age-group"));
const code = new URLSearchParams(location.search).get("code")?.trim().toUpperCase() ?? "";
if (code) watch(code);
else ask("", "");
