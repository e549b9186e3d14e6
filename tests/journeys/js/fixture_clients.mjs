/**
 * The Socket.IO rules on any namespace, as the official clients see them, against the server of socket_fixture.py: what
 * acknowledgements carry and when there is none, what is sent again, binary both ways, cuts, endings, refusals, and the order of
 * events while the transport changes.
 */
import assert from "node:assert/strict";

import { TRANSPORT, UPGRADES, VERSION, control, story, told } from "./official.mjs";

const AUTH = { token: "let me in" };
const bytes = (length, from = 0) => Buffer.from(Array.from({ length }, (_, at) => (from + at) % 256));
const numbers = (count) => Array.from({ length: count }, (_, number) => number);
/** JSON and bytes, so that a Buffer, an ArrayBuffer and a Uint8Array of the same bytes are the same. */
const plain = (value) => {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return `bytes ${Buffer.from(value).toString("hex")}`;
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
};
const same = (one, other, what) => assert.deepEqual(plain(one), plain(other), what);

const handled = () => control("handled");
const forget = () => control("forget");

async function acknowledges_with_what_the_handler_returns({ open }) {
  const client = await open("/", { auth: AUTH }).settled();
  for (const args of [[], [null], [1], ["ä ❤ \u2028", -0.5], [{ deep: [[[{ er: true }]]] }, [], "", 0, false]]) {
    assert.deepEqual(await client.acknowledged("echo", ...args), args);
    await client.until(() => client.heard.length, "what was echoed");
    client.heard.length = 0;
  }
  const long = "x".repeat(200_000);
  assert.deepEqual(await client.acknowledged("echo", long), [long]);
  return { transport: client.transport };
}

async function withholds_the_acknowledgement_of_a_handler_that_returns_nothing({ open }) {
  await forget();
  const client = await open("/", { auth: AUTH }).settled();
  const answers = client.noted(client.socket, "withhold", "a");
  await client.acknowledged("echo", "behind it");
  assert.deepEqual([answers, (await handled())["withhold a"]], [[], 1]);
  if (VERSION >= 4) {
    const late = client.noted(client.socket.timeout(100), "withhold", "b");
    await client.until(() => late.length, "the timeout");
    assert.ok(late[0][0] instanceof Error);
    await assert.rejects(client.socket.timeout(100).emitWithAck("withhold", "c"), /timed out/);
    assert.deepEqual(await client.socket.timeout(10_000).emitWithAck("echo", "in time"), "in time");
  }
}

async function is_sent_again_until_it_is_acknowledged({ open }) {
  await forget();
  const client = await open("/", { auth: AUTH, retries: 3, ackTimeout: 120 }).settled();
  const flaky = client.noted(client.socket, "at the third time", "a");
  const never = client.noted(client.socket, "withhold", "b");
  const once = client.noted(client.socket, "work", "c");
  await client.until(() => once.length, "the whole queue");
  assert.deepEqual(flaky, [[null, { done: "a" }]]);
  assert.ok(never[0][0] instanceof Error, "what was not processed must not count as delivered");
  assert.deepEqual(once, [[null, { done: "c" }]]);
  assert.deepEqual(await handled(), { "at the third time a": 3, "withhold b": 4, "work c": 1 });
}

async function is_sent_once_when_the_acknowledgement_begins_with_null({ open, line }) {
  await forget();
  const client = await open("/", { auth: AUTH, retries: 3 }).settled();
  const once = client.noted(client.socket, "work, error first", "a");
  await client.until(() => once.length, "the acknowledgement");
  const never = client.noted(client.socket, "withhold", "b");
  await told("handled", (counts) => counts["withhold b"] === 1, "the event that is not acknowledged");
  line.cut();
  await client.dropped();
  line.mend();
  await told("handled", (counts) => counts["withhold b"] === 2, "the event to be sent again");
  assert.deepEqual([once, never], [[[null, { done: "a" }]], []]);
  assert.deepEqual(await handled(), { "work, error first a": 1, "withhold b": 2 });
}

