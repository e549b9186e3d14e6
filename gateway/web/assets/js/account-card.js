/**
 * One card with one thing to do: what the links in mails about accounts lead to.
 */
import { make, whileBusy } from "./dom.js";
import { Problem } from "./problem.js";

/**
 * Shows a heading, some words, and a form with one button.
 * @param {HTMLElement} place
 * @param {{title: string, words: string, fields?: ReturnType<typeof import("./account-form.js").field>[], button: string,
 *          heading?: "h1" | "h2", act: () => Promise<void>}} card `act` throws a `Problem` for what is refused, which is shown;
 *          `heading` "h2" on a page that has a first heading of its own
 */
export function ask(place, { title, words, fields = [], button, heading = "h1", act }) {
  const trouble = make("p", { class: "trouble", role: "alert" });
  const press = make("button", { class: "button button-primary button-wide", type: "submit" }, button);
  const form = make(
    "form",
    { class: "card form account-form", novalidate: true },
    make(heading, { tabindex: "-1" }, title),
    make("p", { class: "muted" }, words),
    ...fields.map(({ row }) => row),
    trouble,
    press,
  );

  function complain(message, wrong) {
    trouble.textContent = message;
    for (const { input } of fields) input.setAttribute("aria-invalid", String(input === wrong));
    wrong?.focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const empty = fields.find(({ input }) => !input.value.trim());
    if (empty) return complain("This is needed.", empty.input);
    whileBusy(press, async () => {
      complain("");
      try {
        await act();
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        const wrong = problem.code === "link_over" ? null : fields[0]?.input;
        complain(problem.message, wrong);
      }
    });
  });
  show(place, form);
}

/** Shows a heading, some words, and where to go from here. */
export function say(place, { title, words, to, go, heading = "h1" }) {
  show(
    place,
    make(
      "section",
      { class: "card form account-form" },
      make(heading, { tabindex: "-1" }, title),
      make("p", { class: "muted", role: "status" }, words),
      make("a", { class: "button button-primary button-wide", href: to }, go),
    ),
  );
}

/** What stands behind the # of this address, as `[what it is for, the token]`; two empty words where nothing does. */
export function linkHere() {
  const [purpose = "", token = ""] = location.hash.slice(1).split("=", 2);
  return [purpose, token];
}

/** The link has done what it is for: it leaves the address, and with that what the browser remembers of it. */
export function forgetLink() {
  history.replaceState(null, "", location.pathname);
}

function show(place, card) {
  place.replaceChildren(card);
  card.querySelector("h1, h2").focus();
}
