// socket.io on Node. Default: every option as it comes, and the classic Redis adapter. Tuned: WebSocket only, no request kept per
// connection, boards batched on a beat, the sharded adapter. The harness gives ws its compiled unmasking (bufferutil) only when tuned.
import { createServer } from "node:http";
import { Server } from "socket.io";

import { job, ready, serve } from "./job.mjs";

const http = createServer();
const options = { pingInterval: job.pingMs };
if (job.tuned) Object.assign(options, { transports: ["websocket"], allowUpgrades: false, perMessageDeflate: false, httpCompression: false, serveClient: false });
const io = new Server(http, options);
if (job.tuned) {
  io.engine.on("connection", (socket) => {
    socket.request = null;
  });
}
if (job.redis) {
  const { createClient } = await import("redis");
  const { createAdapter, createShardedAdapter } = await import("@socket.io/redis-adapter");
  const publisher = createClient({ url: job.redis });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  io.adapter(job.tuned ? createShardedAdapter(publisher, subscriber) : createAdapter(publisher, subscriber));
}
serve(io);
http.listen(job.port, "127.0.0.1", 1024, ready);
