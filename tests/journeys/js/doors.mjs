/**
 * The doors of the house in a real browser: somebody registers, follows the link in their mail, logs in on a second browser, loses the
 * password, chooses another, and moves to another address.
 *
 *     BASE_URL=http://127.0.0.1:8080 MAILS_URL=http://127.0.0.1:8025/mails node doors.mjs
 *
 * MAILS_URL lists what the server's mail server has taken. ARTIFACTS names a folder for screenshots.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { LAPTOP, PHONE, fits, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, connect, eventually, http, journey } from "./client.mjs";

const OLD = "seven brown foxes rowing";
const NEW = "copper lantern orbit thistle";
const EMAIL = `ana-${randomUUID().slice(0, 8)}@example.org`;
const ELSEWHERE = `ana-${randomUUID().slice(0, 8)}@elsewhere.example.org`;

const mails = async () => (await fetch(process.env.MAILS_URL)).json();

/** The link in the mail to somebody that has this subject, once it has come. */
async function linkIn(to, subject) {
  let link = null;
  await eventually(`the mail "${subject}" to ${to}`, async () => {
    const found = (await mails()).find((mail) => mail.to === to && mail.subject === subject);
    link = /http:\S+#\S+/.exec(found?.text ?? "")?.[0] ?? null;
    return link !== null;
  });
  return link;
}

async function seen(page, name) {
  for (const [width, viewport] of Object.entries({ phone: PHONE, laptop: LAPTOP })) {
    await page.setViewportSize(viewport);
    await fits(page, `${name} on a ${width}`);
    await shot(page, `${name}-${width}`);
  }
  await speaks(page, name);
}

async function register(page, tell) {
  await page.goto(`${BASE_URL}/account`);
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await seen(page, "log-in");
  await page.getByRole("button", { name: /Register/ }).click();
  await page.locator("#field-name").fill("Ana");
  await page.locator("#field-email").fill(EMAIL);
  await page.locator("#field-password").fill(OLD);
  await seen(page, "register");
  await page.getByRole("button", { name: "Register" }).click();
  await page.getByRole("heading", { name: "Look into your mail" }).waitFor();
  await page.getByRole("button", { name: /Send it again/ }).click();
  await page.getByText("another mail is on its way").waitFor();
  await seen(page, "look-into-your-mail");
  await http("POST", "/v1/logins", { body: { email: EMAIL, password: OLD }, status: 401 });
  tell("registered, and not in yet");

  await page.goto(await linkIn(EMAIL, "Confirm your e-mail address"));
  await page.getByRole("heading", { name: "One step is left" }).waitFor();
  await seen(page, "verify");
  await page.locator("#field-password").fill(NEW);
  await page.getByRole("button", { name: "Finish registering" }).click();
  await page.getByText("not the password that was chosen").waitFor();
  await page.locator("#field-password").fill(OLD);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Welcome, Ana" }).waitFor();
  assert.equal(new URL(page.url()).hash, "", "the token has left the address");
  await seen(page, "welcome");
  await page.goto(`${BASE_URL}/account`);
  await page.getByText("is confirmed.").waitFor();
  assert.equal(await page.locator("#email-now").innerText(), EMAIL);
  await seen(page, "account");
  // From now on it hears when its login ends.
  await page.locator("#sign[data-phase=connected]").waitFor({ state: "attached" });
  tell("verified and logged in");
}

async function logIn(page, email, password) {
  await page.goto(`${BASE_URL}/account`);
  await page.locator("#field-email").fill(email);
  await page.locator("#field-password").fill(password);
  await page.keyboard.press("Enter");
}

const home = (page) => page.getByRole("heading", { name: "Where you are logged in" });

