/**
 * Challenges and classes on offer in a real browser: made, joined by a link, scored, left; booked, waited for, come free.
 *
 *     BASE_URL=http://127.0.0.1:8080 OTHER_URL=http://127.0.0.1:8081 node challenges.mjs
 *
 * OTHER_URL is another node of the same installation; without it everybody is on the same one. CROWDS names challenges that are
 * full of people, as "50:CODE 500:CODE"; OVER one that is over, as "id:mail", whose winner has the password PASSWORD. ARTIFACTS names a folder for screenshots.
 */
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";

import {
  LAPTOP,
  Line,
  NARROW_PHONE,
  PHONE,
  fits,
  registerByKeyboard,
  shot,
  speaks,
  tokenOf,
  withBrowser,
  withPage,
} from "./browser.mjs";
import { BASE_URL, connect, eventually, http, journey, register, samplesFrom } from "./client.mjs";

const OTHER_URL = process.env.OTHER_URL ?? BASE_URL;
const CROWDS = (process.env.CROWDS ?? "").split(" ").filter(Boolean);
const HOUR_MS = 3_600_000;

const lines = (page) => page.locator("#rows tr:not(.gap)");
const ranks = async (page) =>
  (await lines(page).allInnerTexts()).map((text) => text.split(/\s*[\t\n]\s*/).slice(0, 2).join(" "));

/** A minute of exercise, from the first sample to its end. */
async function train(token, bpm) {
  const client = await connect(token, OTHER_URL);
  const stream = randomUUID();
  await client.ask("stream.open", { stream, started_at_ms: Date.now() - 60_000 });
  await client.ask("stream.samples", { stream, seq: 0, samples: samplesFrom(0, 60, bpm) });
  await client.ask("stream.finish", { stream, samples: 60 });
  await client.hear("workout.summary");
  client.close();
}

const joined = (token, code, team) =>
  http("POST", "/v1/challenges/join", { token, body: { code, time_zone: "Europe/Vienna", team } });

