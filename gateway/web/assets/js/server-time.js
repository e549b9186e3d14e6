/**
 * The server's time, for what everybody is to see at the same instant (docs/systems/class-clock.md): asked several times, the answer
 * with the shortest way believed, again every minute and after each reconnect. What came of it is reported, so that who leads the class
 * sees whose screen is off.
 */
import { Problem } from "./problem.js";

const SEVERAL = 5;
const AGAIN_MS = 60_000;
const MOST_DELAY_MS = 60_000; // what the server takes in a report
const MOST_MOVED_MS = 3_600_000;

const own = () => performance.timeOrigin + performance.now(); // a clock that nobody sets

/**
 * What four timestamps say, in ms: how long the way was, and how far the server's clock is ahead of ours.
 * @param {{sent_ms: number, received_ms: number, answered_ms: number}} synced @param {number} back
 */
export function exchanged({ sent_ms: sent, received_ms: received, answered_ms: answered }, back) {
  return { delayMs: back - sent - (answered - received), offsetMs: (received - sent + (answered - back)) / 2 };
}

/**
 * What came of asking, as the server is told it: the delay of the answer believed, and how far what was believed before was off.
 * @param {{delayMs: number, offsetMs: number}} found @param {number | null} before the offset until now
 */
export function reportOf({ delayMs, offsetMs }, before) {
  const moved = before === null ? 0 : offsetMs - before;
  return {
    delay_ms: Math.min(Math.max(delayMs, 0), MOST_DELAY_MS),
    moved_ms: Math.min(Math.max(moved, -MOST_MOVED_MS), MOST_MOVED_MS),
  };
}

export class ServerTime {
  /** @param {import("./live.js").Live} live */
  constructor(live) {
    this.live = live;
    this.offsetMs = null;
    this.closed = false;
    live.watch(({ phase }) => {
      if (phase === "connected") this.#sync();
    });
    this.timer = setInterval(() => this.#sync(), AGAIN_MS);
  }

  /** Ms since 1970, null before it is known. */
  get nowMs() {
    return this.offsetMs === null ? null : own() + this.offsetMs;
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
  }

  async #sync() {
    let best = null;
    await this.#try(async () => {
      for (let n = 0; n < SEVERAL && !this.closed && this.live.connected; n++) {
        const synced = await this.live.ask("clock.sync", { sent_ms: Math.round(own()) });
        const found = exchanged(synced, own());
        if (!best || found.delayMs < best.delayMs) best = found;
      }
    });
    if (best) await this.#take(best);
  }

  /** Believe it, and report it. */
  async #take(found) {
    const report = reportOf(found, this.offsetMs);
    this.offsetMs = found.offsetMs;
    if (this.closed || !this.live.connected) return;
    await this.#try(() => this.live.ask("clock.sync", { sent_ms: Math.round(own()), report }));
  }

  async #try(work) {
    try {
      await work();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      console.info("the server's time was not to be had:", problem.message);
    }
  }
}
