/**
 * A class that plays again, as this client has it played over the socket: where it is, and its board kept in step.
 *
 * The server plays, this follows: it says where to go and how fast, and takes each event's instant for the place. Wishes that come
 * while one is being answered are put together into the next. A connection that is lost, or a node that stops, is taken up again at the
 * place that was reached.
 */
import { Board } from "./board.js";
import { Problem } from "./problem.js";

const AGAIN_MS = 2_000;

/**
 * @typedef {{onOpened: (opened: any) => void, onBoard: (board: Board) => void, onEvent: (event: string, payload: any) => void,
 *            onMoved: () => void, onProblem: (problem: Problem | null) => void}} Watcher
 */

export class ReplayPlayer {
  /** @param {import("./live.js").Live} live @param {string} classId @param {Watcher} watcher */
  constructor(live, classId, watcher) {
    this.live = live;
    this.classId = classId;
    this.watcher = watcher;
    this.board = new Board();
    /** The answer to `replay.open`, once there was one. */
    this.opened = null;
    this.speed = 1;
    this.playing = true;
    this.over = false;
    this.closed = false;
    this.isOpen = false;
    this.anchor = { atMs: null, since: 0, moving: false };
    this.wish = null;
    this.busy = false;
    this.again = 0;
    live.on("replay.board", (told) => this.#mine(told) && this.#take(told));
    live.on("replay.event", (told) => this.#mine(told) && this.#said(told));
    live.on("replay.ended", (told) => this.#mine(told) && this.#ended(told));
    live.watch(({ phase }) => {
      if (phase !== "connected") {
        this.isOpen = false;
        this.#stand(this.atMs);
      } else if (!this.over) this.#want({});
    });
  }

  /** Where it is now, ms since 1970; null before it was opened. */
  get atMs() {
    const { atMs, since, moving } = this.anchor;
    if (atMs === null || !this.opened) return atMs;
    const on = moving ? (performance.now() - since) * this.speed : 0;
    return Math.min(atMs + on, this.opened.ends_ms);
  }

  play() {
    const toMs = this.over ? this.opened?.begins_ms : undefined;
    this.#want({ playing: true, toMs });
  }

  pause() {
    this.#want({ playing: false });
  }

  setSpeed(speed) {
    this.#want({ speed });
  }

  seek(toMs) {
    if (!this.opened) return;
    this.#want({ toMs: Math.round(Math.min(Math.max(toMs, this.opened.begins_ms), this.opened.ends_ms)) });
  }

  close() {
    this.closed = true;
    clearTimeout(this.again);
  }

  #mine(told) {
    return !this.closed && told.class_id === this.classId;
  }

  /** Puts a wish down and has it asked for, behind what is being asked now. */
  async #want({ toMs, playing = this.playing, speed = this.speed }) {
    if (this.closed) return;
    const here = this.atMs;
    this.playing = playing;
    this.speed = speed;
    if (this.over && toMs === undefined) {
      this.watcher.onMoved();
      return;
    }
    this.over = false;
    this.#stand(toMs ?? here);
    this.wish = { toMs: toMs ?? this.wish?.toMs };
    this.watcher.onMoved();
    if (this.busy) return;
    this.busy = true;
    clearTimeout(this.again);
    try {
      while (this.wish && this.live.connected && !this.closed) {
        const wish = this.wish;
        this.wish = null;
        await this.#ask(wish);
      }
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#refused(problem);
    } finally {
      this.busy = false;
    }
  }

  async #ask({ toMs }) {
    const speed = this.playing ? this.speed : null;
    const class_id = this.classId;
    if (!this.isOpen) {
      const from_ms = Math.floor(toMs ?? this.anchor.atMs ?? 0);
      this.opened = await this.live.ask("replay.open", { class_id, from_ms, speed });
      this.isOpen = true;
      this.watcher.onProblem(null);
      this.watcher.onOpened(this.opened);
      this.#at(this.opened.at);
      return;
    }
    try {
      if (toMs !== undefined) this.#at(await this.live.ask("replay.seek", { class_id, to_ms: toMs }));
      this.#at(await this.live.ask("replay.pace", { class_id, speed }));
    } catch (problem) {
      if (problem.code !== "replay_not_open") throw problem;
      this.isOpen = false; // it has ended meanwhile
      await this.#ask({ toMs });
    }
  }

  #refused(problem) {
    this.#stand(this.atMs);
    this.watcher.onProblem(problem);
    if (problem.retry && !this.closed)
      this.again = setTimeout(() => this.#want({}), Math.max(AGAIN_MS, problem.retryAfterMs ?? 0));
  }

  #take({ at_ms, event, payload }) {
    if (event === "board.snapshot") this.board.take(payload);
    else if (this.board.apply(payload) === "gap") {
      this.#want({ toMs: at_ms }); // its first board is a whole one
      return;
    }
    this.#passed(at_ms);
    this.watcher.onBoard(this.board);
  }

  #said({ at_ms, event, payload }) {
    this.#passed(at_ms);
    this.watcher.onEvent(event, payload);
  }

  #ended({ at_ms, why, problem }) {
    this.isOpen = false;
    this.#stand(at_ms);
    if (why === "over" && !this.busy && !this.wish) {
      this.over = true;
      this.playing = false;
    }
    if (why === "refused") this.#refused(new Problem({ ...problem, retryAfterMs: problem.retry_after_ms ?? null }));
    this.watcher.onMoved();
  }

  /** An event that came says where it is; not while somewhere else was asked for. */
  #passed(atMs) {
    if (this.busy) return;
    this.anchor = { atMs, since: performance.now(), moving: this.playing && this.isOpen };
  }

  #at({ at_ms, speed }) {
    this.anchor = { atMs: at_ms, since: performance.now(), moving: speed != null };
    this.watcher.onMoved();
  }

  #stand(atMs) {
    this.anchor = { atMs, since: performance.now(), moving: false };
  }
}
