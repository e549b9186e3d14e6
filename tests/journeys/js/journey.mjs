/**
 * The main story, told by the official Socket.IO client: register, join, stream, see the board, drop, come back, finish,
 * get the summaries, log out.
 *
 *     BASE_URL=http://127.0.0.1:8080 node journey.mjs
 *
 * TRANSPORTS=polling (or websocket) picks how the client connects; without it both are tried as browsers do.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { connect, eventually, http, journey, register, samplesFrom } from "./client.mjs";

await journey(async (tell) => {
  // -- accounts ---------------------------------------------------------------------------------------------------
  const coach = await register("Mara Coach", "coach");
  const athlete = await register("Zoe Runner", "member");
  const profile = await http("PATCH", "/v1/me", {
    token: athlete.token,
    body: { birth_date: "1990-05-17", sex: "female", mass_kg: 61.5, max_hr: 190, rest_hr: 50 },
  });
  assert.equal(profile.max_hr, 190);
  await http("POST", "/v1/classes", { token: athlete.token, body: { title: "Not mine to start" }, status: 403 });
  tell("registered", { roles: coach.account.roles });

  const renewed = await http("POST", "/v1/logins/refresh", { body: { refresh_token: athlete.refresh } });
  assert.notEqual(renewed.refresh_token, athlete.refresh, "a refresh token is used once");
  athlete.token = renewed.access_token;
  tell("refreshed");

  // -- a class and its room ---------------------------------------------------------------------------------------
  const live = await http("POST", "/v1/classes", { token: coach.token, body: { title: "Journey" }, status: 201 });
  assert.equal(live.state, "live");
  const display = await http("POST", "/v1/displays", { body: { code: live.code.toLowerCase() }, status: 201 });
  assert.equal(display.class.id, live.id);

  const watch = await connect(display.access_token);
  const cockpit = await connect(coach.token);
  const device = await connect(athlete.token);
  const shown = await watch.ask("room.join", { code: live.code, role: "spectator" });
  assert.deepEqual([shown.room.title, shown.you ?? null], ["Journey", null]);
  await cockpit.ask("room.join", { code: live.code, role: "coach" });
  const joined = await device.ask("room.join", { code: live.code });
  assert.equal(joined.you.name, "Zoe Runner");
  const { n } = joined.you;
  tell("joined", { code: live.code, n, transport: device.socket.io.engine.transport.name });

  await device.refused("room.join", { code: "NOSUCH" }, "class_not_found");
  await device.refused("room.join", { code: live.code, role: "coach" }, "forbidden");
  await device.refused("no.such.event", {}, "unknown_event");
  await watch.refused("class.end", { class_id: live.id }, "forbidden");
  tell("refused what may not be");

  // -- a stream, on every board -----------------------------------------------------------------------------------
  const stream = randomUUID();
  const opening = { stream, started_at_ms: Date.now() - 10_000, class_code: live.code, device: "journey" };
  const opened = await device.ask("stream.open", opening);
  assert.equal(opened.next_seq, 0);
  assert.equal(opened.class_id, live.id);
  const sent = samplesFrom(0, 25);
  const stored = await device.ask("stream.samples", { stream, seq: 0, samples: sent.slice(0, 10) });
  assert.equal(stored.next_seq, 10, "acknowledged means stored");
  tell("streaming", { next_seq: stored.next_seq });

  const gap = await device.refused(
    "stream.samples",
    { stream, seq: 9_000, samples: [[9_000_000, 120, []]] },
    "sequence_gap",
  );
  assert.equal(gap.data.expected, 10);
  const absurd = await device.refused("stream.samples", { stream, seq: 10, samples: [[11_000, 900, []]] }, "bad_shape");
  assert.match(absurd.path, /^\$\.samples\[0\]/);
  await cockpit.refused("stream.samples", { stream, seq: 10, samples: [[11_000, 120, []]] }, "stream_not_open");
  tell("refused bad samples", { path: absurd.path });

  const early = device.ask("stream.samples", { stream, seq: 12, samples: sent.slice(12, 14) });
  await device.ask("stream.samples", { stream, seq: 10, samples: sent.slice(10, 12) });
  assert.equal((await early).next_seq, 14, "a batch that came too early is kept and put in order");
  tell("reordered");

  const isLive = ({ rows = [] }) =>
    rows.some(([who, , rate, , , , state]) => who === n && rate !== null && state === "live");
  for (const client of [watch, cockpit, device]) await client.hear("board.changes", isLive);
  const [, rank, bpm, percent, zone] = await eventually("the newest sample on the board", async () => {
    const { rows } = await watch.ask("board.get", { class_id: live.id });
    return rows.find(([who, , rate]) => who === n && rate === sent[13][1]);
  });
  assert.deepEqual([rank, percent, zone], [1, Math.floor((sent[13][1] * 100) / 190), 3]);
  tell("on the board", { bpm, percent, zone });

  // -- dropped in the middle, and back ----------------------------------------------------------------------------
  const halfway = device
    .ack("stream.samples", { stream, seq: 14, samples: sent.slice(14, 20) })
    .catch(() => "no answer");
  device.socket.io.engine.close();
  await device.until(() => !device.socket.connected, "the drop to be noticed");
  await halfway;
  await device.until(() => device.socket.connected, "the client to come back by itself");
  await device.refused("stream.samples", { stream, seq: 14, samples: sent.slice(14, 20) }, "stream_not_open");
  const back = await device.ask("stream.open", opening);
  assert.ok(back.epoch > opened.epoch, "every opening has a higher epoch");
  assert.equal(back.workout, opened.workout);
  assert.ok([14, 20].includes(back.next_seq), `a batch is stored whole or not at all, not up to ${back.next_seq}`);
  await device.ask("room.join", { code: live.code });
  tell("came back", { next_seq: back.next_seq, epoch: back.epoch });

  const overlap = await device.ask("stream.samples", { stream, seq: 5, samples: sent.slice(5) });
  assert.equal(overlap.next_seq, 25);
  const page = await http("GET", `/v1/workouts/${opened.workout}/samples?limit=100`, { token: athlete.token });
  assert.deepEqual(
    page.samples.map(([t, rate = null, rr = []]) => [t, rate, rr]),
    sent,
    "every sample is stored once, in order",
  );
  await http("GET", `/v1/workouts/${opened.workout}/samples`, { token: coach.token, status: 404 });
  tell("stored once", { samples: page.samples.length });

  // -- another tab takes the stream over --------------------------------------------------------------------------
  const other = await connect(athlete.token);
  const taken = await other.ask("stream.open", opening);
  assert.ok(taken.epoch > back.epoch);
  await device.hear("stream.taken", ({ stream: which, epoch }) => which === stream && epoch >= back.epoch);
  other.close();
  const again = await device.ask("stream.open", opening);
  assert.equal(again.next_seq, 25);
  tell("taken over and taken back", { epoch: again.epoch });

  // -- the ends ---------------------------------------------------------------------------------------------------
  const finished = await device.ask("stream.finish", { stream, samples: 25 });
  assert.equal(finished.workout, opened.workout);
  const { summary, revision } = await device.hear("workout.summary", ({ workout }) => workout === opened.workout);
  assert.equal(summary.samples, 25);
  assert.equal(summary.duration_ms, 24_000);
  assert.equal(summary.measured_ms, 24_000);
  assert.equal(summary.max_bpm, Math.max(...sent.map(([, rate]) => rate)));
  assert.equal(
    summary.ms_in_zone.reduce((sum, ms) => sum + ms, 0),
    24_000,
  );
  const workout = await http("GET", `/v1/workouts/${opened.workout}`, { token: athlete.token });
  assert.equal(workout.revision, revision);
  assert.deepEqual(workout.summary, summary, "pushed and stored are the same summary");
  tell("workout summary", { edwards: summary.edwards, mean_bpm: summary.mean_bpm });

  const over = await cockpit.ask("class.end", { class_id: live.id });
  assert.equal(over.state, "over");
  for (const client of [watch, device]) await client.hear("class.ended", ({ id }) => id === live.id);
  for (const client of [watch, cockpit, device]) {
    const final = await client.hear("class.summary", ({ class_id: id }) => id === live.id);
    assert.equal(final.athletes, 1);
    const [line] = final.standings;
    assert.deepEqual([line.n, line.rank, line.name], [n, 1, "Zoe Runner"]);
    assert.deepEqual(line.zone_ms, summary.ms_in_zone, "the board and the summary agree to the millisecond");
  }
  await eventually("the final table over HTTP", async () => {
    const answer = await http("GET", `/v1/classes/${live.id}/summary`, { token: coach.token });
    return answer.standings.length === 1;
  });
  await device.refused("room.join", { code: live.code }, "class_over");
  await http("POST", "/v1/displays", { body: { code: live.code }, status: 409 });
  tell("class summary");

  await http("DELETE", "/v1/logins/current", { token: athlete.token, status: 204 });
  const bye = await device.hear("bye");
  assert.equal(bye.come_back_ms ?? null, null, "a login that has ended does not come back");
  await http("POST", "/v1/logins/refresh", { body: { refresh_token: renewed.refresh_token }, status: 401 });
  tell("logged out", { code: bye.code });
  for (const client of [watch, cockpit, device]) client.close();
});
