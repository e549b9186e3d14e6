/**
 * What the pages of challenges and of classes on offer have in common: who is logged in, the bar, the socket, and the form for
 * nobody.
 */
import { accountForm } from "./account-form.js";
import { byId, setText, showView } from "./dom.js";
import { followInbox, showInboxLink } from "./inbox-link.js";
import { Live } from "./live.js";
import { chosenLogin } from "./login.js";
import { showStanding } from "./standing.js";
import { useUnits } from "./units.js";

/**
 * Runs a page for whoever is logged in, and again for the next one.
 * @param {{meanwhile: string, well?: string, enter: (login: import("./login.js").Login, live: Live) => Promise<void>}} page
 *   `enter` shows the page; the socket is started afterwards
 */
export async function memberPage({ meanwhile, well, enter }) {
  const login = chosenLogin();
  let live = null;
  let shownFor = null;

  async function begin() {
    live?.stop();
    live = null;
    const { account } = login;
    shownFor = account?.id ?? null;
    byId("sign").hidden = !account;
    useUnits(account);
    setText(byId("who"), account?.name ?? "");
    byId("log-out").hidden = !account;
    showInboxLink(login);
    if (!account) {
      const as = login.side === "coach" ? "a coach" : "an athlete";
      accountForm(document.querySelector("[data-view=account]"), login, { as, onDone: () => {} });
      showView("account");
      return;
    }
    live = new Live(login);
    showStanding(byId("sign"), live, { meanwhile, well });
    followInbox(live);
    const started = live;
    await enter(login, live);
    if (started === live) live.start();
  }

  byId("log-out").addEventListener("click", () => login.logOut());
  login.onChange(() => {
    if ((login.account?.id ?? null) !== shownFor) begin();
  });
  await begin();
}
