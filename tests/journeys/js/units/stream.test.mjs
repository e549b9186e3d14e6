import assert from "node:assert/strict";
import { test } from "node:test";

import { Keep } from "../../../../gateway/web/assets/js/keep.js";
import { Problem, noAnswer } from "../../../../gateway/web/assets/js/problem.js";
import { DeviceStream } from "../../../../gateway/web/assets/js/stream.js";
import { Timers, settle } from "./timers.mjs";

/** The server's documented rules for one stream, and a connection to it that a test can break anywhere. */
class Server {
  constructor() {
    this.stored = [];
    this.epoch = 0;
    this.finished = null;
    this.connected = false;
    this.watchers = [];
    this.handlers = new Map();
    this.refuse = () => null;
    this.loseAnswer = () => false;
    this.late = () => null;
    this.calls = [];
  }

  watch(watcher) {
    this.watchers.push(watcher);
    watcher({ phase: this.connected ? "connected" : "connecting" });
  }

  on(event, handler) {
    this.handlers.set(event, handler);
  }

  connect() {
    this.connected = true;
    this.open = false;
    for (const watcher of this.watchers) watcher({ phase: "connected" });
  }

  cut() {
    this.connected = false;
    for (const watcher of this.watchers) watcher({ phase: "away" });
  }

  async ask(event, payload) {
    this.calls.push(event);
    const refused = this.refuse(event, payload);
    await this.late(event, payload);
    if (refused) throw refused;
    const answer = this[event](payload);
    if (this.loseAnswer(event, payload)) throw noAnswer();
    return answer;
  }

  "stream.open"({ stream }) {
    this.epoch += 1;
    this.open = true;
    return { stream, workout: "w", epoch: this.epoch, next_seq: this.stored.length };
  }

  "stream.samples"({ stream, seq, samples }) {
    if (!this.open) throw new Problem({ code: "stream_not_open", message: "open first" });
    const have = this.stored.length;
    if (seq > have) throw new Problem({ code: "sequence_gap", message: "gap", retry: true, data: { expected: have } });
    this.stored.push(...samples.slice(have - seq));
    return { stream, next_seq: this.stored.length };
  }

  "stream.finish"({ stream, samples }) {
    assert.equal(samples, this.stored.length, "finish names as many samples as were made");
    this.finished = samples;
    return { stream, workout: "w", next_seq: samples };
  }
}

const fields = { account: "a", classCode: "ABC234", title: "", device: "test" };

/** A promise and what fulfils it. */
function gate() {
  let open = null;
  const opened = new Promise((resolve) => (open = resolve));
  return { open, opened };
}

async function begun(server, keep = new Keep(null)) {
  const states = [];
  const stream = await DeviceStream.begin(server, keep, fields, (state) => states.push(state));
  return { stream, keep, states, last: () => states[states.length - 1] };
}

const beat = (stream, count, from = 100) => {
  for (let index = 0; index < count; index += 1) stream.add({ bpm: from + index, rr: [] });
};
const bpms = (server) => server.stored.map(([, bpm]) => bpm);

test("samples made before the connection stands are sent once it does", async () => {
  const server = new Server();
  const { stream, last } = await begun(server);
  beat(stream, 3);
  server.connect();
  await settle();
  assert.deepEqual(bpms(server), [100, 101, 102]);
  assert.deepEqual([last().waiting, last().stored, last().phase], [0, 3, "streaming"]);
});

test("a break in the middle loses nothing and stores nothing twice", async () => {
  const server = new Server();
  server.connect();
  const { stream } = await begun(server);
  await settle();
  beat(stream, 5);
  server.cut();
  beat(stream, 4, 105);
  server.connect();
  await settle();
  assert.deepEqual(bpms(server), [100, 101, 102, 103, 104, 105, 106, 107, 108]);
});

test("a lost acknowledgement makes it open again and send again, stored once", async () => {
  const server = new Server();
  server.connect();
  const { stream, last } = await begun(server);
  await settle();
  let lost = 0;
  server.loseAnswer = (event) => event === "stream.samples" && lost++ === 0;
  beat(stream, 2);
  await settle();
  await settle();
  assert.deepEqual(bpms(server), [100, 101]);
  assert.equal(last().waiting, 0);
  assert.equal(server.calls.filter((event) => event === "stream.open").length, 2);
});

