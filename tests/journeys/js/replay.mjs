/**
 * A class that plays again in a real browser: the right boards at the right places, on a phone and a desktop, for 5, 50 and 500.
 *
 *     BASE_URL=http://127.0.0.1:8080 CLASSES='[{"id", "title", "boards"}, …]' PASSWORD=… node replay.mjs
 *
 * CLASSES were ridden by ada@example.org, number 1, and led by mira@example.org; eve@example.org was in none of them. `boards` has the
 * lines that stood on everybody's screen so many seconds after the beginning: name, heart rate, rank. ARTIFACTS names a folder
 * for screenshots.
 */
import assert from "node:assert/strict";

import { LAPTOP, Line, NARROW_PHONE, PHONE, TELEVISION, fits, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, eventually, journey } from "./client.mjs";

const CLASSES = JSON.parse(process.env.CLASSES ?? "[]");
const [FIVE] = CLASSES;

async function logIn(page, name) {
  await page.locator("#field-email").fill(`${name}@example.org`);
  await page.locator("#field-password").fill(process.env.PASSWORD);
  await page.keyboard.press("Enter");
}

/** Goes to a second of the class with the bar. */
const seek = (page, second) =>
  page.locator("#seek").evaluate((bar, value) => {
    bar.value = String(value);
    for (const event of ["input", "change"]) bar.dispatchEvent(new Event(event, { bubbles: true }));
  }, second * 1_000);

/** The lines on the wall by rank and name: name, heart rate, rank. */
const wall = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("#wall .tile")].map((tile) =>
      [".tile-name", ".tile-bpm", ".tile-rank"].map((part) => tile.querySelector(part).textContent),
    ),
  );

const inOrder = (lines) => lines.map((line) => line.join(" ")).sort();

const showsBoard = (page, lines) =>
  eventually("the board that stood there", async () => {
    const seen = inOrder(await wall(page));
    return JSON.stringify(seen) === JSON.stringify(inOrder(lines));
  });

/** The teams that stood beside it, and that one's own is marked. */
async function showsTeams(page, teams) {
  await eventually("the teams that stood there", async () => {
    const lines = await page.locator("#teams li").all();
    const seen = await Promise.all(lines.map((line) => line.locator("span").allInnerTexts()));
    return JSON.stringify(seen) === JSON.stringify(teams);
  });
  await page.locator("#teams .is-you", { hasText: "Blue" }).waitFor();
}

const at = (page) => page.locator("#at").innerText();

async function boards(browser) {
  await withPage(browser, { viewport: LAPTOP }, async (page) => {
    await page.goto(`${BASE_URL}/replay#${FIVE.id}`);
    await logIn(page, "ada");
    await page.getByRole("heading", { name: FIVE.title }).waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Play", exact: true }).waitFor();
    for (const [second, lines] of Object.entries(FIVE.boards)) {
      await seek(page, Number(second));
      await showsBoard(page, lines);
      await showsTeams(page, FIVE.teams[second]);
      const [, bpm, rank] = lines.find(([name]) => name === "Ada");
      assert.equal(await page.locator("#own-bpm").innerText(), bpm);
      assert.equal(await page.locator("#own-rank").innerText(), `${rank} of 5`);
      assert.match(await page.locator(".tile.is-you").innerText(), /Ada/);
    }
    await seek(page, 73);
    await page.getByText("Class time 0:53 of 2:30 · Down 1 of 3").waitFor();
    await speaks(page, "a class that stands");
    await shot(page, "replay-5-laptop-dark");

    // With the keyboard: ten seconds, a minute, both ends, faster, on.
    await page.locator("#title").focus();
    await page.keyboard.press("ArrowLeft");
    await page.getByText("1:03 / 3:30").waitFor();
    await page.keyboard.press("Shift+ArrowRight");
    await page.getByText("2:03 / 3:30").waitFor();
    await page.keyboard.press("Home");
    await page.getByText("0:00 / 3:30").waitFor();
    await page.getByText("not started").waitFor();
    // At half the speed a cue stands for 40 s, longer than it is waited for.
    await page.keyboard.press("-");
    assert.equal(await page.locator("#speed").inputValue(), "0.5");
    await seek(page, 159);
    await page.keyboard.press("Space");
    await page.getByText("Breathe out").waitFor(); // a cue of the script, at its class time
    for (let step = 0; step < 5; step += 1) await page.keyboard.press("+");
    assert.equal(await page.locator("#speed").inputValue(), "16");
    await page.getByRole("button", { name: "Play from the beginning" }).waitFor();
    assert.equal(await at(page), "3:30 / 3:30");
    for (let step = 0; step < 5; step += 1) await page.keyboard.press("-");
    await page.keyboard.press("k");
    await page.getByRole("button", { name: "Pause" }).waitFor();
    await seek(page, 64);
    await page.getByText("Shoulders down").waitFor(); // what the coach said
  });
}

