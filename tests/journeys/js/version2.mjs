/**
 * A Socket.IO client of version 2 speaks another protocol (EIO=3). What it and its user get to see, as one JSON line.
 *
 *     SERVER_URL=http://127.0.0.1:8080 TRANSPORTS=polling node version2.mjs
 *
 * `event` is what the application is told, `requests` the answers as the network tab of a browser shows them: the client's own
 * error has the status at most, so the sentence that names the cure has to be in the body. `opened` is the same address in the
 * browser.
 */
import http from "node:http";
import { createRequire } from "node:module";

const requests = [];
// The client's own requests are watched where they leave: the body of a refusal is not passed on to the application.
const request = http.request;
http.request = (...words) => {
  const sent = request(...words);
  sent.prependOnceListener("response", (response) => {
    const kept = { path: sent.path, status: response.statusCode, type: response.headers["content-type"], body: "" };
    requests.push(kept);
    response.on("data", (chunk) => (kept.body += chunk));
  });
  return sent;
};
http.get = (...words) => {
  const sent = http.request(...words);
  sent.end();
  return sent;
};

const io = createRequire(import.meta.url)("socket.io-client-2");
const socket = io(`${process.env.SERVER_URL}/live`, {
  forceNew: true,
  reconnection: false,
  ...(process.env.TRANSPORTS && { transports: process.env.TRANSPORTS.split(",") }),
});
const [event, error] = await new Promise((resolve) => {
  for (const name of ["connect", "connect_error", "connect_timeout", "error"]) {
    socket.on(name, (fact) => resolve([name, fact]));
  }
});
// A WebSocket that is refused reads no body. Whoever looks into it opens the address, and gets the same answer.
for (const kept of requests) {
  const asked = await fetch(process.env.SERVER_URL + kept.path);
  kept.opened = { status: asked.status, body: await asked.text() };
}
socket.close();
const description = error?.description?.message ?? error?.description;
console.log(JSON.stringify({ event, message: error?.message, description, requests }));
process.exit();
