/**
 * Administration in a real browser: a fresh factor is asked for, an account found, its logins ended (another browser is out), and that
 * stands in the audit; somebody is sent out of a class and the class ended, and registering switched off and on again.
 *
 *     BASE_URL=… ADMIN='{"account":…}' BARE=… MEMBER=… SECRET=… CLASS=… COACH=… RIDER=… node admin.mjs
 *
 * ADMIN, BARE and MEMBER are what logging in answered. The admin's second factor was shown long ago, and SECRET is that of their
 * app; BARE has the role and no second factor. COACH and RIDER are in the live CLASS, a title and a code.
 */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";

import { LAPTOP, PHONE, fits, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, connect, eventually, journey } from "./client.mjs";

const ADMIN = JSON.parse(process.env.ADMIN);
const BARE = JSON.parse(process.env.BARE);
const MEMBER = JSON.parse(process.env.MEMBER);
const COACH = JSON.parse(process.env.COACH);
const RIDER = JSON.parse(process.env.RIDER);
const CLASS = JSON.parse(process.env.CLASS);
const SECRET = process.env.SECRET;

/** What an authenticator app shows now (RFC 6238). */
function codeNow() {
  const bits = [...SECRET].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const hash = createHmac("sha1", key).update(step).digest();
  return String((hash.readUInt32BE(hash.at(-1) & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** A page on which somebody is logged in already, since before logins were in cookies: it swaps what was kept for one. */
async function enter(page, told) {
  await page.goto(`${BASE_URL}/admin`);
  await page.evaluate((kept) => localStorage.setItem("paceline.login.athlete", JSON.stringify(kept)), {
    account: told.account,
    access: told.access_token,
    refresh: told.refresh_token,
    expiresAtMs: Date.now() + told.expires_in_s * 1_000,
  });
  await page.reload();
}

async function stranger(browser, tell) {
  await withPage(browser, { viewport: LAPTOP }, async (page) => {
    await enter(page, MEMBER);
    await page.getByText("This page is for people with the role admin or support.").waitFor();
    assert.ok(await page.getByLabel("Address or id").isHidden());
    tell("nothing for a member");
  });
}

async function withoutFactor(browser, tell) {
  await withPage(browser, { viewport: LAPTOP, quiet: false }, async (page) => {
    await enter(page, BARE);
    await page.getByText("This needs a second factor, and you have none").waitFor();
    assert.equal(await page.getByRole("dialog").count(), 0);
    tell("whoever has no second factor is told to set one up");
  });
}

async function rooms(page, tell) {
  const desk = await connect(COACH.access_token);
  const bike = await connect(RIDER.access_token);
  await desk.ask("room.join", { code: CLASS.code, role: "coach" });
  await bike.ask("room.join", { code: CLASS.code, role: "athlete" });
  const title = page.locator("#rooms").getByRole("button", { name: CLASS.title });
  const people = page.locator("#room-people strong");
  await eventually("both to be there, as the register sees it", async () => {
    await page.getByRole("button", { name: /^Show rooms/ }).click();
    await title.click();
    await page.locator("#room").getByRole("heading", { name: CLASS.title }).waitFor();
    return (await people.count()) === 2;
  });
  await speaks(page, "rooms of administration");
  await shot(page, "admin-room-laptop-dark", { fullPage: true });
  const out = page.getByRole("button", { name: `Send ${RIDER.account.name} out` });
  assert.equal(await page.getByRole("button", { name: `Send ${COACH.account.name} out` }).count(), 0);
  await out.click();
  await page.locator("#room-act-trouble").getByText("Say why; it stands in the audit.").waitFor();
  await page.getByLabel("Reason to send out or end").fill("they insult others");
  await out.click();
  await page.getByText(`${RIDER.account.name} was sent out of ${CLASS.title}.`).waitFor();
  await bike.hear("room.removed");
  await out.waitFor({ state: "detached" });

  await page.getByLabel("Reason to send out or end").fill("its coach asked us to");
  await page.getByRole("button", { name: "End the class" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End the class" }).click();
  await page.getByText(`${CLASS.title} is over.`).waitFor();
  await desk.hear("class.ended");
  await title.waitFor({ state: "detached" });
  tell("somebody is sent out, and the class is over");
}

async function flags(page, tell) {
  const register = () => fetch(`${BASE_URL}/v1/accounts`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email: "late@example.org", password: "a sentence nobody guesses", name: "Late" }),
  });
  await page.getByRole("button", { name: "Show flags" }).click();
  await page.getByLabel("Reason to switch").fill("somebody registers by the thousand");
  await page.getByRole("button", { name: "Switch off registering" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Nobody new gets an account").waitFor();
  await dialog.getByRole("button", { name: "Switch off" }).click();
  await page.getByText("registering is off.", { exact: true }).waitFor();
  await page.getByText(/^Set on .*: somebody registers by the thousand$/).waitFor();
  const refused = await register();
  assert.equal((await refused.json()).code, "registering_paused");
  await speaks(page, "flags of administration");
  await shot(page, "admin-flags-laptop-dark", { fullPage: true });
  await page.getByLabel("Reason to switch").fill("it is over");
  await page.getByRole("button", { name: "Switch on registering" }).click();
  await page.getByText("registering is on again.", { exact: true }).waitFor();
  assert.equal((await register()).status, 201);
  tell("registering is off and on again");
}

async function admin(browser, tell) {
  const phone = await connect(MEMBER.access_token);
  // Not quiet: the browser writes refused requests into its console.
  await withPage(browser, { viewport: LAPTOP, quiet: false }, async (page) => {
    await enter(page, ADMIN);
    const dialog = page.getByRole("dialog", { name: "Is it still you?" });
    await dialog.waitFor();
    const field = dialog.getByLabel("Code of your app");
    await field.fill(codeNow() === "000000" ? "111111" : "000000");
    await page.keyboard.press("Enter");
    await eventually("the wrong code to be refused", async () => (await field.getAttribute("aria-invalid")) === "true");
    await shot(page, "admin-factor-laptop-dark");
    await field.fill(codeNow());
    await dialog.getByRole("button", { name: "Go on" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.getByText(/rows?, whole from row 1 on/).waitFor();
    tell("the factor is fresh");

    await page.getByLabel("Address or id").fill(MEMBER.account.email);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: MEMBER.account.name }).waitFor();
    await page.getByText("May be used").waitFor();
    const logins = page.locator("#found-logins strong");
    await eventually("their login", async () => (await logins.count()) === 1);
    await speaks(page, "administration");
    await fits(page, "administration");
    await shot(page, "admin-laptop-dark", { fullPage: true });

    await page.getByRole("button", { name: "Show connections" }).click();
    await page.locator("#found-connections small").getByText(/^to .+ since /).waitFor();

    const end = page.getByRole("button", { name: "End all logins" });
    await end.click();
    await page.getByText("Say why; it stands in the audit.").waitFor();
    await page.getByLabel("Reason", { exact: true }).fill("they lost their phone");
    await end.click();
    await page.getByText(`1 login of ${MEMBER.account.name} ended.`).waitFor();
    await page.getByText("Logged in nowhere.").waitFor();
    await eventually("their socket to close", async () => !phone.socket.connected);
    tell("their logins are ended");

    await page.getByRole("button", { name: "Show in the audit" }).click();
    const row = page.locator("#audit tr", { hasText: "they lost their phone" });
    await row.waitFor();
    assert.match(await row.innerText(), new RegExp(`logins\\.ended[\\s\\S]*${ADMIN.account.email}[\\s\\S]*${MEMBER.account.email}`));
    await page.getByLabel("Act").selectOption("account.looked_up");
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await eventually("only looks", async () => {
      const acts = await page.locator("#audit tr td:nth-child(2)").allInnerTexts();
      return acts.length > 0 && acts.every((act) => act === "account.looked_up");
    });
    tell("it stands in the audit");

    await rooms(page, tell);
    await flags(page, tell);

    await page.setViewportSize(PHONE);
    await fits(page, "administration on a phone");
    await shot(page, "admin-phone-dark", { fullPage: true });
    await page.emulateMedia({ colorScheme: "light" });
    await shot(page, "admin-phone-light", { fullPage: true });
  });
}

await journey(async (tell) => {
  await withBrowser(async (browser) => {
    await stranger(browser, tell);
    await withoutFactor(browser, tell);
    await admin(browser, tell);
  });
});