async function comesBack(browser) {
  const line = new Line();
  await withPage(browser, { viewport: LAPTOP, quiet: false, before: (context) => line.lay(context) }, async (page) => {
    await page.goto(`${BASE_URL}/replay#${FIVE.id}&at=140`);
    await logIn(page, "ada");
    await page.getByRole("heading", { name: FIVE.title }).waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await seek(page, 140);
    await showsBoard(page, FIVE.boards[140]);
    line.cut();
    await page.getByText(/Disconnected/).waitFor();
    line.mend();
    await page.getByText("Connected", { exact: true }).waitFor();
    await showsBoard(page, FIVE.boards[140]);
    assert.equal(await at(page), "2:20 / 3:30");
    await page.getByRole("button", { name: "Play", exact: true }).click();
    await eventually("the class to go on", async () => (await at(page)) > "2:22");
  });
}

async function sizes(browser) {
  for (const { id, title } of CLASSES) {
    await withPage(browser, { viewport: LAPTOP, colorScheme: "light" }, async (page) => {
      // Early enough that even the shortest has not been played to its end before it is told to stand.
      await page.goto(`${BASE_URL}/replay#${id}&at=5`);
      await logIn(page, "ada");
      await page.locator(".tile:not([hidden])").first().waitFor();
      await page.getByRole("button", { name: "Pause" }).click();
      const looks = { laptop: LAPTOP, television: TELEVISION, phone: PHONE, "narrow-phone": NARROW_PHONE };
      for (const [name, viewport] of Object.entries(looks)) {
        await page.setViewportSize(viewport);
        await fits(page, `${title} on a ${name}`);
        await eventually(`the player of ${title} to be in sight on a ${name}`, async () => {
          const bar = await page.locator(".replay-bar").boundingBox();
          return bar.y + bar.height <= viewport.height + 1;
        });
        await shot(page, `replay-${title.replace(" ", "-")}-${name}-light`);
      }
      await speaks(page, `${title} on a phone`);
    });
  }
}

async function whoMay(browser) {
  await withPage(browser, { viewport: PHONE }, async (page) => {
    await page.goto(`${BASE_URL}/replay#${FIVE.id}`);
    await logIn(page, "eve");
    await page.getByRole("heading", { name: "Which class?" }).waitFor();
    await page.getByText("No class has this code or id").waitFor();
    await fits(page, "a class of others on a phone");
    await shot(page, "replay-others-phone-dark");
  });
  await withPage(browser, { viewport: LAPTOP }, async (page) => {
    await page.goto(`${BASE_URL}/coach`);
    await logIn(page, "mira");
    await page.getByRole("button", { name: new RegExp(FIVE.title) }).first().click();
    await page.getByRole("link", { name: "Play it again" }).click();
    await page.getByRole("heading", { name: FIVE.title }).waitFor();
    await page.locator(".tile:not([hidden])").first().waitFor();
    assert.ok(await page.locator("#own").isHidden(), "who leads has no line");
  });
}

await journey(async (tell) => {
  await withBrowser(async (browser) => {
    await boards(browser);
    tell("the right boards");
    await comesBack(browser);
    tell("a line that was cut");
    await sizes(browser);
    tell("every size");
    await whoMay(browser);
    tell("who may");
  });
});
