/**
 * The second factor on the account's page: an authenticator app with its QR code, passkeys, recovery codes to keep.
 */
import { byId, confirmed, make, setText, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { canUsePasskeys, makePasskey } from "./passkeys.js";
import { steppingUp } from "./step-up.js";
import { count } from "./words.js";

export class SecondFactor {
  /** @param {import("./login.js").Login} login */
  constructor(login) {
    this.login = login;
    this.has = null;
    this.asked = 0;
  }

  async load() {
    await guarded(byId("factor-trouble"), async () => {
      const asked = (this.asked += 1);
      const has = await this.login.call("GET", "/v1/me/second-factor");
      if (asked !== this.asked) return;
      this.has = has;
      this.#show();
    });
  }

  #show() {
    const { required, totp_since_ms, passkeys, recovery_codes, passkey_domain } = this.has;
    setText(
      byId("factor-standing"),
      required
        ? "Logging in asks for one of these besides your password."
        : "Your password alone opens your account. An app or a passkey keeps out whoever learns it.",
    );
    byId("totp-add").hidden = totp_since_ms !== null;
    byId("totp-remove").hidden = totp_since_ms === null;
    setText(byId("totp-since"), totp_since_ms === null ? "None" : `Since ${day(totp_since_ms)}`);
    byId("passkeys").replaceChildren(...passkeys.map((one) => this.#passkey(one)));
    const can = canUsePasskeys(passkey_domain);
    byId("passkey-add").hidden = !can;
    byId("passkey-cannot").hidden = can;
    byId("codes-part").hidden = !required;
    setText(byId("codes-left"), recovery_codes ? `${count(recovery_codes, "code", "codes")} left.` : "You have none. Make some now.");
    setText(byId("codes-make"), recovery_codes ? "Make new ones" : "Make recovery codes");
  }

  #passkey(one) {
    const remove = make(
      "button",
      { class: "button button-small", type: "button", "aria-label": `Remove ${one.name}`, onclick: () => this.#removePasskey(one, remove) },
      "Remove",
    );
    const used = one.used_at_ms === null ? "not used yet" : `last used ${day(one.used_at_ms)}`;
    return make(
      "li",
      { class: "device" },
      make("span", {}, make("strong", {}, one.name), make("small", {}, `Since ${day(one.made_at_ms)}, ${used}`)),
      remove,
    );
  }

  async addApp() {
    await guarded(byId("factor-trouble"), async () => {
      const told = await steppingUp(this.login, () => this.login.call("POST", "/v1/me/totp"));
      const picture = new DOMParser().parseFromString(told.picture, "image/svg+xml").documentElement;
      picture.setAttribute("role", "img");
      picture.setAttribute("aria-label", "QR code for your app");
      byId("totp-picture").replaceChildren(document.importNode(picture, true));
      setText(byId("totp-secret"), told.secret.replace(/(.{4})(?=.)/g, "$1 "));
      byId("totp-scan").hidden = false;
      byId("totp-code").value = "";
      byId("totp-code").focus();
    });
  }

  async confirmApp() {
    await guarded(byId("factor-trouble"), async () => {
      const code = byId("totp-code");
      code.removeAttribute("aria-invalid");
      try {
        this.login.keepFresh(await this.login.call("POST", "/v1/me/totp/confirm", { code: code.value.trim() }));
      } catch (problem) {
        code.setAttribute("aria-invalid", "true");
        code.focus();
        throw problem;
      }
      this.endScan();
      setText(byId("account-said"), "Your app is set up.");
      await this.#added();
    });
  }

  endScan() {
    byId("totp-scan").hidden = true;
    byId("totp-picture").replaceChildren();
    setText(byId("totp-secret"), "");
  }

  async addPasskey() {
    await guarded(byId("factor-trouble"), async () => {
      const options = await steppingUp(this.login, () => this.login.call("POST", "/v1/me/passkeys/options"));
      const passkey = await makePasskey(options);
      const name = byId("passkey-name").value.trim();
      this.login.keepFresh(await this.login.call("POST", "/v1/me/passkeys", { passkey, name }));
      byId("passkey-name").value = "";
      setText(byId("account-said"), "Your passkey is set up.");
      await this.#added();
    });
  }

  /** The first factor comes with its recovery codes. */
  async #added() {
    await this.load();
    if (!this.has.recovery_codes) await this.#makeCodes();
  }

  async makeCodes() {
    if (this.has.recovery_codes) {
      const yes = await confirmed({
        title: "Make new recovery codes?",
        text: "The ones that you have are worth nothing then.",
        yes: "Make new ones",
      });
      if (!yes) return;
    }
    await guarded(byId("factor-trouble"), () => this.#makeCodes());
  }

  async #makeCodes() {
    const { recovery_codes } = await steppingUp(this.login, () => this.login.call("POST", "/v1/me/recovery-codes"));
    byId("codes").replaceChildren(...recovery_codes.map((code) => make("li", {}, code)));
    byId("codes-shown").hidden = false;
    await this.load();
    byId("codes-title").focus();
  }

  hideCodes() {
    byId("codes").replaceChildren();
    byId("codes-shown").hidden = true;
  }

  async removeApp() {
    const yes = await confirmed({
      title: "Remove the authenticator app?",
      text: "Its codes open nothing any more. Without any other factor your password alone opens your account.",
      yes: "Remove it",
    });
    if (yes) await this.#remove("/v1/me/totp", "Your app is removed.");
  }

  async #removePasskey(one, button) {
    const yes = await confirmed({
      title: `Remove ${one.name}?`,
      text: "It opens nothing any more. Remove it from the device, too.",
      yes: "Remove it",
    });
    if (yes) await whileBusy(button, () => this.#remove(`/v1/me/passkeys/${one.id}`, `${one.name} is removed.`));
  }

  async #remove(path, words) {
    await guarded(byId("factor-trouble"), async () => {
      await steppingUp(this.login, () => this.login.call("DELETE", path));
      setText(byId("account-said"), words);
      this.hideCodes();
      await this.load();
      byId("factor-title-own").focus();
    });
  }
}

/** Makes the section's buttons do what they say, for whichever `current` there is. */
export function wireSecondFactor(current) {
  const press = (id, work) => byId(id).addEventListener("click", (event) => whileBusy(event.currentTarget, () => work(current())));
  press("totp-add", (factor) => factor.addApp());
  press("totp-remove", (factor) => factor.removeApp());
  press("totp-cancel", async (factor) => factor.endScan());
  press("passkey-make", (factor) => factor.addPasskey());
  press("codes-make", (factor) => factor.makeCodes());
  press("codes-kept", async (factor) => factor.hideCodes());
  byId("totp-scan").addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(event.target.querySelector("[type=submit]"), () => current().confirmApp());
  });
}

const day = (ms) => new Date(ms).toLocaleDateString(undefined, { dateStyle: "medium" });
