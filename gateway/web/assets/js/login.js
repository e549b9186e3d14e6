/**
 * A login in this browser: who, an access token for some minutes, a refresh token for some weeks.
 *
 * The coach page and the athlete page keep separate logins, so that one browser can try both sides of a class. All tabs
 * of one side share one login through localStorage. A refresh token works once, so only one tab may use it at a time:
 * whoever holds the lock looks first whether another tab has been quicker (hand-over.js says why localStorage is not enough
 * for that). Where the browser has no locks (pages over plain http from another machine) the server's few seconds of grace
 * for a used token take their place.
 */
import { handOver, pickUp } from "./hand-over.js";
import { call } from "./http.js";
import { showPasskey } from "./passkeys.js";
import { Problem } from "./problem.js";

const REFRESH_BEFORE_MS = 60_000;

/** @typedef {{account: any, access: string, refresh: string, expiresAtMs: number}} Kept */

export class Login {
  /** @param {"coach" | "athlete"} side */
  constructor(side) {
    this.side = side;
    this.key = `paceline.login.${side}`;
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    this.refreshing = null;
    window.addEventListener("storage", (event) => {
      if (event.key === this.key) this.#tell();
    });
  }

  /** @returns {Kept | null} */
  get kept() {
    const text = localStorage.getItem(this.key);
    if (!text) return null;
    try {
      return JSON.parse(text);
    } catch (damaged) {
      console.warn("the kept login is not readable; log in again", damaged);
      localStorage.removeItem(this.key);
      return null;
    }
  }

  /** The account, or null when nobody is logged in. */
  get account() {
    return this.kept?.account ?? null;
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
    this.enter(await call("POST", "/v1/accounts", { body: { email, password, name, role, device: deviceName() } }));
  }

  /**
   * Registers where an address is proved first: a mail with a link is on its way.
   * @param {{email: string, password: string, name: string}} fields
   */
  async beginRegistration({ email, password, name }) {
    const role = this.side === "coach" ? "coach" : "member";
    return call("POST", "/v1/registrations", { body: { email, password, name, role } });
  }

  /** Keeps a login that the server has just opened, in whatever way. */
  enter(told) {
    this.#keep(told);
    this.#tell();
  }

  /** @param {{email: string, password: string}} fields */
  async logIn({ email, password }) {
    this.enter(await call("POST", "/v1/logins", { body: { email, password, device: deviceName() } }));
  }

  /** Begins to sign in with a provider; where to go for that. */
  async beginSignIn(provider) {
    const role = this.side === "coach" ? "coach" : "member";
    return call("POST", "/v1/sign-ins", { body: { provider, role, device: deviceName() } });
  }

  /** Goes on where `logIn` was answered with `second_factor_needed`. @param {Record<string, any>} proof its token, and one proof */
  async finish(proof) {
    this.enter(await call("POST", "/v1/logins/second-factor", { body: proof }));
  }

  /** Logs in with a passkey alone. */
  async withPasskey() {
    const passkey = await showPasskey(await call("POST", "/v1/logins/passkey/options"));
    this.enter(await call("POST", "/v1/logins/passkey", { body: { passkey, device: deviceName() } }));
  }

  /** Keeps an access token that says that this login has proven itself just now. */
  keepFresh({ access_token, expires_in_s }) {
    const kept = this.kept;
    if (!kept) return;
    const fresh = { ...kept, access: access_token, expiresAtMs: Date.now() + expires_in_s * 1000 };
    localStorage.setItem(this.key, JSON.stringify(fresh));
  }

  /** Ends the login here and, when the server can be reached, there too. */
  async logOut() {
    try {
      if (this.kept) await this.call("DELETE", "/v1/logins/current");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      console.info("logged out on this device only:", problem.message);
    }
    await handOver(this.key, null);
    this.#forget();
  }

  /** An access token that is good for a while yet. Raises `Problem` when nobody is logged in any more. */
  async token({ force = false } = {}) {
    const kept = this.kept;
    if (!kept) throw loggedOut();
    if (!force && kept.expiresAtMs - Date.now() > REFRESH_BEFORE_MS) return kept.access;
    this.refreshing ??= this.#refresh(kept.refresh).finally(() => {
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

  /** Keeps what the server said about the account. */
  learn(account) {
    const kept = this.kept;
    if (kept) localStorage.setItem(this.key, JSON.stringify({ ...kept, account }));
  }

  /**
   * @param {string} worn the refresh token that came with the access token that is no longer good enough. It tells one
   *   login from the next; two access tokens of the same second are the same.
   */
  async #refresh(worn) {
    return withLock(`${this.key}.refresh`, async () => {
      const kept = this.kept;
      if (!kept) throw loggedOut();
      if (kept.refresh !== worn) return kept.access; // another tab was quicker
      const left = await pickUp(this.key);
      if (left && left.refresh !== worn && left.account.id === kept.account.id && left.expiresAtMs >= kept.expiresAtMs) {
        localStorage.setItem(this.key, JSON.stringify(left)); // it was, but our copy does not know it yet
        return left.access;
      }
      let renewed;
      try {
        renewed = this.#keep(await call("POST", "/v1/logins/refresh", { body: { refresh_token: kept.refresh } }));
      } catch (problem) {
        if (problem.code === "refresh_refused" && this.kept?.refresh === kept.refresh) this.#forget();
        throw problem;
      }
      await handOver(this.key, renewed);
      return renewed.access;
    });
  }

  #keep(told) {
    /** @type {Kept} */
    const kept = {
      account: told.account,
      access: told.access_token,
      refresh: told.refresh_token,
      expiresAtMs: Date.now() + told.expires_in_s * 1000,
    };
    localStorage.setItem(this.key, JSON.stringify(kept));
    return kept;
  }

  #forget() {
    localStorage.removeItem(this.key);
    this.#tell();
  }

  #tell() {
    for (const listener of this.listeners) listener();
  }
}

/** Finishes a registration with the link of a mail, on the side that its role is for; the account. */
export async function finishRegistration({ token, password }) {
  const told = await call("POST", "/v1/registrations/finish", { body: { token, password, device: deviceName() } });
  new Login(told.account.roles.includes("coach") ? "coach" : "athlete").enter(told);
  return told.account;
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

function withLock(name, work) {
  return navigator.locks ? navigator.locks.request(name, work) : work();
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
