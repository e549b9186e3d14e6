/**
 * The namespace of the product, /live, as the official clients see it: acknowledgements given, refused and withheld, what is
 * sent again and what is not, cuts, goodbyes, binary, bad tokens, and the order of events while the transport changes.
 *
 * The server is that of tests/gateway/sockets/build.py: `board.get` answers at once, `stream.samples` when the side door says
 * `answer`, `class.create` never.
 */
import assert from "node:assert/strict";

import { TRANSPORT, UPGRADES, VERSION, control, story, told } from "./official.mjs";

const ROOM = { class_id: "00000000-0000-0000-0000-00000000004d" };
const NO_ROOM = { class_id: "00000000-0000-0000-0000-00000000004e" };
const STREAM = "00000000-0000-0000-0000-000000000001";
const samples = (seq) => ({ stream: STREAM, seq, samples: [[seq * 1_000, 140, []]] });

let account = 0;
const token = () => String((account += 1));

/** How often the server has handled each event since it was asked last, by event or by event and number. */
const handled = () => control("handled");
const forget = () => control("forget");

async function acknowledges_what_it_does_and_what_it_refuses({ open }) {
  const client = await open("/live", { auth: { token: token() } }).settled();
  assert.equal((await client.ask("board.get", ROOM)).v, 1);
  await client.refused("board.get", NO_ROOM, "not_in_room");
  await client.refused("no.such.event", {}, "unknown_event");
  const shape = await client.refused("board.get", { class_id: 7 }, "bad_shape");
  assert.equal(shape.path, "$.class_id");
  client.socket.emit("board.get", NO_ROOM);
  const unasked = await client.hear("problem");
  assert.deepEqual([unasked.event, unasked.problem.code], ["board.get", "not_in_room"]);
  return { transport: client.transport };
}

async function withholds_an_acknowledgement_until_there_is_one({ open }) {
  await forget();
  const client = await open("/live", { auth: { token: token() } }).settled();
  const answers = client.noted(client.socket, "stream.samples", samples(0));
  await client.ask("board.get", ROOM); // what comes later is answered before
  assert.deepEqual(answers, []);
  await control("answer");
  await client.until(() => answers.length, "the acknowledgement that was withheld");
  assert.deepEqual(answers, [[{ ok: { stream: STREAM, next_seq: 1 } }]]);
}

async function lets_the_timeout_of_the_client_fire({ open }) {
  await forget();
  const client = await open("/live", { auth: { token: token() } }).settled();
  const answers = client.noted(client.socket.timeout(150), "stream.samples", samples(0));
  await client.until(() => answers.length, "the timeout");
  assert.ok(answers[0][0] instanceof Error, "a client that hears nothing must not take it for success");
  await control("answer"); // too late: the client has given it up
  await client.ask("board.get", ROOM);
  assert.equal(answers.length, 1);
  assert.equal(client.socket.connected, true);
  const inTime = client.noted(client.socket.timeout(10_000), "board.get", ROOM);
  await client.until(() => inTime.length, "an acknowledgement in time");
  assert.deepEqual([inTime[0][0], inTime[0][1].ok.v], [null, 1]);
}

async function is_sent_the_unanswered_again_and_the_answered_once({ open }) {
  await forget();
  const client = await open("/live", { auth: { token: token() }, retries: 2, ackTimeout: 150 }).settled();
  const given = client.noted(client.socket, "class.create", { title: "never answered" });
  const kept = client.noted(client.socket, "board.get", ROOM);
  const refused = client.noted(client.socket, "board.get", NO_ROOM);
  await client.until(() => refused.length, "the whole queue");
  assert.ok(given[0][0] instanceof Error, "what was not processed must not count as delivered");
  assert.deepEqual([kept.length, kept[0][0], kept[0][1].ok.v], [1, null, 1]);
  assert.deepEqual([refused.length, refused[0][0], refused[0][1].problem.code], [1, null, "not_in_room"]);
  assert.deepEqual(await handled(), { "class.create never answered": 3, "board.get 77": 1, "board.get 78": 1 });
}

