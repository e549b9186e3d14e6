/**
 * Logging in and registering, one form with two faces, for the coach's and the athlete's page.
 */
import { make, whileBusy } from "./dom.js";
import { secondStep } from "./factor-form.js";
import { canUsePasskeys } from "./passkeys.js";
import { call } from "./http.js";
import { Problem } from "./problem.js";
import { providerButtons } from "./signing-in.js";

/** Where the server gives no cookie (login-store.js), whoever logs in should know how long that will be. */
const PASSING = window.isSecureContext ? "" : " This page came over plain http: you stay logged in in this tab only.";

const FACES = {
  login: { title: "Log in", button: "Log in", other: "No account yet? Register", password: "current-password" },
  register: {
    title: "Create an account",
    button: "Register",
    other: "Have an account? Log in",
    password: "new-password",
  },
};

/**
 * @param {HTMLElement} place
 * @param {import("./login.js").Login} login
 * @param {{as: string, onDone: () => void}} options `as`: "a coach", "an athlete"
 */
export function accountForm(place, login, { as, onDone }) {
  let face = "login";
  const title = make("h1", { tabindex: "-1", "data-heading": true });
  const note = make("p", { class: "muted" });
  const trouble = make("p", { class: "trouble", role: "alert" });
  const name = field({
    name: "name",
    label: "Name",
    type: "text",
    autocomplete: "name",
    maxlength: 80,
    hint: "As others see it on the board.",
  });
  const email = field({ name: "email", label: "E-mail", type: "email", autocomplete: "username", maxlength: 254 });
  const password = field({
    name: "password",
    label: "Password",
    type: "password",
    autocomplete: "current-password",
    maxlength: 128,
    hint: "At least 10 characters.",
  });
  const button = make("button", { class: "button button-primary button-wide", type: "submit" });
  const passkey = make(
    "button",
    {
      class: "button button-wide",
      type: "button",
      onclick: () =>
        whileBusy(passkey, async () => {
          complain("");
          try {
            await byPasskey();
          } catch (problem) {
            if (!(problem instanceof Problem)) throw problem;
            complain(problem.message);
          }
        }),
    },
    "Log in with a passkey",
  );
  const other = make("button", {
    class: "link",
    type: "button",
    onclick: () => turn(face === "login" ? "register" : "login"),
  });
  const lost = make("a", { class: "link", href: "/reset" }, "Lost your password?");
  const others = make("div", { class: "other-ways", hidden: true });
  const form = make(
    "form",
    { class: "card form account-form", novalidate: true },
    title,
    note,
    name.row,
    email.row,
    password.row,
    trouble,
    button,
    passkey,
    other,
    lost,
    others,
  );

  function turn(next) {
    face = next;
    const words = FACES[face];
    title.textContent = words.title;
    note.textContent = (face === "login" ? `Welcome back. Log in as ${as}.` : `Register as ${as}. It takes a minute.`) + PASSING;
    button.textContent = words.button;
    other.textContent = words.other;
    password.input.autocomplete = words.password;
    name.row.hidden = face === "login";
    lost.hidden = face !== "login";
    password.hint.hidden = face === "login";
    passkey.hidden = face !== "login" || !canUsePasskeys();
    complain("");
  }

  function complain(message, where = "") {
    trouble.textContent = message;
    for (const part of [name, email, password])
      part.input.setAttribute("aria-invalid", String(part.input.name === where));
    const wrong = [name, email, password].find((part) => part.input.name === where);
    wrong?.input.focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = { email: email.input.value.trim(), password: password.input.value, name: name.input.value.trim() };
    if (face === "register" && !fields.name) return complain("Enter your name.", "name");
    if (!fields.email) return complain("Enter your e-mail address.", "email");
    if (!fields.password) return complain("Enter your password.", "password");
    whileBusy(button, async () => {
      complain("");
      try {
        if (face === "register" && (await registered(fields)) === "mailed") return;
        if (face === "login") await login.logIn(fields);
        form.reset();
        onDone();
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        if (problem.code === "second_factor_needed") return askFactor(problem.data);
        complain(
          problem.message,
          problem.field ||
            (problem.code === "weak_password" ? "password" : problem.code === "email_taken" ? "email" : ""),
        );
      }
    });
  });

  function askFactor(needed) {
    secondStep(place, login, needed, {
      onDone,
      onBack: () => {
        form.reset();
        turn("login");
        place.replaceChildren(form);
        title.focus();
      },
    });
  }

  async function byPasskey() {
    await login.withPasskey();
    onDone();
  }

  /** Makes the account, or, where addresses are proved first, has the mail sent and says so. */
  async function registered(fields) {
    try {
      await login.register(fields);
      return "made";
    } catch (problem) {
      if (problem.code !== "verify_first") throw problem;
    }
    mailed(await login.beginRegistration(fields));
    return "mailed";
  }

  function mailed(begun) {
    const said = make("p", { class: "said", role: "status" });
    const again = make("button", { class: "link", type: "button" }, "Nothing there? Send it again");
    again.addEventListener("click", () =>
      whileBusy(again, async () => {
        try {
          await call("POST", `/v1/registrations/${begun.id}/resend`);
          said.textContent = "If a minute has passed since the last one, another mail is on its way.";
        } catch (problem) {
          if (!(problem instanceof Problem)) throw problem;
          said.textContent = problem.message;
        }
      }),
    );
    const heading = make("h1", { tabindex: "-1" }, "Look into your mail");
    place.replaceChildren(
      make(
        "section",
        { class: "card form account-form" },
        heading,
        make("p", { class: "muted" }, `We have written to ${begun.email}. Follow the link in that mail within a day to finish.`),
        said,
        again,
      ),
    );
    heading.focus();
  }

  turn("login");
  place.replaceChildren(form);
  providerButtons(others, login, complain);
}

/** A labelled input in a row of its own. */
export function field({ label, hint = "", ...attributes }) {
  const id = `field-${attributes.name}`;
  const input = make("input", { id, required: true, "aria-describedby": `${id}-hint`, ...attributes });
  const said = make("small", { id: `${id}-hint`, class: "hint" }, hint);
  return { input, hint: said, row: make("div", { class: "field" }, make("label", { for: id }, label), input, said) };
}
