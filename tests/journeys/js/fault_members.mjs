/**
 * Members of a room with the official client, for the fault bench: they fold the board as strictly as the wire catalogue asks for,
 * keep their position, come back with it, and tell all of it as JSON lines.
 *
 * Standard input: one line {"url", "code", "members": [{"who", "token"}]}. They stay until standard input ends.
 */
import { createInterface } from "node:readline";

import { io } from "socket.io-client";

const tell = (fact) => console.log(JSON.stringify(fact));

class Member {
  constructor({ who, token }, url, code) {
    this.who = who;
    this.code = code;
    this.board = { epoch: "", v: -1 };
    this.asking = false;
    this.position = null;
    this.socket = io(`${url}/live`, {
      auth: { token },
      transports: ["websocket"],
      forceNew: true,
      reconnectionDelay: 200,
      reconnectionDelayMax: 1_000,
    });
    this.socket.on("connect", () => this.connected());
    this.socket.on("disconnect", (reason) => tell({ who, what: "lost", reason }));
    this.socket.on("board.snapshot", (whole) => this.took(whole));
    this.socket.on("board.changes", (changes) => this.changed(changes));
    this.socket.on("cue", (cue) => this.heard(cue));
    this.socket.on("room.position", ({ position }) => (this.position = position));
    this.socket.on("room.reset", (reset) => {
      this.position = reset.position;
      tell({ who, what: "joined", how: "restart", position: reset.position });
      this.took(reset.board);
    });
  }

  /** Where the client's own recovery has brought everything back, joining again would bring it a second time. */
  connected() {
    if (this.socket.recovered) tell({ who: this.who, what: "joined", how: "recovered", position: this.position });
    else this.join();
  }

  join() {
    const wanted = { code: this.code, role: "spectator" };
    if (this.position) wanted.since = this.position;
    this.socket.emit("room.join", wanted, ({ ok, problem }) => {
      if (problem) {
        tell({ who: this.who, what: "refused", code: problem.code });
        setTimeout(() => this.socket.connected && this.join(), problem.retry_after_ms ?? 500);
        return;
      }
      this.position = ok.position ?? this.position;
      tell({ who: this.who, what: "joined", how: ok.recovered ? "recovered" : "restart", position: ok.position ?? null });
      this.took(ok.board);
      for (const [event, payload] of ok.missed ?? []) if (event === "cue") this.heard(payload);
    });
  }

  took({ class_id, epoch, v }) {
    this.board = { epoch, v };
    tell({ who: this.who, what: "frame", class_id, epoch, v, snapshot: true });
  }

  changed({ class_id, epoch, v }) {
    if (this.asking) return;
    tell({ who: this.who, what: "frame", class_id, epoch, v, snapshot: false });
    if (epoch === this.board.epoch && v === this.board.v + 1) {
      this.board.v = v;
      return;
    }
    this.asking = true;
    this.socket.timeout(5_000).emit("board.get", { class_id }, (late, answer) => {
      this.asking = false;
      if (!late && answer.ok) this.took(answer.ok);
    });
  }

  heard({ class_id, text, position }) {
    this.position = position ?? this.position;
    tell({ who: this.who, what: "cue", class_id, value: Number(text), position: position ?? null });
  }
}

const lines = createInterface({ input: process.stdin });
const members = [];
lines.on("line", (line) => {
  const { url, code, members: people } = JSON.parse(line);
  for (const person of people) members.push(new Member(person, url, code));
});
lines.on("close", () => {
  for (const { socket } of members) socket.disconnect();
  process.exit(0);
});
