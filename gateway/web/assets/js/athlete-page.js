/**
 * The athlete's page: log in, say who you are, train, read how it went.
 *
 * A workout that was running when the page went away is taken up again at once; its samples are still on this device.
 */
import { accountForm } from "./account-form.js";
import { bodyOf } from "./body.js";
import { byId, make, setText, showView, whileBusy } from "./dom.js";
import { choose, chosenCurve } from "./ghost.js";
import { followInbox, showInboxLink } from "./inbox-link.js";
import { openKeep } from "./keep.js";
import { Live } from "./live.js";
import { DisplayPass, Login } from "./login.js";
import { showPast, showWorkout } from "./past.js";
import { Problem } from "./problem.js";
import { profileForm, showProfile } from "./profile-form.js";
import { followSafety } from "./safety-prompt.js";
import { showingChoice } from "./showing.js";
import { showStanding } from "./standing.js";
import { bluetoothWorks } from "./strap.js";
import { TeamChoice } from "./team-choice.js";
import { Training } from "./training.js";
import { useUnits } from "./units.js";
import { clock, effortWords, moment } from "./words.js";

const MOST_CLASSES = 5;
const CODE = /^[A-Z0-9]{4,12}$/;
const ASKED_MS = 3_000; // a code that was looked up a moment ago is not looked up again

const login = new Login("athlete");
const keep = await openKeep();
const teams = new TeamChoice(byId("team"), byId("team-choice"));
/** The class of a join code, or why there is none, by code. @type {Map<string, Promise<any>>} */
const classes = new Map();
/** @type {Training | null} */
let training = null;
let shownFor = null;

login.onChange(() => {
  if ((login.account?.id ?? null) !== shownFor) enter();
});
profileForm(login, () => setText(byId("who"), login.account.name));
byId("log-out").addEventListener("click", () => login.logOut());
byId("summary-home").addEventListener("click", () => home());
byId("join").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(event.target.querySelector("[type=submit]"), start);
});
byId("code").addEventListener("change", offerTeams);
byId("code").addEventListener("input", () => typedCode() === teams.shownFor || teams.hide());
offerSources();
byId("code").value = new URLSearchParams(location.search).get("code")?.toUpperCase() ?? "";
await enter();

async function enter() {
  training?.stop();
  training = null;
  byId("sign").hidden = true;
  const { account } = login;
  shownFor = account?.id ?? null;
  useUnits(account);
  setText(byId("who"), account?.name ?? "");
  byId("log-out").hidden = !account;
  showInboxLink(login);
  if (!account) {
    accountForm(document.querySelector("[data-view=account]"), login, { as: "an athlete", onDone: () => {} });
    showView("account");
    return;
  }
  const [running] = (await keep.streams(account.id)).slice(-1);
  const workout = new URLSearchParams(location.hash.slice(1)).get("workout");
  if (running) await resume(running);
  else if (workout) await showWorkout(workout, login);
  else await home();
}

async function home() {
  history.replaceState(null, "", location.pathname + location.search);
  document.title = "Athlete · Paceline";
  byId("sign").hidden = true;
  showProfile(login.account);
  showView("home");
  setText(byId("join-trouble"), "");
  try {
    showProfile(await login.reload());
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    setText(byId("profile-trouble"), problem.message);
  }
  if (!login.account) return;
  showingChoice(byId("showing-home"), "showing-home", {
    load: () => login.call("GET", "/v1/me/display"),
    save: (choice) => login.call("PUT", "/v1/me/display", choice),
  });
  await Promise.all([showPast(login), offerGhosts(), offerTeams()]);
}

function typedCode() {
  return byId("code").value.trim().toUpperCase();
}

/** Shows the teams of the class whose code is there; what is wrong with a code is said by the start. */
async function offerTeams() {
  const code = typedCode();
  if (!CODE.test(code)) return;
  try {
    const view = await classOf(code);
    if (code === typedCode()) teams.offer(code, view);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    console.info("the teams of this class are not known:", problem.message);
  }
}

function offerSources() {
  const bluetooth = document.querySelector("[name=source][value=bluetooth]");
  bluetooth.disabled = !bluetoothWorks();
  if (bluetoothWorks()) {
    bluetooth.checked = true;
    return;
  }
  setText(
    byId("bluetooth-hint"),
    window.isSecureContext
      ? "This browser has no Web Bluetooth. Chrome and Edge have it, on Android, Windows and Mac."
      : "Browsers allow Bluetooth on https pages only. Ask for the secure address of this server.",
  );
}

