/**
 * The coach's page as somebody sees it who leads a class with others, sends people out and in, writes a script, keeps
 * scripts in a library, and has hundreds of athletes.
 *
 *     BASE_URL=http://127.0.0.1:8080 CHROMIUM=/usr/bin/chromium node cockpit.mjs [CHAPTER…]
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { LAPTOP, Line, PHONE, fits, registerByKeyboard, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, connect, eventually, journey, register } from "./client.mjs";

/** A coach's page with a class; the code of it. */
async function startsClass(page, name, title) {
  await page.goto(`${BASE_URL}/coach`);
  await registerByKeyboard(page, name);
  await page.getByLabel("Title").fill(title);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: title }).waitFor();
  return page.locator("#live-code").innerText();
}

const person = (page, name) => page.locator(".people-list li", { hasText: name });

/** Presses a button of somebody in the dialog and says yes. */
async function does(page, name, label, yes = label) {
  await person(page, name).getByRole("button", { name: new RegExp(`^${label}`) }).click();
  await page.getByRole("heading", { name: /\?$/ }).waitFor();
  await page.locator("dialog:not(.people)").getByRole("button", { name: yes }).click();
}

const CHAPTERS = {
  async people(browser) {
    await withPage(browser, { viewport: LAPTOP, colorScheme: "light", quiet: false }, async (page) => {
      const code = await startsClass(page, "Mia First", "Led by two");
      const zoe = await register("Zoe Rider", "member");
      const device = await connect(zoe.token);
      await device.ask("room.join", { code });
      await withPage(browser, { viewport: PHONE, colorScheme: "dark", quiet: false }, async (other) => {
        await other.goto(`${BASE_URL}/coach`);
        await registerByKeyboard(other, "Noe Second");
        await other.getByLabel("Join code").fill(code);
        await other.getByRole("button", { name: "Come in" }).click();
        await other.getByText("You watch “Led by two”.").waitFor();

        await page.getByRole("button", { name: "People" }).click();
        await person(page, "Mia First").getByText("coach").waitFor();
        assert.equal(await person(page, "Zoe Rider").getByRole("button", { name: /co-coach/ }).count(), 0);
        await shot(page, "coach-people-laptop-light");
        await does(page, "Noe Second", "Make co-coach");
        await person(page, "Noe Second").getByText("co-coach").waitFor();
        await other.getByText("you are a co-coach").waitFor();
        assert.equal(await other.getByRole("button", { name: "End class" }).count(), 0);

        await person(page, "Zoe Rider").getByRole("button", { name: /^Mute/ }).click();
        await person(page, "Zoe Rider").getByText("muted").waitFor();
        await device.hear("chat.muted", ({ muted }) => muted);
        await person(page, "Zoe Rider").getByRole("button", { name: /^Let speak/ }).click();
        await device.hear("chat.muted", ({ muted }) => !muted);
        await does(page, "Zoe Rider", "Send out");
        await person(page, "Zoe Rider").getByText("sent out").waitFor();
        await device.refused("room.join", { code }, "removed_from_class");

        await other.getByRole("button", { name: "People" }).click();
        await person(other, "Zoe Rider").getByText("sent out").waitFor();
        await fits(other, "the people on a phone");
        await shot(other, "coach-people-phone-dark");
        await person(other, "Zoe Rider").getByRole("button", { name: /^Let in/ }).click();
        await other.getByText("so only the coach lets them back in").waitFor();
        await person(page, "Zoe Rider").getByRole("button", { name: /^Let in/ }).click();
        await person(page, "Zoe Rider").getByText("athlete").waitFor();
        await device.ask("room.join", { code });
        await speaks(page, "the people of a class");

        await does(page, "Noe Second", "Hand over");
        await person(page, "Noe Second").getByText("coach", { exact: true }).waitFor();
        await page.getByRole("button", { name: "Close" }).click();
        await page.getByText("Noe Second's class · you are a co-coach").waitFor();
        await does(other, "Mia First", "Take back");
        await page.getByText("You lead “Led by two” no longer.").waitFor();
        await other.getByRole("button", { name: "Close" }).click();
        await other.getByRole("button", { name: "End class" }).click();
        await other.locator("dialog").getByRole("button", { name: "End the class" }).click();
        await other.getByText("Class over").waitFor();
      });
      device.close();
    });
  },

  async script(browser) {
    await withPage(browser, { viewport: LAPTOP, colorScheme: "dark", quiet: false }, async (page) => {
      const code = await startsClass(page, "Iva Writes", "Written down");
      await page.getByRole("link", { name: "Script" }).click();
      await page.getByRole("heading", { name: "Script of “Written down”" }).waitFor();
      const interval = page.locator(".interval").first();
      const refused = (path) => page.locator(`[data-path="${path}"] > .trouble`);
      const lasts = interval.getByLabel("Lasts");
      await lasts.fill("0:02");
      await refused("$.script.blocks[0].intervals[0].duration_ms").filter({ hasText: "5000" }).waitFor();
      assert.equal(await lasts.getAttribute("aria-invalid"), "true");
      await lasts.fill("2:00");
      await interval.getByLabel("from", { exact: true }).fill("4");
      await refused("$.script.blocks[0].intervals[0].targets[0]").filter({ hasText: "begins at 4 and ends at 3" }).waitFor();
      await shot(page, "script-refused-laptop-dark", { fullPage: true });
      await interval.getByLabel("to", { exact: true }).fill("4");
      await interval.getByRole("button", { name: "Add a step" }).click();
      await interval.getByLabel("Go on after").fill("1:30");
      await page.getByLabel("Times").fill("3");
      await page.getByText("6:00 in 3 intervals").waitFor();
      await page.getByRole("button", { name: "Add a cue" }).click();
      const cue = page.locator(".cues");
      await cue.getByLabel("At", { exact: true }).fill("7:00");
      await cue.getByLabel("Text").fill("All you have");
      await refused("$.script.cues[0].at_ms").filter({ hasText: "the script ends at 360000" }).waitFor();
      assert.ok(await page.getByRole("button", { name: "Store" }).isDisabled());
      await cue.getByLabel("At", { exact: true }).fill("1:00");
      await page.locator(".profile .cue-mark").waitFor({ state: "attached" });
      await page.getByRole("button", { name: "Store", disabled: false }).click();
      await page.getByText("Stored.").waitFor();
      await speaks(page, "the page of a script");
      await shot(page, "script-laptop-dark", { fullPage: true });
      await page.setViewportSize(PHONE);
      await fits(page, "a script on a phone");
      await shot(page, "script-phone-dark", { fullPage: true });
      await page.setViewportSize(LAPTOP);

      const rider = await register("Ola Steps", "member");
      const device = await connect(rider.token);
      await device.ask("room.join", { code });
      const [stream, startedAt] = [randomUUID(), Date.now()];
      await device.ask("stream.open", { stream, started_at_ms: startedAt, class_code: code });
      await page.getByRole("link", { name: "Back to the class" }).click();
      await page.getByRole("button", { name: "Start", exact: true }).click();
      const step = page.locator(".ath", { hasText: "Ola Steps" }).locator(".ath-step");
      let seq = 0;
      await eventually("the step on the card", async () => {
        const samples = [[Date.now() - startedAt, 150, []]];
        await device.ask("stream.samples", { stream, seq, samples });
        seq += 1;
        return (await step.innerText()).startsWith("Step 1 of 1: below 120 bpm");
      });
      // How well the clocks agree stands beside the clock of the class, and whose screen is off.
      const agreement = page.locator("#agreement");
      await device.ask("clock.sync", { sent_ms: 1, report: { delay_ms: 24, moved_ms: 0 } });
      await agreement.getByText("Clocks agree: within 12 ms").waitFor();
      await device.ask("clock.sync", { sent_ms: 1, report: { delay_ms: 24, moved_ms: -300 } });
      await agreement.getByText("Clocks differ: Ola Steps by up to 312 ms").waitFor();
      await shot(page, "coach-step-laptop-dark");

      // Once the clock runs, the script stays as it is, and says so.
      await page.getByRole("link", { name: "Script" }).click();
      await page.getByLabel("Times").fill("2");
      await page.locator("#script-trouble", { hasText: /begun|started/ }).waitFor();
      device.close();
    });
  },

  async library(browser) {
    await withPage(browser, { viewport: LAPTOP, colorScheme: "dark", quiet: false }, async (page) => {
      await page.goto(`${BASE_URL}/coach`);
      await registerByKeyboard(page, "Uma Keeps");
      await page.getByRole("link", { name: "Your library of scripts" }).click();
      await page.getByText("You keep no scripts yet.").waitFor();
      await page.getByRole("link", { name: "Write one" }).click();
      await page.getByRole("heading", { name: "A new script" }).waitFor();
      await page.getByRole("button", { name: "Store" }).click();
      await page.locator('[data-path="$.label.name"] > .trouble').filter({ hasText: /\w/ }).waitFor();
      await page.getByLabel("Name", { exact: true }).fill("Two long hills");
      await page.getByLabel("Tags").fill("Hills, threshold");
      await page.getByLabel("What it is for").fill("Ten minutes easy, then two hills of five.");
      const lasts = page.locator(".interval").first().getByLabel("Lasts");
      await lasts.fill("0:02");
      await page.locator('[data-path="$.script.blocks[0].intervals[0].duration_ms"] > .trouble', { hasText: "5000" }).waitFor();
      await lasts.fill("10:00");
      await page.getByLabel("Seen by").selectOption("coaches");
      await page.getByRole("button", { name: "Store", disabled: false }).click();
      await page.getByText("Stored in your library.").waitFor();
      await speaks(page, "the form of a script in the library");
      await shot(page, "library-script-laptop-dark", { fullPage: true });
      const address = page.url();
      await page.getByRole("link", { name: "Back to your library" }).click();
      await page.locator(".script-entry", { hasText: "10:00 · shared" }).getByText("hills, threshold").waitFor();
      await shot(page, "library-laptop-dark");

      await withPage(browser, { viewport: PHONE, colorScheme: "light", quiet: false }, async (other) => {
        const code = await startsClass(other, "Vid Takes", "Taken from there");
        await other.goto(`${BASE_URL}/script`);
        await other.getByText("You keep no scripts yet.").waitFor();
        await other.getByLabel("Show", { exact: true }).selectOption("shared");
        await other.getByLabel("named", { exact: true }).fill("no such name");
        await other.getByText("No script has “no such name” in its name.").waitFor();
        await other.getByLabel("named", { exact: true }).fill("LONG");
        await other.getByRole("link", { name: "Two long hills" }).waitFor();
        await fits(other, "the library on a phone");
        await speaks(other, "the library");
        await shot(other, "library-phone-light");
        await other.getByRole("link", { name: "Two long hills" }).click();
        await other.getByText("by Uma Keeps").waitFor();
        assert.ok(await other.getByLabel("Name", { exact: true }).isDisabled());
        await fits(other, "a script of somebody else on a phone");
        await other.getByRole("button", { name: "Copy into my library" }).click();
        await other.getByText("a copy of Uma Keeps's").waitFor();
        await other.getByLabel("Name", { exact: true }).fill("My hills");
        await other.getByRole("button", { name: "Store", disabled: false }).click();
        await other.getByText("Stored in your library.").waitFor();
        await fits(other, "the form of a script in the library on a phone");
        await shot(other, "library-script-phone-light", { fullPage: true });

        // Into a class, and what is written there into the library.
        await other.goto(`${BASE_URL}/coach`);
        await other.locator("#earlier", { hasText: "Taken from there" }).getByText("Taken from there").click();
        await other.locator("#live-code", { hasText: code }).waitFor();
        await other.getByRole("link", { name: "Script" }).click();
        await other.getByLabel("Begin with the script of").selectOption({ label: "My hills" });
        await other.getByRole("button", { name: "Take it" }).click();
        await other.getByText("10:00 in 1 interval").waitFor();
        await other.getByLabel("Times").fill("2");
        await other.getByText("20:00 in 2 intervals").waitFor();
        await other.getByRole("button", { name: "Store", disabled: false }).click();
        await other.getByText("Stored. Start it from the class.").waitFor();
        await other.getByLabel("Keep it in your library as").fill("Twice as long");
        await other.getByRole("button", { name: "Keep it" }).click();
        await other.getByText("Kept in your library as “Twice as long”.").waitFor();
        await other.getByRole("link", { name: "Your library" }).click();
        await other.locator(".script-entry", { hasText: "20:00" }).getByRole("link", { name: "Twice as long" }).waitFor();
        await other.getByRole("button", { name: "Delete “My hills”" }).click();
        await other.locator("dialog").getByRole("button", { name: "Delete it" }).click();
        await other.getByText("“My hills” is deleted.").waitFor();
        assert.equal(await other.locator(".script-entry").count(), 1);
      });

      // Written on from elsewhere meanwhile: whose is to stay is asked.
      await page.goto(address);
      await page.getByLabel("Name", { exact: true }).fill("Two longer hills");
      const twin = await page.context().newPage();
      await twin.goto(address);
      await twin.getByLabel("Name", { exact: true }).fill("Theirs");
      await twin.getByRole("button", { name: "Store", disabled: false }).click();
      await twin.getByText("Stored in your library.").waitFor();
      await twin.close();
      await page.getByRole("button", { name: "Store", disabled: false }).click();
      await page.getByRole("heading", { name: "Put yours in its place?" }).waitFor();
      await page.getByRole("button", { name: "Show me theirs" }).click();
      await page.getByRole("heading", { name: "Theirs" }).waitFor();
      assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Theirs");
    });
  },

  async five_hundred(browser) {
    const measured = {};
    for (const [size, viewport, colorScheme] of [
      ["laptop", LAPTOP, "dark"],
      ["phone", PHONE, "light"],
    ]) {
      const line = new Line();
      await withPage(
        browser,
        { viewport, colorScheme, quiet: false, before: (context) => line.lay(context) },
        async (page) => {
          await startsClass(page, "Coach Many", "Five hundred");
          const id = new URL(page.url()).hash.slice("#class=".length);
          const crowd = new Crowd(id, ATHLETES);
          await page.getByText("Nobody is here yet.").waitFor();
          line.hush(/^42\/live,\["(board|cockpit)\./);
          await eventually("the whole class", async () => {
            line.say("board.snapshot", crowd.board());
            line.say("cockpit.snapshot", crowd.cockpit());
            return (await page.locator("#counts").innerText()).startsWith(String(ATHLETES));
          });
          await page.evaluate(() => {
            window.tasks = [];
            new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((each) => each.duration))).observe(
              { type: "longtask" },
            );
          });
          const meter = await page.context().newCDPSession(page);
          await meter.send("Performance.enable");
          const before = await spent(meter);
          const began = performance.now();
          for (let beat = 0; beat < BEATS; beat += 1) {
            line.say("board.changes", crowd.changes());
            if (beat % 2) line.say("cockpit.changes", crowd.needs());
            await new Promise((resolve) => setTimeout(resolve, 250));
          }
          const busy = ((await spent(meter)) - before) / ((performance.now() - began) / 1_000);
          const tasks = await page.evaluate(() => window.tasks);
          measured[size] = {
            busy_percent: Math.round(busy * 100),
            tasks_above_50_ms: tasks.length,
            longest_ms: Math.round(Math.max(0, ...tasks)),
          };
          await eventually("who needs the coach most to be first", async () => {
            line.say("board.snapshot", crowd.board());
            line.say("cockpit.snapshot", crowd.cockpit());
            return (await page.locator(".ath").first().getAttribute("data-needs")) === "over_limit";
          });
          await fits(page, `a class of ${ATHLETES} on a ${size}`);
          await shot(page, `coach-500-${size}-${colorScheme}`);
          await page.getByLabel("Show").selectOption("Who needs me");
          // Said again: a page that was busy for seconds has asked the server, for which nobody is here.
          await eventually("only those who need the coach", async () => {
            line.say("board.snapshot", crowd.board());
            line.say("cockpit.snapshot", crowd.cockpit());
            const seen = await page.locator(".ath:visible").count();
            return seen > 0 && seen < ATHLETES / 2;
          });
          await shot(page, `coach-500-needs-${size}-${colorScheme}`);
        },
      );
    }
    return measured;
  },
};

