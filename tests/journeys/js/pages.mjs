/**
 * The pages in a real browser: what people see, with the keyboard, on a phone and a television, and when the network goes.
 *
 *     BASE_URL=http://127.0.0.1:8080 CHROMIUM=/usr/bin/chromium node pages.mjs [CHAPTER…]
 *
 * Chapters run side by side in one browser, each in a context of its own, because most of their time is waiting for a sensor
 * to be lost or a network to be missed. Those that only look share one class; those that change it have their own. In all of
 * them: no request leaves the server's origin, nothing breaks the content policy, and the console shows no error. A chapter
 * that fails does not stop the others; its line says why. ARTIFACTS names a folder for screenshots.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import {
  Hall,
  LAPTOP,
  Line,
  NARROW_PHONE,
  PHONE,
  TELEVISION,
  fits,
  registerByKeyboard,
  shot,
  speaks,
  withBrowser,
  withPage,
} from "./browser.mjs";
import { BASE_URL, connect, eventually, http, journey, register } from "./client.mjs";

const LANES = Number(process.env.LANES ?? 4);

const CHAPTERS = {
  async landing(browser, hall) {
    await withPage(browser, { viewport: LAPTOP, quiet: false }, async (page) => {
      await page.goto(`${BASE_URL}/`);
      await speaks(page, "landing");
      await page.getByLabel(/join code/).fill("no");
      await page.keyboard.press("Enter");
      await page.getByText("4 to 12 letters").waitFor();
      await page.getByLabel(/join code/).fill(hall.view.code.toLowerCase());
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: hall.view.title }).waitFor();
      assert.match(page.url(), new RegExp(`/board\\?code=${hall.view.code}$`));
    });
  },

  async safety(browser) {
    await withPage(browser, { viewport: LAPTOP, colorScheme: "light", quiet: false }, async (page, context) => {
      await page.goto(`${BASE_URL}/coach`);
      await registerByKeyboard(page, "Coach Care");
      await page.getByLabel("Title").fill("Watched over");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Watched over" }).waitFor();
      const code = await page.locator("#live-code").innerText();

      const athlete = await context.newPage();
      await athlete.setViewportSize(PHONE);
      await athlete.goto(`${BASE_URL}/athlete?code=${code}`);
      await registerByKeyboard(athlete, "Ida Care");
      await athlete.getByRole("heading", { name: "Ready when you are" }).waitFor();
      await athlete.goto(`${BASE_URL}/inbox?as=athlete#settings`);
      await athlete.getByText("Nobody watches over you.").waitFor();
      await athlete.getByLabel("Watch over me while I train").check();
      await athlete.getByLabel("Own limit in bpm").fill("9");
      const card = athlete.locator("#safety-form");
      await card.getByRole("button", { name: "Save" }).click();
      await athlete.getByText("A limit is a number from 90 to 230 bpm.").waitFor();
      await athlete.getByLabel("Own limit in bpm").fill("90");
      await card.getByRole("button", { name: "Save" }).click();
      await athlete.getByText("Your own limit is 90 bpm.").waitFor();
      await card.scrollIntoViewIfNeeded();
      await shot(athlete, "safety-settings-phone-light");
      await fits(athlete, "settings on a phone");
      await athlete.getByLabel("Name of your contact").fill("Ben");
      await athlete.getByLabel("E-mail address of your contact").fill("ben");
      const contact = athlete.locator("#contact-form");
      await contact.getByRole("button", { name: "Ask them" }).click();
      await athlete.getByText("this is not an e-mail address").waitFor();
      await athlete.getByLabel("E-mail address of your contact").fill("ben@example.org");
      await contact.getByRole("button", { name: "Ask them" }).click();
      await athlete.getByText("Ben has been asked at ben@example.org").waitFor();
      await contact.scrollIntoViewIfNeeded();
      await shot(athlete, "safety-contact-phone-light");
      await fits(athlete, "settings with a contact on a phone");
      await athlete.getByRole("button", { name: "Have nobody told" }).click();
      await athlete.getByRole("button", { name: "Take back" }).click();
      await athlete.getByText("You have named nobody.").waitFor();

      await athlete.goto(`${BASE_URL}/athlete?code=${code}`);
      await athlete.getByRole("button", { name: "Start" }).click();
      const question = athlete.getByRole("alertdialog", { name: "Are you all right?" });
      await question.waitFor();
      await question.getByText(/above your limit/).waitFor();
      await athlete.keyboard.press("Escape");
      await athlete.keyboard.press("Escape"); // browsers heed the second one, whatever the page says of the first
      await question.waitFor();
      assert.ok(await question.evaluate((dialog) => dialog.matches(":modal")), "it stands over everything still");
      await fits(athlete, "the question on a phone");
      await shot(athlete, "safety-question-phone-light");
      await athlete.reload();
      await question.waitFor();

      const alert = page.locator("#safety-alerts li", { hasText: "Ida Care: heart rate above their limit" });
      await alert.getByText("Go and look.").waitFor();
      await shot(page, "safety-alert-laptop-light");

      // It goes out once, and is there all the same for whoever comes back: into the class, or to none.
      await page.reload();
      await page.getByRole("heading", { name: "Watched over" }).waitFor();
      await alert.getByText("Go and look.").waitFor();
      await page.goto(`${BASE_URL}/coach`);
      await page.getByRole("heading", { name: "Start a class" }).waitFor();
      await alert.getByText("Go and look.").waitFor();
      await speaks(page, "coach home with an alert");
      await alert.getByRole("button", { name: "I am going" }).click();
      await alert.getByText("Somebody is on the way.").waitFor();
      await question.getByText("Your coach is looking after you.").waitFor();
      await question.getByRole("button", { name: "I am all right" }).click();
      await question.waitFor({ state: "detached" });
      await alert.getByText("They say that they are all right.").waitFor();
    });
  },

  async board(browser, hall) {
    await withPage(browser, { viewport: TELEVISION }, async (page) => {
      await page.goto(`${BASE_URL}/board?code=${hall.view.code}`);
      const tile = page.locator(".tile", { hasText: "Ana" });
      await tile.locator(".tile-bpm", { hasText: /^16\d$/ }).waitFor();
      assert.match(await tile.innerText(), /Z4\s+Hard/, "the zone is said in words");
      const bpm = await tile.locator(".tile-bpm").innerText();
      await eventually("the board to move", async () => (await tile.locator(".tile-bpm").innerText()) !== bpm);
      assert.equal(await page.locator("#join-code").innerText(), hall.view.code);
      assert.equal(await page.locator("#athletes").innerText(), "3");
      const [deep, window] = await page.evaluate(() => [document.documentElement.scrollHeight, innerHeight]);
      assert.ok(deep <= window, "a television does not scroll");
      await speaks(page, "board");
      await shot(page, "board-television-dark");

      // A page that was here before comes back whole: its files are in the cache now.
      await page.reload();
      await tile.locator(".tile-bpm", { hasText: /^16\d$/ }).waitFor();
      assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector(".tile")).position), "absolute");
    });
  },

  async sensor_lost(browser) {
    const hall = await Hall.open("Straps");
    const [ana] = hall.devices;
    await withPage(browser, { viewport: LAPTOP }, async (page) => {
      await page.goto(`${BASE_URL}/board?code=${hall.view.code}`);
      const tile = page.locator(".tile", { hasText: "Ana" });
      await tile.locator(".tile-bpm", { hasText: /^16\d$/ }).waitFor();
      ana.silent = true;
      await tile.getByText("stale").waitFor();
      assert.equal(await tile.locator(".tile-bpm").innerText(), "–");
      await tile.getByText("sensor lost").waitFor();
      assert.equal(await tile.locator(".tile-bpm").innerText(), "–");
      await shot(page, "board-sensor-lost");
      ana.silent = false;
      await tile.locator(".tile-bpm", { hasText: /^16\d$/ }).waitFor();
    });
    hall.close();
  },

  async cut(browser, hall) {
    const line = new Line();
    await withPage(
      browser,
      { viewport: LAPTOP, quiet: false, before: (context) => line.lay(context) },
      async (page) => {
        await page.goto(`${BASE_URL}/board?code=${hall.view.code}`);
        await page.locator(".tile-bpm", { hasText: /\d/ }).first().waitFor();
        line.cut();
        await page.getByText("Numbers are hidden until we are back").waitFor();
        const shown = await page
          .locator(".tile :is(.tile-bpm, .tile-percent, .tile-effort, .tile-rank)")
          .allInnerTexts();
        assert.ok(shown.length >= 12 && !shown.some((text) => /\d/.test(text)), `numbers still shown: ${shown}`);
        await shot(page, "board-cut");
        line.mend();
        await page.locator(".tile-bpm", { hasText: /\d/ }).first().waitFor();
        await page.getByText("Live", { exact: true }).waitFor();
      },
    );
  },

  /** Back again, but not yet in the class: what the pages have is from before. */
  async out_of_step(browser) {
    const line = new Line();
    const before = (context) => line.lay(context);
    await withPage(browser, { viewport: LAPTOP, quiet: false, before }, async (page, context) => {
      await page.goto(`${BASE_URL}/coach`);
      await registerByKeyboard(page, "Coach Step");
      await page.getByLabel("Title").fill("Out of step");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Out of step" }).waitFor();
      const code = await page.locator("#live-code").innerText();
      const athlete = await context.newPage();
      await athlete.goto(`${BASE_URL}/athlete?code=${code}`);
      await registerByKeyboard(athlete, "Ines Step");
      await athlete.getByRole("button", { name: "Start" }).click();
      const screen = await context.newPage();
      await screen.goto(`${BASE_URL}/board?code=${code}`);
      const shown = [page.locator(".ath-bpm"), athlete.locator("#rank"), screen.locator(".tile-bpm")];
      const figures = (number) => number.filter({ hasText: /^\d/ });
      await Promise.all(shown.map((number) => figures(number).waitFor()));

      line.cut();
      await Promise.all(shown.map((number) => number.filter({ hasText: /^–$/ }).waitFor()));
      line.hush(/^4[23]\/live/); // the connection comes back, and nothing of the class with it
      line.mend();
      for (const [at, each] of [page, athlete, screen].entries()) {
        const sign = each === athlete ? "Live" : "Catching up with the class…"; // hers says how her own samples go
        await each.locator("#sign").getByText(sign, { exact: true }).waitFor();
        assert.equal(await figures(shown[at]).count(), 0, `${each.url()} shows what was before`);
      }
      line.hush(null);
      await Promise.all(shown.map((number) => figures(number).waitFor()));
      for (const each of [page, athlete, screen]) {
        await each.locator("#sign").getByText("Live", { exact: true }).waitFor();
      }
    });
  },

  /** Whoever types a code again after a screen was refused gets another one, and nothing of the first. */
  async second_screen(browser, hall) {
    const line = new Line();
    await withPage(browser, { viewport: TELEVISION, before: (context) => line.lay(context) }, async (page) => {
      await page.goto(`${BASE_URL}/board?code=${hall.view.code}`);
      await page.locator(".tile-bpm", { hasText: /\d/ }).first().waitFor();
      line.refuse("board.get", { code: "forbidden", message: "Not for this screen.", retry: false });
      line.say("board.changes", { class_id: hall.view.id, epoch: "another", v: 1, at_ms: Date.now() });
      await page.getByText("Not for this screen.").waitFor();
      assert.equal(await page.locator("#sign").innerText(), "");
      await page.getByRole("button", { name: "Show the board" }).click();
      await page.locator(".tile-bpm", { hasText: /\d/ }).first().waitFor();
      assert.equal(await page.locator(".tile").count(), 3);
    });
  },

  async frozen(browser, hall) {
    const line = new Line();
    await withPage(
      browser,
      { viewport: LAPTOP, quiet: false, before: (context) => line.lay(context) },
      async (page) => {
        await page.goto(`${BASE_URL}/board?code=${hall.view.code}`);
        await page.locator(".tile-bpm", { hasText: /\d/ }).first().waitFor();
        line.freeze(); // nothing arrives any more, and nothing says so
        await eventually("the numbers of a silent connection to vanish", async () => {
          const shown = await page.locator(".tile-bpm").allInnerTexts();
          return shown.length && !shown.some((text) => /\d/.test(text));
        });
        line.mend();
        await page.locator(".tile-bpm", { hasText: /\d/ }).first().waitFor();
      },
    );
  },

  async behind(browser, hall) {
    const line = new Line();
    await withPage(browser, { viewport: LAPTOP, before: (context) => line.lay(context) }, async (page) => {
      await page.goto(`${BASE_URL}/board?code=${hall.view.code}`);
      await page.locator(".tile-bpm", { hasText: /\d/ }).first().waitFor();
      line.say("service.state", { state: "stale", since_ms: 0, reason: "this node has not heard its own heartbeat" });
      await page.getByText("Part of the class may be missing right now.").waitFor();
      assert.ok(await page.locator(".tile-bpm", { hasText: /\d/ }).count(), "who is still heard is still shown");
      await shot(page, "board-behind");
      line.say("service.state", { state: "fresh", since_ms: 1 });
      await page.getByText("Live", { exact: true }).waitFor();
    });
  },

  async coach_and_athlete(browser) {
    await withPage(browser, { viewport: LAPTOP, colorScheme: "light" }, async (page, context) => {
      await page.goto(`${BASE_URL}/coach`);
      await page.getByRole("heading", { name: "Log in" }).waitFor();
      await speaks(page, "coach log-in");
      await registerByKeyboard(page, "Coach Keys");
      await page.getByRole("heading", { name: "Start a class" }).waitFor();
      await page.getByLabel("Title").focus();
      await page.keyboard.type("By keyboard");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "By keyboard" }).waitFor();
      const code = await page.locator("#live-code").innerText();

      const athlete = await context.newPage();
      await athlete.setViewportSize(PHONE);
      await athlete.goto(`${BASE_URL}/athlete?code=${code}`);
      await registerByKeyboard(athlete, "Zoe Keys");
      await athlete.getByRole("heading", { name: "Ready when you are" }).waitFor();
      await speaks(athlete, "athlete home");
      await shot(athlete, "athlete-home-phone-light", { fullPage: true });
      await athlete.locator("#profile-max_hr").fill("10");
      await athlete.locator("#profile-max_hr").press("Enter");
      await athlete.locator("#profile-trouble", { hasText: "Maximum heart rate" }).waitFor();
      await athlete.locator("#profile-max_hr").fill("190");
      await athlete.locator("#profile-max_hr").press("Enter");
      await athlete.getByText("Saved.").waitFor();
      await athlete.getByRole("button", { name: "Start" }).focus();
      await athlete.keyboard.press("Enter");
      await athlete.getByRole("heading", { name: "By keyboard" }).waitFor();
      await athlete.locator("#bpm", { hasText: /^\d+$/ }).waitFor();
      await athlete.getByText("1 of 1").waitFor();
      await athlete.getByText(/[3-9] samples stored/).waitFor();
      await speaks(athlete, "athlete live");
      await fits(athlete, "athlete live on a phone");
      await shot(athlete, "athlete-live-phone-light", { fullPage: true });

      const card = page.locator(".ath", { hasText: "Zoe Keys" });
      await card.locator(".ath-bpm", { hasText: /^\d+$/ }).waitFor();
      await speaks(page, "coach live");
      await shot(page, "coach-live-laptop-light");

      const screen = await context.newPage();
      await screen.setViewportSize(TELEVISION);
      await screen.goto(`${BASE_URL}/board?code=${code}`);
      await screen.locator(".tile", { hasText: "Zoe Keys" }).waitFor();
      await card.getByText("first class").waitFor();
      await page.getByLabel("What to say").focus();
      await page.keyboard.type("Last minute, all you have!");
      await page.keyboard.press("Enter");
      await page.getByText("Said: Last minute").waitFor();
      for (const other of [athlete, screen])
        await other.getByRole("status").filter({ hasText: "Last minute, all you have!" }).waitFor();
      await speaks(screen, "board with a cue");
      await fits(athlete, "a cue on a phone");
      await shot(screen, "board-cue-television-light");
      await shot(athlete, "athlete-cue-phone-light", { fullPage: true });
      await page.getByText(/^Seen by 1 of 1 · half within \d+ ms/).waitFor();
      await shot(page, "coach-cue-laptop-light");

      // To one alone: the wall, which would show what is said to everybody, keeps what it has.
      await page.getByLabel("Choose Zoe Keys").check();
      await page.getByLabel("What to say").fill("Lovely, Zoe");
      await page.keyboard.press("Enter");
      await page.getByText("Said: Lovely, Zoe").waitFor();
      await athlete.getByRole("status").filter({ hasText: "Lovely, Zoe" }).waitFor();
      await page.getByText(/^Seen by 1 of 1/).waitFor();
      await screen.getByRole("status").filter({ hasText: "Last minute, all you have!" }).waitFor();
      await page.getByLabel("Show").selectOption("Zone 1");
      await card.waitFor(); // whom one has chosen stays in sight
      await page.getByLabel("Choose Zoe Keys").uncheck();
      await page.getByLabel("Show").selectOption("Who needs me");
      await card.waitFor();
      await speaks(page, "coach with a choice");
      await page.getByLabel("Show").selectOption("Everybody");
      // Who sees you is decided in the middle of the class: the big screen forgets, the coach does not.
      // Each choice is stored before the next is made: nothing can be chosen meanwhile.
      await athlete.locator("#showing").getByText("Everybody sees your name, heart rate, zone and points.").waitFor();
      await athlete.getByRole("radio", { name: "Zone only" }).check({ force: true });
      await athlete.locator("#showing").getByText("Everybody sees your name, zone and points.").waitFor();
      await screen.locator(".tile", { hasText: "Zoe Keys" }).locator(".tile-bpm", { hasText: "–" }).waitFor();
      await shot(screen, "board-zone-only-television-light");
      await athlete.getByRole("radio", { name: "Coach only" }).check({ force: true });
      await screen.locator(".tile", { hasText: "Zoe Keys" }).waitFor({ state: "detached" });
      await athlete.getByText("Only the coach sees you.").waitFor();
      await card.locator(".ath-bpm", { hasText: /^\d+$/ }).waitFor();
      await speaks(athlete, "the choice who sees you");
      await fits(athlete, "the choice who sees you on a phone");
      await shot(athlete, "athlete-showing-phone-light", { fullPage: true });
      await athlete.getByRole("radio", { name: "Everything" }).check({ force: true });
      await screen.locator(".tile", { hasText: "Zoe Keys" }).waitFor();
      await screen.close();

      // A reload in the middle of a workout goes on with the same stream.
      await athlete.reload();
      await athlete.getByText(/([5-9]|\d\d) samples stored/).waitFor();

      await page.getByRole("button", { name: "End class" }).focus();
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Go on" }).waitFor();
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page
        .getByRole("cell", { name: "Zoe Keys" })
        .or(page.getByRole("rowheader", { name: "Zoe Keys" }))
        .first()
        .waitFor();
      await shot(page, "coach-summary-laptop-light");
      await athlete.getByText("Time in zones").first().waitFor();
      await athlete.getByText("What was assumed").waitFor();
      await athlete.getByRole("heading", { name: "The class" }).waitFor();
      await fits(athlete, "summary on a phone");
      await shot(athlete, "athlete-summary-phone-light", { fullPage: true });
      await athlete.getByRole("button", { name: "Back" }).click();
      await athlete.locator("#past .list-entry").first().waitFor();
      await athlete.getByRole("button", { name: "Log out" }).click();
      await athlete.getByRole("heading", { name: "Log in" }).waitFor();
    });
  },

  async ranked(browser) {
    await withPage(browser, { viewport: LAPTOP, colorScheme: "light" }, async (page, context) => {
      await page.goto(`${BASE_URL}/coach`);
      await registerByKeyboard(page, "Coach Rank");
      await page.getByLabel("Title").fill("By minutes");
      await page.getByLabel("Ranked by").first().selectOption("zone_minutes");
      await page.getByLabel("Teams").fill("Red\nBlue");
      await shot(page, "coach-create-laptop-light");
      await page.getByRole("button", { name: "Start the class" }).click();
      await page.getByRole("heading", { name: "By minutes" }).waitFor();
      const code = await page.locator("#live-code").innerText();

      const athlete = await context.newPage();
      await athlete.setViewportSize(NARROW_PHONE);
      await athlete.goto(`${BASE_URL}/athlete?code=${code}`);
      await registerByKeyboard(athlete, "Rosa Rank");
      await athlete.getByRole("heading", { name: "Ready when you are" }).waitFor();
      for (const [field, value] of Object.entries({ mass_kg: "62", birth_date: `${new Date().getUTCFullYear() - 34}-04-01` }))
        await athlete.locator(`#profile-${field}`).fill(value);
      await athlete.locator("#profile-sex").selectOption("female");
      await athlete.locator("#profile-mass_kg").press("Enter");
      await athlete.getByText("Saved.").waitFor();

      // Whoever is quick with a code that they have typed is asked all the same, once.
      await athlete.locator("#code").fill("");
      await athlete.getByRole("radio", { name: "Blue", exact: true }).waitFor({ state: "hidden" });
      await athlete.locator("#code").fill(code);
      await athlete.getByRole("button", { name: "Start" }).click();
      await athlete.getByText("This class has teams: choose yours, and start.").waitFor();

      // She chooses the team that the server would not have given her.
      await athlete.getByRole("radio", { name: "Blue", exact: true }).check();
      await speaks(athlete, "athlete who chooses a team");
      await fits(athlete, "athlete who chooses a team, on a phone");
      await shot(athlete, "athlete-team-choice-phone-light", { fullPage: true });
      await athlete.getByRole("button", { name: "Start" }).click();
      await athlete.getByText("Minutes in zones, min").waitFor();
      await athlete.getByText("1 of 1").waitFor();

      const screen = await context.newPage();
      await screen.setViewportSize(TELEVISION);
      await screen.goto(`${BASE_URL}/board?code=${code}`);
      await screen.getByText("Ranked by minutes in zones (min)").waitFor();
      const tile = screen.locator(".tile", { hasText: "Rosa Rank" });
      await tile.locator(".tile-effort", { hasText: /^\d+\.\d$/ }).waitFor();

      // Calories tell of the body: her own page and the coach have them, the wall has them when she says so.
      await page.locator("#ranking").selectOption("calories");
      await screen.getByText("Ranked by calories (kcal), of those who show it").waitFor();
      await athlete.getByText("Calories, kcal").waitFor();
      await athlete.locator("#effort", { hasText: /^\d+$/ }).waitFor();
      await page.locator(".ath", { hasText: "Rosa Rank" }).getByText(/^\d+ kcal$/).waitFor();
      await tile.locator(".tile-effort", { hasText: /^–$/ }).waitFor();
      await tile.locator(".tile-rank", { hasText: /^–$/ }).waitFor();
      await shot(screen, "board-calories-kept-television-light");
      await athlete.getByRole("checkbox", { name: "Show figures that tell of my body" }).check();
      await tile.locator(".tile-effort", { hasText: /^\d+$/ }).waitFor();
      await tile.locator(".tile-rank", { hasText: /^1$/ }).waitFor();
      await speaks(athlete, "athlete in a class by calories");
      await fits(athlete, "athlete in a class by calories on a phone");
      await shot(athlete, "athlete-calories-phone-light", { fullPage: true });
      await shot(page, "coach-calories-laptop-light");
      await athlete.getByRole("checkbox", { name: "Show figures that tell of my body" }).uncheck();
      await tile.locator(".tile-rank", { hasText: /^–$/ }).waitFor();

      // She is the whole of her team so far: it stands there, and has nothing.
      await screen.locator("#team-board li", { hasText: /–\s*Blue\s*–/ }).waitFor();
      await athlete.locator("#mini-teams .is-you", { hasText: "Blue" }).waitFor();
      await athlete.getByText("You ride for Blue.").waitFor();

      // An age group has those who show it, and nobody else.
      await screen.getByLabel("Age group").selectOption("30_39");
      await screen.getByText("Nobody on this board is shown in this age group.").waitFor();
      await athlete.getByRole("checkbox", { name: "Let others find me by my age group" }).check();
      await tile.waitFor();
      await athlete.locator("#showing").getByText("finds you in yours, ten years wide").waitFor();
      await fits(athlete, "athlete who shows an age group, on a phone");
      await shot(athlete, "athlete-age-group-phone-light", { fullPage: true });
      await shot(screen, "board-age-group-television-light");
      await screen.getByLabel("Age group").selectOption("40_49");
      await screen.getByText("Nobody on this board is shown in this age group.").waitFor();
      await screen.getByLabel("Age group").selectOption("");
      await tile.waitFor();

      // Only who is here: she goes, and stays on the board for whoever wants to see everybody.
      await screen.getByRole("button", { name: "Only who is here" }).click();
      await tile.waitFor();
      await screen.setViewportSize(NARROW_PHONE);
      await speaks(screen, "board of those who are here");
      await fits(screen, "board of those who are here on a phone");
      await shot(screen, "board-here-phone-light");
      await athlete.close();
      await screen.getByText("Nobody who rode in this class is here right now.").waitFor({ timeout: 60_000 });
      await screen.getByRole("button", { name: "Only who is here" }).click();
      await tile.waitFor();

      // The final table has the teams, on every page that shows it.
      await page.getByRole("button", { name: "End class" }).click();
      await page.locator("dialog").getByRole("button", { name: "End the class" }).click();
      for (const shown of [page, screen]) {
        await shown.locator(".standings .team-board li", { hasText: /–\s*Blue\s*–/ }).waitFor();
        await speaks(shown, "final table with teams");
      }
      await fits(screen, "final table with teams on a phone");
      await shot(screen, "board-final-teams-phone-light", { fullPage: true });
      await shot(page, "coach-final-teams-laptop-light", { fullPage: true });
    });
  },

  async chat(browser) {
    const line = new Line();
    await withPage(browser, { viewport: LAPTOP, before: (context) => line.lay(context) }, async (page, context) => {
      await page.goto(`${BASE_URL}/coach`);
      await registerByKeyboard(page, "Coach Chat");
      await page.getByLabel("Title").fill("Talkative");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Talkative" }).waitFor();
      const code = await page.locator("#live-code").innerText();

      // What is said from now on is new to the coach's page: it is in the room, and knows what was said before.
      await page.getByRole("button", { name: "Chat", exact: true }).waitFor();
      await page.locator(".chat-list:not([aria-busy])").waitFor({ state: "attached" });

      // Somebody else is there already, and has said what a page must bear.
      const rude = await register("Kim", "member");
      const kim = await connect(rude.token);
      const { room } = await kim.ask("room.join", { code });
      const markup = "<img src=x onerror=alert(1)><b>not bold</b>";
      const hebrew = "שלום, קדימה! עוד 2 דקות";
      const texts = [markup, hebrew, "Donaudampfschifffahrtsgesellschaft".repeat(8)];
      for (const text of texts) await kim.ask("chat.send", { class_id: room.id, text });

      const athlete = await context.newPage();
      await athlete.setViewportSize(PHONE);
      await athlete.goto(`${BASE_URL}/athlete?code=${code}`);
      await registerByKeyboard(athlete, "Zoe Chat");
      await athlete.getByRole("button", { name: "Start" }).click();
      await athlete.getByRole("button", { name: /^Chat/ }).click();
      const panel = athlete.locator("#chat");
      for (const text of texts) await panel.locator(".chat-text").getByText(text, { exact: true }).waitFor();
      assert.equal(await panel.locator(".chat-entry :is(img, b)").count(), 0, "what people say is text");
      await speaks(athlete, "chat");
      await fits(athlete, "chat on a phone");
      await shot(athlete, "chat-phone-dark");

      // Too quick: the words stay, and go when they may.
      const say = panel.getByLabel("Say something to the class");
      line.refuse("chat.send", { code: "rate_limited", message: "too many", retry: true, retry_after_ms: 1_200 });
      await athlete.evaluate(() => {
        const status = document.querySelector(".chat-said");
        const input = document.querySelector(".chat-form input");
        window.said = [];
        const look = () => window.said.push([status.textContent, input.value]);
        new MutationObserver(look).observe(status, { childList: true, characterData: true, subtree: true });
      });
      await say.fill("Hello coach");
      await athlete.keyboard.press("Enter");
      await panel.getByText("You can send it now.").waitFor();
      assert.deepEqual(await athlete.evaluate(() => window.said), [
        ["One breath: you can send this in 1 s.", "Hello coach"],
        ["You can send it now.", "Hello coach"],
      ]);
      await athlete.keyboard.press("Enter");
      await panel.locator(".is-own", { hasText: "Hello coach" }).waitFor();
      await eventually("the box to be empty", async () => (await say.inputValue()) === "");

      await page.getByRole("button", { name: "Chat, 4 unread" }).click();
      const desk = page.locator("#chat");
      await desk.getByText("Hello coach").waitFor();
      await speaks(page, "chat of a coach");
      await fits(page, "chat on a laptop");
      await shot(page, "chat-laptop-dark");
      await athlete.evaluate(() => {
        const look = () => (window.clapped ||= document.querySelector(".chat-count:not(:empty)") !== null);
        new MutationObserver(look).observe(document.querySelector(".chat-reactions"), { childList: true, subtree: true });
      });
      await desk.getByRole("button", { name: "Clap" }).click();
      await athlete.waitForFunction(() => window.clapped);
      await desk.getByRole("button", { name: "More about what Zoe Chat said" }).click();
      await page.getByRole("button", { name: "High five for Zoe Chat" }).click();
      await panel.getByText("Coach Chat gives you a high five").waitFor();

      // What is reported, whom one hears no more, and what that person says then.
      await panel.getByRole("button", { name: "More about what Kim said" }).first().click();
      await shot(athlete, "chat-sheet-phone-dark");
      await athlete.getByLabel("Why it should not stand").selectOption("It is spam");
      await athlete.getByRole("button", { name: "Report to the coach" }).click();
      await panel.getByText("Reported.").waitFor();
      await panel.getByRole("button", { name: "More about what Kim said" }).first().click();
      await athlete.getByRole("button", { name: "Hear Kim no more" }).click();
      await panel.getByText("You hear Kim no more").waitFor();
      assert.deepEqual(await panel.locator(".chat-text").allInnerTexts(), ["Hello coach"]);
      await kim.ask("chat.send", { class_id: room.id, text: "And another thing" });
      await desk.getByText("And another thing").waitFor();
      await desk.getByLabel("Say something to the class").fill("Well done");
      await page.keyboard.press("Enter");
      await panel.getByText("Well done").waitFor();
      assert.deepEqual(await panel.locator(".chat-text").allInnerTexts(), ["Hello coach", "Well done"]);

      // The coach keeps the talk decent.
      await desk.getByRole("button", { name: "More about what Zoe Chat said" }).click();
      await shot(page, "chat-sheet-laptop-dark");
      await page.getByRole("button", { name: "Mute Zoe Chat for this class" }).click();
      await panel.getByText("The coach has muted you for the rest of this class.").waitFor();
      assert.ok(await say.isDisabled());
      await desk.getByRole("button", { name: "More about what Zoe Chat said" }).click();
      await page.getByRole("button", { name: "Let Zoe Chat speak again" }).click();
      await panel.getByText("You may speak again.").waitFor();
      assert.ok(await say.isEnabled());
      await desk.getByRole("button", { name: "More about what Zoe Chat said" }).click();
      await page.getByRole("button", { name: "Take it down for everybody" }).click();
      for (const each of [panel, desk]) await each.getByText("Hello coach").waitFor({ state: "detached" });
      await kim.hear("chat.removed");

      await say.press("Escape");
      await athlete.getByRole("button", { name: /^Chat/ }).waitFor();
      kim.close();
    });
  },

  async cases(browser) {
    await withPage(browser, { viewport: LAPTOP, colorScheme: "light" }, async (page) => {
      await page.goto(`${BASE_URL}/coach`);
      await registerByKeyboard(page, "Coach Case");
      await page.getByLabel("Title").fill("Judged");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Judged" }).waitFor();
      const code = await page.locator("#live-code").innerText();

      // Somebody rides sixteen minutes at exactly the same rate, appeals, and has said something rude.
      const { token } = await register("Kim", "member");
      const kim = await connect(token);
      const { room } = await kim.ask("room.join", { code });
      const rude = "<b>Boo</b>, שלום!";
      const { position: message } = await kim.ask("chat.send", { class_id: room.id, text: rude });
      await kim.ask("chat.report", { class_id: room.id, message, reason: "insult" });
      const stream = randomUUID();
      await kim.ask("stream.open", { stream, started_at_ms: Date.now() - 960_000, class_code: code });
      const samples = Array.from({ length: 950 }, (_, second) => [second * 1_000, 150, []]);
      await kim.ask("stream.samples", { stream, seq: 0, samples });
      const { workout } = await kim.ask("stream.finish", { stream, samples: samples.length });
      const path = `${BASE_URL}/v1/workouts/${workout}/verdict`;
      const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
      const verdict = async () => (await fetch(path, { headers })).json();
      await eventually("the workout to be judged", async () => (await verdict()).verdict === "rejected");
      const appeal = "My strap hung on the handlebar, and I did not notice.";
      await http("POST", `/v1/workouts/${workout}/verdict/appeal`, { token, body: { text: appeal }, status: 201 });

      await page.goto(`${BASE_URL}/inbox?as=coach`);
      await page.getByText("Kim appeals: please look").first().waitFor();
      await page.goto(`${BASE_URL}/cases?as=coach`);
      const card = page.locator("#reviews .case", { hasText: "Kim" });
      await card.getByText("It does not count. They have appealed.").waitFor();
      await card.getByText("One and the same heart rate for minutes: ").waitFor();
      await card.getByText(appeal).waitFor();
      const said = page.locator("#reports .case", { hasText: "Judged" });
      await said.getByText("Reported as an insult").waitFor();
      assert.equal(await said.locator("blockquote").innerText(), rude, "what people say is text");
      await speaks(page, "cases");
      await fits(page, "cases on a laptop");
      await shot(page, "cases-laptop-light", { fullPage: true });
      await page.setViewportSize(PHONE);
      await fits(page, "cases on a phone");
      await shot(page, "cases-phone-light", { fullPage: true });

      await card.getByRole("button", { name: "It counts, unmarked" }).click();
      await card.getByText("Say why: they read it.").waitFor();
      await card.getByLabel("Your reason, which they read").fill("I have seen the strap hang there.");
      await card.getByRole("button", { name: "It counts, unmarked" }).click();
      await page.getByText("No workout waits for you.").waitFor();
      assert.equal((await verdict()).verdict, "accepted");
      await said.getByRole("button", { name: "Take it down" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Take it down" }).click();
      await page.getByText("No message waits for you.").waitFor();
      await kim.hear("chat.removed", ({ removed }) => removed === message);
      kim.close();
    });
  },

  async offline_workout(browser) {
    const hall = await Hall.open("Out of reach");
    const line = new Line();
    await withPage(browser, { viewport: PHONE, quiet: false, before: (context) => line.lay(context) }, async (page) => {
      await page.goto(`${BASE_URL}/athlete?code=${hall.view.code}`);
      await registerByKeyboard(page, "Noor Offline");
      await page.getByRole("button", { name: "Start" }).click();
      await page.getByText(/[2-9] samples stored/).waitFor();
      line.cut();
      await page.getByText(/[4-9] kept on this device until/).waitFor();
      assert.match(await page.locator("#bpm").innerText(), /^\d+$/, "the sensor goes on without a network");
      // The room cannot be seen, and after three seconds without it nothing of it is shown any more.
      await page.locator("#rank").filter({ hasText: /^–$/ }).waitFor();
      await shot(page, "athlete-offline-phone-dark");
      line.mend();
      await page.getByText(/^(\d\d|[8-9]) samples stored\.$/).waitFor();
      await page.getByRole("button", { name: "Finish workout" }).click();
      await page.getByRole("button", { name: "Finish", exact: true }).click();
      await page.getByText("no gaps").waitFor();
    });
    hall.close();
  },

  /** A strap that was chosen and does not answer is let go of, and not looked for behind the page's back. */
  async no_sensor(browser) {
    const before = (context) =>
      context.addInitScript(() => {
        const gatt = {
          connect: async () => {
            throw new Error("out of reach");
          },
          disconnect: () => (window.letGo = true),
        };
        const device = Object.assign(new EventTarget(), { name: "A strap", gatt });
        Object.defineProperty(navigator, "bluetooth", { value: { requestDevice: async () => device } });
      });
    await withPage(browser, { viewport: PHONE, before }, async (page) => {
      await page.goto(`${BASE_URL}/athlete`);
      await registerByKeyboard(page, "Sam Strap");
      await page.getByRole("button", { name: "Start" }).click();
      await page.getByText("No sensor: out of reach").waitFor();
      assert.ok(await page.evaluate(() => window.letGo));
    });
  },

  async two_tabs(browser) {
    await withPage(browser, {}, async (page, context) => {
      await page.goto(`${BASE_URL}/coach`);
      await registerByKeyboard(page, "Tabs Coach");
      await page.getByRole("heading", { name: "Start a class" }).waitFor();
      const [cookie] = await context.cookies();
      assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
      const kept = await page.evaluate(() => [JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie].join(" "));
      assert.ok(!/plr_|eyJ/.test(kept), "no script can read a token");
      let refreshes = 0;
      context.on("request", (request) => {
        if (request.url().endsWith("/v1/logins/refresh")) refreshes += 1;
      });
      const tabs = await Promise.all([1, 2, 3].map(() => context.newPage()));
      await Promise.all(tabs.map((tab) => tab.goto(`${BASE_URL}/coach`)));
      for (const tab of tabs) await tab.getByText("None yet.").waitFor();
      assert.equal(refreshes, 3, "each tab has got an access token of its own, by one cookie");
      await tabs[0].getByRole("button", { name: "Log out" }).click();
      for (const tab of [page, ...tabs]) await tab.getByRole("heading", { name: "Log in" }).waitFor();
    });
  },

  async sizes_and_themes(browser, hall) {
    const looks = [
      ["phone", NARROW_PHONE, "light"],
      ["laptop", LAPTOP, "dark"],
      ["television", TELEVISION, "light"],
    ];
    for (const [size, viewport, colorScheme] of looks) {
      await withPage(browser, { viewport, colorScheme, quiet: false }, async (page) => {
        for (const path of ["/", `/board?code=${hall.view.code}`, "/coach", "/athlete"]) {
          await page.goto(BASE_URL + path);
          await page.locator("h1:visible").first().waitFor();
          if (path.startsWith("/board")) await page.locator(".tile-bpm", { hasText: /\d/ }).first().waitFor();
          const name = /^\/(\w*)/.exec(path)[1] || "landing";
          await fits(page, `${name} on a ${size}`);
          await shot(page, `${name}-${size}-${colorScheme}`);
        }
        const before = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        await page.getByRole("button", { name: "Dark theme" }).click();
        const after = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        assert.notEqual(before, after, "the theme can be turned");
      });
    }
  },

  async wrong_code(browser) {
    await withPage(browser, { quiet: false }, async (page) => {
      await page.goto(`${BASE_URL}/board?code=NOSUCH`);
      await page.getByText("No class has this code").waitFor();
      await page.goto(`${BASE_URL}/athlete?code=NOSUCH`);
      await registerByKeyboard(page, "Lost Athlete");
      await page.getByRole("button", { name: "Start" }).click();
      await page.getByText("No class has this code").waitFor();
    });
  },
};

await journey(async (tell) => {
  const wanted = process.argv.slice(2);
  for (const name of wanted)
    assert.ok(name in CHAPTERS, `there is no chapter ${name}; there are ${Object.keys(CHAPTERS).join(", ")}`);
  await withBrowser(async (browser) => {
    const hall = await Hall.open("Pages");
    const names = wanted.length ? wanted : Object.keys(CHAPTERS);
    const failed = [];
    const lane = async () => {
      for (let name = names.shift(); name; name = names.shift()) {
        const began = performance.now();
        let problem;
        try {
          await CHAPTERS[name](browser, hall);
        } catch (raised) {
          problem = raised.stack ?? String(raised);
          failed.push(name);
        }
        tell(name, { took: Math.round(performance.now() - began), problem });
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    hall.close();
    assert.deepEqual(failed, [], "chapters failed");
  });
});
