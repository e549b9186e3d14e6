/**
 * The flags of administration: what is switched off for everybody, and switching it, with a reason.
 */
import { flagWords } from "./admin-words.js";
import { byId, confirmed, make, setText, whileBusy } from "./dom.js";

export class FlagsCard {
  constructor(page) {
    this.page = page;
  }

  async show() {
    await this.page.guarded("flags-act", () => this.#read());
  }

  async #read() {
    const { flags } = await this.page.call("GET", "/v1/staff/flags");
    byId("flags").replaceChildren(...flags.map((flag) => this.#row(flag)));
    byId("flags-act").hidden = false;
    setText(byId("flags-show"), "Show flags anew");
  }

  #row(flag) {
    const state = make("span", { class: flag.on ? null : "is-off" }, flag.on ? "on" : "off");
    const said = flagWords(flag);
    const words = make("div", {}, make("strong", {}, flag.name), " ", state, make("p", {}, flag.on ? `While off: ${flag.off}` : flag.off), said ? make("small", {}, said) : null);
    const row = make("li", {}, words);
    if (!this.page.login.has("admin")) return row;
    const label = flag.on ? "Switch off" : "Switch on";
    const button = make("button", { class: "button", type: "button", "aria-label": `${label} ${flag.name}` }, label);
    button.addEventListener("click", () => whileBusy(button, () => this.#turn(flag)));
    row.append(button);
    return row;
  }

  async #turn(flag) {
    const field = byId("flags-reason");
    const reason = field.value.trim();
    if (reason.length < 3) {
      this.page.complain("flags-act", field, "Say why; it stands in the audit.");
      return;
    }
    if (flag.on) {
      const yes = await confirmed({ title: `Switch ${flag.name} off?`, text: `For everybody, on every node: ${flag.off}`, yes: "Switch off" });
      if (!yes) return;
    }
    const where = `/v1/staff/flags/${flag.name}`;
    await this.page.guarded("flags-act", async () => {
      if (flag.on) await this.page.call("PUT", where, { on: false, reason });
      else await this.page.call("DELETE", `${where}?reason=${encodeURIComponent(reason)}`);
      setText(byId("flags-said"), flag.on ? `${flag.name} is off.` : `${flag.name} is on again.`);
      field.value = "";
      await this.#read();
      await this.page.audit();
    });
  }
}
