/**
 * Where the links in mails about an account lead. Nothing is done before a button is pressed: mail programs look at links, too.
 *
 * `#register=…` finishes a registration, `#confirm=…` proves an address, `#change=…` gives the account this address, `#undo=…` gives
 * it the old one back.
 */
import { ask, forgetLink, linkHere, say } from "./account-card.js";
import { field } from "./account-form.js";
import { byId } from "./dom.js";
import { call } from "./http.js";
import { finishRegistration } from "./login.js";

const place = byId("card");

const LINKS = {
  register: (token) => {
    const password = field({
      name: "password",
      label: "Password",
      type: "password",
      autocomplete: "current-password",
      maxlength: 512,
      hint: "The one that you chose when you registered.",
    });
    ask(place, {
      title: "One step is left",
      words: "Type the password that you chose, and your account is ready.",
      fields: [password],
      button: "Finish registering",
      act: async () => {
        const account = await finishRegistration({ token, password: password.input.value });
        forgetLink();
        const coach = account.roles.includes("coach");
        say(place, {
          title: `Welcome, ${account.name}`,
          words: "Your address is confirmed, and you are logged in.",
          to: coach ? "/coach" : "/athlete",
          go: coach ? "To your classes" : "Start training",
        });
      },
    });
  },
  confirm: (token) =>
    press(token, "/v1/email-confirmations", {
      title: "Confirm your address",
      words: "Press the button to show that you read the mail of this address.",
      button: "Confirm the address",
      done: "Your address is confirmed",
      next: "Nothing else is needed.",
    }),
  change: (token) =>
    press(token, "/v1/email-changes/finish", {
      title: "Use this address",
      words: "Press the button, and your account has the address that this mail went to. Log in with it from then on.",
      button: "Use this address",
      done: "Your account has its new address",
      next: "We have told the old address, too; for two weeks it can take this back.",
    }),
  undo: (token) =>
    press(token, "/v1/email-changes/undo", {
      title: "Take it back",
      words:
        "Press the button, and your account has the address again that this mail went to. All devices are logged out, and its password is good no more.",
      button: "Take it back",
      done: "Your account has its old address again",
      next: "We have sent you a link to choose a new password. Look into your mail.",
    }),
};

function press(token, path, { title, words, button, done, next }) {
  ask(place, {
    title,
    words,
    button,
    act: async () => {
      await call("POST", path, { body: { token } });
      forgetLink();
      say(place, { title: done, words: next, to: "/account", go: "To your account" });
    },
  });
}

function show() {
  const [purpose, token] = linkHere();
  if (token && Object.hasOwn(LINKS, purpose)) LINKS[purpose](token);
  else
    say(place, {
      title: "This link is not complete",
      words: "Copy it whole from the mail: it ends with a long row of letters and digits.",
      to: "/account",
      go: "To your account",
    });
}

window.addEventListener("hashchange", show);
show();
