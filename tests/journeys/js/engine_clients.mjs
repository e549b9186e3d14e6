/** The official Engine.IO client against an echo server on the bare engine: text and binary, in order, on every transport. */
import assert from "node:assert/strict";

import { Socket } from "engine.io-client";

import { openLine } from "./line.mjs";

const COUNT = 1_000;
const transports = process.env.TRANSPORTS ? process.env.TRANSPORTS.split(",") : ["polling", "websocket"];
const line = await openLine(process.env.SERVER_URL);
const message = (number) => (number % 7 === 0 ? Buffer.from([number % 256, 1, 2]) : `message ${number} ä❤`);

const socket = new Socket(line.url, { path: "/engine.io", transports });
socket.binaryType = "nodebuffer";
const names = [];
const heard = [];
const done = new Promise((resolve, reject) => {
  socket.on("message", (data) => {
    heard.push(data);
    if (heard.length === COUNT) resolve();
  });
  socket.on("close", (reason) => reject(new Error(`closed after ${heard.length} messages: ${reason}`)));
  setTimeout(() => reject(new Error(`${heard.length} messages of ${COUNT} came back`)), 20_000);
});
await new Promise((resolve, reject) => {
  socket.on("open", resolve);
  socket.on("error", reject);
});
const upgraded = transports.length > 1 ? new Promise((resolve) => socket.on("upgrade", resolve)) : null;
for (let number = 0; number < COUNT; number += 1) {
  if (number === COUNT * 0.9) await upgraded;
  if (number % 10 === 0) await new Promise(setImmediate);
  names.push(socket.transport.name);
  socket.send(message(number));
}
await done;
assert.deepEqual(
  heard.map((data) => (typeof data === "string" ? data : Buffer.from(data))),
  Array.from({ length: COUNT }, (_, number) => message(number)),
);
assert.equal(socket.transport.name, transports.at(-1));

// Heartbeats: a client that heard no ping for interval + timeout would close by itself.
let pings = 0;
await new Promise((resolve, reject) => {
  socket.on("ping", () => (pings += 1) === 4 && resolve());
  socket.on("close", (reason) => reject(new Error(`closed after ${pings} pings: ${reason}`)));
});
socket.off("close");
const closed = new Promise((resolve) => socket.on("close", resolve));
socket.close();
assert.equal(await closed, "forced close");
const polled = names.filter((name) => name === "polling").length;
console.log(JSON.stringify({ messages: heard.length, polled, pings, transport: socket.transport.name }));
await line.close();
process.exit();
