// socket.io on Bun with its own engine. Tuned: boards batched on a beat; the engine has nothing else to tune.
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";

import { job, ready, serve } from "./job.mjs";

const io = new Server();
const engine = new Engine({ path: "/socket.io/", pingInterval: job.pingMs });
io.bind(engine);
serve(io);
Bun.serve({ port: job.port, hostname: "127.0.0.1", idleTimeout: 60, ...engine.handler() });
ready();