async function puts_a_null_first_for_a_client_that_retries_without_a_timeout({ open, line }) {
  await forget();
  const client = await open("/live", { auth: { token: token(), acks: "error-first" }, retries: 3 }).settled();
  const first = client.noted(client.socket, "board.get", ROOM);
  const refused = client.noted(client.socket, "board.get", NO_ROOM);
  await client.until(() => refused.length, "two acknowledgements");
  assert.deepEqual([first.length, first[0][0], first[0][1].ok.v], [1, null, 1]);
  assert.deepEqual([refused.length, refused[0][0], refused[0][1].problem.code], [1, null, "not_in_room"]);
  assert.deepEqual(await handled(), { "board.get 77": 1, "board.get 78": 1 });

  await forget();
  const stored = client.noted(client.socket, "stream.samples", samples(0));
  const behind = client.noted(client.socket, "board.get", ROOM);
  await told("handled", (counts) => counts["stream.samples 0"] === 1, "the samples to arrive");
  assert.deepEqual([stored, behind], [[], []], "what is not acknowledged yet is not delivered");
  line.cut();
  await client.dropped();
  assert.deepEqual([stored, behind], [[], []], "a broken line delivers nothing either");
  line.mend();
  await told("handled", (counts) => counts["stream.samples 0"] === 2, "the samples to be sent again");
  await control("answer");
  await client.until(() => behind.length, "the event behind the samples");
  assert.deepEqual([stored.length, stored[0][0], stored[0][1].ok.next_seq], [1, null, 1]);
  assert.deepEqual(await handled(), { "stream.samples 0": 2, "board.get 77": 1 });
}

async function hears_after_a_cut_what_was_kept_and_nothing_volatile({ open, line }) {
  await forget();
  const client = await open("/live", { auth: { token: token() } }).settled();
  await client.writable();
  client.socket.volatile.emit("class.create", { title: "while it is there" });
  await told("handled", (counts) => counts["class.create while it is there"] === 1, "a volatile event");
  const before = client.socket.id;
  line.cut();
  assert.match(await client.dropped(), /^transport (close|error)$/);
  await client.failed();
  client.socket.volatile.emit("class.create", { title: "while it is away" });
  const kept = 150; // below the burst that one connection is allowed; a poller sends them in one request
  for (let seq = 0; seq < kept; seq += 1) client.socket.emit("stream.samples", samples(seq));
  const last = client.noted(client.socket, "board.get", ROOM);
  client.upgraded = false;
  line.mend();
  await client.until(() => last.length, "the acknowledgement of what was emitted while it was away");
  await client.settled();
  assert.notEqual(client.socket.id, before);
  assert.equal(client.connects, 2);
  const order = (await control("order")).filter((event) => event.startsWith("stream.samples"));
  assert.deepEqual(
    order,
    Array.from({ length: kept }, (_, seq) => `stream.samples ${seq}`),
    "everything once and in order",
  );
  assert.equal((await handled())["class.create while it is away"], undefined);
}

async function comes_back_after_a_goodbye_that_allows_it({ open }) {
  const client = await open("/live", { auth: { token: token() } }).settled();
  await client.ask("board.get", ROOM); // the server has seen the upgrade too
  await control("end", { account: account, ending: "draining" });
  const bye = await client.hear("bye");
  assert.equal(bye.code, 3000);
  assert.ok(bye.come_back_ms > 0, JSON.stringify(bye));
  const reason = await client.dropped();
  await client.until(() => client.connects === 2, "the client to come back by itself");
  await client.ask("board.get", ROOM);
  return { reason };
}

async function stays_away_when_its_login_has_ended({ open }) {
  const client = await open("/live", { auth: { token: token() } }).settled();
  const attempts = [];
  client.socket.io.on("reconnect_attempt", (number) => attempts.push(number));
  await client.ask("board.get", ROOM);
  await control("end", { account: account, ending: "login_ended" });
  const bye = await client.hear("bye");
  assert.deepEqual([bye.code, bye.come_back_ms ?? null], [3502, null]);
  assert.equal(await client.dropped(), "io server disconnect");
  assert.equal(client.socket.active, false, "it would connect again");
  await told("state", ({ open: accounts }) => !accounts.includes(String(account)), "the connection to be gone");
  assert.deepEqual([attempts, client.connects], [[], 1]);
}