test("a server that asks for earlier samples gets them", async () => {
  const server = new Server();
  server.connect();
  const { stream } = await begun(server);
  await settle();
  let refused = 0;
  server.refuse = (event, { seq }) =>
    event === "stream.samples" && seq === 0 && refused++ === 0
      ? new Problem({ code: "stream_not_open", message: "open first" })
      : null;
  beat(stream, 3);
  await settle();
  await settle();
  assert.deepEqual(bpms(server), [100, 101, 102]);
});

const later = (retryAfterMs) => new Problem({ code: "unavailable", message: "later", retry: true, retryAfterMs });

test("refusals that come in the wrong order leave no sample behind", async (test) => {
  const timers = new Timers(test);
  const server = new Server();
  server.connect();
  const { stream } = await begun(server);
  await settle();
  const first = gate();
  const seqs = [];
  server.refuse = (event, { seq }) => (event === "stream.samples" && seqs.push(seq) <= 2 ? later(500) : null);
  server.late = (_, { seq }) => (seq === 0 && seqs.length === 1 ? first.opened : null);
  beat(stream, 2);
  await timers.jump(500); // the second refusal is in and acted on; the first is still on its way
  first.open();
  await timers.jump(500);
  assert.deepEqual(seqs, [0, 1, 0], "from the mark; the late refusal sends nothing again");
  assert.deepEqual(bpms(server), [100, 101]);
});

test("a server that asked to wait is left alone, and new samples do not make the wait longer", async (test) => {
  const timers = new Timers(test);
  const server = new Server();
  server.connect();
  const { stream } = await begun(server);
  await settle();
  const seqs = [];
  server.refuse = (event, { seq }) => (event === "stream.samples" && seqs.push(seq) === 1 ? later(2_500) : null);
  for (let second = 0; second < 3; second += 1) {
    beat(stream, 1, 100 + second);
    await timers.jump(second < 2 ? 1_000 : 499);
  }
  assert.deepEqual(seqs, [0]);
  await timers.jump(1);
  assert.deepEqual(seqs, [0, 0]);
  assert.deepEqual(bpms(server), [100, 101, 102]);
});

test("an acknowledgement that comes during a wait does not send what must wait", async (test) => {
  const timers = new Timers(test);
  const server = new Server();
  server.connect();
  const { stream, last } = await begun(server);
  await settle();
  const first = gate();
  const seqs = [];
  server.refuse = (event, { seq }) => (event === "stream.samples" && seqs.push(seq) === 2 ? later(500) : null);
  server.late = (_, { seq }) => (seq === 0 ? first.opened : null);
  beat(stream, 2);
  await settle();
  beat(stream, 1, 102);
  first.open();
  await settle();
  assert.deepEqual([seqs, last().stored], [[0, 1], 1]);
  await timers.jump(500);
  assert.deepEqual(seqs, [0, 1, 1], "it goes on from what is stored");
  assert.deepEqual(bpms(server), [100, 101, 102]);
});

test("a gap that stays is asked about once a second, not round and round", async (test) => {
  const timers = new Timers(test);
  const server = new Server();
  server.connect();
  const { stream } = await begun(server);
  await settle();
  let asked = 0;
  server.refuse = (event) => {
    if (event !== "stream.samples") return null;
    asked += 1;
    return new Problem({ code: "sequence_gap", message: "gap", retry: true, data: { expected: 0 } });
  };
  beat(stream, 1);
  await settle();
  assert.equal(asked, 2, "again at once, and then it waits");
  await timers.jump(1_000);
  assert.equal(asked, 3);
  server.refuse = () => null;
  await timers.jump(1_000);
  assert.deepEqual(bpms(server), [100]);
});

test("a server that asks for what it had promised to keep is not papered over", async () => {
  const server = new Server();
  server.connect();
  const { stream, last } = await begun(server);
  await settle();
  beat(stream, 2);
  await settle();
  server.stored = [];
  beat(stream, 1, 102);
  await settle();
  assert.deepEqual([last().phase, last().waiting], ["refused", 1]);
});