async function carries_binary_both_ways({ open }) {
  const client = await open("/", { auth: AUTH }).settled();
  const cases = [
    [bytes(256)],
    [Buffer.alloc(0)],
    [{ image: bytes(3), name: "ä", more: [bytes(1), { inner: bytes(70_000, 5) }] }, 7],
    numbers(10).map((number) => bytes(number + 1, number)),
  ];
  for (const args of cases) {
    client.heard.length = 0;
    same(await client.acknowledged("echo", ...args), args, "in the acknowledgement");
    const first = await client.hear("echoed");
    same(first, args[0], "in the event");
  }
  const mixed = numbers(30).map((number) => client.acknowledged("echo", number % 3 ? number : bytes(9, number), number));
  same(
    await Promise.all(mixed),
    numbers(30).map((number) => [number % 3 ? number : bytes(9, number), number]),
    "text and binary mixed",
  );
}

async function acknowledges_what_the_server_asks({ open }) {
  await forget();
  const client = await open("/", { auth: AUTH }).settled();
  client.socket.on("question", (question, answer) => answer("you said", question));
  client.socket.emit("ask me", { text: "why" });
  client.socket.emit("ask me", bytes(5));
  const { answers } = await told("state", (state) => state.answers.length === 2, "both answers");
  assert.deepEqual(answers, [
    ["you said", { text: "why" }],
    ["you said", `bytes ${bytes(5).toString("hex")}`],
  ]);
}

async function hears_after_a_cut_what_was_kept_and_nothing_volatile({ open, line }) {
  await forget();
  const client = await open("/", { auth: AUTH }).settled();
  await client.writable();
  client.socket.volatile.emit("work", "volatile, there");
  await told("handled", (counts) => counts["work volatile, there"] === 1, "a volatile event");
  const before = client.socket.id;
  line.cut();
  assert.match(await client.dropped(), /^transport (close|error)$/);
  await client.failed();
  client.socket.volatile.emit("work", "volatile, away");
  for (const number of numbers(500)) client.socket.emit("work", number);
  const kept = client.noted(client.socket, "echo", bytes(40), "last");
  client.upgraded = false;
  line.mend();
  await client.until(() => kept.length, "the acknowledgement of what was emitted while it was away");
  await client.settled();
  same(kept, [[bytes(40), "last"]]);
  assert.notEqual(client.socket.id, before);
  assert.deepEqual(await control("order"), [
    "work volatile, there",
    ...numbers(500).map((number) => `work ${number}`),
    `echo ${bytes(40).length} bytes`,
  ]);
}

async function comes_back_as_often_as_the_line_is_cut({ open, line }) {
  const client = await open("/", { auth: AUTH }).settled();
  const before = [];
  for (const time of [1, 2, 3]) {
    before.push(client.socket.id);
    line.cut();
    await client.dropped(time - 1);
    line.mend();
    await client.until(() => client.connects === time + 1, "the client to come back");
    assert.deepEqual(await client.acknowledged("echo", time), [time]);
  }
  assert.equal(new Set([...before, client.socket.id]).size, 4, "every time with a new id");
  await told(
    "state",
    ({ clients }) => !before.some((id) => clients.includes(id)) && clients.includes(client.socket.id),
    "the broken connections to be forgotten",
  );
}

async function stays_away_when_the_server_disconnects_it({ open }) {
  const client = await open("/", { auth: AUTH }).settled();
  const attempts = [];
  client.socket.io.on("reconnect_attempt", (number) => attempts.push(number));
  const { id } = client.socket;
  client.socket.emit("end me");
  assert.equal(await client.dropped(), "io server disconnect");
  assert.equal(client.socket.active, false, "it would connect again");
  await told("state", ({ clients }) => !clients.includes(id), "the connection to be gone");
  assert.deepEqual([attempts, client.connects], [[], 1]);
  client.socket.connect();
  await client.until(() => client.connects === 2, "to come back when told to");
  assert.deepEqual(await client.acknowledged("echo", "again"), ["again"]);
}

