// What the peers in JavaScript have in common: the job on the command line, the token check, the sample check, and the work.
// See ../job.py for the protocol.
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    scenario: { type: "string" },
    key: { type: "string" },
    "ping-s": { type: "string", default: "25" },
    "beat-s": { type: "string", default: "0.25" },
    redis: { type: "string", default: "" },
    tuned: { type: "boolean", default: false },
  },
});

export const job = {
  port: Number(values.port),
  scenario: values.scenario,
  pingMs: Number(values["ping-s"]) * 1000,
  beatMs: Number(values["beat-s"]) * 1000,
  redis: values.redis,
  tuned: values.tuned,
};

const key = createPublicKey(readFileSync(values.key));

/** The claims of an access token: algorithm, type, signature, issuer, audience and age are checked, as Paceline does. */
export function identify(token) {
  const parts = typeof token === "string" && token.length <= 2048 ? token.split(".") : [];
  if (parts.length !== 3) throw new Error("not a token");
  const header = JSON.parse(Buffer.from(parts[0], "base64url").toString());
  if (header.alg !== "EdDSA" || header.typ !== "at+jwt") throw new Error("not an access token");
  const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
  if (!verify(null, signed, key, Buffer.from(parts[2], "base64url"))) throw new Error("a bad signature");
  const claims = JSON.parse(Buffer.from(parts[1], "base64url").toString());
  if (claims.iss !== "paceline" || claims.aud !== "paceline") throw new Error("a token for somebody else");
  if (typeof claims.sub !== "string" || typeof claims.exp !== "number" || Date.now() >= claims.exp * 1000) throw new Error("expired");
  return claims;
}

/** A sample with shape, types and ranges checked. Throws. */
function checked(payload) {
  const { stream, seq, samples } = payload ?? {};
  if (typeof stream !== "string" || stream.length !== 36) throw new Error("stream");
  if (!Number.isSafeInteger(seq) || seq < 0) throw new Error("seq");
  if (!Array.isArray(samples) || samples.length < 1 || samples.length > 1000) throw new Error("samples");
  for (const sample of samples) {
    if (!Array.isArray(sample) || sample.length < 2 || sample.length > 3) throw new Error("a sample");
    const [t, bpm] = sample;
    if (!Number.isInteger(t) || t < 0 || t > 604800000 || !Number.isInteger(bpm) || bpm < 20 || bpm > 250) throw new Error("t, bpm");
  }
  return { stream, seq, bpm: samples[0][1] };
}

function row({ stream, seq, bpm }) {
  const percent = Math.floor((bpm * 100) / 190);
  const zone = percent < 50 ? 0 : percent >= 90 ? 5 : Math.floor((percent - 40) / 10);
  return [parseInt(stream.slice(-8), 16), seq, bpm, percent, zone, seq / 10, "live"];
}

/** The handlers, on a server of socket.io with whatever engine. */
export function serve(io) {
  const live = io.of("/live");
  const boards = new Map();
  const changes = (board, rows) => ({ class_id: board.room, epoch: "e", v: ++board.version, at_ms: Date.now(), rows });
  live.use((socket, next) => {
    try {
      socket.data.claims = identify(socket.handshake.auth.token);
      next();
    } catch (problem) {
      next(problem);
    }
  });
  live.on("connection", (socket) => {
    let board;
    socket.on("room.join", ({ code }, acknowledge) => {
      const room = `00000000-0000-4000-8000-${Number(code.slice(4)).toString(16).padStart(4, "0")}00000000`;
      if (!boards.has(room)) boards.set(room, { room, version: 0, rows: [] });
      board = boards.get(room);
      socket.join(room);
      acknowledge({ ok: {} });
    });
    socket.on("stream.samples", (payload, acknowledge) => {
      const taken = checked(payload);
      if (job.scenario === "ingest") acknowledge({ ok: { stream: taken.stream, next_seq: taken.seq + 1 } });
      else if (job.scenario !== "board") live.to(board.room).emit("stream.taken", { stream: taken.stream, epoch: taken.seq });
      else if (job.tuned) board.rows.push(row(taken));
      else live.to(board.room).emit("board.changes", changes(board, [row(taken)]));
    });
  });
  if (job.scenario === "board" && job.tuned) {
    setInterval(() => {
      for (const board of boards.values()) {
        if (!board.rows.length) continue;
        live.to(board.room).emit("board.changes", changes(board, board.rows));
        board.rows = [];
      }
    }, job.beatMs);
  }
}

/** Tell the harness that the port answers; end with standard input. */
export function ready() {
  process.stdin.on("end", () => process.exit(0)).resume();
  process.stdout.write("ready\n");
}
