/**
 * What a browser keeps of a login: who it is, so that a page can begin at once and tabs hear of each other. No token, and nothing
 * about the body.
 *
 * The refresh token is in a cookie that no script can read (gateway/http/page_login.py), the access token in the memory of each
 * page. Over plain http from another machine there are no cookies that are safe; there the refresh token stays in this tab, and the
 * login with it.
 */
const SHOWN = ["id", "name", "email", "verified", "roles", "units"];

/** @typedef {{account: Record<string, any>, refresh?: string}} Who */

export class LoginStore {
  /**
   * @param {"coach" | "athlete"} side
   * @param {{cookies: boolean, shared: Storage, tab: Storage}} place whether the refresh token can be in a cookie; what all tabs see,
   *   and what only this one does
   */
  constructor(side, { cookies, shared, tab }) {
    this.cookies = cookies;
    this.key = `paceline.account.${side}`;
    this.leavingKey = `paceline.leaving.${side}`;
    this.oldKey = `paceline.login.${side}`;
    this.shared = shared;
    this.place = cookies ? shared : tab;
  }

  /**
   * Who is logged in, or null. `refresh` is there where no cookie has it: there can be none, or it was kept before there were any.
   * @returns {Who | null}
   */
  get who() {
    const kept = read(this.place, this.key);
    if (kept || !this.cookies) return kept;
    const old = read(this.shared, this.oldKey);
    return old && { account: old.account, refresh: old.refresh };
  }

  /** @param {Record<string, any>} account @param {string} [refresh] where the answer had one, and so no cookie has it */
  keep(account, refresh) {
    const shown = Object.fromEntries(SHOWN.filter((name) => name in account).map((name) => [name, account[name]]));
    this.place.setItem(this.key, JSON.stringify(refresh ? { account: shown, refresh } : { account: shown }));
    this.#clear();
  }

  /** @param {Record<string, any>} account what is known of the same account now */
  learn(account) {
    const kept = read(this.place, this.key);
    if (kept) this.keep(account, kept.refresh);
  }

  forget() {
    this.place.removeItem(this.key);
    this.#clear();
  }

  /** Nobody is logged in any more, but the server does not know it yet, and the cookie is still there. */
  leave() {
    this.forget();
    if (this.cookies) this.shared.setItem(this.leavingKey, "yes");
  }

  get leaving() {
    return this.shared.getItem(this.leavingKey) !== null;
  }

  #clear() {
    this.shared.removeItem(this.oldKey);
    this.shared.removeItem(this.leavingKey);
  }
}

function read(place, key) {
  const text = place.getItem(key);
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch (damaged) {
    console.warn("the kept login is not readable; log in again", damaged);
    place.removeItem(key);
    return null;
  }
}