async function refuses_binary_by_closing({ open }) {
  await forget();
  const { malformed } = await control("state");
  const client = await open("/live", { auth: { token: token() }, reconnection: false }).settled();
  client.socket.emit("class.create", { title: Buffer.from("bytes") });
  const reason = await client.dropped();
  // A poller gives up at the 400 its request gets, perhaps before it reads the goodbye.
  const bye = client.heard.find(({ event }) => event === "bye")?.payload;
  if (TRANSPORT === "websocket") assert.deepEqual([bye?.code, reason], [3504, "io server disconnect"]);
  else assert.match(reason, /^(transport error|io server disconnect)$/);
  await told("state", (state) => state.malformed === malformed + 1 && !state.open.includes(String(account)), "the end");
  assert.deepEqual(await handled(), {});
  return { reason, bye: bye?.code ?? null };
}

async function tells_a_bad_token_as_an_object({ open }) {
  const client = open("/live", { auth: { token: "nonsense" } });
  await client.until(() => client.errors.length, "the refusal");
  const [error] = client.errors;
  assert.equal(error.data.code, "token_expired", JSON.stringify(error.data));
  assert.equal(error.message, error.data.message);
  client.socket.auth = { token: token() };
  client.socket.connect();
  await client.settled();
  await client.ask("board.get", ROOM);
  const stranger = open("/elsewhere", { auth: { token: token() } });
  await stranger.until(() => stranger.errors.length, "the refusal of a namespace");
  assert.match(stranger.errors[0].message, /namespace/i);
  return { message: error.message, data: error.data };
}

async function keeps_the_order_while_the_transport_changes({ open, line }) {
  await forget();
  const upgrade = line.holdWebSockets();
  const client = open("/live", { auth: { token: token() } });
  await client.until(() => client.socket.connected, "the client to connect");
  const pushes = 1_000;
  const events = 150; // below the burst that one connection is allowed
  const answers = [];
  const began = [];
  for (let sent = 0, pushed = 0; pushed < pushes; ) {
    if (pushed === pushes * 0.3) upgrade();
    if (pushed === pushes * 0.9) await client.until(() => client.upgraded, "the upgrade");
    began.push(client.transport);
    for (const until = sent + events / 50; sent < until; sent += 1) {
      client.socket.emit("stream.samples", samples(sent));
      if (sent % 3 === 0) client.socket.emit("board.get", ROOM, (answer) => answers.push(answer.ok.v));
    }
    await control("push", { account: account, from: pushed, count: pushes / 50 });
    pushed += pushes / 50;
  }
  await client.hear("class.ended", ({ title }) => title === `push ${pushes - 1}`);
  assert.equal((await client.ask("board.get", ROOM)).v, 1);
  assert.equal(client.transport, "websocket");
  const titles = client.heard.filter(({ event }) => event === "class.ended").map(({ payload }) => payload.title);
  assert.deepEqual(
    titles,
    Array.from({ length: pushes }, (_, number) => `push ${number}`),
  );
  const order = (await control("order")).filter((event) => event.startsWith("stream.samples"));
  assert.deepEqual(
    order,
    Array.from({ length: events }, (_, seq) => `stream.samples ${seq}`),
  );
  assert.equal(answers.length, events / 3);
  const polled = began.filter((name) => name === "polling").length;
  assert.ok(polled >= 15, `only ${polled} rounds of ${began.length} were before the change`);
  return { polled, of: began.length };
}

async function says_goodbye_to_a_client_that_is_just_changing_over({ open, line }) {
  const changeOver = line.holdUpgrades();
  const client = await open("/live", { auth: { token: token() } }).settled();
  await control("end", { account: account, ending: "login_ended" });
  changeOver(); // it no longer polls: the WebSocket is where it can still be told
  const bye = await client.hear("bye");
  assert.equal(bye.code, 3502);
  assert.equal(await client.dropped(), "io server disconnect");
  assert.equal(client.socket.active, false, "it would connect again");
}

await story([
  acknowledges_what_it_does_and_what_it_refuses,
  withholds_an_acknowledgement_until_there_is_one,
  ...(VERSION >= 4
    ? [
        lets_the_timeout_of_the_client_fire,
        is_sent_the_unanswered_again_and_the_answered_once,
        puts_a_null_first_for_a_client_that_retries_without_a_timeout,
      ]
    : []),
  hears_after_a_cut_what_was_kept_and_nothing_volatile,
  comes_back_after_a_goodbye_that_allows_it,
  stays_away_when_its_login_has_ended,
  refuses_binary_by_closing,
  tells_a_bad_token_as_an_object,
  ...(UPGRADES
    ? [keeps_the_order_while_the_transport_changes, says_goodbye_to_a_client_that_is_just_changing_over]
    : []),
]);
