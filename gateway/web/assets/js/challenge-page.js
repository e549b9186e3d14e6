/**
 * One challenge: its leaders and the lines around oneself in one table, live; teams, prizes, the invitation and the score log.
 *
 * The address holds its id behind the #. The socket tells the table anew when it has moved; before there is a socket, and without
 * one, it is asked for. Whoever reads the whole table reads it as it was: rows that move under the eye cannot be read.
 */
import { behindOf, lineOf, rowsOf, winnersOf } from "./challenge-table.js";
import { amountWords, dayOf, rulesWords, stateWords, valueWords, whatCounts } from "./challenge-words.js";
import { copy } from "./copying.js";
import { byId, confirmed, make, setText, showView, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { HeatPanel } from "./heat-panel.js";
import { showInvitation } from "./invitation.js";
import { memberPage } from "./member-page.js";
import { Problem } from "./problem.js";
import { saveLog } from "./score-log.js";
import { count, moment } from "./words.js";

const LEADERS = 10;
const AROUND = 11;
const PAGE = 100;
const AGAIN_MS = 3_000;

class Page {
  constructor(login, live) {
    this.login = login;
    this.live = live;
    this.id = location.hash.slice(1);
    this.challenge = null;
    /** The leaders, and the page around oneself. */
    this.pages = [];
    /** The whole table from its top on, as far as it was asked for; null when it was not. */
    this.whole = null;
    this.again = 0;
    this.heat = new HeatPanel(login, live, (challenge) => {
      this.challenge = challenge;
      this.show();
    });
    live.on("challenge.table", (standing) => this.take(standing));
    live.watch(({ phase }) => {
      if (phase === "connected" && this.challenge) this.look();
    });
  }

  get path() {
    return `/v1/challenges/${encodeURIComponent(this.id)}`;
  }

  async load() {
    await this.guarded(async () => {
      try {
        this.challenge = await this.login.call("GET", this.path);
      } catch (problem) {
        if (!(problem instanceof Problem) || problem.retry) throw problem;
        setText(byId("gone-words"), "There is no challenge here that you are in or have made. Ask for an invitation.");
        showView("gone");
        return;
      }
      showView("home", { focus: false });
      await this.loadTable();
      this.show();
      await this.offerJoining();
    });
  }

  async loadTable() {
    const { you } = this.challenge;
    const around = you === null ? [] : [this.page({ around_me: true, limit: AROUND })];
    this.hold(await Promise.all([this.page({ start: 0, limit: LEADERS }), ...around]));
  }

  /** The table as it stands, unless a newer one has come meanwhile: answers and what the socket tells overtake each other. */
  hold(pages) {
    const newest = (held) => Math.max(-1, ...held.map(({ revision }) => revision));
    if (newest(pages) >= newest(this.pages)) this.pages = pages;
  }

  /** Asks to be told when the table moves, until the server does; the answer is how it stands. */
  async look() {
    clearTimeout(this.again);
    await this.guarded(async () => {
      try {
        await this.take(await this.live.ask("challenge.watch", { challenge_id: this.id }));
      } catch (problem) {
        const look = () => this.live.connected && this.look();
        if (problem.retry) this.again = setTimeout(look, problem.retryAfterMs ?? AGAIN_MS);
        throw problem;
      }
    });
  }

  /** What the socket says of the table. */
  async take(standing) {
    if (standing.challenge_id !== this.id) return;
    const { leaders, around = null, you = null, ...rest } = standing;
    this.hold([leaders, around].filter(Boolean).map((part) => ({ ...rest, ...part })));
    const { challenge } = this;
    if (standing.heat) this.challenge = { ...challenge, members: standing.members, heat: standing.heat };
    const other = you !== challenge.you || (standing.final && challenge.finished_ms === null);
    if (other) await this.load();
    else this.show();
  }

  page(asked) {
    return this.login.call("GET", `${this.path}/table?${new URLSearchParams(asked)}`);
  }

  async more() {
    await this.guarded(async () => {
      const next = this.whole ? this.whole.at(-1).start + PAGE : 0;
      this.whole = [...(this.whole ?? []), await this.page({ start: next, limit: PAGE })];
      this.show();
    });
  }

  backToLeaders() {
    this.whole = null;
    this.show();
  }

  show() {
    const { challenge } = this;
    document.title = `${challenge.title} · Paceline`;
    setText(byId("title"), challenge.title);
    setText(byId("rules"), rulesWords(challenge));
    setText(byId("state"), stateWords(challenge, dayOf(new Date()), moment));
    for (const heading of document.querySelectorAll("[data-what]")) setText(heading, whatCounts(challenge));
    const [first] = this.pages;
    const newest = this.pages.reduce((one, other) => (other.revision > one.revision ? other : one), first);
    this.showEnd(newest);
    this.showOwn(newest);
    this.showTeams(newest);
    this.showRows(newest);
    this.showInvite();
    setText(byId("entries"), String(newest.entries));
    setText(byId("head"), newest.head);
    byId("leave").hidden = challenge.you === null || challenge.finished_ms !== null;
    this.heat.show(challenge);
  }

  showEnd(newest) {
    const winners = newest.final ? winnersOf(this.pages) : [];
    const team = newest.final ? newest.teams.filter(({ rank, value }) => rank === 1 && value > 0) : [];
    byId("end").hidden = !newest.final;
    byId("podium").hidden = winners.length === 0;
    byId("podium").replaceChildren(
      ...winners.slice(0, LEADERS).map((line) =>
        make(
          "li",
          { class: "podium-step", "data-rank": line.rank },
          make("span", { class: "podium-rank" }, String(line.rank)),
          make("strong", {}, nameOf(line)),
          make("span", { class: "podium-effort" }, amountWords(this.challenge, line.value)),
        ),
      ),
    );
    const words = [];
    if (newest.final && !winners.length) words.push("Nobody has scored, so nobody has won.");
    if (winners.length > LEADERS) words.push(`And ${winners.length - LEADERS} more who share a rank with them.`);
    if (team.length) words.push(`Winning team: ${new Intl.ListFormat("en").format(team.map((each) => each.team))}.`);
    setText(byId("winning-team"), words.join(" "));
  }

  showOwn(newest) {
    const own = lineOf(this.pages, this.challenge.you);
    byId("own").hidden = own === null;
    if (own === null) return;
    setText(byId("own-rank"), String(own.rank));
    setText(byId("own-what"), whatCounts(this.challenge));
    setText(byId("own-value"), valueWords(this.challenge, own.value));
    setText(byId("own-of"), String(newest.members));
    const ahead = behindOf(this.pages, own);
    const words = ahead
      ? `${amountWords(this.challenge, ahead.by)} behind ${nameOf(ahead.line)}.`
      : own.value > 0
        ? "Nobody has more."
        : "Nobody has scored yet.";
    setText(byId("own-ahead"), words);
  }

  showTeams({ teams }) {
    byId("teams").hidden = teams.length === 0;
    byId("team-rows").replaceChildren(
      ...teams.map((each) =>
        make(
          "tr",
          {},
          make("td", { class: "number" }, String(each.rank)),
          make("th", { scope: "row" }, each.team),
          make("td", { class: "number" }, valueWords(this.challenge, each.value)),
        ),
      ),
    );
  }

  showRows({ members }) {
    const rows = rowsOf(this.whole ?? this.pages, members);
    byId("rows").replaceChildren(...rows.map((row) => ("gap" in row ? gapRow(row.gap) : this.row(row.line))));
    byId("nobody").hidden = rows.length > 0;
    byId("more").hidden = this.whole ? this.whole.at(-1).start + PAGE >= members : !rows.some((row) => "gap" in row);
    setText(byId("more"), this.whole ? "Show more" : "Show the whole table");
    byId("around").hidden = this.whole === null;
  }

  row(line) {
    return make(
      "tr",
      { class: line.n === this.challenge.you ? "is-you" : null },
      make("td", { class: "number" }, String(line.rank)),
      make("th", { scope: "row" }, nameOf(line), line.team !== null && make("small", { class: "team" }, line.team)),
      make("td", { class: "number" }, valueWords(this.challenge, line.value)),
    );
  }

  showInvite() {
    const { challenge } = this;
    byId("invite").hidden = challenge.finished_ms !== null;
    byId("link").value = `${location.origin}/challenges#join=${challenge.code}`;
    setText(byId("code"), challenge.code);
    byId("renew").hidden = !challenge.yours;
  }

  /** Who has made it and is not in may join here. */
  async offerJoining() {
    const { challenge } = this;
    byId("come-in").hidden = challenge.you !== null || challenge.finished_ms !== null;
    if (byId("come-in").hidden) return;
    await showInvitation(byId("come-in"), this.login, challenge.code, () => this.load());
  }

  async renew() {
    const sure = await confirmed({
      title: "Another link?",
      text: "The old link and its code stop working. Whoever is in stays in.",
      yes: "Make another",
    });
    if (!sure) return;
    await this.guarded(async () => {
      this.challenge = await this.login.call("POST", `${this.path}/code`);
      this.showInvite();
    });
  }

  async leave() {
    const sure = await confirmed({
      title: "Leave this challenge?",
      text: "You are off the table at once, and nothing more counts. With an invitation you can come back and have what you had.",
      yes: "Leave",
    });
    if (!sure) return;
    await this.guarded(async () => {
      await this.login.call("POST", `${this.path}/leave`);
      if (this.challenge.yours) await this.load();
      else location.assign("/challenges");
    });
  }

  async saveLog() {
    await this.guarded(async () => {
      const { entries, name } = await saveLog(this.login, this.id);
      setText(byId("log-said"), `${count(entries, "entry", "entries")} saved as ${name}.`);
    });
  }

  guarded(work) {
    return guarded(byId("trouble"), work, (problem) => {
      if (byId("title").closest("[data-view]").hidden) showView("home");
      return problem.message;
    });
  }
}

function nameOf({ name, n }) {
  return name ?? `Member ${n}, who has gone`;
}

function gapRow(left) {
  return make(
    "tr",
    { class: "gap" },
    make("td", { colspan: 3 }, `… ${count(left, "member")} not shown`),
  );
}

/** @type {Page} */
let page;

await memberPage({
  meanwhile: "The table stands still until we are back.",
  async enter(login, live) {
    page?.heat.close();
    page = new Page(login, live);
    await page.load();
  },
});

byId("more").addEventListener("click", (event) => whileBusy(event.currentTarget, () => page.more()));
byId("around").addEventListener("click", () => page.backToLeaders());
byId("copy").addEventListener("click", () => copy(byId("link"), byId("copied")));
byId("renew").addEventListener("click", () => page.renew());
byId("leave").addEventListener("click", () => page.leave());
byId("log").addEventListener("click", (event) => whileBusy(event.currentTarget, () => page.saveLog()));
window.addEventListener("hashchange", () => location.reload());
