/**
 * Showing a second factor: a code of an app, a recovery code in its place, or a passkey. For logging in and for stepping up.
 */
import { make, whileBusy } from "./dom.js";
import { canUsePasskeys } from "./passkeys.js";
import { Problem } from "./problem.js";

const WAYS = {
  totp: {
    field: "code",
    label: "Code of your app",
    hint: "Six digits; each works once.",
    attributes: { inputmode: "numeric", autocomplete: "one-time-code", maxlength: 10 },
    other: "Use the code of my app",
  },
  recovery_code: {
    field: "recovery_code",
    label: "Recovery code",
    hint: "Three groups of four, from your paper; each works once.",
    attributes: { autocomplete: "off", autocapitalize: "characters", maxlength: 40 },
    other: "Use a recovery code",
  },
  password: {
    field: "password",
    label: "Password",
    hint: "",
    attributes: { type: "password", autocomplete: "current-password", maxlength: 512 },
    other: "Use my password",
  },
};

/**
 * @param {{heading?: string, title: string, note: string, ways: string[], button: string, back: string,
 *          onProof: (proof: Record<string, string>) => Promise<void>, onPasskey: () => Promise<void>, onBack: () => void}} options
 *   `ways`: of totp, recovery_code, password, passkey
 * @returns {HTMLFormElement}
 */
export function factorForm({ heading = "h1", title, note, ways, button, back, onProof, onPasskey, onBack }) {
  const typed = ways.filter((way) => way in WAYS);
  const trouble = make("p", { class: "trouble", role: "alert" });
  const place = make("div", { class: "field" });
  const submit = make("button", { class: "button button-primary button-wide", type: "submit" }, button);
  const others = make("div", { class: "form-others" });
  const passkey =
    ways.includes("passkey") && canUsePasskeys()
      ? make("button", { class: "button button-wide", type: "button", onclick: () => run(passkey, onPasskey) }, "Use a passkey")
      : null;
  let way = "";
  let input = null;

  async function run(pressed, work) {
    await whileBusy(pressed, async () => {
      trouble.textContent = "";
      input?.removeAttribute("aria-invalid");
      try {
        await work();
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        trouble.textContent = problem.message;
        if (pressed === submit && input) {
          input.setAttribute("aria-invalid", "true");
          input.select();
          input.focus();
        }
      }
    });
  }

  function turn(next, { focus = true } = {}) {
    way = next;
    const { label, hint, attributes } = WAYS[way];
    input = make("input", { id: "factor-proof", required: true, type: "text", "aria-describedby": "factor-hint", ...attributes });
    const said = make("small", { id: "factor-hint", class: "hint" }, hint);
    place.replaceChildren(make("label", { for: "factor-proof" }, label), input, said);
    others.replaceChildren(
      ...typed
        .filter((one) => one !== way)
        .map((one) => make("button", { class: "link", type: "button", onclick: () => turn(one) }, WAYS[one].other)),
      make("button", { class: "link", type: "button", onclick: onBack }, back),
    );
    trouble.textContent = "";
    if (focus) input.focus();
  }

  const form = make(
    "form",
    { class: "form account-form", novalidate: true },
    make(heading, { tabindex: "-1", "data-heading": true, id: "factor-title" }, title),
    make("p", { class: "muted" }, note),
    typed.length ? place : null,
    trouble,
    typed.length ? submit : null,
    passkey,
    others,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!input) return;
    if (!input.value.trim()) {
      trouble.textContent = "Enter it first.";
      input.focus();
      return;
    }
    const proof = { [WAYS[way].field]: way === "password" ? input.value : input.value.trim() };
    run(submit, () => onProof(proof));
  });
  if (typed.length) turn(typed[0], { focus: false });
  else others.append(make("button", { class: "link", type: "button", onclick: onBack }, back));
  return form;
}

/**
 * The second step of a log-in, in place of what was in `place`: the first proof was right, and is not enough.
 * @param {HTMLElement} place
 * @param {import("./login.js").Login} login
 * @param {{token: string, factors: string}} needed the data of `second_factor_needed`
 * @param {{onDone: () => void, onBack: () => void}} then
 */
export function secondStep(place, login, { token, factors }, { onDone, onBack }) {
  const form = factorForm({
    title: "One more step",
    note: "That was right. Now show your second factor.",
    ways: String(factors).split(" "),
    button: "Log in",
    back: "Log in as somebody else",
    onProof: async (proof) => {
      await login.finish({ token, ...proof });
      onDone();
    },
    onPasskey: async () => {
      await login.withPasskey();
      onDone();
    },
    onBack,
  });
  form.classList.add("card");
  place.replaceChildren(form);
  (form.querySelector("input") ?? form.querySelector("button"))?.focus();
}
