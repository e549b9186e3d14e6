/**
 * The page that asks somebody whether an app may: what it wants, in words, and where the answer goes.
 *
 * Whatever is wrong with who asks and where the answer would go is said here and leads nowhere; the server alone says where a
 * browser is sent (docs/systems/apps.md). What was agreed to before is not asked again.
 */
import { accountForm } from "./account-form.js";
import { PARAMETERS, requestOf } from "./authorize-request.js";
import { byId, make, setText, showView, whileBusy } from "./dom.js";
import { chosenLogin } from "./login.js";
import { Problem } from "./problem.js";

const login = chosenLogin();
const { request, twice } = requestOf(location.search);
let shownFor = null;

function leadNowhere(words) {
  setText(byId("wrong"), words);
  showView("wrong");
}

async function decide(allow) {
  setText(byId("trouble"), "");
  try {
    const { redirect } = await login.call("POST", "/v1/oauth/decisions", { ...request, allow });
    location.replace(redirect);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    setText(byId("trouble"), problem.message);
  }
}

async function ask() {
  let question;
  try {
    question = await login.call("POST", "/v1/oauth/requests", request);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    leadNowhere(problem.message);
    return;
  }
  if (question.redirect) {
    location.replace(question.redirect);
    return;
  }
  setText(byId("app-name"), question.name);
  setText(byId("place"), question.place);
  byId("scopes").replaceChildren(...question.scopes.map(({ allows }) => make("li", {}, allows)));
  if (question.remembered) {
    await decide(true);
    if (!byId("trouble").textContent) return;
  }
  showView("question");
}

async function begin() {
  const { account } = login;
  shownFor = account?.id ?? null;
  setText(byId("who"), account?.name ?? "");
  byId("log-out").hidden = !account;
  if (twice) {
    leadNowhere(`The app has sent you here with ${twice} given twice. It has made a mistake, or somebody means no good.`);
  } else if (!PARAMETERS.some((name) => request[name])) {
    leadNowhere("This page is for apps that want to be let in: open the app, and start there.");
  } else if (account) {
    await ask();
  } else {
    accountForm(document.querySelector("[data-view=account]"), login, { as: "yourself", onDone: () => {} });
    showView("account");
  }
}

byId("allow").addEventListener("click", (event) => whileBusy(event.currentTarget, () => decide(true)));
byId("refuse").addEventListener("click", (event) => whileBusy(event.currentTarget, () => decide(false)));
byId("log-out").addEventListener("click", () => login.logOut());
login.onChange(() => {
  if ((login.account?.id ?? null) !== shownFor) begin();
});
await begin();
