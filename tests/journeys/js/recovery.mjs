/**
 * Coming back to a room: the official clients lose their line, or their server, and get what they missed or are told to start
 * again. Two servers share one database and one Redis; OTHER_URL is the second, CONTROL_URL the side door that kills the first
 * and starts Redis again empty (test_recovery.py).
 *
 * Every cue has a number, so that what was lost, came twice or came out of order can be read off a list.
 */
import assert from "node:assert/strict";

import { io } from "socket.io-client";
import { io as io3 } from "socket.io-client-3";

import { BASE_URL, Client, journey, register } from "./client.mjs";
import { openLine } from "./line.mjs";

const { OTHER_URL, CONTROL_URL } = process.env;

const control = async (verb) => {
  const answer = await fetch(`${CONTROL_URL}/${verb}`, { method: "POST" });
  assert.equal(answer.status, 200, await answer.text());
};

/** An athlete's client on a line of its own. `cues` are the numbers heard, `position` the last one of the room. */
async function athlete(token, code, { version = 4, auth = {}, join = true } = {}) {
  const line = await openLine(BASE_URL);
  const connect = version === 3 ? io3 : io;
  const told = { position: null, recovered: [] };
  const socket = connect(`${line.url}/live`, {
    auth: (answer) => answer({ token, ...(typeof auth === "function" ? auth(told) : auth) }),
    transports: ["websocket"],
    forceNew: true,
    reconnectionDelay: 50,
    reconnectionDelayMax: 100,
  });
  const client = new Client(socket);
  const mine = Object.assign(client, { line, told });
  // Version 3 has no acknowledgements as promises.
  mine.ack = (event, payload) => new Promise((resolve) => socket.emit(event, payload, resolve));
  for (const event of ["cue", "chat.said", "room.position", "room.reset"]) {
    socket.on(event, ({ position }, again) => {
      assert.equal(position, again, "the position is the last field and the second argument");
      told.position = position;
    });
  }
  socket.on("connect", () => told.recovered.push(socket.recovered ?? null));
  await client.until(() => socket.connected, "the client to connect");
  if (join) {
    const joined = await client.ask("room.join", { code });
    assert.equal(joined.recovered, false);
    told.position = joined.position;
  }
  return mine;
}

const numbers = (client) => client.heard.filter(({ event }) => event === "cue").map(({ payload }) => Number(payload.text));

