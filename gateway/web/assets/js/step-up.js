/**
 * Stepping up: what answers `step_up_needed` is done again after the owner has proven that it is still them.
 */
import { make } from "./dom.js";
import { factorForm } from "./factor-form.js";
import { showPasskey } from "./passkeys.js";
import { Problem } from "./problem.js";

/**
 * Does `work`; where a proof is needed, asks for it and does `work` again. Raises `Problem`, also when none was given.
 * @template T
 * @param {import("./login.js").Login} login
 * @param {() => Promise<T>} work
 * @param {{factor?: boolean}} [needs] `factor`: only a second factor proves it, so whoever has none is told to set one up
 * @returns {Promise<T>}
 */
export async function steppingUp(login, work, { factor = false } = {}) {
  try {
    return await work();
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.code !== "step_up_needed") throw problem;
  }
  const has = await login.call("GET", "/v1/me/second-factor");
  if (factor && !has.required) {
    throw refused("This needs a second factor, and you have none: add an authenticator app or a passkey on the page of your account.");
  }
  if (!(await asked(login, waysOf(has)))) {
    throw refused("Nothing was done: this needs a proof that it is still you.");
  }
  return work();
}

/** What proves it: a second factor where there is one, the password otherwise. */
export function waysOf({ required, totp_since_ms, passkeys, recovery_codes }) {
  if (!required) return ["password"];
  return [totp_since_ms !== null && "totp", passkeys.length && "passkey", recovery_codes && "recovery_code"].filter(Boolean);
}

function refused(message) {
  return new Problem({ code: "step_up_needed", message });
}

function asked(login, ways) {
  return new Promise((resolve) => {
    const proven = async (proof) => {
      login.keepFresh(await login.call("POST", "/v1/me/step-up", proof));
      dialog.close("proven");
    };
    const form = factorForm({
      heading: "h2",
      title: "Is it still you?",
      note: "What you are about to do needs a proof. It counts for ten minutes.",
      ways,
      button: "Go on",
      back: "Cancel",
      onProof: proven,
      onPasskey: async () => proven({ passkey: await showPasskey(await login.call("POST", "/v1/me/step-up/options")) }),
      onBack: () => dialog.close(),
    });
    const dialog = make("dialog", { class: "dialog step-up", "aria-labelledby": "factor-title" }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "proven");
    });
    document.body.append(dialog);
    dialog.showModal();
    form.querySelector("input")?.focus();
  });
}
