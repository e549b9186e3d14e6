/**
 * A login in this browser: who, an access token for some minutes, a refresh token for some weeks.
 *
 * The coach page and the athlete page keep separate logins, so that one browser can try both sides of a class. All tabs of one
 * side share one login: its refresh token is in a cookie, which no script can read; each page has an access token of its own, in
 * memory, and gets the next one by the cookie, also when it is loaded. What is kept of it says only who is logged in
 * (login-store.js).
 *
 * A refresh token works once. Whoever has the lock has the cookie to itself, so no tab comes with one that another has just used,
 * and what takes a cookie away never takes that of a newer login. Without the lock the server's few seconds of grace for a
 * used token take its place.
 */
import { call } from "./http.js";
import { LoginStore } from "./login-store.js";
import { showPasskey } from "./passkeys.js";
import { Problem } from "./problem.js";

const REFRESH_BEFORE_MS = 60_000;
const REFRESHED_WITHIN_MS = 4_000; // well within the 10 s for which a used token gets another successor
const COMPLETE_WITHIN_MS = 2_000; // chosen by feeling: a workout that is taken up again must not wait for a bad network
const COOKIES = window.isSecureContext; // https, and loopback: where the server gives a cookie

/** @typedef {{account: any, access: string, expiresAtMs: number}} Held */
/** What this page has in memory, by side: whoever makes a second Login of a side goes on with the same. @type {Map<string, Held>} */
const HELD = new Map();

export class Login {
  /** @param {"coach" | "athlete"} side */
  constructor(side) {
    this.side = side;
    this.store = new LoginStore(side, { cookies: COOKIES, shared: localStorage, tab: sessionStorage });
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    this.refreshing = null;
    window.addEventListener("storage", (event) => {
      if (event.key === this.store.key) this.#tell();
    });
    if (this.store.leaving) this.#leave();
  }

  /** The account, or null when nobody is logged in. Until the first call it is what was kept: without the body. */
  get account() {
    const account = this.store.who?.account ?? null;
    const held = HELD.get(this.side);
    return account && held?.account.id === account.id ? held.account : account;
  }

  has(role) {
    const account = this.account;
    return Boolean(account) && (account.roles ?? []).includes(role);
  }

  /** Calls `listener` whenever somebody logged in or out, here or in another tab. */
  onChange(listener) {
    this.listeners.add(listener);
  }

  /** @param {{email: string, password: string, name: string}} fields */
  async register({ email, password, name }) {
    const role = this.side === "coach" ? "coach" : "member";
    await this.#enter("/v1/accounts", { email, password, name, role, device: deviceName() });
  }

  /**
   * Registers where an address is proved first: a mail with a link is on its way.
   * @param {{email: string, password: string, name: string}} fields
   */
  async beginRegistration({ email, password, name }) {
    const role = this.side === "coach" ? "coach" : "member";
    return call("POST", "/v1/registrations", { body: { email, password, name, role } });
  }

  /** Goes on with a login whose refresh token came in a body. @param {{account: any, refresh_token: string}} told */
  async takeOver({ account, refresh_token }) {
    await this.#enter("/v1/logins/refresh", { refresh_token });
    return account;
  }

  /** @param {{email: string, password: string}} fields */
  async logIn({ email, password }) {
    await this.#enter("/v1/logins", { email, password, device: deviceName() });
  }

  /** Begins to sign in with a provider; where to go for that. */
  async beginSignIn(provider) {
    const role = this.side === "coach" ? "coach" : "member";
    return call("POST", "/v1/sign-ins", { body: { provider, role, device: deviceName() } });
  }

