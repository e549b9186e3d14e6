/**
 * A new password for who has lost theirs: without a link, asking for one; with `#reset=…`, choosing it.
 */
import { ask, forgetLink, linkHere, say } from "./account-card.js";
import { field } from "./account-form.js";
import { byId } from "./dom.js";
import { call } from "./http.js";

const place = byId("card");

function askForLink() {
  const email = field({ name: "email", label: "E-mail", type: "email", autocomplete: "username", maxlength: 254 });
  ask(place, {
    title: "Lost your password?",
    words: "Type the address of your account, and we send you a link to choose a new one.",
    fields: [email],
    button: "Send the link",
    act: async () => {
      const address = email.input.value.trim();
      await call("POST", "/v1/password-resets", { body: { email: address } });
      say(place, {
        title: "Look into your mail",
        words: `If ${address} has an account, a link is on its way. It is good for half an hour. Nothing there? Look among the spam.`,
        to: "/account",
        go: "Back to the login",
      });
    },
  });
}

function choose(token) {
  const password = field({
    name: "password",
    label: "New password",
    type: "password",
    autocomplete: "new-password",
    maxlength: 128,
    hint: "At least 10 characters. Three or four unrelated words make a good one.",
  });
  ask(place, {
    title: "Choose a new password",
    words: "All your devices are logged out with it.",
    fields: [password],
    button: "Change it",
    act: async () => {
      await call("POST", "/v1/password-resets/finish", { body: { token, password: password.input.value } });
      forgetLink();
      say(place, {
        title: "Your password is changed",
        words: "All your devices are logged out. Log in with the new one.",
        to: "/account",
        go: "Log in",
      });
    },
  });
}

function show() {
  const [purpose, token] = linkHere();
  if (purpose === "reset" && token) choose(token);
  else askForLink();
}

window.addEventListener("hashchange", show);
show();
