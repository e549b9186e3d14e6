/**
 * An app on the official Socket.IO client, while gateways come and go: it keeps each sample until it is acknowledged, opens its stream
 * again on every connection, and sends from where the server says. At the end every sample is stored, once and in order.
 *
 *     BASE_URL=http://127.0.0.1:8080 CODE=ABC234 SAMPLES=240 PACE_MS=50 node restarts.mjs
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { connect, http, journey, register, samplesFrom } from "./client.mjs";

const BATCH = 20;
const code = process.env.CODE;
const pace = Number(process.env.PACE_MS ?? "50");
const sent = samplesFrom(0, Number(process.env.SAMPLES ?? "240"));

await journey(async (tell) => {
  const { token } = await register("Noor Runner", "member");
  const client = await connect(token);
  const opening = { stream: randomUUID(), started_at_ms: Date.now(), class_code: code, device: "restarts" };
  let connections = 1;
  client.socket.on("connect", () => (connections += 1));

  /** The reply, or null when the connection was lost first or the server says that the stream has to be opened again. */
  const asked = async (event, payload) => {
    const answer = await client.ack(event, payload).catch(() => null);
    if (answer?.problem) assert.ok(answer.problem.retry || answer.problem.code === "stream_not_open", JSON.stringify(answer));
    return answer?.ok ?? null;
  };

  let made = 0;
  let workout;
  const heart = setInterval(() => (made = Math.min(made + 1, sent.length)), pace);
  for (let stored = 0; stored < sent.length; ) {
    await client.until(() => client.socket.connected, "a connection");
    const on = client.socket.id;
    const opened = await asked("stream.open", opening);
    if (opened === null) {
      await pause(pace);
      continue;
    }
    await asked("room.join", { code });
    assert.ok(opened.next_seq >= stored, `acknowledged up to ${stored}, and only ${opened.next_seq} are stored`);
    ({ next_seq: stored, workout } = opened);
    while (stored < sent.length && client.socket.id === on) {
      const samples = sent.slice(stored, Math.min(made, stored + BATCH));
      const reply = samples.length > 0 && (await asked("stream.samples", { stream: opening.stream, seq: stored, samples }));
      if (reply === null) break;
      if (reply) stored = reply.next_seq;
      else await pause(pace);
    }
  }
  clearInterval(heart);
  tell("sent", { connections });

  const page = await http("GET", `/v1/workouts/${workout}/samples?limit=1000`, { token });
  assert.deepEqual(
    page.samples.map(([t, rate = null, rr = []]) => [t, rate, rr]),
    sent,
    "every sample is stored once, in order",
  );
  client.close();
});
