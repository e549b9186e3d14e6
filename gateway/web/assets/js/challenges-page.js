/**
 * One's challenges: the list, an invitation that is looked at before it is taken, and a form that makes a new one.
 *
 * An invitation is a link with the code behind the #, where no server log sees it.
 */
import { dayAfter, dayOf, stateWords, whatCounts, whenWords } from "./challenge-words.js";
import { byId, make, setText, showView, whileBusy } from "./dom.js";
import { showInvitation, zoneHere } from "./invitation.js";
import { memberPage } from "./member-page.js";
import { Problem } from "./problem.js";
import { ZONE_WORDS, count, moment, namesIn } from "./words.js";

const MOST_MINUTES = 120;
const HEAT_FIELDS = {
  title: "heat-title",
  kind: "heat-kind",
  length_min: "heat-length",
  from_zone: "heat-zone",
  target: "heat-target",
  late: "heat-late",
  teams: "heat-teams",
  team: "heat-team",
};
const FIELDS = { title: "title", kind: "kind", from_zone: "from-zone", first_day: "first-day", last_day: "last-day", teams: "teams" };

/** What the target of a heat is counted in. */
const TARGET_WORDS = { effort: "Points", zone_time: "Minutes in the zone", distance: "Metres by machine, watch or foot pod" };

/** @type {import("./login.js").Login} */
let login;

await memberPage({
  meanwhile: "The list may be older than it looks.",
  async enter(who) {
    login = who;
    showView("home", { focus: false });
    await Promise.all([showMine(), lookAt(codeInAddress())]);
  },
});

for (const id of ["from-zone", "heat-zone"])
  byId(id).replaceChildren(
    ...[1, 2, 3, 4, 5].map((zone) =>
      make(
        "option",
        { value: zone, selected: zone === 3 },
        `Z${zone} ${ZONE_WORDS[zone]}${zone < 5 ? " and above" : ""}`,
      ),
    ),
  );
byId("heat-kind").addEventListener("change", () => {
  const kind = byId("heat-kind").value;
  byId("heat-zone-field").hidden = kind !== "zone_time";
  setText(byId("heat-target-hint"), `${TARGET_WORDS[kind]}: whoever has them is done. May stay empty.`);
});
byId("heat-teams").addEventListener("input", ({ target }) => {
  const names = namesIn(target.value);
  const chosen = byId("heat-team").value;
  byId("heat-team-field").hidden = names.length < 2;
  byId("heat-team").replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
});
byId("make-heat").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(event.target.querySelector("[type=submit]"), makeHeat);
});
byId("first-day").value = dayOf(new Date());
byId("last-day").value = dayAfter(dayOf(new Date()), 6);
byId("kind").addEventListener("change", () => {
  byId("zone-field").hidden = byId("kind").value !== "zone_time";
  byId("distance-note").hidden = byId("kind").value !== "distance";
});
byId("first-day").addEventListener("change", () => {
  const [first, last] = [byId("first-day"), byId("last-day")];
  if (first.value && last.value < first.value) last.value = first.value;
});
byId("make").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(event.target.querySelector("[type=submit]"), makeOne);
});
byId("code-form").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(event.target.querySelector("[type=submit]"), () => lookAt(byId("code").value.trim()));
});
window.addEventListener("hashchange", () => login.account && lookAt(codeInAddress()));

function codeInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("join") ?? "";
}

async function showMine() {
  setText(byId("mine-trouble"), "");
  try {
    const { challenges } = await login.call("GET", "/v1/challenges");
    byId("mine").replaceChildren(...challenges.map(entry));
    byId("mine-empty").hidden = challenges.length > 0;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    setText(byId("mine-trouble"), problem.message);
  }
}

function entry(challenge) {
  return make(
    "li",
    {},
    make(
      "a",
      { class: "list-entry", href: `/challenge#${challenge.id}` },
      make(
        "span",
        {},
        make("strong", {}, challenge.title),
        make("small", {}, `${whatCounts(challenge)} · ${whenWords(challenge)}`),
        make("small", {}, stateWords(challenge, dayOf(new Date()), moment)),
      ),
      make("span", { class: "muted" }, challenge.you === null ? "made by you" : count(challenge.members, "member")),
    ),
  );
}

async function lookAt(code) {
  setText(byId("code-trouble"), "");
  byId("invited").hidden = true;
  if (!code) return;
  try {
    await showInvitation(byId("invitation"), login, code, ({ id }) => location.assign(`/challenge#${id}`));
    byId("invited").hidden = false;
    byId("invited").scrollIntoView({ block: "nearest" });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    byId("code").value = code;
    setText(byId("code-trouble"), problem.message);
  }
}

async function makeOne() {
  complain("");
  const kind = byId("kind").value;
  const teams = namesIn(byId("teams").value);
  const title = byId("title").value.trim();
  if (!title) return complain("Give the challenge a title.", "title");
  if (!byId("first-day").value) return complain("Choose the first day.", "first_day");
  try {
    const made = await login.call("POST", "/v1/challenges", {
      title,
      kind,
      first_day: byId("first-day").value,
      last_day: byId("last-day").value || null,
      ties: byId("ties").value,
      from_zone: kind === "zone_time" ? Number(byId("from-zone").value) : null,
      teams,
    });
    location.assign(`/challenge#${made.id}`);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    complain(problem.message, problem.field);
  }
}

async function makeHeat() {
  complainOfHeat("");
  const kind = byId("heat-kind").value;
  const title = byId("heat-title").value.trim();
  if (!title) return complainOfHeat("Give the heat a name.", "title");
  const minutes = Number(byId("heat-length").value);
  if (!(Number.isInteger(minutes) && minutes >= 1 && minutes <= MOST_MINUTES))
    return complainOfHeat(`A heat lasts 1 to ${MOST_MINUTES} minutes.`, "length_min");
  const target = byId("heat-target").value;
  try {
    const made = await login.call("POST", "/v1/heats", {
      title,
      kind,
      length_min: minutes,
      from_zone: kind === "zone_time" ? Number(byId("heat-zone").value) : null,
      target: target ? Number(target) : null,
      late: byId("heat-late").value,
      teams: namesIn(byId("heat-teams").value),
      team: byId("heat-team").value || null,
      time_zone: zoneHere(),
    });
    location.assign(`/challenge#${made.id}`);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    complainOfHeat(problem.message, problem.field);
  }
}

function complain(message, field = "") {
  complainIn("make-trouble", FIELDS, message, field);
}

function complainOfHeat(message, field = "") {
  complainIn("heat-trouble", HEAT_FIELDS, message, field);
}

function complainIn(place, fields, message, field) {
  setText(byId(place), message);
  for (const [name, id] of Object.entries(fields)) byId(id).setAttribute("aria-invalid", String(name === field));
  if (field in fields) byId(fields[field]).focus();
}