async function start() {
  const classCode = typedCode();
  const trouble = byId("join-trouble");
  setText(trouble, "");
  if (classCode && !CODE.test(classCode)) {
    setText(trouble, "A join code has 4 to 12 letters and digits.");
    byId("code").focus();
    return;
  }
  const source = document.querySelector("[name=source]:checked").value;
  let title = "";
  try {
    // A mistyped code is said now, and not by a workout that cannot be opened.
    if (classCode) {
      const seen = teams.shownFor === classCode; // before this press, and not by its own way there
      const view = await classOf(classCode);
      title = view.title;
      teams.offer(classCode, view);
      if (teams.asks && !seen) {
        setText(trouble, "This class has teams: choose yours, and start.");
        byId("team").querySelector("input").focus();
        return;
      }
    }
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    setText(trouble, problem.message);
    byId("code").focus();
    return;
  }
  const live = new Live(login);
  const next = newTraining(live, source);
  try {
    const team = classCode ? teams.chosen : null;
    await next.begin({ account: login.account.id, classCode: classCode || null, title, team });
  } catch (refused) {
    next.stop();
    setText(trouble, `No sensor: ${refused.message}`);
    return;
  }
  localStorage.setItem("paceline.source", source);
  choose(byId("ghost-of").value);
  go(next, live);
}

/** The class of a join code; asked for at once by two, it is asked for once. */
function classOf(classCode) {
  if (!classes.has(classCode)) {
    const pass = new DisplayPass(classCode);
    classes.set(
      classCode,
      pass.token().then(() => pass.room),
    );
    setTimeout(() => classes.delete(classCode), ASKED_MS);
  }
  return classes.get(classCode);
}

async function resume(kept) {
  const source =
    localStorage.getItem("paceline.source") === "bluetooth" && bluetoothWorks() ? "bluetooth" : "simulated";
  await login.complete(); // zones are judged by the body, of which nothing is kept
  if (login.account?.id !== shownFor) return;
  const live = new Live(login);
  const next = newTraining(live, source);
  await next.resume(kept);
  go(next, live);
}

function newTraining(live, source) {
  return new Training({
    live,
    keep,
    source,
    body: bodyOf(login.account, new Date()),
    onOver: (workout) => {
      training = null;
      byId("sign").hidden = true;
      document.body.classList.remove("is-away");
      byId("code").value = "";
      teams.hide();
      showInboxLink(login);
      showWorkout(workout, login);
    },
    onGivenUp: () => {
      training = null;
      home();
    },
  });
}

function go(next, live) {
  training = next;
  followInbox(live);
  followSafety(live, login);
  byId("sign").hidden = false;
  const meanwhile = next.room
    ? "Your samples are kept here; points and rank are hidden until we are back."
    : "Your samples are kept here until we are back.";
  showStanding(byId("sign"), live, { meanwhile });
  showView("live");
  live.start();
  race(next);
}

/** The curve is no reason to wait, and none to fail: without it the workout goes on. */
async function race(next) {
  next.race(null);
  try {
    next.race(await chosenCurve(login));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    console.info("there is no ghost to race:", problem.message);
  }
}

/** What may be raced: one's last workouts, with what they came to; of those in classes the leader and the median, too. */
async function offerGhosts() {
  try {
    const { workouts } = await login.call("GET", "/v1/workouts?limit=30");
    const options = workouts
      .filter(({ summary }) => summary?.edwards > 0)
      .map(({ id, created_at_ms: at, summary }) =>
        make(
          "option",
          { value: id },
          `${moment(at)} · ${clock(summary.duration_ms)} · ${effortWords(summary.edwards)} points`,
        ),
      );
    const inClasses = workouts.filter(({ class_id: id, summary }) => id && summary).slice(0, MOST_CLASSES);
    const pacers = inClasses.flatMap(({ class_id: id, created_at_ms: at }) =>
      ["leader", "median"].map((who) =>
        make("option", { value: `classes/${id}/ghosts/${who}` }, `The ${who} of your class of ${moment(at)}`),
      ),
    );
    byId("ghost-of").replaceChildren(make("option", { value: "" }, "none"), ...options, ...pacers);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    console.info("past workouts are not known:", problem.message);
  }
}
