/**
 * Signing in with a provider: what has to survive the way there and back.
 *
 * The secret of a sign-in lies in sessionStorage: in this tab, of this site, and nowhere else. That is what binds the provider's
 * answer to the browser that began.
 */
import { call } from "./http.js";
import { make, whileBusy } from "./dom.js";
import { Problem } from "./problem.js";

const KEY = "paceline.sign-in";

/**
 * Leaves for the provider.
 * @param {{id: string, secret: string, url: string}} begun
 * @param {{side: "coach" | "athlete", linking: boolean, back: string}} then what the page `/sign-in` does when it is back
 */
export function leaveFor(begun, { side, linking, back }) {
  sessionStorage.setItem(KEY, JSON.stringify({ id: begun.id, secret: begun.secret, side, linking, back }));
  location.assign(begun.url);
}

/** What was left behind by `leaveFor`, once; null when nothing was. */
export function takeLeft() {
  const text = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  return text ? JSON.parse(text) : null;
}

/** The providers that one can sign in with here. */
export async function providersHere() {
  return (await call("GET", "/v1/sign-in-providers")).providers;
}

/**
 * A button per provider, below a form; nothing where there are none.
 * @param {HTMLElement} place
 * @param {import("./login.js").Login} login
 * @param {(message: string) => void} complain
 */
export async function providerButtons(place, login, complain) {
  let providers = [];
  try {
    providers = await providersHere();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    console.info("no other ways to sign in:", problem.message); // the form above says so when it is used
  }
  place.hidden = !providers.length;
  place.replaceChildren(
    ...providers.map(({ id, button }) => {
      const pressed = make(
        "button",
        {
          class: "button button-wide",
          type: "button",
          onclick: () =>
            whileBusy(pressed, async () => {
              complain("");
              try {
                const begun = await login.beginSignIn(id);
                leaveFor(begun, { side: login.side, linking: false, back: location.pathname + location.search });
              } catch (problem) {
                if (!(problem instanceof Problem)) throw problem;
                complain(problem.message);
              }
            }),
        },
        button,
      );
      return pressed;
    }),
  );
}
