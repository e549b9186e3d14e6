/**
 * A room on the socket: joined again after every reconnect, its board kept in step, and nothing that was said in it lost.
 *
 * The position of the last event goes along with every join, so that the answer brings what was missed; a client whose library
 * was recovered by the server is in the room already and gets it as ordinary events.
 *
 * A gap in the versions asks for the whole board, once at a time. A board that has been silent for `QUIET_MS` is asked
 * too: when nobody's numbers change the server has nothing to say, but a network that died without a word looks just the
 * same, and a frozen number is the one thing a board must not show. No answer means the connection is not to be trusted.
 *
 * `fresh` says whether the board may be shown as what is so now. A connection that is back is not enough for that: the
 * board is still the one from before, and a server that is not well may refuse the join for minutes. After a break, and
 * when it is asked for and refused, it is believed for `BLANK_AFTER_MS`, and then not until it is in step again.
 */
import { Board } from "./board.js";
import { BLANK_AFTER_MS } from "./live.js";
import { Place } from "./place.js";
import { Problem } from "./problem.js";

const QUIET_MS = 2_500;
const ANSWER_MS = 2_500;
const AGAIN_MS = 3_000;
const EVERYBODY = { here: false, age_group: null, friends: false };
/** What must arrive: the events of the room's log that a page does something with. */
const SAID = [
  "cue",
  "class.ended",
  "class.summary",
  "class.clock",
  "class.ranking",
  "class.lobby",
  "class.coaches",
  "room.removed",
  "room.let_in",
  "chat.said",
  "chat.removed",
];

/**
 * `onBoard` is called whenever the board is another one, or `fresh` is.
 * @typedef {{onJoined?: (room: any, you: any) => void, onBoard: (board: Board) => void, onEnded?: (room: any) => void, onCue?: (cue: any) => void,
 *            onSummary?: (summary: any) => void, onClock?: (clock: any) => void, onLobby?: (lobby: any) => void,
 *            onCoaches?: (room: any) => void, onPeople?: () => void, onChat?: (message: any) => void,
 *            onChatRemoved?: (position: string) => void, onReset?: () => void, onProblem: (problem: Problem) => void}} RoomWatcher
 */

export class Room {
  /**
   * @param {import("./live.js").Live} live
   * @param {{code: string, role: "coach" | "athlete" | "spectator", team?: string | null}} entry
   * @param {RoomWatcher} watcher
   */
  constructor(live, { code, role, team = null }, watcher) {
    this.live = live;
    this.entry = { code, role, ...(team ? { team } : {}) };
    this.watcher = watcher;
    this.board = new Board();
    this.place = new Place();
    /** The class (a ClassView), once joined. */
    this.view = null;
    this.you = null;
    this.closed = false;
    this.asking = false;
    this.heardAt = 0;
    this.fresh = false;
    this.doubt = 0;
    this.clockLeadMs = -Infinity;
    this.again = 0;
    this.filter = EVERYBODY;
    live.on("board.snapshot", (snapshot) => this.#mine(snapshot) && this.#take(snapshot));
    live.on("board.changes", (changes) => this.#mine(changes) && this.#change(changes));
    live.on("board.filtered", (told) => this.#mine(told) && this.#takeFiltered(told));
    live.on("board.private", (told) => this.#mine(told) && this.#takePrivate(told));
    for (const event of SAID) live.on(event, (payload) => this.#said(event, payload));
    live.on("room.position", (told) => this.#mine(told) && this.place.set(told.position));
    live.on("room.reset", (reset) => this.view?.id === reset.room.id && this.#reset(reset));
    live.watch(({ phase, fresh }) => {
      if (!fresh) this.#outOfStep();
      if (phase === "connected") this.#join();
      else this.#doubted();
    });
    this.quietTimer = setInterval(() => this.#listen(), 500);
  }

  /** Stops listening; whoever made the connection ends it, and the server sees that as leaving. */
  close() {
    this.closed = true;
    clearInterval(this.quietTimer);
    clearTimeout(this.again);
    clearTimeout(this.doubt);
  }

  /** From now on the board's `passing` lines are these alone. @param {{here?: boolean, age_group?: string | null, friends?: boolean}} filter */
  async showOnly({ here = false, age_group = null, friends = false }) {
    this.filter = { here, age_group, friends };
    if (this.view && this.live.connected) await this.#askFiltered();
  }

  /** The server's wall clock now, ms since 1970, as well as it can be told from the frames that came. */
  get serverNowMs() {
    return Date.now() + (Number.isFinite(this.clockLeadMs) ? this.clockLeadMs : 0);
  }

  #mine(message) {
    return !this.closed && this.view !== null && message.class_id === this.view.id;
  }

  async #join() {
    if (this.closed || this.view?.state === "over") return;
    if (this.view && this.live.recovered) return;
    clearTimeout(this.again);
    const since = this.place.position;
    let joined;
    try {
      joined = await this.live.ask("room.join", since ? { ...this.entry, since } : this.entry);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (!this.closed) this.#notJoined(problem);
      return;
    }
    if (this.closed) return;
    this.view = joined.room;
    this.you = joined.you ?? null;
    this.board.takePrivate({}); // told again when there is any
    this.watcher.onJoined?.(joined.room, this.you);
    this.#take(joined.board);
    if (this.filter !== EVERYBODY) this.#askFiltered();
    this.watcher.onClock?.(joined.clock);
    this.watcher.onLobby?.(joined.lobby);
    for (const [event, payload] of joined.missed ?? []) this.#said(event, payload);
    this.place.set(joined.position);
  }

  /** Something that must arrive, now or late, and once. */
  #said(event, payload) {
    const room = payload.class_id ?? payload.id;
    if (this.closed || room !== this.view?.id || !this.place.take(payload.position)) return;
    if (event === "cue") this.watcher.onCue?.(payload);
    if (event === "class.ended") this.#ended(payload);
    if (event === "class.summary") this.watcher.onSummary?.(payload);
    if (event === "class.clock") this.watcher.onClock?.(payload);
    if (event === "class.lobby") this.watcher.onLobby?.(payload);
    if (event === "chat.said") this.watcher.onChat?.(payload);
    if (event === "chat.removed") this.watcher.onChatRemoved?.(payload.removed);
    if (event === "class.coaches") this.#coaches(payload);
    if (event === "room.removed" && payload.n === this.you?.n) this.#sentOut();
    if (event === "room.removed" || event === "room.let_in") this.watcher.onPeople?.();
  }

  /** Others lead the class than before; what is told late is older by its number. */
  #coaches(view) {
    if ((view.coaches_n ?? 0) < (this.view.coaches_n ?? 0)) return;
    this.view = { ...this.view, co_coach_ids: [], ...view };
    this.watcher.onCoaches?.(this.view);
  }

  #sentOut() {
    this.close();
    const message = "You were sent out of this class by its coach. You can come back when they let you in again.";
    this.watcher.onProblem(new Problem({ code: "removed_from_class", message, retry: false }));
  }

  #reset({ room, board, clock, lobby, position }) {
    if (this.closed) return;
    this.watcher.onClock?.(clock);
    this.watcher.onLobby?.(lobby);
    this.place.set(position);
    this.#take(board);
    this.watcher.onReset?.();
    if (room.state === "over") this.#ended(room);
  }

  #notJoined(problem) {
    if (problem.code === "class_over" && this.view) {
      this.#ended({ ...this.view, state: "over" });
      return;
    }
    if (!problem.retry) {
      this.watcher.onProblem(problem);
      return;
    }
    if (!this.live.connected) return; // the next connection joins
    this.again = setTimeout(() => this.live.connected && this.#join(), problem.retryAfterMs ?? AGAIN_MS);
  }

  #ended(view) {
    if (this.closed) return;
    clearInterval(this.quietTimer);
    this.view = { ...this.view, ...view };
    this.watcher.onEnded?.(this.view);
  }

  #take(snapshot) {
    this.#heard(snapshot);
    this.board.take(snapshot);
    this.#inStep();
  }

