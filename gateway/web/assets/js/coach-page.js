/**
 * The coach's page: log in, start a class, watch over it, end it, read how it went.
 *
 * Starting and ending go over HTTP, so they work while the socket is on its way back. The address remembers the class
 * (`#class=…`), so a reload returns to it. In every view there is a socket: who has just ended a class may be needed yet.
 */
import { accountForm } from "./account-form.js";
import { Chat } from "./chat.js";
import { ClockAgreement, agreementWords } from "./clock-agreement.js";
import { ClockControls } from "./clock-controls.js";
import { lackingWords } from "./attention.js";
import { Cockpit } from "./cockpit.js";
import { cueBox } from "./cue.js";
import { byId, confirmed, make, setText, showView, whileBusy } from "./dom.js";
import { Helping } from "./helping.js";
import { followInbox, showInboxLink } from "./inbox-link.js";
import { Live } from "./live.js";
import { Login } from "./login.js";
import { metricChoice } from "./metric-words.js";
import { People } from "./people.js";
import { Problem } from "./problem.js";
import { receiptWords } from "./receipts.js";
import { Room } from "./room.js";
import { followAlerts } from "./safety-alerts.js";
import { showStanding } from "./standing.js";
import { awaitClassSummary, standingsOf } from "./standings.js";
import { useUnits } from "./units.js";
import { clock, count, moment, namesIn, span } from "./words.js";

const SUMMARY_AFTER_MS = 1_200; // about how long the server takes to make one

const login = new Login("coach");
/** What the page has a socket for. @type {LiveClass | Helping | Between | null} */
let current = null;
let shownFor = null;

login.onChange(() => {
  if ((login.account?.id ?? null) !== shownFor) enter();
});
byId("log-out").addEventListener("click", () => login.logOut());
byId("end-home").addEventListener("click", () => home());
byId("filter").addEventListener("change", ({ target }) => current?.cockpit?.filterBy(target.value));
byId("people").addEventListener("click", ({ currentTarget }) =>
  whileBusy(currentTarget, async () => current?.people?.open()),
);
byId("help").addEventListener("submit", (event) => {
  event.preventDefault();
  help(byId("help-code").value.trim().toUpperCase());
});
byId("send-out").addEventListener("click", ({ currentTarget }) => current?.sendOut(currentTarget));
byId("sort").addEventListener("change", ({ target }) => current?.cockpit?.sortBy(target.value));
byId("copy").addEventListener("click", () => current && copy(current.view.code));
byId("end").addEventListener("click", ({ currentTarget }) => current?.end(currentTarget));
metricChoice(byId("class-metric"));
byId("ranking").addEventListener("change", ({ target }) => current?.rankBy?.(target));
byId("create").addEventListener("submit", (event) => {
  event.preventDefault();
  create(event.target.querySelector("[type=submit]"));
});

/** The page for whoever is logged in now, or the form for nobody. */
async function enter() {
  current?.close();
  current = null;
  const { account } = login;
  shownFor = account?.id ?? null;
  useUnits(account);
  setText(byId("who"), account?.name ?? "");
  byId("log-out").hidden = !account;
  showInboxLink(login);
  if (!account) {
    byId("sign").hidden = true;
    accountForm(document.querySelector("[data-view=account]"), login, { as: "a coach", onDone: () => {} });
    showView("account");
    return;
  }
  if (!login.has("coach")) {
    notCoach();
    return;
  }
  const id = new URLSearchParams(location.hash.slice(1)).get("class");
  if (id) await open(id);
  else await home();
}

function notCoach() {
  const view = document.querySelector("[data-view=account]");
  view.replaceChildren(
    make(
      "div",
      { class: "card form" },
      make("h1", { tabindex: "-1", "data-heading": true }, "This account is not a coach's"),
      make(
        "p",
        {},
        "It can train but not lead a class. Log out and register as a coach with another e-mail address, or go to your own page.",
      ),
      make(
        "p",
        { class: "actions" },
        make("a", { class: "button button-primary", href: "/athlete" }, "To the athlete page"),
      ),
    ),
  );
  showView("account");
}