const ATHLETES = 500;
const BEATS = 24;

/** Seconds that the page has worked: scripts, styles, layout and painting. */
async function spent(meter) {
  const { metrics } = await meter.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "TaskDuration").value;
}

/** So many athletes as a server tells them, each of whom beats on. */
class Crowd {
  constructor(id, athletes) {
    this.id = id;
    this.epoch = randomUUID().slice(0, 8);
    this.v = 0;
    this.numbers = Array.from({ length: athletes }, (_, index) => index + 1);
  }

  #row(n) {
    const bpm = 100 + ((n * 7 + this.v * 3) % 90);
    return [n, ((n * 13 + this.v) % this.numbers.length) + 1, bpm, Math.round(bpm / 1.9), 1 + (bpm % 5), 10 + n / 10, "live"];
  }

  #need(n) {
    const reasons = n % 50 === 3 ? ["over_limit"] : n % 20 === 1 ? ["above_target"] : [];
    const [, , bpm, percent, zone, effort, freshness] = this.#row(n);
    return [n, reasons, reasons.length ? Date.now() - n * 100 : null, true, bpm, percent, zone, effort, freshness];
  }

  board() {
    const members = this.numbers.map((n) => ({ n, name: `Athlete ${n}`, role: "athlete", present: true }));
    const rows = this.numbers.map((n) => this.#row(n));
    return { class_id: this.id, epoch: this.epoch, v: this.v, at_ms: Date.now(), count: members.length, members, rows };
  }

  changes() {
    this.v += 1;
    const rows = this.numbers.filter((n) => n % 4 === this.v % 4).map((n) => this.#row(n));
    return { class_id: this.id, epoch: this.epoch, v: this.v, at_ms: Date.now(), rows };
  }

  cockpit() {
    const members = this.numbers.map((n) => ({ n, account_id: randomUUID(), name: `Athlete ${n}` }));
    return { class_id: this.id, at_ms: Date.now(), members, rows: this.numbers.map((n) => this.#need(n)) };
  }

  needs() {
    const rows = this.numbers.filter((n) => n % 2 === this.v % 2).map((n) => this.#need(n));
    return { class_id: this.id, at_ms: Date.now(), members: [], rows };
  }
}

await journey(async (tell) => {
  const wanted = process.argv.slice(2);
  await withBrowser(async (browser) => {
    const failed = [];
    for (const name of wanted.length ? wanted : Object.keys(CHAPTERS)) {
      const began = performance.now();
      let problem, facts;
      try {
        facts = await CHAPTERS[name](browser);
      } catch (raised) {
        problem = raised.stack ?? String(raised);
        failed.push(name);
      }
      tell(name, { took: Math.round(performance.now() - began), problem, ...facts });
    }
    assert.deepEqual(failed, [], "chapters failed");
  });
});
