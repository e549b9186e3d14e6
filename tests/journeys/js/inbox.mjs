/**
 * The inbox in a real browser: what happens arrives on the page and on a phone, is read on one and so on both; what one wants to be told is
 * chosen, and kept; a push is shown once by its tag.
 *
 *     BASE_URL=http://127.0.0.1:8080 OTHER_URL=http://127.0.0.1:8081 node inbox.mjs
 *
 * OTHER_URL is another node of the same installation; without it the phone is on the same one. TEXTS_URL is where text messages
 * arrive (tests/support/providers/sms_server.py); without it no number is proved. ARTIFACTS names a folder for screenshots.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { LAPTOP, NARROW_PHONE, PHONE, fits, registerByKeyboard, shot, speaks, tokenOf, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, connect, eventually, http, journey, register, samplesFrom } from "./client.mjs";

const OTHER_URL = process.env.OTHER_URL ?? BASE_URL;
const { TEXTS_URL } = process.env;

/** A workout of a quarter of a minute, from the first sample to its end. */
async function train(client, bpm = 140) {
  const stream = randomUUID();
  await client.ask("stream.open", { stream, started_at_ms: Date.now() - 60_000 });
  await client.ask("stream.samples", { stream, seq: 0, samples: samplesFrom(0, 60, bpm) });
  await client.ask("stream.finish", { stream, samples: 60 });
}

const notes = (page) => page.locator(".note");
const unread = (page) => page.locator(".note.is-unread");

