/**
 * The account in a real browser: two browsers are logged in, one logs the other out from another node, and changes the password.
 *
 *     BASE_URL=http://127.0.0.1:8080 OTHER_URL=http://127.0.0.1:8081 node account.mjs
 *
 * ARTIFACTS names a folder for screenshots.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { LAPTOP, NARROW_PHONE, accountOf, fits, registerByKeyboard, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, connect, eventually, http, journey } from "./client.mjs";

const OTHER_URL = process.env.OTHER_URL ?? BASE_URL;
const OLD = "seven brown foxes rowing";
const NEW = "copper lantern orbit thistle";

const rows = (page) => page.locator("#logins .device");

/** Two values of one kind, of which one holds now, and one that cannot be. */
async function body(page) {
  const now = page.getByRole("list", { name: "What holds now" }).getByRole("listitem");
  const add = page.getByRole("button", { name: "Add it" });
  await page.getByText("Nothing yet").waitFor();
  const fill = async (value, day) => {
    await page.getByLabel(/^Value/).fill(value);
    await page.getByLabel("Since").fill(day);
    await add.click();
  };
  await fill("192", "2020-03-01");
  await page.getByText(/Maximum heart rate: 192 bpm, since/).waitFor();
  // The button does nothing until the list is there, too.
  await eventually("the first value", async () => (await now.allInnerTexts()).join().includes("192 bpm"));
  await fill("20", "");
  await page.getByText("max_hr is 100 to").waitFor();
  await fill("188", "");
  await page.getByText(/Maximum heart rate: 188 bpm, since/).waitFor();
  await eventually("one that holds", async () => (await now.allInnerTexts()).join().includes("188 bpm"));
  assert.equal(await now.count(), 1);
  await page.getByText("What held before").click();
  await page.getByRole("button", { name: "Take out Maximum heart rate: 192 bpm" }).waitFor();
  await fits(page, "the body");
  await shot(page, "account-body-laptop-dark");
}

async function account(browser, tell) {
  // Not quiet: the browser writes refused passwords into its console.
  await withPage(browser, { viewport: LAPTOP, quiet: false }, async (page) => {
    await page.goto(`${BASE_URL}/account`);
    await registerByKeyboard(page, "Ana");
    await page.getByRole("heading", { name: "Where you are logged in" }).waitFor();
    await eventually("the first login", async () => (await rows(page).count()) === 1);
    assert.match(await rows(page).first().innerText(), /Chrome on Linux[\s\S]*This one/);
    assert.ok(await page.getByRole("button", { name: "Log out all others" }).isHidden());
    tell("registered");

    await body(page);
    tell("a body with a history");

    const { email } = await accountOf(page);
    const logIn = (device) =>
      http("POST", "/v1/logins", { body: { email, password: OLD, device }, status: 201 });
    const watch = await logIn("Watch on the left wrist");
    const phone = await logIn('<b>Phone</b> "of" Ana');
    const onWatch = await connect(watch.access_token, OTHER_URL);
    const onPhone = await connect(phone.access_token, OTHER_URL);
    await page.reload();
    await eventually("three logins", async () => (await rows(page).count()) === 3);
    await speaks(page, "the account");
    await fits(page, "the account");
    await shot(page, "account-laptop-dark");

    // From this node the watch's socket, which is at the other one, is closed, and its refresh token is worth nothing.
    await page.getByRole("button", { name: "Log out Watch on the left wrist" }).click();
    await eventually("two logins", async () => (await rows(page).count()) === 2);
    await eventually("the watch's socket to close", async () => !onWatch.socket.connected);
    assert.equal((await onWatch.hear("bye")).come_back_ms, undefined, "it is not told to come back");
    assert.ok(onPhone.socket.connected, "the phone stays");
    await http("POST", "/v1/logins/refresh", { body: { refresh_token: watch.refresh_token }, status: 401 });
    tell("one logged out from afar");

    const fields = { old: page.getByLabel("Password now"), new: page.getByLabel("New password") };
    const change = page.getByRole("button", { name: "Change it" });
    await change.click();
    await page.getByText("Both are needed").waitFor();
    await fields.old.fill("not my password");
    await fields.new.fill(NEW);
    await change.click();
    await page.getByText("This is not your password").waitFor();
    assert.equal(await fields.old.getAttribute("aria-invalid"), "true");
    await fields.old.fill(OLD);
    await fields.new.fill("password12345");
    await change.click();
    await page.getByText("easy to guess").waitFor();
    assert.equal(await fields.new.getAttribute("aria-invalid"), "true");
    await fields.new.fill(NEW);
    await page.keyboard.press("Enter");
    await page.getByText("Your password is changed. 1 other device is logged out.").waitFor();
    assert.equal(await fields.old.inputValue(), "", "a password does not stay in the page");
    await eventually("the phone's socket to close", async () => !onPhone.socket.connected);
    await eventually("one login", async () => (await rows(page).count()) === 1);
    tell("the password is changed");

    for (const device of ["Tablet", "Television"])
      await http("POST", "/v1/logins", { body: { email, password: NEW, device }, status: 201 });
    await http("POST", "/v1/logins", { body: { email, password: OLD }, status: 401 });
    await page.reload();
    await page.setViewportSize(NARROW_PHONE);
    await eventually("three logins again", async () => (await rows(page).count()) === 3);
    await fits(page, "the account on a phone");
    await shot(page, "account-phone-dark");
    await page.getByRole("button", { name: "Log out all others" }).click();
    await page.getByRole("button", { name: "Log them out" }).click();
    await page.getByText("2 other devices are logged out.").waitFor();
    await eventually("only this one", async () => (await rows(page).count()) === 1);
    tell("all others logged out");

    await copyAndErasure(page);
    tell("a copy was fetched, and an erasure taken back");
  });
}

/** A copy of everything is made and fetched; the account is to be erased, and is kept. */
async function copyAndErasure(page) {
  await page.getByRole("button", { name: "Make a copy" }).click();
  await page.getByText("Your copy is ready").waitFor();
  // As if ten minutes had gone by since it was asked for: an access token that says nothing of a proof.
  let stale = true;
  await page.route("**/v1/tasks/*/result", (route) => {
    if (!stale) return route.continue();
    stale = false;
    const problem = { type: "about:blank", title: "Step up", status: 403, code: "step_up_needed", detail: "This needs a proof." };
    return route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify(problem) });
  });
  const coming = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download it" }).click();
  const dialog = page.getByRole("dialog", { name: "Is it still you?" });
  await dialog.getByLabel("Password").fill(NEW);
  await dialog.getByRole("button", { name: "Go on" }).click();
  const file = await coming;
  assert.match(file.suggestedFilename(), /\.zip$/);
  assert.equal((await readFile(await file.path())).subarray(0, 2).toString(), "PK");
  await page.getByRole("button", { name: "Erase my account" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Erase it in a week" }).click();
  await page.getByText("Your account is closed on").waitFor();
  await fits(page, "the end of an account on a phone");
  await shot(page, "account-data-phone-dark");
  await page.getByRole("button", { name: "Keep my account" }).click();
  await page.getByText("You keep your account.").waitFor();
  await page.getByRole("button", { name: "Erase my account" }).waitFor();
}

await journey(async (tell) => {
  await withBrowser((browser) => account(browser, tell));
});