test("finishing waits until everything is stored, also across a break", async () => {
  const server = new Server();
  const { stream, keep, last } = await begun(server);
  beat(stream, 4);
  await stream.finish();
  assert.equal(server.finished, null);
  server.connect();
  await settle();
  assert.equal(server.finished, 4);
  assert.equal(last().phase, "finished");
  assert.equal(last().workout, "w");
  assert.deepEqual(await keep.streams("a"), []);
});

test("after finishing no reading is taken any more", async () => {
  const server = new Server();
  server.connect();
  const { stream } = await begun(server);
  beat(stream, 1);
  await stream.finish();
  beat(stream, 5);
  await settle();
  assert.equal(server.finished, 1);
});

test("a kept stream goes on with its number, its clock and what it still has to send", async () => {
  const server = new Server();
  server.stored = [
    [0, 90, []],
    [1000, 91, []],
  ];
  const kept = { stream: "s", startedAtMs: Date.now() - 60_000, lastT: 90_000, base: 2, finishing: false, ...fields };
  const keep = new Keep(null);
  keep.samples = async () => [[2000, 92, []]];
  const stream = await DeviceStream.resume(server, keep, kept, () => {});
  server.connect();
  await settle();
  stream.add({ bpm: 93, rr: [] });
  await settle();
  assert.deepEqual(bpms(server), [90, 91, 92, 93]);
  assert.ok(server.stored[3][0] >= 90_000, "time never steps back");
});

test("a stream taken over elsewhere stops, and can be taken back", async () => {
  const server = new Server();
  server.connect();
  const { stream, last } = await begun(server);
  await settle();
  server.handlers.get("stream.taken")({ stream: stream.kept.stream, epoch: 2 });
  beat(stream, 2);
  await settle();
  assert.deepEqual([last().phase, server.stored.length], ["taken", 0]);
  stream.takeBack();
  await settle();
  assert.deepEqual(bpms(server), [100, 101]);
});

test("an old notice about an epoch that we have passed changes nothing", async () => {
  const server = new Server();
  server.connect();
  const { stream, last } = await begun(server);
  await settle();
  server.cut();
  server.connect();
  await settle();
  server.handlers.get("stream.taken")({ stream: stream.kept.stream, epoch: 1 });
  beat(stream, 1);
  await settle();
  assert.equal(last().phase, "streaming");
});

test("when the class is over, samples that were made are kept as a workout of one's own", async () => {
  const server = new Server();
  const { stream } = await begun(server);
  beat(stream, 2);
  server.refuse = (event, { class_code: code }) =>
    event === "stream.open" && code ? new Problem({ code: "class_over", message: "over" }) : null;
  server.connect();
  await settle();
  await settle();
  assert.deepEqual(bpms(server), [100, 101]);
});

test("a refusal that trying again cannot cure is said, and nothing is thrown away", async () => {
  const server = new Server();
  const { stream, last } = await begun(server);
  beat(stream, 2);
  server.refuse = () => new Problem({ code: "forbidden", message: "not yours" });
  server.connect();
  await settle();
  assert.deepEqual([last().phase, last().message, last().waiting], ["refused", "not yours", 2]);
});

test("a server that lost what it had promised to keep is not papered over", async () => {
  const server = new Server();
  const kept = { stream: "s", startedAtMs: Date.now(), lastT: 0, base: 5, finishing: false, ...fields };
  let state = null;
  await DeviceStream.resume(server, new Keep(null), kept, (told) => (state = told));
  server.connect();
  await settle();
  assert.equal(state.phase, "refused");
});

test("a device that cannot keep anything streams and finishes all the same, and it is said", async () => {
  const server = new Server();
  server.connect();
  const full = async () => {
    throw new Error("the disk is full");
  };
  const { stream, last } = await begun(server, Object.assign(new Keep(null), { save: full, forget: full }));
  beat(stream, 2);
  await settle();
  await stream.finish();
  await settle();
  assert.deepEqual([bpms(server), server.finished, last().phase], [[100, 101], 2, "finished"]);
  assert.match(last().message, /cannot keep samples/);
});
