/**
 * The page on which somebody lets a big screen in: the code on the screen, what asks, which class it is to show.
 *
 * The QR beside the code leads here with the code behind the #, which no server is sent. It is a claim and no more: whoever comes by
 * it is asked whether they see the same code on the screen (RFC 8628, 5.4).
 */
import { accountForm } from "./account-form.js";
import { byId, make, setText, showView, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { chosenLogin, Login } from "./login.js";
import { asksWords, isCode, spelledCode } from "./pairing-words.js";

const login = chosenLogin();
let shownFor = null;
let asking = null;

function askForCode(typed = "", trouble = "") {
  asking = null;
  byId("code").value = typed;
  setText(byId("code-trouble"), trouble);
  showView("code", { focus: false });
  byId("code").focus();
}

async function look(typed) {
  if (!isCode(typed)) {
    askForCode(typed, "A code has eight letters.");
    return;
  }
  let told = null;
  const known = await guarded(byId("code-trouble"), async () => {
    told = await login.call("POST", "/v1/pairings/requests", { user_code: spelledCode(typed) });
  });
  if (known) question(told);
  else askForCode(spelledCode(typed), byId("code-trouble").textContent);
}

function question(told) {
  asking = told;
  setText(byId("trouble"), "");
  setText(byId("user-code"), told.user_code);
  setText(byId("asks"), asksWords(told));
  byId("classes").replaceChildren(
    ...told.classes.map((one, n) =>
      make(
        "label",
        {},
        make("input", { type: "radio", name: "class", value: one.id, checked: n === 0 }),
        make("span", {}, one.title, make("small", {}, `with ${one.coach_name || "nobody"}, code ${one.code}`)),
      ),
    ),
  );
  const some = told.classes.length > 0;
  byId("choice").hidden = !some;
  byId("no-class").hidden = some;
  byId("agree").hidden = !some;
  showView("question");
}

async function answer(classId) {
  const done = await guarded(byId("trouble"), () =>
    login.call("POST", "/v1/pairings/decisions", { user_code: asking.user_code, class_id: classId }),
  );
  if (!done) return;
  const title = asking.classes.find((one) => one.id === classId)?.title;
  setText(byId("done"), classId ? `The screen shows “${title}” in a moment` : "The screen was refused");
  setText(byId("done-more"), classId ? "You can put this phone away." : "It was told so, and gets nothing.");
  history.replaceState(null, "", location.pathname + location.search);
  showView("done");
}

async function begin() {
  const { account } = login;
  shownFor = account?.id ?? null;
  setText(byId("who"), account?.name ?? "");
  byId("log-out").hidden = !account;
  const other = new Login(login.side === "coach" ? "athlete" : "coach");
  byId("other-side").hidden = !other.account || other.account.id === account?.id;
  byId("other-side").href = `?as=${other.side}${location.hash}`;
  setText(byId("other-name"), other.account?.name ?? "");
  if (!account) {
    accountForm(document.querySelector("[data-view=account]"), login, { as: "yourself", onDone: () => {} });
    showView("account");
    return;
  }
  const brought = location.hash.slice(1);
  if (brought) await look(brought);
  else askForCode();
}

byId("code-form").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(event.submitter ?? event.currentTarget, () => look(byId("code").value));
});
byId("answer-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const chosen = new FormData(event.currentTarget).get("class");
  if (chosen) whileBusy(byId("agree"), () => answer(String(chosen)));
});
byId("refuse").addEventListener("click", (event) => whileBusy(event.currentTarget, () => answer(null)));
byId("another").addEventListener("click", () => askForCode());
byId("log-out").addEventListener("click", () => login.logOut());
window.addEventListener("hashchange", () => begin());
login.onChange(() => {
  if ((login.account?.id ?? null) !== shownFor) begin();
});
await begin();
