/**
 * The picture of the board in the README: the demo class of a running server, about a minute in, in a window of 1280x800.
 *
 *     PACELINE_DEMO=on .venv/bin/python -m paceline run
 *     BASE_URL=http://127.0.0.1:8080 node tests/journeys/js/picture.mjs docs/images/board.png
 *
 * It waits until there is something to see: the class has run for a minute, everybody is live, and no zone holds more than
 * two thirds of the room.
 */
import assert from "node:assert/strict";

import { LAPTOP, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, http, journey } from "./client.mjs";

const PATIENCE_MS = 240_000;

await journey(async (tell) => {
  const [path] = process.argv.slice(2);
  assert.ok(path, "say where the picture goes: node picture.mjs board.png");
  const { code } = await http("GET", "/v1/demo");
  assert.ok(code, "the server has no demo class; start it with PACELINE_DEMO=on");
  await withBrowser((browser) =>
    withPage(browser, { viewport: LAPTOP }, async (page) => {
      await page.goto(`${BASE_URL}/board?code=${code}`);
      await page.waitForFunction(
        () => {
          const [seconds, minutes, hours = 0] = document.querySelector("#elapsed").textContent.split(":").reverse();
          const tiles = [...document.querySelectorAll(".tile")];
          const sums = {};
          for (const tile of tiles) {
            const zone = /Z\d/.exec(tile.textContent)?.[0] ?? "none";
            sums[zone] = (sums[zone] ?? 0) + 1;
          }
          const elapsed = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
          return elapsed >= 60 && tiles.length > 0 && !sums.none && Math.max(...Object.values(sums)) * 3 <= tiles.length * 2;
        },
        null,
        { timeout: PATIENCE_MS, polling: 200 },
      );
      await page.screenshot({ path });
      tell("picture", { path });
    }),
  );
});
