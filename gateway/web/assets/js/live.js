/**
 * The socket: the official Socket.IO client, with our own rules for coming back.
 *
 * The client's own reconnection is off, because the server may say when to come back (`bye`) or that we should not, and
 * because a refused token must be renewed before the next try. What the socket is shown is a ticket, which works once; while the
 * server cannot tell whether one was used (its database is away), it is the access token itself. Tries back off with full jitter, so that a restarted
 * server is not met by everybody at once.
 *
 * The page learns one thing above all: whether numbers may be shown. A connection that is gone for more than
 * `BLANK_AFTER_MS` turns `fresh` to false, and whatever came over it is no longer true enough to look at. A server that does not
 * hear its other nodes says so (`service.state`): then `behind` is true, and what is shown may be half of the class.
 */
import { io } from "../vendor/socket.io-4.8.4.esm.min.js";
import { call } from "./http.js";
import { Problem, noAnswer, problemFrom } from "./problem.js";

export const BLANK_AFTER_MS = 3_000;
const ANSWER_WITHIN_MS = 10_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const TOKEN_PROBLEMS = new Set(["token_expired", "not_authenticated", "ticket_refused"]);

/**
 * How the connection stands.
 * @typedef {{phase: "connecting" | "connected" | "away" | "over", fresh: boolean, reason: string, behind: boolean}} Standing
 */

export class Live {
  /** @param {{token: (options?: {force?: boolean}) => Promise<string>}} pass */
  constructor(pass) {
    this.pass = pass;
    /** @type {Standing} */
    this.standing = { phase: "connecting", fresh: false, reason: "", behind: false };
    /** @type {Set<(standing: Standing) => void>} */
    this.watchers = new Set();
    this.tries = 0;
    this.renew = false;
    this.plain = false;
    this.wakeAt = null;
    this.bye = null;
    this.retryTimer = 0;
    this.blankTimer = 0;
    this.stopped = false;
    this.onWake = () => {
      if (document.visibilityState === "visible") this.#hurry();
    };
    this.socket = io("/live", {
      autoConnect: false,
      reconnection: false,
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      timeout: 8_000,
      auth: (answer) => answer(this.shown),
    });
    this.socket.on("connect", () => this.#connected());
    this.socket.on("disconnect", (reason) => this.#lost(reason));
    this.socket.on("connect_error", (error) => this.#refused(error));
    this.socket.on("service.state", ({ state, reason }) => {
      console.info(`the server is ${state}:`, reason ?? "it hears its other nodes");
      this.#stand({ ...this.standing, behind: state === "stale" });
    });
    this.socket.on("token.expiring", () => this.#renew());
    this.socket.on("bye", (bye) => {
      this.bye = bye;
    });
  }

  /** Calls `watcher` now and at every change of the connection. */
  watch(watcher) {
    this.watchers.add(watcher);
    watcher(this.standing);
  }

  /** @param {string} event @param {(payload: any) => void} handler */
  on(event, handler) {
    this.socket.on(event, handler);
  }

  start() {
    this.stopped = false;
    window.addEventListener("online", this.onWake);
    document.addEventListener("visibilitychange", this.onWake);
    this.#try();
  }

  /** Ends the connection for good; may be called twice. */
  stop() {
    this.stopped = true;
    clearTimeout(this.retryTimer);
    clearTimeout(this.blankTimer);
    window.removeEventListener("online", this.onWake);
    document.removeEventListener("visibilitychange", this.onWake);
    this.socket.disconnect();
  }

  get connected() {
    return this.socket.connected;
  }

  /** Whether the server has taken up the last connection where it broke: what was missed comes by itself. */
  get recovered() {
    return this.socket.recovered;
  }

  /**
   * Sends an event and waits for its acknowledgement.
   * @returns {Promise<any>} the reply; raises `Problem`
   */
  async ask(event, payload, { withinMs = ANSWER_WITHIN_MS } = {}) {
    if (!this.socket.connected) throw new Problem({ code: "no_network", message: "Not connected.", retry: true });
    let answer;
    try {
      answer = await this.socket.timeout(withinMs).emitWithAck(event, payload);
    } catch (late) {
      console.info(`${event} was not acknowledged:`, late.message);
      throw noAnswer();
    }
    if (answer && "ok" in answer) return answer.ok;
    throw problemFrom(answer?.problem);
  }

  /** Drops a connection that looks open but does not answer, and comes back. */
  distrust(reason) {
    if (!this.socket.connected) return;
    console.info("the connection is dropped:", reason);
    this.#away(reason, { blank: true });
    this.socket.io.engine.close();
  }

  #connected() {
    clearTimeout(this.blankTimer);
    this.tries = 0;
    this.bye = null;
    this.renew = false;
    this.plain = false;
    // A node that is behind says so again to whoever connects.
    this.#stand({ phase: "connected", fresh: true, reason: "", behind: false });
  }

  #lost(reason) {
    if (this.stopped) return;
    const bye = this.bye;
    this.bye = null;
    if (bye && bye.come_back_ms == null) {
      this.#over(bye.reason);
      return;
    }
    this.#away(bye?.reason ?? words(reason));
    if (bye) this.#later(bye.come_back_ms);
    else this.#later(this.#backOff());
  }

  #refused(error) {
    if (this.stopped) return;
    const told = error.data ? problemFrom(error.data, error.message) : null;
    if (told && TOKEN_PROBLEMS.has(told.code)) {
      if (this.renew) {
        this.#over(told.message); // a fresh token was refused as well: trying on would only knock louder
        return;
      }
      this.renew = true;
      this.#away(told.message);
      this.#later(0);
      return;
    }
    if (told && !told.retry) {
      this.#over(told.message);
      return;
    }
    if (told?.code === "unavailable") this.plain = true;
    this.#away(told?.message ?? "the server cannot be reached");
    this.#later(told?.retryAfterMs ?? this.#backOff());
  }

  /** Shows a new token on the open connection. What does not work is left: at the end of the old one the server says to come back. */
  async #renew() {
    try {
      let token = await this.pass.token();
      if (token === this.token) token = await this.pass.token({ force: true });
      await this.ask("token.renew", { token });
      this.token = token;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      console.info("the token was not renewed:", problem.message);
    }
  }

