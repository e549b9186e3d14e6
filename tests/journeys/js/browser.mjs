/**
 * What the chapters of the pages' journey stand on: a class that is really going on, a browser page that may not complain,
 * and the way between the two, which can be cut.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { BASE_URL, connect, http, register } from "./client.mjs";

const WITHIN_MS = 30_000; // how long a failure takes to be one; the pages are much quicker, but share the machine
const ARTIFACTS = process.env.ARTIFACTS;
export const PASSWORD = "seven brown foxes rowing";
export const PHONE = { width: 390, height: 844 };
export const NARROW_PHONE = { width: 360, height: 740 };
export const LAPTOP = { width: 1280, height: 800 };
export const TELEVISION = { width: 1920, height: 1080 };

/** A class with three athletes whose hearts beat as long as the journey lasts. */
export class Hall {
  static async open(title) {
    const hall = new Hall();
    hall.coach = await register("Mara Coach", "coach");
    hall.view = await http("POST", "/v1/classes", { token: hall.coach.token, body: { title }, status: 201 });
    hall.devices = [];
    for (const [name, bpm] of [
      ["Ana", 160],
      ["Ben", 148],
      ["Chidi", 118],
    ])
      hall.devices.push(await hall.#device(name, bpm));
    hall.timer = setInterval(() => hall.#beat(), 1_000);
    hall.#beat();
    return hall;
  }

  async #device(name, bpm) {
    const account = await register(name, "member");
    const client = await connect(account.token);
    await client.ask("room.join", { code: this.view.code });
    const stream = randomUUID();
    const startedAt = Date.now();
    await client.ask("stream.open", { stream, started_at_ms: startedAt, class_code: this.view.code });
    return { name, bpm, account, client, stream, startedAt, seq: 0, silent: false };
  }

  #beat() {
    for (const device of this.devices) {
      if (device.silent || !device.client.socket.connected) continue;
      const sample = [Date.now() - device.startedAt, device.bpm + (device.seq % 5), []];
      device.client.socket.emit(
        "stream.samples",
        { stream: device.stream, seq: device.seq, samples: [sample] },
        () => {},
      );
      device.seq += 1;
    }
  }

  close() {
    clearInterval(this.timer);
    for (const { client } of this.devices) client.close();
  }
}

/** A Chromium without a screen, with a home folder of its own and nothing to say to its maker. CHROMIUM says which. */
export async function withBrowser(work) {
  const home = join(tmpdir(), `paceline-browser-${randomUUID()}`);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
      "--host-resolver-rules=MAP localhost 127.0.0.1", // at [::1] the same port may be another test's
    ],
    env: { ...process.env, HOME: home },
  });
  try {
    await work(browser);
  } finally {
    await browser.close();
    rmSync(home, { recursive: true, force: true });
  }
}

/** A browser context whose page may not complain and may not ask anybody else, but those at `elsewhere`. */
export async function withPage(browser, { viewport = LAPTOP, colorScheme = "dark", quiet = true, elsewhere = [], before } = {}, work) {
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
  context.setDefaultTimeout(WITHIN_MS);
  const complaints = [];
  const away = new Set();
  await before?.(context);
  context.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== "data:" && origin !== new URL(BASE_URL).origin && !elsewhere.includes(origin)) away.add(request.url());
  });
  context.on("console", (message) => {
    if (message.type() === "error" && !isNotReadyYet(message)) complaints.push(message.text());
  });
  context.on("weberror", (error) => complaints.push(String(error.error().stack)));
  const page = await context.newPage();
  try {
    await work(page, context);
    assert.deepEqual([...away], [], "requests left the origin");
    if (quiet) assert.deepEqual(complaints, [], "the console shows errors");
  } catch (failed) {
    await shot(page, `failed-${new URL(page.url()).pathname.slice(1)}-${Date.now()}`);
    throw failed;
  } finally {
    await context.close();
  }
}

/** A class's summary that is asked for before it is made is answered 404, and the browser writes that down as an error. */
const isNotReadyYet = (message) =>
  message.text().includes("404") && /\/v1\/classes\/[^/]+\/summary$/.test(message.location().url);

export async function shot(page, name, { fullPage = false } = {}) {
  if (!ARTIFACTS) return;
  mkdirSync(ARTIFACTS, { recursive: true });
  await page.screenshot({ path: join(ARTIFACTS, `${name}.png`), fullPage });
}