await journey(async (tell) => {
  const coach = await register("Mia Coach", "coach");
  const runners = await Promise.all(["Ada One", "Bob Two", "Cleo Three", "Dan Four"].map((name) => register(name, "member")));
  const [ada, bob, cleo, dan] = runners.map(({ token }) => token);

  const openClass = async (title) => {
    const socket = io(`${OTHER_URL}/live`, { auth: { token: coach.token }, transports: ["websocket"], forceNew: true });
    const desk = new Client(socket);
    await desk.until(() => socket.connected, "the coach to connect");
    const live = await desk.ask("class.create", { title });
    await desk.ask("room.join", { code: live.code, role: "coach" });
    let last = 0;
    const cue = async (count) => {
      for (let left = count; left > 0; left -= 1) {
        last += 1;
        await desk.ask("cue.send", { class_id: live.id, text: String(last), key: `cue-${last}` });
      }
    };
    return { live, desk, cue };
  };

  // -- natively: nothing but the client's own options -------------------------------------------------------------------
  const { live, desk, cue } = await openClass("Hills");
  const native = await athlete(ada, live.code);
  await cue(3);
  await native.until(() => numbers(native).length === 3, "three cues");
  native.line.cut();
  await native.until(() => !native.socket.connected, "the cut to be noticed");
  await cue(4);
  native.line.mend();
  await native.until(() => native.socket.connected, "the client to come back");
  await cue(1);
  await native.until(() => numbers(native).includes(8), "the cue after that");
  assert.deepEqual(native.told.recovered, [false, true]);
  assert.deepEqual(numbers(native), [1, 2, 3, 4, 5, 6, 7, 8]);
  tell("native");

  native.line.leadTo(OTHER_URL);
  native.line.cut();
  await native.until(() => !native.socket.connected, "the cut to be noticed");
  await cue(2);
  native.line.mend();
  await native.until(() => numbers(native).includes(10), "what was missed, from another server");
  await native.ask("chat.send", { class_id: live.id, text: "still in the room" });
  assert.deepEqual(native.told.recovered, [false, true, true]);
  assert.deepEqual(numbers(native), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  tell("native on another server");

  // -- natively, before anything was said ---------------------------------------------------------------------------------
  const quiet = await openClass("Quiet");
  const early = await athlete(bob, quiet.live.code);
  early.line.cut();
  await early.until(() => !early.socket.connected, "the cut to be noticed");
  await quiet.cue(2);
  early.line.mend();
  await early.until(() => numbers(early).length === 2, "the first cues of all");
  assert.deepEqual(early.told.recovered, [false, true]);
  tell("native without an event");

  // -- by the position in room.join, with both versions -------------------------------------------------------------------
  for (const version of [3, 4]) {
    const mine = await athlete(cleo, live.code, { version });
    const since = mine.told.position;
    mine.close();
    await cue(2);
    const again = await athlete(cleo, live.code, { version, join: false });
    const joined = await again.ask("room.join", { code: live.code, since });
    assert.equal(joined.recovered, true);
    assert.deepEqual(
      joined.missed.filter(([event]) => event !== "room.presence").map(([event, { text }]) => [event, Number(text)]),
      [
        ["cue", 9 + 2 * (version - 2)],
        ["cue", 10 + 2 * (version - 2)],
      ],
    );
    assert.equal(joined.position, joined.missed.at(-1)[1].position);
    again.close();
    tell(`by join, version ${version}`);
  }

  // -- by the auth payload, with both versions ----------------------------------------------------------------------------
  for (const version of [3, 4]) {
    const auth = ({ position }) => ({ rooms: [{ code: live.code, role: "athlete", ...(position && { since: position }) }] });
    const mine = await athlete(dan, live.code, { version, auth, join: false });
    const first = await mine.hear("room.recovered");
    assert.equal(first.ok.recovered, false);
    mine.told.position = first.ok.position;
    mine.line.cut();
    await mine.until(() => !mine.socket.connected, "the cut to be noticed");
    await cue(2);
    mine.line.leadTo(OTHER_URL);
    mine.line.mend();
    const back = await mine.hear("room.recovered", ({ ok }) => ok.recovered);
    // Who came and who left is in the log as well.
    assert.equal(back.ok.missed.filter(([event]) => event === "cue").length, 2);
    await cue(1);
    await mine.hear("cue");
    mine.close();
    tell(`by auth, version ${version}`);
  }
  const nowhere = await athlete(dan, "", { auth: { rooms: [{ code: "NOSUCH" }] }, join: false });
  assert.equal((await nowhere.hear("room.recovered")).problem.code, "class_not_found");
  nowhere.close();

  // -- the server is killed while the client is connected ------------------------------------------------------------------
  const survivor = await athlete(bob, quiet.live.code);
  await quiet.cue(1);
  await survivor.until(() => numbers(survivor).length === 1, "a cue");
  survivor.line.leadTo(OTHER_URL);
  await control("kill");
  await quiet.cue(2);
  await survivor.until(() => numbers(survivor).length === 3, "what was missed");
  assert.deepEqual(survivor.told.recovered, [false, true]);
  assert.deepEqual(numbers(survivor), [3, 4, 5]);
  tell("native after a kill");

  // -- Redis starts again empty --------------------------------------------------------------------------------------------
  await control("empty");
  await survivor.hear("room.reset");
  for (;;) {
    const said = await quiet.desk.ack("cue.send", { class_id: quiet.live.id, text: "6", key: "six" });
    if (said.ok) break;
    assert.equal(said.problem.retry, true);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await survivor.until(() => numbers(survivor).includes(6), "a cue of the new epoch");
  assert.deepEqual(numbers(survivor), [3, 4, 5, 6]);
  assert.equal(survivor.heard.filter(({ event }) => event === "room.reset").length, 1);
  tell("reset");
  for (const one of [native, early, survivor, desk, quiet.desk]) one.close();
});