async function tells_refusals_as_objects({ open }) {
  const client = open("/", { auth: { token: "wrong" } });
  await client.until(() => client.errors.length, "the refusal");
  const [error] = client.errors;
  assert.deepEqual([error.message, error.data], ["The token is wrong.", { code: "bad_token", cure: "log in" }]);
  client.socket.auth = AUTH;
  client.socket.connect();
  await client.settled();
  const stranger = open("/nowhere", { auth: AUTH });
  await stranger.until(() => stranger.errors.length, "the refusal of a namespace");
  assert.equal(stranger.errors[0].message, "Invalid namespace");
}

async function carries_two_namespaces_on_one_line({ open }) {
  const main = await open("/", { auth: AUTH }).settled();
  const other = main.socket.io.socket("/custom", { auth: AUTH });
  await new Promise((resolve, reject) => {
    other.once("connect", resolve);
    other.once("connect_error", reject);
  });
  assert.notEqual(other.id, main.socket.id);
  const [line] = await main.acknowledged("which line");
  assert.equal(await new Promise((resolve) => other.emit("which line", resolve)), line);
  const answer = await new Promise((resolve) => other.emit("echo", "there", bytes(4), (...args) => resolve(args)));
  same(answer, ["there", bytes(4)]);
  other.disconnect();
  assert.deepEqual(await main.acknowledged("echo", "still here"), ["still here"]);
}

async function keeps_the_order_while_the_transport_changes({ open, line }) {
  await forget();
  const upgrade = line.holdWebSockets();
  const client = open("/", { auth: AUTH });
  await client.until(() => client.socket.connected, "the client to connect");
  const all = numbers(1_000);
  const answers = [];
  const transports = [];
  for (const number of all) {
    if (number === 300) upgrade();
    if (number === 900) await client.until(() => client.upgraded, "the upgrade");
    if (number % 10 === 0) await new Promise(setImmediate);
    transports.push(client.transport);
    const payload = number % 100 === 50 ? bytes(3, number) : "text";
    client.socket.emit("echo", number, payload, (...answer) => answers.push(answer[0]));
  }
  await client.until(() => client.heard.length >= all.length, "a thousand events");
  assert.equal((await client.acknowledged("echo", all.length))[0], all.length);
  assert.equal(client.transport, "websocket");
  assert.deepEqual(
    client.heard.map(({ payload }) => payload),
    [...all, all.length],
    "what the server sent",
  );
  assert.deepEqual(answers, all, "what the server acknowledged");
  assert.deepEqual(
    await control("order"),
    [...all, all.length].map((number) => `echo ${number}`),
    "what the server received",
  );
  const polled = transports.filter((name) => name === "polling").length;
  assert.ok(polled >= 300, `only ${polled} were sent before the change`);
  return { polled, of: all.length };
}

async function catches_up_on_thousands_of_events_in_one_go({ open }) {
  await forget();
  const client = await open("/", { auth: AUTH }).settled();
  assert.equal(client.transport, TRANSPORT);
  for (const number of numbers(3_000)) client.socket.emit("work", number);
  assert.deepEqual(await client.acknowledged("echo", "last"), ["last"]);
  assert.deepEqual(client.ends, []);
  assert.deepEqual(await control("order"), [...numbers(3_000).map((number) => `work ${number}`), "echo last"]);
}

await story([
  acknowledges_with_what_the_handler_returns,
  withholds_the_acknowledgement_of_a_handler_that_returns_nothing,
  ...(VERSION >= 4
    ? [is_sent_again_until_it_is_acknowledged, is_sent_once_when_the_acknowledgement_begins_with_null]
    : []),
  carries_binary_both_ways,
  acknowledges_what_the_server_asks,
  hears_after_a_cut_what_was_kept_and_nothing_volatile,
  comes_back_as_often_as_the_line_is_cut,
  stays_away_when_the_server_disconnects_it,
  tells_refusals_as_objects,
  carries_two_namespaces_on_one_line,
  ...(UPGRADES ? [keeps_the_order_while_the_transport_changes] : []),
  catches_up_on_thousands_of_events_in_one_go,
]);