export async function fits(page, name) {
  // A page that a script lays out does so some frames after its window has changed.
  const inside = (width) => innerWidth === width && document.documentElement.scrollWidth <= width;
  try {
    await page.waitForFunction(inside, page.viewportSize().width);
  } catch (late) {
    const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.fail(`${name} is ${wide} px wide in a window of ${window} px (${late.message})`);
  }
}

/** Every control that is seen has a name that a screen reader can say, and the page has one first heading. */
export async function speaks(page, name) {
  const faults = await page.evaluate(() => {
    const seen = (element) => element.checkVisibility({ visibilityProperty: true });
    const named = (element) =>
      element.labels?.length ||
      element.getAttribute("aria-label") ||
      element.getAttribute("title") ||
      element.textContent.trim();
    const nameless = [...document.querySelectorAll("a[href], button, input, select")].filter(
      (each) => seen(each) && !named(each),
    );
    const headings = [...document.querySelectorAll("h1")].filter(seen);
    return [
      ...nameless.map((each) => each.outerHTML),
      ...(headings.length === 1 ? [] : [`${headings.length} visible h1`]),
    ];
  });
  assert.deepEqual(faults, [], `${name} cannot be read aloud`);
}

/** Who is logged in, as a page keeps it for all tabs, or null. */
export const accountOf = (page, side = "athlete") =>
  page.evaluate((key) => JSON.parse(localStorage.getItem(key))?.account ?? null, `paceline.account.${side}`);

/** An access token of the login in the browser's cookie, in line with its pages. */
export const tokenOf = (page, side = "athlete") =>
  page.evaluate(
    (side) =>
      navigator.locks.request(`paceline.login.${side}.refresh`, async () => {
        const headers = { "Content-Type": "application/json", "X-Paceline-Page": side };
        const answer = await fetch("/v1/logins/refresh", { method: "POST", headers, body: "{}" });
        return (await answer.json()).access_token;
      }),
    side,
  );

/** Fills and sends the form of the account pages without a mouse. */
export const registerByKeyboard = async (page, name) => {
  await page.getByRole("button", { name: /Register/ }).focus();
  await page.keyboard.press("Enter");
  await page.locator("#field-name").focus();
  await page.keyboard.type(name);
  await page.keyboard.press("Tab");
  await page.keyboard.type(`${randomUUID().slice(0, 12)}@example.org`);
  await page.keyboard.press("Tab");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
};

/** The way between the page and the server's sockets, to be cut, frozen and mended. */
export class Line {
  constructor() {
    this.state = "whole";
    this.hush_ = null;
    this.sockets = new Set();
    this.refusal = null;
  }

  async lay(context) {
    await context.routeWebSocket(/\/socket\.io\//, (socket) => {
      if (this.state !== "whole") {
        socket.close();
        return;
      }
      const server = socket.connectToServer();
      const pair = { socket, server };
      this.sockets.add(pair);
      socket.onMessage((message) => {
        if (this.state === "whole" && !this.#refused(socket, message)) server.send(message);
      });
      server.onMessage((message) => this.state === "whole" && !this.#hushed(message) && socket.send(message));
      socket.onClose(() => {
        this.sockets.delete(pair);
        server.close();
      });
      server.onClose(() => socket.close());
    });
    await context.route(/\/socket\.io\/.*transport=polling/, (route) =>
      this.state === "whole" ? route.continue() : route.abort(),
    );
  }

  cut() {
    this.state = "cut";
    for (const { socket, server } of this.sockets) {
      socket.close();
      server.close();
    }
    this.sockets.clear();
  }

  freeze() {
    this.state = "frozen";
  }

  /** From now on the page gets no such events from the server, only what `say` says. */
  hush(event) {
    this.hush_ = event;
  }

  #hushed(message) {
    return this.hush_ !== null && this.hush_.test(String(message).slice(0, 60));
  }

  mend() {
    this.state = "whole";
  }

  /** Answers the next of these events of the page with a problem, as if the server had. */
  refuse(event, problem) {
    this.refusal = { event, problem };
  }

  #refused(socket, message) {
    const [, id, event] = /^42\/live,(\d+)\["([^"]+)"/.exec(message) ?? [];
    if (!this.refusal || event !== this.refusal.event) return false;
    socket.send(`43/live,${id}${JSON.stringify([{ problem: this.refusal.problem }])}`);
    this.refusal = null;
    return true;
  }

  /** Says an event to the page as if the server had. */
  say(event, payload) {
    for (const { socket } of this.sockets) socket.send(`42/live,${JSON.stringify([event, payload])}`);
  }
}