  #change(changes) {
    this.#heard(changes);
    const verdict = this.board.apply(changes);
    if (verdict === "applied") this.#inStep();
    if (verdict === "gap") this.#askForAll();
  }

  #inStep() {
    clearTimeout(this.doubt);
    this.doubt = 0;
    this.fresh = this.live.standing.fresh;
    this.watcher.onBoard(this.board);
  }

  /** From here on nobody knows whether the board is in step. */
  #doubted() {
    if (this.closed || !this.fresh || this.doubt) return;
    this.doubt = setTimeout(() => this.#outOfStep(), BLANK_AFTER_MS);
  }

  #outOfStep() {
    clearTimeout(this.doubt);
    this.doubt = 0;
    if (this.closed || !this.fresh) return;
    this.fresh = false;
    this.watcher.onBoard(this.board);
  }

  async #askFiltered() {
    try {
      const told = await this.live.ask("board.filter", { class_id: this.view.id, ...this.filter });
      if (!this.closed) this.#takeFiltered(told);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      // Without a network the next join asks again; what was shown stays until then.
      if (problem.code !== "no_network" && !problem.retry) this.watcher.onProblem(problem);
    }
  }

  /** An answer to a filter that is another one by now says nothing. */
  #takeFiltered(told) {
    const { here, age_group: group, friends } = this.filter;
    if ((told.here ?? false) !== here || (told.age_group ?? null) !== group || (told.friends ?? false) !== friends) return;
    this.board.takeFiltered(here || group || friends ? told : null);
    this.watcher.onBoard(this.board);
  }

  #takePrivate(told) {
    this.board.takePrivate(told);
    this.watcher.onBoard(this.board);
  }

  #heard({ at_ms: atMs }) {
    this.heardAt = performance.now();
    // The frame that travelled least is the best clock, so the largest lead wins; it decays so that a clock that was
    // set back is believed within minutes.
    this.clockLeadMs = Math.max(this.clockLeadMs - 5, atMs - Date.now());
  }

  #listen() {
    if (this.closed || !this.view || !this.live.connected || this.asking) return;
    if (performance.now() - this.heardAt > QUIET_MS) this.#askForAll({ withinMs: ANSWER_MS });
  }

  async #askForAll(options) {
    if (this.asking) return;
    this.asking = true;
    try {
      const snapshot = await this.live.ask("board.get", { class_id: this.view.id }, options);
      if (!this.closed) this.#take(snapshot);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#doubted();
      if (problem.code === "no_answer") this.live.distrust("the board went silent");
      else if (problem.code === "not_in_room") this.#join();
      else if (problem.code !== "no_network" && !problem.retry) this.watcher.onProblem(problem);
      this.heardAt = performance.now(); // asks again after the next quiet spell, not in a tight loop
    } finally {
      this.asking = false;
    }
  }
}
