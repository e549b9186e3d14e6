/**
 * An organisation in a real browser: Mira makes one and invites Ana, who has no account yet; Ana follows the link in her mail and
 * books a class for members only, and Mira removes her again.
 *
 *     BASE_URL=http://127.0.0.1:8080 MAILS_URL=http://127.0.0.1:8025/mails node organisations.mjs
 *
 * MAILS_URL lists what the server's mail server has taken. ARTIFACTS names a folder for screenshots.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { LAPTOP, PHONE, fits, shot, speaks, withBrowser, withPage } from "./browser.mjs";
import { BASE_URL, eventually, http, journey } from "./client.mjs";

const DAY_MS = 86_400_000;
const PASSWORD = "seven brown foxes rowing";
const MIRA = `mira-${randomUUID().slice(0, 8)}@example.org`;
const ANA = `ana-${randomUUID().slice(0, 8)}@example.org`;

/** The link in the mail to somebody that has this subject, once it has come. */
async function linkIn(to, subject) {
  let link = null;
  await eventually(`the mail "${subject}" to ${to}`, async () => {
    const mails = await (await fetch(process.env.MAILS_URL)).json();
    const found = mails.find((mail) => mail.to === to && mail.subject === subject);
    link = /http:\S+#\S+/.exec(found?.text ?? "")?.[0] ?? null;
    return link !== null;
  });
  return link;
}

/** Somebody registers, and proves their address. */
async function register(name, email, role = "member") {
  await http("POST", "/v1/registrations", { body: { email, password: PASSWORD, name, role }, status: 202 });
  const link = await linkIn(email, "Confirm your e-mail address");
  const token = link.split("=").at(-1);
  await http("POST", "/v1/registrations/finish", { body: { token, password: PASSWORD }, status: 201 });
}

/** The access token of a login beside the one in the browser. */
async function tokenOf(email) {
  const { access_token: token } = await http("POST", "/v1/logins", { body: { email, password: PASSWORD }, status: 201 });
  return token;
}

/** Mira offers a class for members only. */
async function offer() {
  const token = await tokenOf(MIRA);
  const { organisations } = await http("GET", "/v1/organisations", { token });
  const terms = { title: "Harbour hills", duration_min: 45, capacity: 1, organisation: organisations[0].id, members: "only" };
  const body = { key: randomUUID(), starts_at_ms: Date.now() + DAY_MS, terms };
  return http("POST", "/v1/offers", { token, body, status: 201 });
}

/** What Mira sees in the names of who has booked it, opened anew. */
async function roster(page) {
  await page.reload();
  await page.getByText("Classes in its name").click();
  await page.getByText("Harbour hills").waitFor();
  await page.getByText("Who has booked").click();
}

async function logIn(page, email) {
  await page.locator("#field-email").fill(email);
  await page.locator("#field-password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await page.getByRole("heading", { name: "Organisation", exact: true }).waitFor();
}

async function seen(page, name) {
  for (const [width, viewport] of Object.entries({ phone: PHONE, laptop: LAPTOP })) {
    await page.setViewportSize(viewport);
    await fits(page, `${name} on a ${width}`);
    await shot(page, `${name}-${width}`);
  }
  await speaks(page, name);
}

await journey(async (tell) => {
  await withBrowser(async (browser) => {
    await register("Mira", MIRA, "coach");
    await withPage(browser, { viewport: LAPTOP }, async (mira) => {
      await mira.goto(`${BASE_URL}/organisation`);
      await logIn(mira, MIRA);
      await mira.getByRole("textbox", { name: "Name" }).fill("Harbour Gym");
      await mira.getByRole("button", { name: "Make it" }).click();
      await mira.getByText("1 of 10 seats taken").waitFor();
      const inviting = mira.getByRole("form", { name: "Invite somebody into Harbour Gym" });
      await inviting.getByLabel("E-mail address").fill(ANA);
      await inviting.getByLabel("As", { exact: true }).selectOption("coach");
      await inviting.getByRole("button", { name: "Invite" }).click();
      await mira.getByText(`A mail is on its way to ${ANA}.`).waitFor();
      await mira.getByText("1 kept for who is invited").waitFor();
      await seen(mira, "organisation-owner");
      tell("made, and somebody is invited");

      const link = await linkIn(ANA, "You are invited into an organisation");
      await withPage(browser, { viewport: PHONE }, async (ana) => {
        await ana.goto(link);
        await ana.getByRole("heading", { name: "You are invited into Harbour Gym" }).waitFor();
        await seen(ana, "organisation-invited");
        await register("Ana", ANA);
        await logIn(ana, ANA);
        await ana.getByRole("button", { name: "Take the seat" }).click();
        await ana.getByText("You have a seat in Harbour Gym.").waitFor();
        assert.equal(new URL(ana.url()).hash, "", "the link has left the address");
        await ana.getByText("You are coach here.").waitFor();
        await seen(ana, "organisation-member");
        tell("the seat is taken");
      });

      const { id } = await offer();
      await http("POST", `/v1/offers/${id}/bookings`, { token: await tokenOf(ANA), body: { key: randomUUID() }, status: 201 });
      await roster(mira);
      await mira.getByRole("list", { name: "Booked: Harbour hills" }).getByText("Ana", { exact: true }).waitFor();
      await seen(mira, "organisation-roster");
      tell("who administers it sees who has booked its class");

      await mira.getByRole("button", { name: "Remove Ana" }).click();
      await mira.getByRole("button", { name: "Remove them" }).click();
      await mira.getByText("Ana is out.").waitFor();
      await mira.getByText("1 of 10 seats taken").waitFor();
      await roster(mira);
      await mira.getByText("Nobody yet.").waitFor();
      await http("GET", `/v1/offers/${id}`, { token: await tokenOf(ANA), status: 404 });
      tell("removed, and with her seat her place has gone");
    });
  });
});
