/**
 * The device's side of a stream: keep every sample until the server has it, send it again after every break.
 *
 * `stream.open` with the same id says where to go on (`next_seq`); batches then follow without waiting for each other,
 * and each acknowledgement moves the mark of what may be forgotten. Anything that goes wrong ends in one of two ways:
 * send again from the mark, or open again and then send from the mark. Nothing is given up but by the person.
 *
 * From the mark, never from the batch that was refused: one before it may have been refused too, by an answer that comes
 * later and is then ignored as belonging to an earlier turn. While a wait is under way nothing is sent, because every new
 * sample would be refused as well and start the wait anew.
 */
import { Backlog } from "./backlog.js";
import { Problem } from "./problem.js";

const AGAIN_MS = 1_000;
const FORGOTTEN = "The server no longer has samples that it had stored. Finish this workout and start a new one.";
const OPEN_AGAIN = new Set(["stream_not_open", "stream_finished"]);

/**
 * `phase`: opening, streaming, finishing, finished, taken (by another tab or device), refused (`message` says why).
 * `waiting` samples are only on this device, `stored` are safe.
 * @typedef {{phase: string, waiting: number, stored: number, message: string, workout: string | null}} StreamState
 */

export class DeviceStream {
  /**
   * @param {{connected: boolean, ask: Function, on: Function, watch: Function}} live
   * @param {import("./keep.js").Keep} keep
   * @param {import("./keep.js").Kept} kept
   * @param {any[][]} samples those that an earlier page load left
   * @param {(state: StreamState) => void} onState
   */
  constructor(live, keep, kept, samples, onState) {
    this.live = live;
    this.keep = keep;
    this.kept = kept;
    this.backlog = new Backlog({ base: kept.base, samples });
    this.onState = onState;
    this.phase = kept.finishing ? "finishing" : "opening";
    this.message = "";
    this.workout = null;
    this.epoch = 0;
    this.opened = false;
    this.opening = false;
    this.asked = false;
    this.turn = 0; // counts rewinds: an answer to a batch of an earlier turn decides nothing
    this.timer = 0;
    this.held = false; // a wait that the server asked for is under way
    this.gapAt = -1; // what was stored at the last gap: a second one without progress waits
    live.on("stream.taken", (taken) => this.#taken(taken));
    live.watch(({ phase }) => {
      this.opened = false;
      if (phase === "connected") this.#open();
    });
  }

  /** A new stream with an id of its own, kept before the first sample. */
  static async begin(live, keep, { account, classCode, title, team = null, device }, onState) {
    const kept = {
      stream: newId(),
      account,
      startedAtMs: Math.round(wallMs()),
      classCode,
      title,
      team,
      device,
      base: 0,
      lastT: 0,
      finishing: false,
    };
    const stream = new DeviceStream(live, keep, kept, [], onState);
    await stream.#kept(keep.save(kept));
    return stream;
  }

  /** The stream goes on where an earlier page load left it. */
  static async resume(live, keep, kept, onState) {
    return new DeviceStream(live, keep, { ...kept }, await keep.samples(kept.stream, kept.base), onState);
  }

  get over() {
    return this.phase === "finished" || this.kept.finishing;
  }

  /** How long the stream has run, ms. */
  get elapsedMs() {
    return this.over ? this.kept.lastT : Math.max(0, wallMs() - this.kept.startedAtMs);
  }

  /** @param {import("./heart-rate.js").Reading} reading taken just now */
  add({ bpm, rr }) {
    if (this.over) return;
    const t = Math.max(this.kept.lastT, Math.round(wallMs() - this.kept.startedAtMs));
    this.kept.lastT = t;
    const sample = [t, bpm, rr];
    const seq = this.backlog.add(sample);
    this.#kept(this.keep.save(this.kept, { seq, sample }));
    this.#pump();
    this.#tell();
  }

  /** No more samples; goes on in the background until all are stored and the server has said so. */
  async finish() {
    this.kept.finishing = true;
    this.phase = this.phase === "taken" ? "taken" : "finishing";
    await this.#kept(this.keep.save(this.kept));
    this.#tell();
    this.#pump();
  }

  /** Take the stream back from another tab or device. */
  takeBack() {
    this.phase = this.kept.finishing ? "finishing" : "opening";
    this.#open();
  }

  get #mayWork() {
    return this.phase !== "finished" && this.phase !== "taken" && this.phase !== "refused";
  }

  async #open() {
    if (this.opening || !this.live.connected || !this.#mayWork) return;
    this.opening = true;
    this.#waitNoMore(); // what was to be done later is done by the opening
    try {
      const { stream, startedAtMs, classCode, team, device } = this.kept;
      const opened = await this.live.ask("stream.open", {
        stream,
        started_at_ms: startedAtMs,
        device,
        ...(classCode ? { class_code: classCode } : {}),
        ...(classCode && team ? { team } : {}),
      });
      this.#onOpened(opened);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#notOpened(problem);
    } finally {
      this.opening = false;
    }
  }

