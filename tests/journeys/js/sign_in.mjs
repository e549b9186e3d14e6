/**
 * Signing in with others in a real browser: a new account, out and in again, linking to an account with a password, and what is
 * refused.
 *
 *     BASE_URL=http://127.0.0.1:8080 PROVIDERS=http://127.0.0.1:9080,http://127.0.0.1:9081 node sign_in.mjs
 *
 * The first provider is "the studio", which answers in the address, the second "the gym", whose answer the browser posts. ARTIFACTS
 * names a folder for screenshots.
 */
import assert from "node:assert/strict";

import { LAPTOP, PHONE, accountOf, fits, registerByKeyboard, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, eventually, journey } from "./client.mjs";

const ELSEWHERE = process.env.PROVIDERS.split(",");
const OPTIONS = { quiet: false, elsewhere: ELSEWHERE }; // not quiet: the browser writes refusals into its console

const home = (page) => page.getByRole("heading", { name: "Where you are logged in" }).waitFor();
const identities = (page) => page.locator("#identities .device");

async function signIn(page, provider, who) {
  await page.getByRole("button", { name: `Continue with ${provider}` }).click();
  await page.getByRole("heading", { name: "Who are you?" }).waitFor();
  await page.getByRole("button", { name: who }).click();
}

async function logOut(page) {
  await page.getByRole("button", { name: "Log out", exact: true }).click();
  await page.getByRole("button", { name: "Continue with the studio" }).waitFor();
}

async function newAccount(browser, tell) {
  await withPage(browser, { viewport: LAPTOP, ...OPTIONS }, async (page) => {
    await page.goto(`${BASE_URL}/account`);
    await page.getByRole("button", { name: "Continue with the studio" }).waitFor();
    await speaks(page, "the form");
    await fits(page, "the form");
    await shot(page, "sign-in-form-laptop");
    await page.setViewportSize(PHONE);
    await fits(page, "the form on a phone");
    await shot(page, "sign-in-form-phone");
    await page.setViewportSize(LAPTOP);

    await signIn(page, "the studio", "Anna");
    await home(page);
    const first = await accountOf(page);
    assert.equal(first.email, "anna@example.org");
    assert.equal(new URL(page.url()).pathname, "/account", "one is back where one began");
    assert.equal(await page.evaluate(() => sessionStorage.length), 0, "no secret is left");
    await eventually("the studio in the list", async () => /the studio/.test(await identities(page).first().innerText()));
    await shot(page, "identities-laptop", { fullPage: true });
    await page.setViewportSize(PHONE);
    await fits(page, "the account on a phone");
    await shot(page, "identities-phone", { fullPage: true });
    tell("a new account");

    await page.getByRole("button", { name: "Remove the studio" }).click();
    await page.getByText("This is the only way into your account").waitFor();
    tell("the last way in stays");

    await logOut(page);
    await signIn(page, "the studio", "Anna");
    await home(page);
    assert.equal((await accountOf(page)).id, first.id, "the same account");
    await logOut(page);
    tell("out, and in again");

    await signIn(page, "the gym", "Anna at the gym");
    await page.getByRole("heading", { name: "You have an account already" }).waitFor();
    await speaks(page, "the page that says so");
    await fits(page, "the page that says so");
    await shot(page, "sign-in-link-needed-phone");
    assert.equal(await accountOf(page), null, "nobody is logged in by an address");
    await page.getByRole("link", { name: "Log in and link it" }).click();
    await page.getByRole("button", { name: "Continue with the studio" }).waitFor();
    tell("not linked silently");

    await signIn(page, "the studio", "Nobody");
    await page.getByText("You did not agree at the provider").waitFor();
    await page.getByRole("link", { name: "Go back" }).click();
    await page.getByRole("button", { name: "Continue with the studio" }).waitFor();
    tell("said no");
  });
}

async function linked(browser, tell) {
  await withPage(browser, { viewport: LAPTOP, ...OPTIONS }, async (page) => {
    await page.goto(`${BASE_URL}/account`);
    await registerByKeyboard(page, "Ben");
    await home(page);
    const ben = await accountOf(page);
    await page.getByRole("button", { name: "Link the gym" }).click();
    await page.getByRole("button", { name: "Ben at the gym" }).click();
    await home(page);
    await eventually("the gym in the list", async () => /the gym/.test(await identities(page).first().innerText()));
    tell("linked to an account with a password");

    await logOut(page);
    await signIn(page, "the gym", "Ben at the gym");
    await home(page);
    assert.equal((await accountOf(page)).id, ben.id, "the same account");
    await page.getByRole("button", { name: "Remove the gym" }).click();
    await page.getByText("You sign in with the gym no more.").waitFor();
    await eventually("an empty list", async () => (await identities(page).count()) === 0);
    tell("and removed");
  });
}

/** ASVS 10.1.2, login CSRF: an answer that somebody else began for does nothing in this browser. */
async function elsewhere(browser, tell) {
  let answer = "";
  await withPage(browser, { ...OPTIONS }, async (page) => {
    // The attacker's own answer, caught before it is handed in.
    await page.route(/\/v1\/sign-ins\/[^/]+\/return$/, (route) => {
      answer = new URLSearchParams(Object.entries(route.request().postDataJSON()).filter(([name]) => name !== "secret"));
      return route.abort();
    });
    await page.goto(`${BASE_URL}/account`);
    await signIn(page, "the studio", "Anna");
    await page.getByRole("heading", { name: "Not signed in" }).waitFor();
  });
  await withPage(browser, { ...OPTIONS }, async (page) => {
    await page.goto(`${BASE_URL}/sign-in#${answer}`);
    await page.getByText("begun in another tab or browser").waitFor();
    assert.equal(await accountOf(page), null);
    assert.equal(new URL(page.url()).hash, "", "the code does not stay in the address");
  });
  tell("an answer from elsewhere is refused");
}

await journey(async (tell) => {
  await withBrowser(async (browser) => {
    await newAccount(browser, tell);
    await linked(browser, tell);
    await elsewhere(browser, tell);
  });
});
