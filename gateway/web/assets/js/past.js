/**
 * Workouts that are over: the list, and one of them with its curve, its summary and its class's final table.
 */
import { bodyOf } from "./body.js";
import { drawCurve, zoneColours } from "./canvas.js";
import { byId, make, setText, showView } from "./dom.js";
import { Problem } from "./problem.js";
import { awaitClassSummary, standingsOf } from "./standings.js";
import { summaryOf } from "./summary.js";
import { clock, moment } from "./words.js";

const SAMPLES_PAGE = 10_000;
const MOST_SAMPLES = 100_000; // a day at 1 Hz and a bit; a longer curve says nothing more on a page
const AGAIN_MS = [300, 700, 1_000, 2_000, 2_000, 3_000, 5_000, 5_000, 10_000, 20_000];

/** Fills the list with the newest workouts. @param {import("./login.js").Login} login */
export async function showPast(login) {
  const list = byId("past");
  const more = byId("past-more");
  let before = null;
  const load = async () => {
    setText(byId("past-trouble"), "");
    try {
      const page = await login.call("GET", `/v1/workouts${before ? `?before=${encodeURIComponent(before)}` : ""}`);
      if (before === null) list.replaceChildren();
      list.append(...page.workouts.map((workout) => entry(workout, login)));
      if (!list.children.length)
        list.append(make("li", { class: "muted" }, "None yet. Your first one is a Start away."));
      before = page.next_before ?? null;
      more.hidden = before === null;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      setText(byId("past-trouble"), problem.message);
    }
  };
  more.onclick = load;
  await load();
}

function entry(workout, login) {
  const { summary } = workout;
  const what = summary
    ? `${clock(summary.duration_ms)} · ${summary.edwards.toFixed(1)} points${summary.mean_bpm ? ` · ${Math.round(summary.mean_bpm)} bpm` : ""}`
    : workout.finished_at_ms
      ? "summary on its way"
      : "not finished";
  return make(
    "li",
    {},
    make(
      "button",
      { class: "list-entry", type: "button", onclick: () => showWorkout(workout.id, login) },
      make("span", {}, make("strong", {}, moment(workout.created_at_ms)), make("small", {}, what)),
      make("span", { class: "muted" }, workout.class_id ? "Class" : "Own"),
    ),
  );
}

/** The page of one workout; waits for its summary while the server is still making it. */
export async function showWorkout(id, login) {
  history.replaceState(null, "", `/athlete#workout=${id}`);
  setText(byId("summary-title"), "Workout");
  setText(byId("summary-when"), "");
  setText(byId("summary-state"), "The summary is being made…");
  byId("summary-body").replaceChildren();
  byId("class-body").replaceChildren();
  byId("curve").hidden = true;
  showView("summary");
  const here = () => location.hash === `#workout=${id}` && !document.querySelector("[data-view=summary]").hidden;
  try {
    const workout = await summarised(id, login, here);
    if (!workout || !here()) return;
    setText(byId("summary-state"), "");
    setText(byId("summary-when"), moment(workout.created_at_ms));
    setText(byId("summary-title"), workout.class_id ? "Class workout" : "Workout");
    byId("summary-body").replaceChildren(summaryOf(workout.summary));
    if (workout.class_id) classTable(workout.class_id, login, here);
    await curve(id, login, here);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (here()) setText(byId("summary-state"), problem.message);
  }
}

async function summarised(id, login, here) {
  for (const waitMs of AGAIN_MS) {
    const workout = await login.call("GET", `/v1/workouts/${encodeURIComponent(id)}`);
    if (workout.summary) return workout;
    if (!here()) return null;
    if (!workout.finished_at_ms)
      setText(byId("summary-state"), "This workout is not finished: its device still has samples to send.");
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
  throw new Problem({
    code: "no_answer",
    message: "The summary is not ready yet. It will be in your list.",
    retry: true,
  });
}

async function curve(id, login, here) {
  const samples = [];
  for (let from = 0; from < MOST_SAMPLES;) {
    const page = await login.call(
      "GET",
      `/v1/workouts/${encodeURIComponent(id)}/samples?from_seq=${from}&limit=${SAMPLES_PAGE}`,
    );
    samples.push(...page.samples.map(([t, bpm = null]) => [t, bpm]));
    if (page.samples.length < SAMPLES_PAGE) break;
    from = page.next_seq;
  }
  if (!here() || samples.length < 2) return;
  const canvas = byId("curve");
  canvas.hidden = false;
  const { maxHr } = bodyOf(login.account ?? {}, new Date());
  const draw = () => drawCurve(canvas, samples, { maxHr, colours: zoneColours() });
  draw();
  canvas.redraw = draw;
  listenOnce(canvas);
}

const listening = new WeakSet();

function listenOnce(canvas) {
  if (listening.has(canvas)) return;
  listening.add(canvas);
  new ResizeObserver(() => !canvas.hidden && canvas.redraw()).observe(canvas);
  document.addEventListener("paceline:theme", () => !canvas.hidden && canvas.redraw());
}

/** The final table of the class, if it is over; a workout may well be finished before its class. */
async function classTable(classId, login, here) {
  try {
    const view = await login.call("GET", `/v1/classes/${encodeURIComponent(classId)}`);
    if (!here()) return;
    setText(byId("summary-title"), view.title);
    if (view.state !== "over") return;
    const again = make("a", { class: "button", href: `/replay?as=athlete#${classId}` }, "Play the class again");
    byId("class-body").replaceChildren(make("p", { class: "actions" }, again));
    const summary = await awaitClassSummary(classId, login);
    if (!here()) return;
    byId("class-body").append(make("h2", {}, "The class"), standingsOf(summary));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (here()) byId("class-body").replaceChildren(make("p", { class: "muted" }, problem.message));
  }
}
