/**
 * The second factor in a real browser: an app is set up, asked for, its code refused the second time; a recovery code; a passkey with
 * Chromium's virtual authenticator; a step-up.
 *
 *     BASE_URL=http://localhost:8080 node factor.mjs
 *
 * The page is at localhost, because browsers know no passkeys of bare addresses. ARTIFACTS names a folder for screenshots.
 */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";

import { LAPTOP, NARROW_PHONE, PASSWORD, accountOf, fits, registerByKeyboard, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, eventually, journey } from "./client.mjs";

const STEP_MS = 30_000;

/** RFC 6238, as an app does it. */
function codeOf(secret, step) {
  const bits = [...secret].map((sign) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(sign).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const hash = createHmac("sha1", key).update(counter).digest();
  const at = hash[19] & 15;
  return String((hash.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** Each code works once, and one step ahead is good, too: so the next code is that of the step after the last one, as soon as it counts. */
class App {
  constructor(secret) {
    this.secret = secret;
    this.used = 0;
  }

  async next() {
    const step = Math.max(Math.floor(Date.now() / STEP_MS), this.used + 1);
    await eventually("the next code to count", async () => Date.now() / STEP_MS >= step - 1);
    this.used = step;
    return codeOf(this.secret, step);
  }
}

const said = (page, words) => page.getByText(words).first().waitFor({ state: "visible" });
const form = (page) => page.locator("[data-view=account]");

async function logIn(page, email) {
  await form(page).getByLabel("E-mail").fill(email);
  await form(page).getByLabel("Password", { exact: true }).fill(PASSWORD);
  await form(page).getByRole("button", { name: "Log in", exact: true }).click();
}

async function logOut(page) {
  await page.getByRole("button", { name: "Log out", exact: true }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
}

async function factor(browser, tell) {
  // Not quiet: the browser writes refused codes into its console.
  await withPage(browser, { viewport: LAPTOP, quiet: false }, async (page) => {
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("WebAuthn.enable");
    await devtools.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2",
        transport: "internal",
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    await page.goto(`${BASE_URL}/account`);
    await registerByKeyboard(page, "Ana");
    await page.getByRole("heading", { name: "Second factor" }).waitFor();
    const { email } = await accountOf(page);
    await said(page, "Your password alone opens your account.");

    await page.getByRole("button", { name: "Set up" }).click();
    await page.getByRole("img", { name: "QR code for your app" }).waitFor();
    const app = new App((await page.locator("#totp-secret").innerText()).replaceAll(" ", ""));
    await speaks(page, "the code to scan");
    await fits(page, "the code to scan");
    await shot(page, "factor-scan-laptop");
    await page.getByLabel("Code that it shows").fill("000000");
    await page.getByRole("button", { name: "Confirm", exact: true }).click();
    await said(page, "this is not the code that the app shows now");
    const first = await app.next();
    await page.getByLabel("Code that it shows").fill(first);
    await page.getByRole("button", { name: "Confirm", exact: true }).click();
    await eventually("ten codes", async () => (await page.locator("#codes li").count()) === 10);
    const codes = await page.locator("#codes li").allInnerTexts();
    await said(page, "10 codes left");
    await page.setViewportSize(NARROW_PHONE);
    await page.locator("#codes").scrollIntoViewIfNeeded();
    await fits(page, "the codes on a phone");
    await shot(page, "factor-codes-phone");
    await page.setViewportSize(LAPTOP);
    await page.getByRole("button", { name: "I have kept them" }).click();
    await eventually("the codes to leave the page", async () => (await page.locator("#codes li").count()) === 0);
    tell("an app and its codes");

    await logOut(page);
    await logIn(page, email);
    await page.getByRole("heading", { name: "One more step" }).waitFor();
    await speaks(page, "the second step");
    await fits(page, "the second step");
    await shot(page, "factor-step-laptop");
    const code = form(page).getByLabel("Code of your app");
    await code.fill(first);
    await page.keyboard.press("Enter");
    await said(page, "or was used before");
    assert.equal(await code.getAttribute("aria-invalid"), "true");
    const second = await app.next();
    await code.fill(second);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Second factor" }).waitFor();
    tell("logged in with the code");

    await logOut(page);
    await logIn(page, email);
    await form(page).getByLabel("Code of your app").fill(second);
    await page.keyboard.press("Enter");
    await said(page, "or was used before");
    await form(page).getByRole("button", { name: "Use a recovery code" }).click();
    await form(page).getByLabel("Recovery code").fill(codes[0].toLowerCase());
    await page.setViewportSize(NARROW_PHONE);
    await fits(page, "the second step on a phone");
    await shot(page, "factor-step-phone");
    await page.setViewportSize(LAPTOP);
    await page.keyboard.press("Enter");
    await said(page, "9 codes left");
    tell("the same code is refused, a recovery code is not");

    await page.getByLabel("What you call it").fill("Red phone");
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await eventually("the passkey", async () => (await page.locator("#passkeys li").count()) === 1);
    await said(page, "Red phone");
    await shot(page, "factor-account-laptop");
    await logOut(page);
    await page.getByRole("button", { name: "Log in with a passkey" }).click();
    await page.getByRole("heading", { name: "Second factor" }).waitFor();
    tell("logged in with a passkey alone");

    // As if ten minutes had gone by: an access token that says nothing of a proof.
    let stale = true;
    await page.route("**/v1/me/totp", async (route) => {
      if (route.request().method() !== "DELETE" || !stale) return route.continue();
      stale = false;
      const problem = { type: "about:blank", title: "Step up", status: 403, code: "step_up_needed", detail: "This needs a proof." };
      return route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify(problem) });
    });
    await page.getByRole("button", { name: "Remove the authenticator app" }).click();
    await page.getByRole("button", { name: "Remove it" }).click();
    await page.getByRole("heading", { name: "Is it still you?" }).waitFor();
    await speaks(page, "the step-up");
    await shot(page, "factor-step-up-laptop");
    await page.setViewportSize(NARROW_PHONE);
    await fits(page, "the step-up on a phone");
    await shot(page, "factor-step-up-phone");
    await page.setViewportSize(LAPTOP);
    await page.getByRole("dialog").getByRole("button", { name: "Use a passkey" }).click();
    await said(page, "Your app is removed.");
    await page.getByRole("button", { name: "Set up" }).waitFor();
    tell("stepped up with the passkey");

    await page.getByRole("button", { name: "Remove Red phone" }).click();
    await page.getByRole("button", { name: "Remove it" }).click();
    await said(page, "Your password alone opens your account.");
    await logOut(page);
    await logIn(page, email);
    await page.getByRole("heading", { name: "Second factor" }).waitFor();
    tell("without a second factor again");
  });
}

await journey(async (tell) => {
  await withBrowser((browser) => factor(browser, tell));
});
