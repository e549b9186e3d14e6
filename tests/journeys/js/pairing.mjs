/**
 * A television on which nobody types, and the phone that lets it in: by the picture's address and by the typed code, refused and
 * agreed to; then it shows the class, and its final table when it has ended.
 *
 *     BASE_URL=http://127.0.0.1:8080 node pairing.mjs
 *
 * ARTIFACTS names a folder for screenshots.
 */
import assert from "node:assert/strict";

import { Hall, LAPTOP, NARROW_PHONE, PASSWORD, TELEVISION, fits, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, eventually, http, journey } from "./client.mjs";

const codeOn = (screen) => screen.locator("#pair-code").innerText();

/** The code that a television shows next, and where its picture leads. */
async function nextCode(screen, act) {
  const answered = screen.waitForResponse((response) => new URL(response.url()).pathname === "/v1/pairings");
  await act();
  const told = await (await answered).json();
  await eventually("the code on the television", async () => (await codeOn(screen)) === told.user_code);
  return told;
}

async function logIn(phone, email) {
  const form = phone.locator("[data-view=account]");
  await form.getByLabel("E-mail").fill(email);
  await form.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await form.getByRole("button", { name: "Log in", exact: true }).click();
}

/** The phone comes by the picture, sees the same code, and says no: the television hears of it and shows another. */
async function refused(television, phone, first, email, tell) {
  await phone.goto(first.verification_uri_complete);
  await logIn(phone, email);
  await phone.getByRole("heading", { name: "Is this your screen?" }).waitFor();
  assert.equal(await phone.locator("#user-code").innerText(), first.user_code, "the code to compare");
  assert.match(await phone.locator("#asks").innerText(), /It asks from .* If you do not stand before it, refuse\./);
  await speaks(phone, "the question");
  await fits(phone, "the question");
  await shot(phone, "pairing-question-phone");
  const second = await nextCode(television, async () => {
    await phone.getByRole("button", { name: "Not mine: refuse" }).click();
    await phone.getByRole("heading", { name: "The screen was refused" }).waitFor();
  });
  assert.notEqual(second.user_code, first.user_code, "a refused code is over");
  assert.equal(await television.locator("#title").innerText(), "Board", "no class is shown");
  tell("refused");
  return second;
}

/** What is typed wrong is said; what was refused is unknown; the code as people type it lets the television in. */
async function letIn(television, phone, gone, shown, title, tell) {
  await phone.getByRole("button", { name: "Another screen" }).click();
  const typed = phone.getByLabel("Code on the screen");
  const find = phone.getByRole("button", { name: "Find the screen" });
  await typed.fill("BCDF");
  await find.click();
  await phone.getByText("A code has eight letters.").waitFor();
  await typed.fill(gone.user_code);
  await find.click();
  await phone.getByText("No screen is waiting with this code").waitFor();
  await speaks(phone, "the code's form");
  await fits(phone, "the code's form");
  await shot(phone, "pairing-code-phone");

  await typed.fill(` ${shown.user_code.toLowerCase().replace("-", " ")}`);
  await find.click();
  await phone.getByRole("heading", { name: "Is this your screen?" }).waitFor();
  await phone.getByRole("radio", { name: title }).check();
  await phone.getByRole("button", { name: "Show the class" }).click();
  await phone.getByRole("heading", { name: `The screen shows “${title}” in a moment` }).waitFor();
  await shot(phone, "pairing-done-phone");

  await television.getByRole("heading", { name: title }).waitFor();
  await eventually("the athletes", async () => (await television.locator("#wall > li").count()) === 3);
  await speaks(television, "the television");
  await fits(television, "the television");
  await shot(television, "pairing-board-television");
  tell("let in");
}

await journey(async (tell) => {
  const hall = await Hall.open("Lunch ride");
  const options = { quiet: false }; // the browser writes refusals into its console, and each "not yet" is one
  await withBrowser((browser) =>
    withPage(browser, { ...options, viewport: TELEVISION }, async (television) => {
      const first = await nextCode(television, () => television.goto(`${BASE_URL}/board`));
      await television.getByRole("img", { name: "QR code of the address below" }).waitFor();
      await speaks(television, "the waiting television");
      await fits(television, "the waiting television");
      await shot(television, "pairing-waiting-television");
      await television.setViewportSize(LAPTOP);
      await fits(television, "the waiting laptop");
      await shot(television, "pairing-waiting-laptop");
      await television.setViewportSize(TELEVISION);
      tell("a television waits");

      await withPage(browser, { ...options, viewport: NARROW_PHONE, colorScheme: "light" }, async (phone) => {
        const second = await refused(television, phone, first, hall.coach.email, tell);
        await letIn(television, phone, first, second, "Lunch ride", tell);
      });

      await http("POST", `/v1/classes/${hall.view.id}/end`, { token: hall.coach.token, body: {} });
      await eventually("the end on the television", async () => (await television.locator("#facts").getAttribute("class")).includes("is-over"));
      tell("the final table");
    }),
  );
  hall.close();
});
