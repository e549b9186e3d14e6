/**
 * Friends in a real browser: Zoe rides in a class, asks two of the people in it, looks at her friends alone, and answers who asks her.
 *
 *     BASE_URL=http://127.0.0.1:8080 node friends.mjs
 *
 * ARTIFACTS names a folder for screenshots.
 */
import assert from "node:assert/strict";

import { Hall, LAPTOP, PHONE, accountOf, fits, registerByKeyboard, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, http, journey } from "./client.mjs";

/** The mini board shows exactly these people, in this order. */
async function shows(page, ...names) {
  const told = (wanted) => {
    const shown = [...document.querySelectorAll("#mini .mini-name")].map((each) => each.textContent);
    return JSON.stringify(shown) === JSON.stringify(wanted);
  };
  await page.waitForFunction(told, names);
}

async function seen(page, name) {
  for (const [width, viewport] of Object.entries({ phone: PHONE, laptop: LAPTOP })) {
    await page.setViewportSize(viewport);
    await fits(page, `${name} on a ${width}`);
    await shot(page, `${name}-${width}`, { fullPage: true });
  }
  await speaks(page, name);
}

await journey(async (tell) => {
  const hall = await Hall.open("Ride with friends");
  const [ana, ben, chidi] = hall.devices;
  await withBrowser(async (browser) => {
    await withPage(browser, { viewport: PHONE }, async (phone, context) => {
      await phone.goto(`${BASE_URL}/athlete?code=${hall.view.code}`);
      await registerByKeyboard(phone, "Zoe");
      await phone.getByRole("button", { name: "Start" }).click();
      await phone.locator("#mini .mini-name", { hasText: "Zoe (you)" }).waitFor();
      const zoe = (await accountOf(phone)).id;

      await phone.getByRole("button", { name: "Friends…" }).click();
      const sheet = phone.getByRole("dialog", { name: "Friends" });
      for (const name of ["Ana", "Ben"]) {
        await sheet.getByRole("button", { name: `Ask: ${name}`, exact: true }).click();
        await sheet.getByText(`${name} is asked.`).waitFor();
        await sheet.getByRole("button", { name: `Take back: ${name}` }).waitFor();
      }
      await fits(phone, "whom one can ask on a phone");
      await shot(phone, "friends-sheet-phone");
      await sheet.getByRole("button", { name: "Close" }).click();
      tell("two are asked");

      await http("PUT", `/v1/friends/${zoe}`, { token: ben.account.token, status: 204 });
      await phone.getByRole("button", { name: "Only friends" }).click();
      await shows(phone, "Ben", "Zoe (you)");
      await fits(phone, "friends alone on a phone");
      await shot(phone, "friends-board-phone", { fullPage: true });
      await ben.client.ask("display.set", { class_id: hall.view.id, mode: "alias", alias: "Fox" });
      await shows(phone, "Zoe (you)");
      await phone.getByText("None of your friends is on this board by name.").waitFor();
      await ben.client.ask("display.set", { class_id: hall.view.id, mode: "zone" });
      await shows(phone, "Ben", "Zoe (you)");
      tell("a friend is seen while the room may know who they are");

      const page = await context.newPage();
      await page.goto(`${BASE_URL}/friends`);
      await page.getByRole("heading", { name: "Friends", exact: true }).waitFor();
      await page.getByRole("list", { name: "Your friends" }).getByText("Ben").waitFor();
      await page.getByRole("list", { name: "Whom you have asked" }).getByText("Ana").waitFor();

      await http("PUT", `/v1/friends/${zoe}/request`, { token: chidi.account.token, body: { called: "Z" } });
      const asking = page.getByRole("list", { name: "Who asks you" });
      await asking.getByText("Chidi").waitFor();
      await seen(page, "friends");
      await asking.getByRole("button", { name: "Decline: Chidi" }).click();
      await page.getByText("You have declined. Chidi is not told.").waitFor();
      await asking.waitFor({ state: "hidden" });
      const { asked } = await http("GET", "/v1/friends", { token: chidi.account.token });
      assert.deepEqual(asked.map(({ called }) => called), ["Z"], "nobody tells who was declined");
      tell("who asks comes by itself, and is declined");

      const answer = await http("PUT", `/v1/friends/${zoe}/request`, { token: ana.account.token, body: { called: "Zoe" } });
      assert.equal(answer.state, "friends");
      await page.getByRole("list", { name: "Your friends" }).getByText("Ana").waitFor();
      await page.getByRole("button", { name: "Part: Ben" }).click();
      await page.getByRole("dialog", { name: "Part from Ben?" }).getByRole("button", { name: "Part", exact: true }).click();
      await page.getByText("Ben and you are friends no more.").waitFor();
      await phone.bringToFront();
      await shows(phone, "Ana", "Zoe (you)");
      await phone.getByRole("button", { name: "Only friends" }).click();
      await phone.locator("#mini .mini-name", { hasText: "Ben" }).waitFor();
      tell("who is parted from is off the board");
    });
  });
  hall.close();
});