  /** Asks how a sign-in with a provider is, and keeps the login when it is done. */
  async finishSignIn(id, secret) {
    const now = await this.#alone(async () => {
      const told = await this.#ask("POST", `/v1/sign-ins/${id}/finish`, { body: { secret } });
      if (told.login) this.#keep(told.login);
      return told;
    });
    if (now.login) this.#tell();
    return now;
  }

  /** Goes on where `logIn` was answered with `second_factor_needed`. @param {Record<string, any>} proof its token, and one proof */
  async finish(proof) {
    await this.#enter("/v1/logins/second-factor", proof);
  }

  /** Logs in with a passkey alone. */
  async withPasskey() {
    const passkey = await showPasskey(await call("POST", "/v1/logins/passkey/options"));
    await this.#enter("/v1/logins/passkey", { passkey, device: deviceName() });
  }

  /** Keeps an access token that says that this login has proven itself just now. */
  keepFresh({ access_token, expires_in_s }) {
    const held = HELD.get(this.side);
    if (!held) return;
    HELD.set(this.side, { ...held, access: access_token, expiresAtMs: Date.now() + expires_in_s * 1000 });
  }

  /** Ends the login here and, when the server can be reached, there too; otherwise as soon as a page finds it again. */
  async logOut() {
    try {
      if (this.account) await this.#ask("DELETE", "/v1/logins/current", { token: await this.token() });
      this.#forget();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      console.info("logged out on this device only:", problem.message);
      if (this.account) this.store.leave();
      this.#forgotten();
    }
  }

  /** An access token that is good for a while yet. Raises `Problem` when nobody is logged in any more. */
  async token({ force = false } = {}) {
    const { account } = this;
    if (!account) throw loggedOut();
    const held = this.#heldFor(account);
    if (!force && held && held.expiresAtMs - Date.now() > REFRESH_BEFORE_MS) return held.access;
    this.refreshing ??= this.#refresh(held).finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  /** One call as this account; a token that has just expired is renewed and the call made again, once. */
  async call(method, path, body) {
    const token = await this.token();
    try {
      return await call(method, path, { body, token });
    } catch (problem) {
      if (problem.code !== "token_expired" && problem.code !== "not_authenticated") throw problem;
      return call(method, path, { body, token: await this.token({ force: true }) });
    }
  }

  /** Reads the account anew. */
  async reload() {
    this.learn(await this.call("GET", "/v1/me"));
    return this.account;
  }

  /** Has the account whole, body included, if the server says so before long. */
  async complete() {
    try {
      await Promise.race([this.token(), new Promise((resolve) => setTimeout(resolve, COMPLETE_WITHIN_MS))]);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      console.info("only what was kept is known of the account:", problem.message);
    }
  }

  /** Keeps what the server said about the account. */
  learn(account) {
    const held = HELD.get(this.side);
    if (held?.account.id === account.id) HELD.set(this.side, { ...held, account });
    this.store.learn(account);
  }

  #heldFor(account) {
    const held = HELD.get(this.side);
    return held?.account.id === account.id ? held : null;
  }

  /** @param {Held | null} worn what was not good enough */
  async #refresh(worn) {
    return this.#alone(async () => {
      const { who } = this.store;
      if (!who) throw loggedOut();
      const held = this.#heldFor(who.account);
      if (held && held !== worn) return held.access; // another part of this page was quicker
      let told;
      try {
        told = await this.#swap(who.refresh ? { refresh_token: who.refresh } : {});
      } catch (problem) {
        if (problem.code === "refresh_refused") this.#forget();
        throw problem;
      }
      if (COOKIES && who.refresh) indexedDB.deleteDatabase("paceline-hand-over"); // where pages used to leave tokens, too
      this.#keep(told);
      if (told.account.id !== who.account.id) this.#tell(); // the cookie is of whoever logged in last
      return told.access_token;
    });
  }

  /** Opens a login and keeps it. */
  async #enter(path, body) {
    await this.#alone(async () => this.#keep(await this.#ask("POST", path, { body })));
    this.#tell();
  }

  /**
   * Swaps the refresh token. Without an answer nobody knows whether it is used, so it is shown once more while that is
   * harmless: later it would count as stolen, and end the login.
   */
  async #swap(body) {
    try {
      return await this.#ask("POST", "/v1/logins/refresh", { body, beginsWithinMs: REFRESHED_WITHIN_MS });
    } catch (problem) {
      if (problem.code !== "no_network") throw problem;
      return this.#ask("POST", "/v1/logins/refresh", { body });
    }
  }

  /** Ends at the server what was ended here while it could not be reached. */
  async #leave() {
    try {
      await this.#alone(async () => {
        if (!this.store.leaving) return; // somebody has logged in since, or another tab was quicker
        const { access_token } = await this.#swap({});
        await this.#ask("DELETE", "/v1/logins/current", { token: access_token });
        this.store.forget();
      });
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.code === "refresh_refused") this.store.forget();
      else console.info("not yet logged out at the server:", problem.message);
    }
  }

  /** A call that the cookie of this side goes along with. */
  #ask(method, path, how = {}) {
    return call(method, path, { ...how, side: COOKIES ? this.side : null });
  }

  /** Does `work` while no other tab uses the cookie of this side. */
  #alone(work) {
    return navigator.locks ? navigator.locks.request(`paceline.login.${this.side}.refresh`, work) : work();
  }

  #keep(told) {
    HELD.set(this.side, { account: told.account, access: told.access_token, expiresAtMs: Date.now() + told.expires_in_s * 1000 });
    this.store.keep(told.account, told.refresh_token);
  }

  #forget() {
    this.store.forget();
    this.#forgotten();
  }

  #forgotten() {
    HELD.delete(this.side);
    this.#tell();
  }

  #tell() {
    for (const listener of this.listeners) listener();
  }
}

