/**
 * The operator's page in a real browser: the token is asked for, kept in the tab, and shown to nobody; the sockets of a class that is
 * going on are counted and listed, sorted by keyboard, held, lost and found again.
 *
 *     BASE_URL=http://127.0.0.1:8080 ADMIN_TOKEN=… node operations.mjs
 */
import assert from "node:assert/strict";

import { Hall, LAPTOP, PHONE, fits, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, eventually, journey } from "./client.mjs";

const TOKEN = process.env.ADMIN_TOKEN;
const OPERATIONS = `${BASE_URL}/operations`;

const value = (page, name) => page.locator(".fact", { hasText: name }).locator(".fact-value").innerText();
const numbers = (page, key) =>
  page.evaluate((wanted) => {
    const at = [...document.querySelectorAll("#lines-head th")].findIndex((head) => head.dataset.key === wanted);
    return [...document.querySelectorAll("#lines tr")].map((row) => Number(row.children[at].textContent));
  }, key);

async function open(page) {
  await page.goto(OPERATIONS);
  await page.getByLabel("Admin token").fill(TOKEN);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Sockets" }).waitFor();
}

async function asks(browser, tell) {
  await withPage(browser, { viewport: LAPTOP, quiet: false }, async (page) => {
    await page.goto(OPERATIONS);
    await page.getByRole("heading", { name: "Operations" }).waitFor();
    await speaks(page, "operations, token");
    await fits(page, "operations, token");
    await shot(page, "operations-token");
    await page.keyboard.press("Enter");
    await page.getByText("Enter the admin token.").waitFor();
    await page.getByLabel("Admin token").fill("not-the-token-of-this-server");
    await page.keyboard.press("Enter");
    await page.getByText("this is not the admin token of this server").waitFor();
    assert.equal(await page.getByLabel("Admin token").inputValue(), "", "a wrong token is not left standing");
  });
  tell("the token is asked for");
}

async function shows(browser, hall, tell) {
  await withPage(browser, { viewport: LAPTOP }, async (page, context) => {
    await open(page);
    assert.ok(Number(await value(page, "Sockets")) >= hall.devices.length);
    await page.getByText("Live", { exact: true }).waitFor();
    await speaks(page, "operations");
    await fits(page, "operations on a laptop");
    await eventually("frames to be counted", async () => /\d \/s$/.test(await value(page, "Frames in")));
    await shot(page, "operations-laptop-dark", { fullPage: true });
    tell("counted");

    // By keyboard: events, most first, then fewest first, then as the server sent them.
    const events = page.getByRole("button", { name: "Events" });
    await events.focus();
    await page.keyboard.press("Enter");
    const head = page.locator("th", { has: events });
    assert.equal(await head.getAttribute("aria-sort"), "descending");
    const most = await numbers(page, "events_in");
    assert.ok(most.length >= hall.devices.length && most[0] > 0);
    assert.deepEqual(
      most,
      [...most].sort((a, b) => b - a),
    );
    await page.keyboard.press("Enter");
    assert.equal(await head.getAttribute("aria-sort"), "ascending");
    const fewest = await numbers(page, "events_in");
    assert.deepEqual(
      fewest,
      [...fewest].sort((a, b) => a - b),
    );
    await page.keyboard.press("Enter");
    assert.equal(await head.getAttribute("aria-sort"), null);
    tell("sorted");

    const oldest = page.waitForRequest((request) => request.url().includes("order=age&limit=20"));
    await page.getByLabel("Show").selectOption("20");
    await page.getByLabel("Slowest by").selectOption("age");
    await oldest;

    await page.getByRole("button", { name: "Hold" }).click();
    const held = await value(page, "Frames in");
    await page.getByText("On hold").waitFor();
    await page.waitForTimeout(2_500); // longer than a beat of the page: a held page stands still
    assert.equal(await value(page, "Frames in"), held);
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByText("Live", { exact: true }).waitFor();
    tell("held");

    // The token stays in this tab: it survives a reload, and another tab has to be told.
    await page.reload();
    await page.getByRole("heading", { name: "Sockets" }).waitFor();
    const other = await context.newPage();
    await other.goto(OPERATIONS);
    await other.getByLabel("Admin token").waitFor();
    const kept = await page.evaluate(() => [JSON.stringify(localStorage), document.cookie, location.href].join(" "));
    assert.ok(!kept.includes(TOKEN), "the token is kept in the tab only");
    await page.getByRole("button", { name: "Forget the token" }).click();
    await page.getByLabel("Admin token").waitFor();
    await page.reload();
    await page.getByLabel("Admin token").waitFor();
    tell("remembered and forgotten");
  });
}

async function missesServer(browser, tell) {
  await withPage(browser, { viewport: PHONE, colorScheme: "light", quiet: false }, async (page, context) => {
    await open(page);
    await fits(page, "operations on a phone");
    await shot(page, "operations-phone-light", { fullPage: true });
    await context.setOffline(true);
    await page.getByText("these numbers are old").waitFor();
    await shot(page, "operations-away");
    await context.setOffline(false);
    await page.getByText("Live", { exact: true }).waitFor();
  });
  tell("lost and found");
}

await journey(async (tell) => {
  assert.ok(TOKEN, "say which token opens the server: ADMIN_TOKEN");
  await withBrowser(async (browser) => {
    const hall = await Hall.open("Operations");
    await asks(browser, tell);
    await shows(browser, hall, tell);
    await missesServer(browser, tell);
    hall.close();
  });
});