async function lose(page, first, tell) {
  await page.goto(`${BASE_URL}/account`);
  await page.getByRole("link", { name: "Lost your password?" }).click();
  await page.getByRole("heading", { name: "Lost your password?" }).waitFor();
  await page.getByRole("button", { name: "Send the link" }).click();
  await page.getByText("This is needed.").waitFor();
  await page.locator("#field-email").fill(EMAIL);
  await seen(page, "lost");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Look into your mail" }).waitFor();

  // The other browser, and a watch on a socket, are in until the new password is chosen.
  const watch = await http("POST", "/v1/logins", { body: { email: EMAIL, password: OLD, device: "Watch" }, status: 201 });
  const onWatch = await connect(watch.access_token);
  const link = await linkIn(EMAIL, "Choose a new password");
  await page.goto(link);
  await page.locator("#field-password").fill("password12345");
  await page.getByRole("button", { name: "Change it" }).click();
  await page.getByText("easy to guess").waitFor();
  await page.locator("#field-password").fill(NEW);
  await seen(page, "reset");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Your password is changed" }).waitFor();
  await seen(page, "changed");
  await eventually("the watch's socket to close", async () => !onWatch.socket.connected);
  await http("POST", "/v1/logins/refresh", { body: { refresh_token: watch.refresh_token }, status: 401 });
  await first.getByText("This login has ended; log in again.").waitFor();
  tell("a new password, and the other browser is out");

  await page.goto(link);
  await page.reload();
  await page.locator("#field-password").fill("marble pigeon cello drift");
  await page.keyboard.press("Enter");
  await page.getByText("This link is good no more").waitFor();
  await eventually("the mail that tells of it", async () =>
    (await mails()).some((mail) => mail.to === EMAIL && mail.subject === "Your password was changed"),
  );
  await http("POST", "/v1/logins", { body: { email: EMAIL, password: OLD }, status: 401 });
  tell("the link is over");
}

async function move(page, tell) {
  await logIn(page, EMAIL, NEW);
  await home(page).waitFor();
  // As if ten minutes had gone by: an access token that says nothing of a proof.
  let stale = true;
  await page.route("**/v1/me/email", (route) => {
    if (!stale) return route.continue();
    stale = false;
    const problem = { type: "about:blank", title: "Step up", status: 403, code: "step_up_needed", detail: "This needs a proof." };
    return route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify(problem) });
  });
  await page.getByLabel("New address").fill(ELSEWHERE);
  await page.locator("#email [type=submit]").click();
  const dialog = page.getByRole("dialog", { name: "Is it still you?" });
  await dialog.getByLabel("Password").fill(NEW);
  await dialog.getByRole("button", { name: "Go on" }).click();
  await page.getByText("A link is on its way").waitFor();
  await page.goto(await linkIn(ELSEWHERE, "Confirm your new e-mail address"));
  await page.getByRole("button", { name: "Use this address" }).click();
  await page.getByRole("heading", { name: "Your account has its new address" }).waitFor();
  await seen(page, "moved");
  await page.goto(`${BASE_URL}/account`);
  await eventually("the new address", async () => (await page.locator("#email-now").innerText()) === ELSEWHERE);
  tell("moved");

  await page.goto(await linkIn(EMAIL, "Your account has another address now"));
  await page.getByRole("heading", { name: "Take it back" }).waitFor();
  await seen(page, "undo");
  await page.getByRole("button", { name: "Take it back" }).click();
  await page.getByRole("heading", { name: "Your account has its old address again" }).waitFor();
  await http("POST", "/v1/logins", { body: { email: ELSEWHERE, password: NEW }, status: 401 });
  tell("moved back");
}

await journey(async (tell) => {
  // Not quiet: the browser writes refused passwords into its console.
  const options = { viewport: LAPTOP, quiet: false };
  await withBrowser((browser) =>
    withPage(browser, options, async (first) => {
      await register(first, tell);
      await withPage(browser, { ...options, colorScheme: "light" }, async (second) => {
        await lose(second, first, tell);
        await move(second, tell);
      });
    }),
  );
});
