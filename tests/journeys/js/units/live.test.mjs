/** Coming back over a network that swallows what is asked on the way. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Live } from "../../../../gateway/web/assets/js/live.js";
import { openDocument } from "./document.mjs";
import { Timers } from "./timers.mjs";

test("a ticket that is never answered is asked for again", async (test) => {
  openDocument(test);
  globalThis.window = { addEventListener() {}, removeEventListener() {} };
  test.after(() => delete globalThis.window);
  const timers = new Timers(test);
  const asked = [];
  globalThis.fetch = (path, { signal }) => {
    asked.push(path);
    return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));
  };
  const live = new Live({ token: async () => "token" });
  live.start();
  await timers.jump(10_000);
  await timers.jump(500);
  live.stop();
  assert.deepEqual(asked, ["/v1/tickets", "/v1/tickets"]);
});