  #onOpened(opened) {
    if (!this.#mayWork) return;
    this.workout = opened.workout;
    this.epoch = opened.epoch;
    this.opened = true;
    this.turn += 1;
    this.backlog.maxBatch = opened.max_batch ?? this.backlog.maxBatch;
    this.backlog.maxUnacked = opened.max_unacked ?? this.backlog.maxUnacked;
    this.asked = false;
    if (opened.next_seq < this.backlog.base) {
      this.#refuse(FORGOTTEN);
      return;
    }
    this.#stored(opened.next_seq);
    this.backlog.rewind(opened.next_seq);
    this.phase = this.kept.finishing ? "finishing" : "streaming";
    this.#pump();
    this.#tell();
  }

  #notOpened(problem) {
    if (problem.retry) {
      this.#later(() => this.#open(), problem);
      return;
    }
    const classGone = problem.code === "class_over" || problem.code === "class_not_found";
    if (classGone && this.kept.classCode && this.backlog.next > 0) {
      // The class no longer takes it, but the samples were made and belong to the athlete.
      this.kept.classCode = null;
      this.message = "The class is over; this workout is kept as your own.";
      this.#openAgain();
      return;
    }
    this.#refuse(problem.message);
  }

  #openAgain() {
    this.opened = false;
    this.#later(() => this.#open(), null, 0);
  }

  #pump() {
    if (!this.opened || this.held || !this.live.connected || !this.#mayWork) return;
    for (let batch = this.backlog.take(); batch; batch = this.backlog.take()) this.#send(batch, this.turn);
    if (this.kept.finishing && this.backlog.waiting === 0) this.#askToFinish();
  }

  async #send(batch, turn) {
    try {
      const stored = await this.live.ask("stream.samples", { stream: this.kept.stream, ...batch });
      this.#stored(stored.next_seq);
      this.#pump();
      this.#tell();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (turn === this.turn) this.#notStored(problem);
    }
  }

  #notStored(problem) {
    this.turn += 1;
    if (problem.code === "no_network") return; // the next connection opens again
    if (problem.code === "stream_taken_over") {
      this.#taken({ stream: this.kept.stream, epoch: Infinity });
    } else if (OPEN_AGAIN.has(problem.code) || problem.code === "no_answer") {
      this.#openAgain();
    } else if (problem.code === "sequence_gap") {
      this.#gap(problem);
    } else if (problem.retry) {
      this.#later(() => this.#goOnFrom(this.backlog.base), problem);
    } else {
      this.#refuse(problem.message);
    }
  }

  /** The server kept less than we thought was on its way: go back to what it expects. */
  #gap(problem) {
    const expected = Number(problem.data.expected ?? this.backlog.base);
    if (expected < this.backlog.base) {
      this.#refuse(FORGOTTEN);
      return;
    }
    const again = this.gapAt === this.backlog.base;
    this.gapAt = this.backlog.base;
    this.#later(() => this.#goOnFrom(expected), problem, again ? AGAIN_MS : 0);
  }

  #goOnFrom(seq) {
    this.backlog.rewind(seq);
    this.#pump();
  }

  async #askToFinish() {
    if (this.asked) return;
    this.asked = true;
    try {
      const finished = await this.live.ask("stream.finish", { stream: this.kept.stream, samples: this.backlog.next });
      this.workout = finished.workout;
      this.phase = "finished";
      await this.#kept(this.keep.forget(this.kept.stream));
      this.#tell();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.asked = false;
      if (problem.code !== "stream_finished") this.#notStored(problem);
      else this.#openAgain();
    }
  }

  #stored(nextSeq) {
    if (nextSeq <= this.backlog.base) return;
    this.backlog.stored(nextSeq);
    this.kept.base = this.backlog.base;
    if (this.phase !== "finished") this.#kept(this.keep.forgetStored(this.kept));
  }

  #taken({ stream, epoch }) {
    if (stream !== this.kept.stream || this.phase === "finished") return;
    if (epoch < this.epoch || this.opening) return; // about an opening that we have followed up, or are about to
    this.opened = false;
    this.phase = "taken";
    this.#tell();
  }

  #refuse(message) {
    this.opened = false;
    this.phase = "refused";
    this.message = message;
    this.#tell();
  }

  #later(work, problem, waitMs = problem?.retryAfterMs ?? AGAIN_MS) {
    this.#waitNoMore();
    this.held = true;
    this.timer = setTimeout(() => {
      this.held = false;
      work();
    }, waitMs);
  }

  #waitNoMore() {
    clearTimeout(this.timer);
    this.held = false;
  }

  /** Keeping on this device may fail (a full disk); the stream itself goes on from memory. */
  #kept(saving) {
    return saving.catch((failed) => {
      console.warn("a sample could not be kept on this device", failed);
      this.message = "This device cannot keep samples (is its storage full?). Keep this page open until you finish.";
      this.#tell();
    });
  }

  #tell() {
    const { phase, message, workout } = this;
    this.onState({ phase, message, workout, waiting: this.backlog.waiting, stored: this.backlog.base });
  }
}

/** The wall clock, ms since 1970, that does not jump while the page is open. */
function wallMs() {
  return performance.timeOrigin + performance.now();
}

/** A random UUID; `crypto.randomUUID` itself is missing on pages over plain http. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