async function home({ say = "" } = {}) {
  current?.close();
  current = new Between();
  setText(byId("home-said"), say);
  setText(byId("help-said"), "");
  history.replaceState(null, "", "/coach");
  byId("sign").hidden = true;
  document.title = "Coach · Paceline";
  showView("home");
  await attempt(byId("earlier-trouble"), async () => {
    const { classes } = await login.call("GET", "/v1/classes");
    byId("earlier").replaceChildren(
      ...(classes.length ? classes.map(entry) : [make("li", { class: "muted" }, "None yet.")]),
    );
  });
}

function entry(view) {
  const over = view.state === "over";
  const of = view.leads === "co_coach" ? `${view.coach_name}'s · ` : "";
  const when = over
    ? `${of}${moment(view.created_at_ms)} · ${span(view.ended_at_ms - view.created_at_ms)}`
    : `${of}since ${moment(view.created_at_ms)} · code ${view.code}`;
  return make(
    "li",
    {},
    make(
      "button",
      { class: "list-entry", type: "button", onclick: () => show(view) },
      make("span", {}, make("strong", {}, view.title), make("small", {}, when)),
      over ? make("span", { class: "muted" }, "Summary") : make("span", { class: "live-mark" }, "Live"),
    ),
  );
}

async function create(button) {
  const title = byId("class-title").value.trim();
  if (!title) {
    setText(byId("create-trouble"), "Give the class a title.");
    byId("class-title").focus();
    return;
  }
  await whileBusy(button, () =>
    attempt(byId("create-trouble"), async () => {
      const teams = namesIn(byId("class-teams").value);
      const view = await login.call("POST", "/v1/classes", { title, metric: byId("class-metric").value, teams });
      for (const id of ["class-title", "class-teams"]) byId(id).value = "";
      show(view);
    }),
  );
}

async function open(id) {
  try {
    show(await login.call("GET", `/v1/classes/${encodeURIComponent(id)}`));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    await home();
    setText(byId("earlier-trouble"), problem.message);
  }
}

function show(view) {
  current?.close();
  current = null;
  history.replaceState(null, "", `/coach#class=${view.id}`);
  if (view.state === "over") summary(view);
  else current = new LiveClass(view);
}

/** Comes into somebody else's class and waits to be made a co-coach. */
function help(code) {
  const said = byId("help-said");
  if (!code) return;
  current?.close();
  setText(byId("help-trouble"), "");
  setText(said, "");
  current = new Helping(login, code, {
    onWaiting: (view) => setText(said, `You watch “${view.title}”. ${view.coach_name} can make you a co-coach now.`),
    onLeads: (view) => show(view),
    onProblem: (problem) => {
      current?.close();
      current = new Between();
      setText(said, "");
      setText(byId("help-trouble"), problem.message);
    },
  });
}

async function summary(view, { afterMs = 0 } = {}) {
  current = new Between();
  byId("sign").hidden = true;
  document.title = `${view.title} · Paceline`;
  setText(byId("end-title"), view.title);
  byId("end-replay").href = `/replay?as=coach#${view.id}`;
  byId("end-table").replaceChildren(make("p", { class: "muted", role: "status" }, "The final table is being made…"));
  showView("end");
  let made;
  try {
    made = standingsOf(await awaitClassSummary(view.id, login, { afterMs }));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    made = make("p", { class: "trouble", role: "alert" }, problem.message);
  }
  byId("end-table").replaceChildren(made);
}

/** No class is open: only alerts are heard. */
class Between {
  constructor() {
    this.live = new Live(login);
    this.alerts = followAlerts(this.live, login);
    this.live.start();
  }

  close() {
    this.alerts.close();
    this.live.stop();
  }
}