async function aChallenge(browser, tell) {
  const line = new Line();
  const later = { code: "unavailable", message: "Not now.", retry: true, retry_after_ms: 500 };
  line.refuse("challenge.watch", later); // a page that is refused asks again, and is told of Ben below
  await withPage(browser, { viewport: LAPTOP, quiet: false, before: (context) => line.lay(context) }, async (page) => {
    await page.goto(`${BASE_URL}/challenges`);
    await registerByKeyboard(page, "Ana");
    await page.getByText("None yet. Join one").waitFor();
    await speaks(page, "no challenges");
    await fits(page, "no challenges");

    await page.getByLabel("Title").fill("Hills of November");
    const lastDay = await page.getByLabel("Last day").inputValue(); // days later: it is tomorrow in Vienna before it is here
    await page.getByLabel("Last day").fill("2020-01-01");
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByText("the last day lies before the first").waitFor();
    assert.equal(await page.getByLabel("Last day").getAttribute("aria-invalid"), "true");
    await page.getByLabel("Last day").fill(lastDay);
    const note = page.getByText("Only workouts count whose machine");
    assert.equal(await note.isVisible(), false);
    await page.getByLabel("What counts").selectOption("distance");
    await note.waitFor();
    await fits(page, "a challenge over a distance");
    await page.getByLabel("What counts").selectOption("effort");
    await page.getByLabel("Teams", { exact: true }).fill("Red\n\nBlue\n");
    await shot(page, "challenges-make", { fullPage: true });
    await page.getByRole("button", { name: "Make it" }).click();
    await page.waitForURL(/\/challenge#/);
    await page.getByText("Nobody is in yet.").waitFor();
    await speaks(page, "a new challenge");
    tell("made");

    await page.getByRole("button", { name: "Join", exact: true }).click();
    await page.getByText("Choose your team.").waitFor();
    await page.getByLabel("Red").check();
    await page.getByRole("button", { name: "Join", exact: true }).click();
    await eventually("Ana on the table", async () => (await lines(page).count()) === 1);
    const link = await page.getByLabel("Whoever opens this link can join").inputValue();
    const code = new URL(link).hash.replace("#join=", "");
    tell("joined");

    await page.getByText("Live", { exact: true }).waitFor();
    const ben = await register("Ben", "member");
    await joined(ben.token, code, "Blue");
    await train(ben.token, 150);
    await eventually("Ben in front, live", async () => (await ranks(page)).join() === "1 Ben,2 Ana");
    assert.match(await page.locator("#own").innerText(), /points behind Ben/);
    assert.match(await page.locator("#team-rows").innerText(), /1\s+Blue[\s\S]*2\s+Red/);
    await shot(page, "challenge-two-laptop-dark", { fullPage: true });
    tell("scored");

    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download the score log" }).click();
    const saved = (await readFile(await (await download).path(), "utf8")).trim().split("\n").map((line) => JSON.parse(line));
    const entries = saved.flatMap((one) => one.entries);
    let hash = createHash("sha256").update("paceline score log 1\n").digest();
    for (const { body } of entries) hash = createHash("sha256").update(hash).update(body).digest();
    assert.equal(await page.locator("#head").innerText(), entries.at(-1).hash, "the head on the page is that of the log");
    assert.equal(hash.toString("hex"), entries.at(-1).hash, "the log hangs together");
    tell("the score log");

    const stranger = await connect((await register("Sam", "member")).token);
    const challenge_id = new URL(page.url()).hash.slice(1);
    await stranger.refused("challenge.watch", { challenge_id }, "challenge_not_found");
    stranger.close();
    tell("a stranger may not look");

    const old = code;
    await page.getByRole("button", { name: "Another link" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Make another" }).click();
    await eventually("another link", async () => !(await page.getByLabel("Whoever opens").inputValue()).endsWith(old));
    await page.getByRole("button", { name: "Leave this challenge" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Leave" }).click();
    await eventually("Ana gone", async () => (await ranks(page)).join() === "1 Ben");
    await page.goto(`${BASE_URL}/challenges#join=${old}`);
    await page.locator("#code-trouble").filter({ hasText: /./ }).waitFor();
    await page.goto(`${BASE_URL}/challenge#${randomUUID()}`);
    await page.getByRole("heading", { name: "Not to be seen" }).waitFor();
    tell("left");
  });
}

/** Challenges of many, looked at on a phone and on a desk. */
async function crowds(browser, tell) {
  for (const crowd of CROWDS) {
    const [size, code] = crowd.split(":");
    await withPage(browser, { viewport: PHONE, colorScheme: "light" }, async (page) => {
      await page.goto(`${BASE_URL}/challenges#join=${code}`);
      await registerByKeyboard(page, "Cho");
      await page.getByRole("heading", { name: "You are invited" }).waitFor();
      await shot(page, `invited-${size}-phone`, { fullPage: true });
      const team = page.getByLabel("Hills");
      if (await team.count()) await team.check();
      await page.getByRole("button", { name: "Join", exact: true }).click();
      await page.waitForURL(/\/challenge#/);
      await page.locator("#rows .is-you").waitFor();
      assert.match(await page.locator("#own").innerText(), new RegExp(`Members\\s+${Number(size) + 1}`));
      for (const viewport of [NARROW_PHONE, PHONE]) {
        await page.setViewportSize(viewport);
        await fits(page, `${size} members at ${viewport.width} px`);
      }
      await speaks(page, `${size} members`);
      await shot(page, `challenge-${size}-phone-light`, { fullPage: true });
      if (Number(size) > 100) {
        await page.getByRole("button", { name: "Show the whole table" }).click();
        await eventually("a page", async () => (await lines(page).count()) === 100);
        await page.getByRole("button", { name: "Show more" }).click();
        await eventually("two pages", async () => (await lines(page).count()) === 200);
        await page.getByRole("button", { name: "Back to the leaders and me" }).click();
        await page.locator("#rows .is-you").waitFor();
      }
      await page.setViewportSize(LAPTOP);
      await page.emulateMedia({ colorScheme: "dark" });
      await fits(page, `${size} members on a laptop`);
      await shot(page, `challenge-${size}-laptop-dark`, { fullPage: true });
      await page.goto(`${BASE_URL}/challenges`);
      await page.getByRole("link", { name: /December/ }).waitFor();
      await shot(page, `challenges-${size}-laptop-dark`, { fullPage: true });
    });
    tell(`${size} members`);
  }
}

/** A challenge that is over, as who has won it sees it. */
async function over(browser, tell) {
  const [id, email] = (process.env.OVER ?? "").split(":");
  if (!email) return;
  await withPage(browser, { viewport: PHONE }, async (page) => {
    await page.goto(`${BASE_URL}/challenge#${id}`);
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password").fill(process.env.PASSWORD);
    await page.getByRole("button", { name: "Log in", exact: true }).click();
    await page.getByText("This table is final.").waitFor();
    assert.deepEqual(await page.locator("#podium strong").allInnerTexts(), ["Win", "Two", "Three"]);
    assert.ok(await page.locator("#invite").isHidden(), "nobody is invited any more");
    assert.ok(await page.locator("#leave").isHidden(), "and nobody can leave");
    await fits(page, "a challenge that is over");
    await shot(page, "challenge-over-phone", { fullPage: true });
    await page.setViewportSize(LAPTOP);
    await shot(page, "challenge-over-laptop", { fullPage: true });
  });
  tell("prizes");
}

async function classes(browser, tell) {
  const coach = await register("Mara", "coach");
  const terms = { title: "Intervals at dawn", duration_min: 45, capacity: 1, waitlist: 5, level: "advanced", equipment: ["bike"] };
  const offer = (key, starts, more) =>
    http("POST", "/v1/offers", {
      token: coach.token,
      body: { key, starts_at_ms: Date.now() + starts, terms: { ...terms, ...more } },
      status: 201,
    });
  const dawn = await offer("k1", 30 * HOUR_MS, {});
  await offer("k2", 54 * HOUR_MS, { title: "Easy spinning", capacity: 12, level: "beginner" });
  await withPage(browser, { viewport: PHONE }, async (page) => {
    await page.goto(`${BASE_URL}/schedule`);
    await registerByKeyboard(page, "Dee");
    await page.getByText("None that are still to come.").waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await speaks(page, "the classes");
    await page.getByRole("button", { name: /Book: Intervals/ }).click();
    await page.locator("#booked").getByText("you have a place").waitFor();
    tell("booked");

    await page.getByRole("button", { name: /Cancel: Intervals/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Give it back" }).click();
    await page.getByText("None that are still to come.").waitFor();
    const eve = await register("Eve", "member");
    const hers = await http("POST", `/v1/offers/${dawn.id}/bookings`, { token: eve.token, body: { key: "e1" }, status: 201 });
    await page.reload();
    await page.getByRole("button", { name: /Join the waitlist: Intervals/ }).click();
    await page.locator("#booked").getByText("waitlist: you are next").waitFor();
    await page.getByText("booked up, 1 waiting").waitFor();
    assert.doesNotMatch(await page.locator("main").innerText(), /undefined|null|NaN/);
    await shot(page, "schedule-waiting-phone", { fullPage: true });
    await page.getByText("Live", { exact: true }).waitFor();
    await http("DELETE", `/v1/bookings/${hers.id}`, { token: eve.token });
    await page.locator("#booked").getByText("you have a place; it came free").waitFor();
    tell("came free, on the page");

    await page.getByLabel("Level").selectOption("beginner");
    await page.getByText("Easy spinning").waitFor();
    await eventually("one class", async () => (await page.locator("#days .offer").count()) === 1);
    await page.getByLabel("Level").selectOption("");
    await page.getByLabel("With a free place").check();
    await eventually("one class", async () => (await page.locator("#days .offer").count()) === 1);
    await page.getByLabel("With a free place").uncheck();
    await eventually("both", async () => (await page.locator("#days .offer").count()) === 2);
    for (const viewport of [NARROW_PHONE, LAPTOP]) {
      await page.setViewportSize(viewport);
      await fits(page, `the classes at ${viewport.width} px`);
    }
    await shot(page, "schedule-laptop", { fullPage: true });
  });
  tell("classes");
}

/** A heat: made on a page, joined from another node, counted down to at the same instant, and ridden. */
async function aHeat(browser, tell) {
  const line = new Line();
  await withPage(browser, { viewport: PHONE, quiet: false, before: (context) => line.lay(context) }, async (page) => {
    await page.goto(`${BASE_URL}/challenges`);
    await registerByKeyboard(page, "Gil");
    await page.getByRole("button", { name: "Gather people" }).click();
    await page.getByText("Give the heat a name.").waitFor();
    await page.getByLabel("Name of the heat").fill("Six o'clock sprint");
    await page.getByLabel("Minutes").fill("121");
    await page.getByRole("button", { name: "Gather people" }).click();
    await eventually("the minutes refused", async () => (await page.getByLabel("Minutes").getAttribute("aria-invalid")) === "true");
    await page.getByLabel("Minutes").fill("5");
    await page.getByLabel("Teams of the heat").fill("Red\nBlue");
    await page.getByLabel("Your team").selectOption("Red");
    await shot(page, "heat-make-phone", { fullPage: true });
    await page.getByRole("button", { name: "Gather people" }).click();
    await page.waitForURL(/\/challenge#/);
    await page.getByText("0 of 1 ready.").waitFor();
    await speaks(page, "a heat that gathers");

    const hal = await register("Hal", "member");
    const code = new URL(await page.getByLabel("Whoever opens this link can join").inputValue()).hash.replace("#join=", "");
    const { id, heat } = await joined(hal.token, code, "Red");
    const phone = await connect(hal.token, OTHER_URL);
    await phone.ask("room.join", { code: heat.class_code });
    await page.getByText("Waiting for Gil and Hal.").waitFor();
    await page.locator("#heat-board").getByText("Hal").waitFor();
    await page.locator("#heat-teams li", { hasText: /1\s*Red\s*0\.0 points/ }).waitFor();
    await shot(page, "heat-gathering-phone", { fullPage: true });
    await page.getByRole("button", { name: "I am ready" }).click();
    await page.getByRole("button", { name: "Not ready after all" }).waitFor();
    const clock = phone.hear("class.clock");
    const countdown = page.getByText("it starts when this is zero").waitFor(); // it is only seconds long
    const [ready] = await Promise.all([
      http("POST", `/v1/heats/${id}/ready`, { token: hal.token, body: {} }),
      countdown,
    ]);
    assert.equal((await clock).at_ms, ready.heat.starts_ms, "the clock of the room says the start that was answered");
    for (const viewport of [NARROW_PHONE, LAPTOP]) {
      await page.setViewportSize(viewport);
      await fits(page, `a heat at ${viewport.width} px`);
    }
    await shot(page, "heat-countdown-laptop", { fullPage: true });
    tell("counted down");

    await page.getByText("Time left").waitFor({ timeout: 60_000 });
    const [stream, startedAt] = [randomUUID(), Date.now()];
    await phone.ask("stream.open", { stream, started_at_ms: startedAt, class_code: heat.class_code });
    const hers = page.locator("#heat-board li").filter({ hasText: /Hal\s*Z/ });
    let seq = 0;
    await eventually("Hal's zone on the board", async () => {
      // The heart goes on: what was measured seconds ago is shown no more.
      await phone.ask("stream.samples", { stream, seq, samples: [[Date.now() - startedAt, 150, []]] });
      seq += 1;
      return hers.isVisible();
    });
    await page.setViewportSize(PHONE);
    await shot(page, "heat-ridden-phone", { fullPage: true });
    line.cut();
    await page.locator("#heat-board li").filter({ hasText: /Hal\s*hidden\s*–/ }).waitFor();
    line.mend();
    await page.locator("#heat-board li").filter({ hasText: /Hal\s*(Z|stale|sensor lost)/ }).waitFor();
    phone.close();
    tell("ridden");

    await page.goto(`${BASE_URL}/athlete?code=${heat.class_code}`);
    await page.getByText("Simulated strap").click();
    await page.getByRole("button", { name: "Start" }).click();
    await page.locator("#heat-line").filter({ hasText: /\d:\d\d left/ }).waitFor();
    await fits(page, "a heat on the athlete's page");
    await shot(page, "heat-athlete-phone", { fullPage: true });
  });
  tell("a heat");
}

/** Two start a class on demand together, on two nodes: a lobby, a countdown, a pause for both. */
async function together(browser, tell) {
  const coach = await register("Mara", "coach");
  const script = { blocks: [{ intervals: [{ duration_ms: 1_200_000 }] }] };
  const body = (key, terms) => ({ key, terms: { equipment: ["bike"], ...terms }, script });
  const put = (key, terms) => http("POST", "/v1/on-demand", { token: coach.token, body: body(key, terms), status: 201 });
  await put("o1", { title: "Hill climb" });
  await put("o2", { title: "Alps", needs: "premium" });
  await withPage(browser, { viewport: PHONE }, async (page) => {
    await page.goto(`${BASE_URL}/schedule`);
    await registerByKeyboard(page, "Gil");
    await page.getByText("needs premium, which you do not have").waitFor();
    await speaks(page, "classes on demand");
    await fits(page, "classes on demand");
    await shot(page, "on-demand-phone", { fullPage: true });
    const climb = page.locator("#demand li", { hasText: "Hill climb" });
    await climb.getByText("In teams").click();
    await climb.getByLabel("One in each line, or none").fill("Hills\nFlats");
    await fits(page, "classes on demand, naming teams");
    await shot(page, "on-demand-teams-phone", { fullPage: true });
    await page.getByRole("button", { name: "Start with others: Hill climb" }).click();
    await page.waitForURL(/\/athlete\?code=/);
    const code = new URL(page.url()).searchParams.get("code");
    await page.getByRole("radio", { name: "Flats" }).check();
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.getByText("You are alone here.").waitFor();
    await page.getByText("You ride for Flats.").waitFor();
    const hal = await register("Hal", "member");
    const client = await connect(hal.token, OTHER_URL);
    const joined = await client.ask("room.join", { code, role: "athlete" });
    assert.equal(joined.room.group.places, 20);
    await page.getByText("0 of 2 riders ready").waitFor();
    await page.getByRole("button", { name: "I am ready" }).click();
    await page.getByText("1 of 2 riders ready").waitFor();
    await fits(page, "the lobby");
    await shot(page, "lobby-phone", { fullPage: true });
    await page.setViewportSize(LAPTOP);
    await fits(page, "the lobby on a laptop");
    await shot(page, "lobby-laptop", { fullPage: true });
    tell("in the lobby");

    const countdown = page.getByRole("heading", { name: /Begins in/ }).waitFor(); // it is only seconds long
    await Promise.all([client.ask("class.ready", { class_id: joined.room.id, ready: true }), countdown]);
    await shot(page, "lobby-countdown", { fullPage: true });
    await page.getByRole("heading", { name: /^0:\d\d of 20:00/ }).waitFor();
    await page.getByRole("button", { name: "Pause for all" }).click();
    await page.getByRole("heading", { name: /Paused at/ }).waitFor();
    assert.doesNotMatch(await page.locator("main").innerText(), /undefined|null|NaN/);
    client.close();
  });
  tell("together");
}

/** A past workout is raced in a class, and only its owner sees how far they are ahead of it. */
async function aGhost(browser, tell) {
  const coach = await register("Mara", "coach");
  const live = await http("POST", "/v1/classes", { token: coach.token, body: { title: "Race" }, status: 201 });
  await withPage(browser, { viewport: PHONE }, async (page) => {
    await page.goto(`${BASE_URL}/athlete`);
    await registerByKeyboard(page, "Fay");
    await page.getByLabel("Join code").waitFor();
    await train(await tokenOf(page), 120);
    await page.goto(`${BASE_URL}/athlete?code=${live.code}`);
    const raced = page.getByLabel("Race a workout of yours, or a class");
    await eventually("the workout to race", async () => (await raced.locator("option").count()) === 2);
    await raced.selectOption({ index: 1 });
    await page.getByText("Simulated strap").click();
    await page.getByRole("button", { name: "Start" }).click();
    await page.locator("#ghost").filter({ hasText: /ahead|behind|level/ }).waitFor();
    await fits(page, "a race against a ghost");
    await shot(page, "ghost-phone", { fullPage: true });
    await page.setViewportSize(LAPTOP);
    await fits(page, "a race against a ghost on a laptop");
    await shot(page, "ghost-laptop");
  });
  tell("a ghost");
}

await journey(async (tell) => {
  await withBrowser(async (browser) => {
    await aChallenge(browser, tell);
    await crowds(browser, tell);
    await over(browser, tell);
    await classes(browser, tell);
    await aHeat(browser, tell);
    await together(browser, tell);
    await aGhost(browser, tell);
  });
});