/** Finishes a registration with the link of a mail, on the side that its role is for; the account. */
export async function finishRegistration({ token, password }) {
  // Which side it is for is known with the answer, so this one has the refresh token in its body; it is swapped at once.
  const told = await call("POST", "/v1/registrations/finish", { body: { token, password, device: deviceName() } });
  return new Login(told.account.roles.includes("coach") ? "coach" : "athlete").takeOver(told);
}

/** A screen without an account: knowing a class's join code is its right to watch. */
export class DisplayPass {
  /** @param {string} code @param {any} told what a screen that somebody has let in was given */
  constructor(code, told = null) {
    this.code = code;
    this.token_ = null;
    this.expiresAtMs = 0;
    /** The class it was opened for, once `token` has answered. */
    this.room = null;
    if (told) this.#keep(told);
  }

  async token({ force = false } = {}) {
    if (force || !this.token_ || this.expiresAtMs - Date.now() < REFRESH_BEFORE_MS) {
      this.#keep(await call("POST", "/v1/displays", { body: { code: this.code } }));
    }
    return this.token_;
  }

  #keep(told) {
    this.token_ = told.access_token;
    this.expiresAtMs = Date.now() + told.expires_in_s * 1000;
    this.room = told.class;
  }

  async call(method, path) {
    return call(method, path, { token: this.token_ ?? (await this.token()) });
  }
}

function loggedOut() {
  return new Problem({ code: "not_authenticated", message: "You are logged out. Log in again." });
}

/** What the account holder will recognise in a list of logins, at most 80 characters. */
function deviceName() {
  const agent = navigator.userAgent;
  const browser = /(Edg|OPR|SamsungBrowser|Firefox|Chrome|Safari)\//.exec(agent)?.[1] ?? "Browser";
  const system = /(iPhone|iPad|Android|Windows|Mac OS X|Linux)/.exec(agent)?.[1] ?? "unknown system";
  return `${browser} on ${system}`;
}

/** The athlete's login, or the coach's where only that is there or `?as=coach` asks for it. */
export function chosenLogin() {
  const asked = new URLSearchParams(location.search).get("as");
  const athlete = new Login("athlete");
  const coach = new Login("coach");
  if (asked === "coach" || (asked !== "athlete" && !athlete.account && coach.account)) return coach;
  return athlete;
}