/** A class while it is live. */
class LiveClass {
  constructor(view) {
    this.view = view;
    this.cockpit = new Cockpit(byId("cards"), byId("counts"));
    this.cockpit.by = byId("sort").value;
    this.cockpit.filter = byId("filter").value;
    this.cockpit.onChosen = () => this.#chosen();
    this.#chosen();
    this.clocks = new ClockAgreement();
    this.live = new Live(login);
    followInbox(this.live);
    this.alerts = followAlerts(this.live, login);
    this.clock = new ClockControls(byId("clock"), (command, key) =>
      this.live.ask("class.control", { class_id: view.id, do: command, key }),
    );
    for (const [event, use] of [
      ["cockpit.snapshot", (told) => this.#everything(told)],
      ["cockpit.changes", (told) => [this.cockpit.needs, this.clocks].forEach((each) => each.apply(told))],
      ["cue.receipts", (told) => setText(byId("receipts"), receiptWords(told))],
      ["steps.progress", (told) => this.cockpit.steps.apply(told)],
    ])
      this.live.on(event, (told) => told.class_id === view.id && use(told));
    setText(byId("receipts"), "");
    byId("lacking").hidden = true;
    metricChoice(byId("ranking"), view.metric ?? "effort");
    this.chat = new Chat(this.live, { leads: true });
    this.room = new Room(
      this.live,
      { code: view.code, role: "coach" },
      {
        onJoined: (room) => {
          this.chat.entered(this.room);
          this.#coaches(room);
        },
        onReset: () => this.chat.entered(this.room),
        onChat: (message) => this.chat.said(message),
        onChatRemoved: (position) => this.chat.removed(position),
        onBoard: () => this.#show(),
        onClock: (clock) => this.#clock(clock),
        onCoaches: (room) => this.#coaches(room),
        onPeople: () => this.people.again(),
        onEnded: (ended) => this.#ended(ended),
        onProblem: (problem) => setText(byId("live-trouble"), problem.message),
      },
    );
    this.people = new People(view, {
      leads: () => this.leads,
      read: () => login.call("GET", `/v1/classes/${view.id}/people`),
      ask: (event, payload) => this.live.ask(event, payload),
    });
    this.#coaches(view);
    document.title = `${view.title} · Paceline`;
    setText(byId("live-title"), view.title);
    setText(byId("live-code"), view.code);
    setText(byId("live-trouble"), "");
    byId("to-script").href = `/script#class=${view.id}`;
    byId("screen").href = `/board?code=${encodeURIComponent(view.code)}`;
    byId("sign").hidden = false;
    cueBox(
      byId("cue-form"),
      (cue) => this.live.ask("cue.send", { class_id: view.id, ...cue }),
      () => this.#audience(),
    );
    setText(byId("cue-said"), "");
    this.showSign = showStanding(byId("sign"), this.live, { inStep: () => this.room.fresh });
    showView("live");
    this.#show();
    this.live.start();
    this.ticker = setInterval(() => this.#tick(), 1_000);
  }

  close() {
    clearInterval(this.ticker);
    this.room.close();
    this.chat.close();
    this.alerts.close();
    this.live.stop();
    this.people.close();
    this.cockpit.clear();
    document.body.classList.remove("is-away");
  }

  async end(button) {
    const yes = await confirmed({
      title: "End this class?",
      text: "Everybody's workout is finished and the final table is made. This cannot be undone.",
      yes: "End the class",
      no: "Go on",
    });
    if (!yes) return;
    await whileBusy(button, () =>
      attempt(byId("live-trouble"), async () => {
        try {
          this.#ended(await login.call("POST", `/v1/classes/${this.view.id}/end`));
        } catch (problem) {
          if (problem.code !== "class_over") throw problem;
          this.#ended({ ...this.view, state: "over" }); // ended meanwhile, from another tab
        }
      }),
    );
  }

  #show() {
    const lines = this.room.board.lines();
    byId("nobody").hidden = lines.length > 0 || !this.room.view;
    if (this.room.view && document.activeElement !== byId("ranking")) byId("ranking").value = this.room.board.metric;
    this.showSign();
    this.cockpit.show(lines, { fresh: this.room.fresh, serverNowMs: this.room.serverNowMs });
  }

  /** Whoever leads the class no longer has nothing to look for here. */
  #coaches(room) {
    const { id } = login.account;
    this.leads = room.coach_id === id ? "coach" : (room.co_coach_ids ?? []).includes(id) ? "co_coach" : null;
    byId("end").hidden = this.leads !== "coach";
    byId("to-script").hidden = this.leads !== "coach";
    setText(byId("live-coach"), this.leads === "coach" ? "" : `${room.coach_name}'s class · you are a co-coach`);
    if (this.leads) this.people.again();
    else if (current === this) home({ say: `You lead “${this.view.title}” no longer.` });
  }

