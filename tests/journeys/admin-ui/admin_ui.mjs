/**
 * The official Socket.IO Admin UI, as its npm package ships it, against a running Paceline: a wrong password, a login, the dashboard,
 * a reload without a password, and on the level `control` the list of sockets and a client that is shown out.
 *
 *     BASE_URL=http://127.0.0.1:8080 ADMIN_TOKEN=… UI_PORT=9000 node admin_ui.mjs
 *
 * The pages are served from UI_PORT of this machine, which the server must allow as an origin. Nothing is fetched from elsewhere:
 * the two fonts that the page links to are refused. POLLING=on opens the dashboard over long-polling as well. ARTIFACTS names a folder
 * for screenshots.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

import { LAPTOP, shot, withBrowser } from "../js/browser.mjs";
import { BASE_URL, connect, journey, register } from "../js/client.mjs";

const TOKEN = process.env.ADMIN_TOKEN;
const UI = `http://127.0.0.1:${process.env.UI_PORT}`;
const FILES = join(import.meta.dirname, "node_modules", "@socket.io", "admin-ui", "ui", "dist");
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
};

/** The files of the package on UI_PORT. */
function serve() {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, UI).pathname);
    const file = join(FILES, path === "/" ? "index.html" : path);
    try {
      const body = readFileSync(file);
      response.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" }).end(body);
    } catch (missing) {
      response.writeHead(404).end(missing.code);
    }
  });
  return new Promise((resolve) => server.listen(Number(process.env.UI_PORT), "127.0.0.1", () => resolve(server)));
}

async function logIn(page, password, { polling }) {
  await page.getByLabel("Server URL").fill(BASE_URL);
  await page.getByLabel("Username").fill("admin");
  await page.getByLabel("Password").fill(password);
  if (!polling) {
    // By their labels: the switches themselves lie under their own decoration.
    await page.getByText("Advanced options").click();
    await page.getByText("WebSocket only?").click();
    await page.locator("[role=switch][aria-checked=true]").nth(1).waitFor({ state: "attached" });
  }
  await page.getByRole("button", { name: "Connect" }).click();
}

const card = (page, title) => page.locator(".v-card", { has: page.locator(".v-card__title", { hasText: title }) });

/** The number that the card shows in the row of this name. */
const figure = (page, title, row) => card(page, title).locator("tr", { hasText: row }).locator("td").nth(1);

async function within(browser, work) {
  const context = await browser.newContext({ viewport: LAPTOP });
  context.setDefaultTimeout(30_000);
  await context.route(
    (url) => ![new URL(UI).host, new URL(BASE_URL).host].includes(url.host),
    (route) => route.abort(),
  );
  const page = await context.newPage();
  try {
    await work(page);
  } catch (failed) {
    await shot(page, `failed-admin-ui-${Date.now()}`);
    throw failed;
  } finally {
    await context.close();
  }
}

async function dashboard(browser, polling, tell) {
  await within(browser, async (page) => {
    await page.goto(UI);
    await logIn(page, "not the token of this server", { polling });
    await page.getByText("Invalid credentials").waitFor();
    tell("refused", { polling });

    await logIn(page, TOKEN, { polling: true });
    await page.getByText("Invalid credentials").waitFor({ state: "hidden" });
    await figure(page, "Clients", "WebSocket")
      .getByText(/^[1-9]/)
      .first()
      .waitFor();
    await card(page, "Servers").locator("tr", { hasText: "Healthy" }).getByText("1", { exact: true }).waitFor();
    await card(page, "Namespaces").locator("tr", { hasText: "/live" }).getByText("1", { exact: true }).waitFor();
    await card(page, "Namespaces").locator("tr", { hasText: "/admin" }).getByText("1", { exact: true }).waitFor();
    await page.waitForTimeout(2_500); // a beat: the histograms have their first column
    await shot(page, `admin-ui-dashboard${polling ? "-polling" : ""}`);
    tell("dashboard", { polling });

    await page.reload();
    await card(page, "Namespaces").locator("tr", { hasText: "/live" }).getByText("1", { exact: true }).waitFor();
    assert.equal(await page.getByLabel("Password").isVisible(), false, "the pass is enough to come back");
    const kept = await page.evaluate(() => JSON.stringify(localStorage));
    assert.ok(!kept.includes(TOKEN), "the browser does not keep the token");
    tell("came back", { polling });

    await page.getByRole("link", { name: "Servers" }).first().click();
    await page.getByText("UP").or(page.getByText("Healthy")).first().waitFor();
    await shot(page, "admin-ui-servers");
  });
}

async function control(browser, client, tell) {
  await within(browser, async (page) => {
    await page.goto(UI);
    await logIn(page, TOKEN, { polling: false });
    await page.getByRole("link", { name: "Sockets" }).first().click();
    const row = page.locator("tr", { hasText: client.socket.id });
    await row.waitFor();
    assert.match(await row.innerText(), /127\.0\.0\.1[^]*WebSocket/);
    await shot(page, "admin-ui-sockets");
    await row.click();
    await page.getByText('"account"').waitFor();
    await shot(page, "admin-ui-socket");
    tell("socket");

    // The second "Status" is the socket's, the first its client's.
    const status = page.locator("tr", { hasText: "Status" }).nth(1);
    await status.getByText("connected", { exact: true }).waitFor();
    await status.getByRole("button").click();
    const bye = await client.hear("bye");
    assert.equal(bye.code, 3505);
    await client.until(() => !client.socket.connected, "the client to be disconnected");
    await status.getByText("disconnected", { exact: true }).waitFor();
    await shot(page, "admin-ui-shown-out");
    tell("shown out");
  });
}

await journey(async (tell) => {
  assert.ok(
    TOKEN && process.env.UI_PORT,
    "say which token opens the server and where the UI is served: ADMIN_TOKEN, UI_PORT",
  );
  const server = await serve();
  const client = await connect((await register("Ana", "member")).token);
  await withBrowser(async (browser) => {
    await dashboard(browser, false, tell);
    if (process.env.POLLING === "on") await dashboard(browser, true, tell);
    await control(browser, client, tell);
  });
  client.close();
  server.close();
});
