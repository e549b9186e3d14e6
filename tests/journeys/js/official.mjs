/**
 * The official Socket.IO clients, whichever is asked for, and what a story needs to try them.
 *
 *     SERVER_URL    where the sockets are                  CONTROL_URL   the side door of the server under test (socket_fixture.py)
 *     CLIENT        4 (the default) or 3                   TRANSPORTS    websocket or polling; without it, the client's own default
 *
 * Every line goes through a TCP proxy of the story's own (line.mjs), so that it can be cut where a cable would break.
 * The clients differ little from 3 to 4: only 4 has `timeout()` and `retries`, so the stories about those are for it alone.
 */
import assert from "node:assert/strict";

import { Client } from "./client.mjs";
import { openLine } from "./line.mjs";

export const VERSION = Number(process.env.CLIENT ?? "4");
export const SERVER_URL = needed("SERVER_URL");
const CONTROL_URL = needed("CONTROL_URL");
const TRANSPORTS = process.env.TRANSPORTS ? process.env.TRANSPORTS.split(",") : null;
/** Where a client ends up: the default one begins with polling and upgrades. */
export const TRANSPORT = TRANSPORTS?.join() === "polling" ? "polling" : "websocket";
export const UPGRADES = TRANSPORTS === null;
const WITHIN_MS = 15_000;

const { io } = await import(VERSION === 3 ? "socket.io-client-3" : "socket.io-client");

function needed(name) {
  if (!process.env[name]) throw new Error(`Set ${name}; test_socket_clients.py shows how this program is started`);
  return process.env[name];
}

/** Runs the steps of a story one after another, each named by its function; a step gets a fresh line to the server. */
export async function story(steps) {
  const began = performance.now();
  for (const step of steps) {
    const line = await openLine(SERVER_URL);
    const opened = [];
    try {
      const facts = await step({
        line,
        open: (namespace, options) => {
          const client = new Official(io(`${line.url}${namespace}`, { ...defaults(), ...options }));
          opened.push(client);
          return client;
        },
      });
      console.log(JSON.stringify({ step: step.name, ms: Math.round(performance.now() - began), ...facts }));
    } catch (failed) {
      console.error(`${step.name} (client ${VERSION}, ${TRANSPORTS ?? "default"}): ${failed.message}\n${failed.stack}`);
      process.exitCode = 1;
    } finally {
      for (const client of opened) client.close();
      await line.close();
    }
  }
  process.exit();
}

const defaults = () => ({
  forceNew: true,
  reconnectionDelay: 30,
  reconnectionDelayMax: 100,
  ...(TRANSPORTS && { transports: TRANSPORTS }),
});

/** One call of the side door. */
export async function control(verb, facts = {}) {
  const answer = await fetch(`${CONTROL_URL}/${verb}?${new URLSearchParams(facts)}`, { method: "POST" });
  const text = await answer.text();
  assert.equal(answer.status, 200, `${verb} was answered ${answer.status}: ${text}`);
  return JSON.parse(text);
}

/** Asks the side door until what it answers `holds`; that answer. */
export async function told(verb, holds, what) {
  const until = performance.now() + WITHIN_MS;
  for (;;) {
    const answer = await control(verb);
    if (holds(answer)) return answer;
    if (performance.now() > until) throw new Error(`waited ${WITHIN_MS} ms for ${what}: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A client of either version. `ends` are the reasons for which it was disconnected, `errors` why it could not connect. */
export class Official extends Client {
  constructor(socket) {
    super(socket);
    this.ends = [];
    this.errors = [];
    this.connects = 0;
    this.upgraded = false;
    const look = () => {
      for (const waiting of [...this.waiting]) waiting();
    };
    const noting = (note) => (fact) => {
      note(fact);
      look();
    };
    socket.on("connect", noting(() => (this.connects += 1)));
    socket.on("disconnect", noting((reason) => this.ends.push(reason)));
    socket.on("connect_error", noting((error) => this.errors.push(error)));
    const opened = () => socket.io.engine.on("upgrade", noting(() => (this.upgraded = true)));
    socket.io.on("open", opened);
    this.look = look;
  }

  get transport() {
    return this.socket.io.engine.transport.name;
  }

  /** Connected, and on the transport where it is going to stay. */
  async settled() {
    await this.until(() => this.socket.connected, "the client to connect");
    await this.until(() => this.transport === TRANSPORT && (!UPGRADES || this.upgraded), `the client on ${TRANSPORT}`);
    return this;
  }

  /** Disconnected once more than `before` times. */
  async dropped(before = 0) {
    await this.until(() => this.ends.length > before, "the client to be disconnected");
    return this.ends[before];
  }

  /** Ready to send at once: a client drops what is volatile while a request of its own is under way. */
  async writable() {
    const { engine } = this.socket.io;
    while (!engine.transport.writable) await new Promise((resolve) => engine.once("drain", resolve));
  }

  /**
   * Tried to connect again, in vain. Only from here on it drops what is volatile: right after a cut, client 4 still goes by the
   * transport that it has lost.
   */
  failed() {
    return new Promise((resolve) => this.socket.io.once("reconnect_error", resolve));
  }

  /** What an event is acknowledged with: an array of the arguments. */
  acknowledged(event, ...args) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${event} was not acknowledged in ${WITHIN_MS} ms`)), WITHIN_MS);
      this.socket.emit(event, ...args, (...answer) => {
        clearTimeout(late);
        resolve(answer);
      });
    });
  }

  /** The one object an event is acknowledged with. */
  async ack(event, payload) {
    const answer = await this.acknowledged(event, payload);
    assert.equal(answer.length, 1, `${event} was acknowledged with ${JSON.stringify(answer)}`);
    return answer[0];
  }

  /** An emit whose acknowledgements are noted as they come, for those that must not come, or not yet. */
  noted(socket, event, ...args) {
    const answers = [];
    socket.emit(event, ...args, (...answer) => {
      answers.push(answer);
      this.look();
    });
    return answers;
  }
}