  /** The clock of the class; what its script asks in steps is read when it is another one. */
  async #clock(clock) {
    this.clock.take(clock);
    if (!clock || clock.script === this.script) return;
    this.script = clock.script;
    await attempt(byId("live-trouble"), async () => {
      const { script } = await this.live.ask("timeline.get", { class_id: this.view.id });
      this.cockpit.steps.takeScript(script);
    });
  }

  /** Ranks the board by what is chosen; what the server refuses jumps back. */
  async rankBy(select) {
    await attempt(byId("live-trouble"), () =>
      this.live.ask("ranking.set", { class_id: this.view.id, metric: select.value }),
    );
    this.#show();
  }

  /** For whom the next cue is, as the server has it; null for everybody. */
  #audience() {
    const to = byId("cue-to").value;
    if (to.startsWith("zone-")) return { type: "zone", zone: Number(to.slice(5)) };
    return to === "chosen" && this.cockpit.chosen.size ? { type: "members", n: [...this.cockpit.chosen] } : null;
  }

  /** Whoever is chosen is whom the next cue is for. */
  #chosen() {
    const { size } = this.cockpit.chosen;
    const [to, option] = [byId("cue-to"), byId("cue-to-chosen")];
    setText(option, `${count(size, "athlete")} chosen`);
    option.disabled = size === 0;
    if (size > 0) to.value = "chosen";
    else if (to.value === "chosen") to.value = "all";
    byId("send-out").hidden = size !== 1;
  }

  /** Sends out the one who is chosen. */
  async sendOut(button) {
    const [n] = this.cockpit.chosen;
    const name = this.room.board.line(n)?.name ?? "this athlete";
    const yes = await confirmed({
      title: `Send ${name} out?`,
      text: "They leave the class on all their devices and cannot come back until you let them in. Their score stays.",
      yes: "Send out",
    });
    if (!yes) return;
    await whileBusy(button, () =>
      attempt(byId("live-trouble"), async () => {
        await this.live.ask("member.remove", { class_id: this.view.id, n });
        this.cockpit.chooseNobody();
      }),
    );
  }

  #everything(told) {
    for (const each of [this.cockpit.needs, this.clocks]) each.take(told);
    setText(byId("lacking"), lackingWords(told));
    byId("lacking").hidden = !told.needs;
  }

  /** How well the clocks of the athletes agree. */
  #showClocks() {
    const { now } = this.clocks;
    const words = agreementWords(now, (n) => this.room.board.line(n)?.name ?? `number ${n}`);
    const said = byId("agreement");
    setText(said, words);
    said.hidden = !words;
    said.classList.toggle("differs", now.off.length > 0);
  }

  #tick() {
    this.clock.tick(this.room.serverNowMs);
    this.#showClocks();
    setText(byId("elapsed"), clock(this.room.serverNowMs - this.view.created_at_ms));
    this.cockpit.tick();
  }

  #ended(view) {
    if (current !== this) return;
    current = null;
    this.close();
    summary({ ...this.view, ...view }, { afterMs: SUMMARY_AFTER_MS });
  }
}

async function copy(code) {
  const said = byId("copied");
  try {
    await navigator.clipboard.writeText(code);
    setText(said, "Code copied.");
    setText(byId("copy"), "Copied");
  } catch (refused) {
    // Pages over plain http have no clipboard: select the code, so that the keyboard can copy it.
    console.info("no clipboard here:", refused);
    getSelection().selectAllChildren(byId("live-code"));
    setText(said, "The code is selected; press Ctrl+C.");
    setText(byId("copy"), "Press Ctrl+C");
  }
  setTimeout(() => setText(byId("copy"), "Copy"), 2_500);
}

async function attempt(trouble, work) {
  setText(trouble, "");
  try {
    await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    setText(trouble, problem.message);
  }
}

enter();