async function twoDevices(tell) {
  const jonas = await register("Jonas", "member");
  const watch = await connect(jonas.token);
  const phone = await connect(jonas.token, OTHER_URL);
  await train(watch);
  const onWatch = await watch.hear("notification.new");
  const onPhone = await phone.hear("notification.new");
  assert.deepEqual(onPhone, onWatch, "both devices are told the same");
  assert.equal(onPhone.unread, 1);
  assert.match(onPhone.notification.title, /points in 59 s$/);
  assert.match(onPhone.notification.path, /^\/athlete#workout=/);
  tell("told on two devices");

  assert.deepEqual(await phone.ask("inbox.read", { ids: [onPhone.notification.id] }), { marked: 1, unread: 0 });
  const read = await watch.hear("notifications.read");
  assert.deepEqual(read, { unread: 0, ids: [onPhone.notification.id] });
  assert.equal((await http("GET", "/v1/notifications/unread", { token: jonas.token })).unread, 0);
  await phone.refused("inbox.read", {}, "bad_shape");
  await phone.refused("inbox.read", { up_to: randomUUID() }, "not_found");
  tell("read on one, read on both");

  await train(watch, 150);
  const second = await phone.hear("notification.new", ({ unread }) => unread === 1 && phone.heard.length > 0);
  await phone.ask("inbox.read", { up_to: second.notification.id });
  watch.close();
  phone.close();
}

async function livePage(browser, tell) {
  await withPage(browser, { viewport: LAPTOP }, async (page) => {
    await page.goto(`${BASE_URL}/inbox`);
    await registerByKeyboard(page, "Ana");
    await page.getByText("Nothing yet.").waitFor();
    await speaks(page, "an empty inbox");
    await fits(page, "an empty inbox");
    await shot(page, "inbox-empty");

    const watch = await connect(await tokenOf(page), OTHER_URL);
    await page.getByText("Live", { exact: true }).waitFor();
    await train(watch);
    await unread(page).waitFor();
    assert.match(await unread(page).innerText(), /points in 59 s/);
    assert.match(await page.locator("#badge").innerText(), /^1\b/);
    assert.match(await page.title(), /^\(1\) Inbox/);
    assert.match(await page.locator("#news").textContent(), /^New: /, "a screen reader hears of it");
    tell("arrives on the page");

    // Read on the phone: the page shows it without being asked.
    const { notification } = await watch.hear("notification.new");
    await watch.ask("inbox.read", { ids: [notification.id] });
    await eventually("the badge to go", async () => (await unread(page).count()) === 0);
    assert.ok(await page.locator("#badge").isHidden());

    // Read on the page, by keyboard: the phone hears it.
    await train(watch, 160);
    await page.getByRole("button", { name: /Mark as read: / }).focus();
    await page.keyboard.press("Enter");
    const second = await watch.hear("notification.new", (told) => told.notification.id !== notification.id);
    await watch.hear("notifications.read", ({ ids }) => ids?.includes(second.notification.id));
    tell("read here and there");

    await train(watch, 120);
    await train(watch, 130);
    await eventually("two unread", async () => (await unread(page).count()) === 2);
    await shot(page, "inbox-laptop-dark");
    await page.getByRole("button", { name: "Unread only" }).click();
    await eventually("only the unread", async () => (await notes(page).count()) === 2);
    await page.getByRole("button", { name: "Mark all as read" }).click();
    await page.getByText("All read.").waitFor();
    await page.getByRole("button", { name: "Unread only" }).click();
    await eventually("all of them", async () => (await notes(page).count()) === 4);
    tell("all read");

    // As a mail leads here: marked as read, and on to the workout.
    await train(watch, 110);
    const last = await eventually("the newest", async () => {
      const told = watch.heard.filter(({ event }) => event === "notification.new").at(-1).payload;
      return told.unread === 1 && told.notification;
    });
    await page.goto(`${BASE_URL}/inbox#${last.id}`);
    await page.waitForURL(/\/athlete#workout=/);
    assert.equal((await http("GET", "/v1/notifications/unread", { token: await tokenOf(page) })).unread, 0);
    watch.close();
    tell("a mail's button");
  });
}

/** A number is given and proved with the code that comes by text message, and forgotten; a wrong code says how it stands. */
async function telephone(page, tell) {
  await page.getByLabel("Number with its country").fill("+49 (151) 1234-5678");
  await page.getByRole("button", { name: "Send a code" }).click();
  await page.getByText(/a code to \+4915112345678/).waitFor();
  const code = await eventually("the text message", async () => {
    const [text] = await (await fetch(TEXTS_URL)).json();
    return text?.To === "+4915112345678" && /\b\d{6}\b/.exec(text.Body)?.[0];
  });
  await page.getByLabel("Code", { exact: true }).fill(String((Number(code) + 1) % 1_000_000).padStart(6, "0"));
  await page.getByRole("button", { name: "Prove" }).click();
  await page.getByText(/not the code that was sent/).waitFor();
  await shot(page, "settings-phone-code", { fullPage: true });
  await page.getByLabel("Code", { exact: true }).fill(`${code.slice(0, 3)} ${code.slice(3)}`);
  await page.getByRole("button", { name: "Prove" }).click();
  await page.getByText("Text messages go to +4915112345678.").waitFor();
  await page.getByRole("button", { name: "Forget this number" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Forget" }).click();
  await page.getByText(/There is none yet/).waitFor();
  tell("a telephone number");
}

async function settings(browser, tell) {
  await withPage(browser, { viewport: LAPTOP, quiet: false }, async (page) => {
    await page.goto(`${BASE_URL}/inbox#settings`);
    await registerByKeyboard(page, "Ben");
    const heading = page.getByRole("heading", { name: "What you are told" });
    await heading.waitFor();
    const workout = page.getByRole("group", { name: /The summary of your workout/ });
    await workout.waitFor();
    await speaks(page, "the settings");
    await fits(page, "the settings");
    await shot(page, "settings-laptop-dark", { fullPage: true });
    const safety = page.getByRole("group", { name: /Somebody else may have used/ });
    assert.match(await safety.innerText(), /E-mail[\s\S]*Always/, "what is about safety is no choice");

    await workout.getByRole("combobox").selectOption("digest");
    await workout.getByRole("switch").press("Space");
    await page.getByLabel(/Quiet hours/).check();
    await page.getByLabel("From", { exact: true }).fill("21:30");
    await page.getByLabel("Until", { exact: true }).fill("06:45");
    await page.getByLabel("Gathered mail comes").selectOption("0");
    await page.getByLabel("At", { exact: true }).selectOption("18");
    await page.getByLabel("Time zone").selectOption("Europe/Vienna");
    await page.getByLabel("Language of what").selectOption("de-AT");
    await page.locator("#choices").getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved.").waitFor();
    const kept = await http("GET", "/v1/notification-preferences", { token: await tokenOf(page) });
    assert.deepEqual(kept.preferences, {
      locale: "de-AT",
      time_zone: "Europe/Vienna",
      quiet_hours: { begins: 1_290, until: 405 },
      digest: { hour: 18, weekday: 0 },
      chosen: { "workout.summarised": { email: "digest", push: "off" } },
      revision: 1,
    });
    tell("chosen");

    // Another tab has changed something meanwhile: nothing is overwritten, and the page says so.
    const other = { ...kept.preferences, quiet_hours: null };
    await http("PUT", "/v1/notification-preferences", { token: await tokenOf(page), body: other });
    await page.getByLabel("At", { exact: true }).selectOption("7");
    await page.locator("#choices").getByRole("button", { name: "Save" }).click();
    await page.getByText("Another device has changed this").waitFor();
    assert.equal(await page.getByLabel(/Quiet hours/).isChecked(), false);
    tell("changed meanwhile");

    if (TEXTS_URL) await telephone(page, tell);

    const phone = { kind: "apns", address: "a1".repeat(32), name: "Ben's iPhone" };
    await http("POST", "/v1/devices", { token: await tokenOf(page), body: phone });
    await page.reload();
    await workout.waitFor();
    await page.getByText("Ben's iPhone").waitFor();
    await page.setViewportSize(NARROW_PHONE);
    await fits(page, "the settings on a narrow phone");
    await page.emulateMedia({ colorScheme: "light" });
    await shot(page, "settings-phone-light", { fullPage: true });
    await page.getByRole("button", { name: "Forget Ben's iPhone" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Forget" }).click();
    await page.getByText("Ben's iPhone").waitFor({ state: "detached" });
    assert.deepEqual(await http("GET", "/v1/devices", { token: await tokenOf(page) }), { devices: [] });
  });
}

async function sizes(browser, tell) {
  await withPage(browser, { viewport: PHONE, colorScheme: "light" }, async (page) => {
    await page.goto(`${BASE_URL}/inbox`);
    await registerByKeyboard(page, "Cho");
    await page.getByText("Nothing yet.").waitFor();
    const watch = await connect(await tokenOf(page));
    await train(watch, 150);
    await unread(page).waitFor();
    await train(watch, 170);
    await eventually("two", async () => (await notes(page).count()) === 2);
    await page.getByRole("button", { name: /Mark as read: / }).first().click();
    for (const viewport of [NARROW_PHONE, PHONE]) {
      await page.setViewportSize(viewport);
      await fits(page, `the inbox at ${viewport.width} px`);
    }
    await speaks(page, "the inbox");
    await shot(page, "inbox-phone-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await shot(page, "inbox-phone-dark");
    watch.close();
  });
  tell("phones");
}

/** A push, as a browser's push service would hand it to the worker. */
async function pushes(browser, tell) {
  await withPage(browser, { viewport: LAPTOP }, async (page, context) => {
    await context.grantPermissions(["notifications"], { origin: BASE_URL });
    await page.goto(`${BASE_URL}/inbox`);
    const tools = await context.newCDPSession(page);
    const registered = new Promise((resolve) => {
      tools.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
        const ours = registrations.find(({ scopeURL }) => scopeURL.endsWith("/assets/js/"));
        if (ours) resolve(ours.registrationId);
      });
    });
    await tools.send("ServiceWorker.enable");
    await page.evaluate(async () => {
      const registration = await navigator.serviceWorker.register("/assets/js/push-worker.js");
      const worker = registration.installing ?? registration.waiting ?? registration.active;
      if (worker.state !== "activated")
        await new Promise((resolve) =>
          worker.addEventListener("statechange", () => worker.state === "activated" && resolve()),
        );
    });
    const registrationId = await registered;
    // Handed over again until it shows: what the tool hands to a worker that is just being put to sleep is lost. A push service
    // would hand it over again, too, and of those with one tag only one is shown.
    const pushed = (data, what, shows) => {
      let next = 0;
      return eventually(what, async () => {
        if (performance.now() > next) {
          await tools.send("ServiceWorker.deliverPushMessage", { origin: BASE_URL, registrationId, data });
          next = performance.now() + 4_000;
        }
        return shows(await shown());
      });
    };
    const shown = () =>
      page.evaluate(async () => {
        const registration = await navigator.serviceWorker.getRegistration("/assets/js/");
        return (await registration.getNotifications()).map(({ title, body, tag, data }) => ({ title, body, tag, data }));
      });
    const told = { title: "Hills", body: "137.4 points", tag: "k1", data: { url: `${BASE_URL}/inbox#1` } };
    await pushed(JSON.stringify(told), "a notification", (now) => now.length === 1);
    await pushed(
      JSON.stringify({ ...told, body: "138.0 points" }),
      "the newer one in its place",
      (now) => now.length === 1 && now[0].body === "138.0 points",
    );
    const elsewhere = { ...told, tag: "k2", data: { url: "https://elsewhere.example/" } };
    await pushed(JSON.stringify(elsewhere), "another beside it", (now) => now.length === 2);
    const urls = (await shown()).map(({ data }) => data.url).sort();
    assert.deepEqual(urls, ["/inbox", "/inbox#1"], "a push leads to our own pages only");
    await pushed("this is not JSON", "words of our own", (now) => now.some(({ body }) => body.includes("news in your inbox")));
  });
  tell("pushes");
}

await journey(async (tell) => {
  await twoDevices(tell);
  await withBrowser(async (browser) => {
    await livePage(browser, tell);
    await settings(browser, tell);
    await sizes(browser, tell);
    await pushes(browser, tell);
  });
});
