/**
 * Back from a provider: hands in its answer, waits while a worker asks who it is, and goes on where one came from.
 */
import { byId, setText } from "./dom.js";
import { secondStep } from "./factor-form.js";
import { call } from "./http.js";
import { Login } from "./login.js";
import { Problem } from "./problem.js";
import { takeLeft } from "./signing-in.js";

const WAIT_MS = 60_000;

const answer = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
// The code is nobody's business: neither the history nor what is copied from the address bar has it.
history.replaceState(null, "", location.pathname);

const left = takeLeft();

async function finished() {
  if (!left) throw elsewhere();
  const { id, secret, linking } = left;
  const login = new Login(left.side);
  let now = await call("POST", `/v1/sign-ins/${id}/return`, { body: { secret, ...answer } });
  const until = performance.now() + WAIT_MS;
  while (now.state === "waiting") {
    if (performance.now() > until) throw tooLong();
    await new Promise((resolve) => setTimeout(resolve, now.again_in_ms));
    now = await patient(() => login.finishSignIn(id, secret));
    if (performance.now() > until - WAIT_MS + 3_000)
      setText(byId("said"), linking ? "The provider takes its time. Still waiting …" : "The provider takes its time. Nearly there …");
  }
}

/** An answer that is lost on the way is asked for again, as long as that can help. */
async function patient(ask) {
  try {
    return await ask();
  } catch (problem) {
    if (!(problem instanceof Problem) || !problem.retry) throw problem;
    return { state: "waiting", again_in_ms: problem.retryAfterMs ?? 1_000 };
  }
}

function elsewhere() {
  return new Problem({ code: "sign_in_unknown", message: "This sign-in was begun in another tab or browser. Begin again here." });
}

function tooLong() {
  return new Problem({ code: "no_answer", message: "The provider did not say who you are in time. Try again." });
}

const back = left?.back ?? "/athlete";
try {
  await finished();
  location.replace(back);
} catch (problem) {
  if (!(problem instanceof Problem)) throw problem;
  if (problem.code === "second_factor_needed") showSecondStep(problem.data);
  else showTrouble(problem);
}

function showSecondStep(needed) {
  const onward = () => location.replace(back);
  secondStep(document.querySelector("main .narrow"), new Login(left.side), needed, { onDone: onward, onBack: onward });
}

function showTrouble(problem) {
  const linkIt = problem.code === "link_needed";
  setText(byId("title"), linkIt ? "You have an account already" : left?.linking ? "Not linked" : "Not signed in");
  setText(byId("said"), "");
  setText(byId("trouble"), problem.message);
  const onward = byId("onward");
  onward.href = linkIt ? `/account${left.side === "coach" ? "?as=coach" : ""}` : back;
  onward.textContent = linkIt ? "Log in and link it" : "Go back";
  onward.hidden = false;
  byId("title").focus();
}
