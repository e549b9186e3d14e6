/**
 * The operator's preview of all words in a real browser: every template in both languages, its mail in a frame that runs nothing.
 *
 *     BASE_URL=http://127.0.0.1:8080 ADMIN_TOKEN=… node words.mjs
 */
import assert from "node:assert/strict";

import { LAPTOP, PHONE, fits, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, journey } from "./client.mjs";

const TOKEN = process.env.ADMIN_TOKEN;

async function open(page) {
  await page.goto(`${BASE_URL}/operations/words`);
  await page.getByLabel("Admin token").fill(TOKEN);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Words", level: 1 }).waitFor();
}

await journey(async (tell) => {
  assert.ok(TOKEN, "say which token opens the server: ADMIN_TOKEN");
  await withBrowser(async (browser) => {
    await withPage(browser, { viewport: LAPTOP, quiet: false }, async (page) => {
      await page.goto(`${BASE_URL}/operations/words`);
      await page.getByLabel("Admin token").fill("not-the-token-of-this-server");
      await page.keyboard.press("Enter");
      await page.getByText("this is not the admin token of this server").waitFor();
      await speaks(page, "words, token");
    });
    tell("the token is asked for");

    await withPage(browser, { viewport: { ...LAPTOP, height: 1_400 } }, async (page) => {
      await open(page);
      await speaks(page, "words");
      await fits(page, "words on a laptop");
      await page.getByLabel("Template").selectOption("workout.summarised 1");
      const english = page.locator(".language[lang=en]");
      await english.getByText("Thursday hills: 137.4 points in 45 min").first().waitFor();
      await page.locator(".language[lang=de]").getByText("137,4 Punkte in 45 min").first().waitFor();
      const mail = english.frameLocator("iframe");
      await mail.getByRole("heading", { name: "Thursday hills" }).waitFor();
      const button = mail.getByRole("link", { name: "See the workout" });
      const colour = await button.evaluate((link) => getComputedStyle(link).color);
      assert.notEqual(colour, "rgb(0, 0, 238)", "the mail wears its own style");
      assert.equal(await mail.locator("[data-style], style").count(), 0, "and none of it as text, which no page of ours allows");
      const sheets = (frame) => frame.locator("body").evaluate((body) => body.ownerDocument.adoptedStyleSheets.length);
      assert.equal(await sheets(mail), 1, "its sheet for dark and narrow screens as well");
      await shot(page, "words-laptop-dark");
      for (const name of await page.locator("#template option").allInnerTexts()) {
        await page.getByLabel("Template").selectOption(name);
        assert.equal(await page.locator(".language").count(), 2, name);
      }
      const kept = await page.evaluate(() => [JSON.stringify(localStorage), document.cookie, location.href].join(" "));
      assert.ok(!kept.includes(TOKEN), "the token is kept in the tab only");
    });
    tell("every template");

    await withPage(browser, { viewport: PHONE, colorScheme: "light" }, async (page) => {
      await open(page);
      await page.getByLabel("Mail").selectOption("375");
      await fits(page, "words on a phone");
      await page.locator(".language[lang=de]").frameLocator("iframe").getByRole("link", { name: "Neu anmelden" }).waitFor();
      await page.locator(".language[lang=de] iframe").scrollIntoViewIfNeeded();
      await shot(page, "words-phone-light");
    });
    tell("on a phone");
  });
});