  async #try() {
    if (this.stopped || this.socket.connected) return;
    try {
      this.token = await this.pass.token({ force: this.renew });
      this.shown = this.plain ? { token: this.token } : await ticketFor(this.token);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (this.stopped) return;
      if (TOKEN_PROBLEMS.has(problem.code) && !this.renew && this.token) {
        this.renew = true; // our clock took it for younger than it is
        this.#later(0);
        return;
      }
      if (!problem.retry) {
        this.#over(problem.message);
        return;
      }
      this.#away(problem.message);
      this.#later(problem.retryAfterMs ?? this.#backOff());
      return;
    }
    if (!this.stopped) this.socket.connect();
  }

  #later(waitMs) {
    clearTimeout(this.retryTimer);
    this.wakeAt = performance.now() + waitMs;
    this.retryTimer = setTimeout(() => {
      this.wakeAt = null;
      this.#try();
    }, waitMs);
  }

  /** The network or the screen is back: no use in sitting out a long wait. */
  #hurry() {
    if (this.wakeAt === null || this.wakeAt - performance.now() < FIRST_WAIT_MS) return;
    this.#later(Math.random() * FIRST_WAIT_MS);
  }

  #backOff() {
    const ceiling = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.tries);
    this.tries += 1;
    return ceiling * (0.2 + 0.8 * Math.random());
  }

  #away(reason, { blank = false } = {}) {
    const was = this.standing;
    if (blank || was.phase === "over") clearTimeout(this.blankTimer);
    if (was.phase === "connected" && !blank) {
      this.blankTimer = setTimeout(() => {
        if (!this.socket.connected) this.#stand({ ...this.standing, fresh: false });
      }, BLANK_AFTER_MS);
    }
    const phase = was.phase === "connecting" && this.tries < 2 ? "connecting" : "away";
    this.#stand({ phase, fresh: was.fresh && !blank, reason, behind: was.behind });
  }

  #over(reason) {
    clearTimeout(this.retryTimer);
    clearTimeout(this.blankTimer);
    this.wakeAt = null;
    this.#stand({ phase: "over", fresh: false, reason, behind: false });
    this.socket.disconnect();
  }

  #stand(standing) {
    this.standing = standing;
    for (const watcher of this.watchers) watcher(standing);
  }
}

/** A ticket for one connection of whoever has this access token. */
async function ticketFor(token) {
  const { ticket } = await call("POST", "/v1/tickets", { token });
  return { ticket };
}

/** What the client library calls the end of a connection, in words for people. */
function words(reason) {
  switch (reason) {
    case "ping timeout":
      return "the server went silent";
    case "io server disconnect":
      return "the server ended the connection";
    default:
      return "the connection was lost";
  }
}
