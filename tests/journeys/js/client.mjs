/**
 * What both journeys share: steps that are told as JSON lines, HTTP calls, and the official Socket.IO client with
 * acknowledgements as promises.
 *
 * A journey stops at the first thing that is not as promised and exits with 1 and a sentence on standard error.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { io } from "socket.io-client";

export const BASE_URL = (process.env.BASE_URL ?? "").replace(/\/$/, "");
const TRANSPORTS = (process.env.TRANSPORTS ?? "websocket,polling").split(",");
const WITHIN_MS = 30_000; // how long a failure takes to be one, as in the browser
const PASSWORD = "seven brown foxes rowing";

/** Runs the steps of a journey; `tell` reports one that was as promised. */
export async function journey(steps) {
  if (!BASE_URL) {
    console.error("Set BASE_URL to the address of a running server, for example http://127.0.0.1:8080");
    process.exit(1);
  }
  const began = performance.now();
  let last = "start";
  const tell = (step, facts = {}) => {
    last = step;
    console.log(JSON.stringify({ step, ms: Math.round(performance.now() - began), ...facts }));
  };
  try {
    await steps(tell);
    tell("done");
    process.exit(0);
  } catch (failed) {
    console.error(`After the step "${last}": ${failed.message}`);
    console.error(failed.stack);
    process.exit(1);
  }
}

/** One HTTP call; the body of the answer, checked to have the promised status. */
export async function http(method, path, { body, token, status = 200 } = {}) {
  const headers = {
    ...(body && { "Content-Type": "application/json" }),
    ...(token && { Authorization: `Bearer ${token}` }),
  };
  const answer = await fetch(BASE_URL + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.equal(answer.status, status, `${method} ${path} answered ${answer.status}: ${text.slice(0, 300)}`);
  if (status >= 400) assert.match(answer.headers.get("content-type") ?? "", /^application\/problem\+json/);
  return text ? JSON.parse(text) : null;
}

/** A new account, logged in. @param {"member" | "coach"} role */
export async function register(name, role) {
  const email = `${name.toLowerCase().replace(/[^a-z]/g, "")}-${randomUUID().slice(0, 8)}@example.org`;
  const made = await http("POST", "/v1/accounts", { body: { email, password: PASSWORD, name, role }, status: 201 });
  return { email, password: PASSWORD, token: made.access_token, refresh: made.refresh_token, account: made.account };
}

/** A connected client: the official one, with what the server says kept in the order it came. */
export async function connect(token, url = BASE_URL) {
  const socket = io(`${url}/live`, {
    auth: { token },
    transports: TRANSPORTS,
    forceNew: true,
    reconnectionDelay: 50,
    reconnectionDelayMax: 500,
  });
  const client = new Client(socket);
  await client.until(() => socket.connected, "the socket to connect");
  return client;
}

export class Client {
  constructor(socket) {
    this.socket = socket;
    this.heard = [];
    this.waiting = new Set();
    socket.onAny((event, payload) => this.#news({ event, payload }));
    socket.on("connect", () => this.#news());
    socket.on("disconnect", () => this.#news());
    socket.on("connect_error", (error) => {
      this.error = error;
      this.#news();
    });
  }

  /** The acknowledgement of an event, {"ok": …} or {"problem": …}. */
  ack(event, payload) {
    return this.socket.timeout(WITHIN_MS).emitWithAck(event, payload);
  }

  /** The reply to an event that must be accepted. */
  async ask(event, payload) {
    const answer = await this.ack(event, payload);
    assert.ok(answer && "ok" in answer, `${event} was refused: ${JSON.stringify(answer)}`);
    return answer.ok;
  }

  /** The problem with an event that must be refused. */
  async refused(event, payload, code) {
    const answer = await this.ack(event, payload);
    assert.ok(answer?.problem, `${event} should be refused with ${code}, but was answered ${JSON.stringify(answer)}`);
    assert.equal(answer.problem.code, code, JSON.stringify(answer.problem));
    return answer.problem;
  }

  /** The first payload of `event`, heard already or to come, that `fits`. */
  async hear(event, fits = () => true) {
    const find = () => this.heard.find((news) => news.event === event && fits(news.payload));
    await this.until(find, `${event} that fits`);
    return find().payload;
  }

  /** Waits for news until `holds`. */
  until(holds, what) {
    if (holds()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.waiting.delete(look);
        const events = this.heard
          .map(({ event }) => event)
          .slice(-8)
          .join(", ");
        reject(
          new Error(
            `waited ${WITHIN_MS} ms for ${what}; heard last: ${events || "nothing"}${this.error ? `; ${this.error.message}` : ""}`,
          ),
        );
      }, WITHIN_MS);
      const look = () => {
        if (!holds()) return;
        clearTimeout(late);
        this.waiting.delete(look);
        resolve();
      };
      this.waiting.add(look);
    });
  }

  close() {
    this.socket.disconnect();
  }

  #news(news) {
    if (news) this.heard.push(news);
    for (const look of [...this.waiting]) look();
  }
}

/** `count` samples a second apart, from number `from`: [t ms, bpm, []]. */
export const samplesFrom = (from, count, bpm = 140) =>
  Array.from({ length: count }, (_, index) => [(from + index) * 1_000, bpm + ((from + index) % 10), []]);

/** What `attempt` gives once it gives something: for promises that no event announces. */
export async function eventually(what, attempt) {
  const until = performance.now() + WITHIN_MS;
  for (;;) {
    const found = await attempt();
    if (found) return found;
    if (performance.now() > until) throw new Error(`waited ${WITHIN_MS} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
