/**
 * How a class ended: the podium and the final table, the same on the board, the coach's and the athletes' pages.
 */
import { call } from "./http.js";
import { make } from "./dom.js";
import { Problem } from "./problem.js";
import { teamTable } from "./team-board.js";
import { figureWithUnit, figureWords, metricCalled, unitOf } from "./metric-words.js";
import { ZONE_WORDS, count, span } from "./words.js";

const PODIUM = 3;
const AGAIN_MS = [500, 1_000, 2_000, 3_000, 5_000, 5_000, 10_000, 10_000, 15_000, 30_000];

/**
 * The final table of a class (a ClassSummary of the wire).
 * @param {any} summary
 * @param {{you?: number | null}} [options]
 */
export function standingsOf(summary, { you = null } = {}) {
  const { standings } = summary;
  const lead = make("p", { class: "lead" }, `${count(summary.athletes, "athlete")} · ${span(summary.duration_ms)}`);
  if (!standings.length)
    return make("div", { class: "standings" }, lead, make("p", {}, "Nobody streamed a heart rate in this class."));
  const metric = summary.metric ?? "effort";
  const parts = [lead, podium(standings, metric), teamTable(summary), table(standings, metric, you)];
  return make("div", { class: "standings" }, ...parts);
}

/** What a line has of what the class was ranked by. */
const figureOf = (line, metric) => (metric === "effort" ? line.effort : (line.figure ?? null));

function podium(standings, metric) {
  const stands = (line) => line.rank !== null && line.rank <= PODIUM && (metric === "improvement" || figureOf(line, metric) > 0);
  const steps = standings.filter(stands).slice(0, PODIUM);
  return make(
    "ol",
    { class: "podium", "aria-label": "First three" },
    ...steps.map((line) =>
      make(
        "li",
        { class: "podium-step", "data-rank": line.rank },
        make("span", { class: "podium-rank" }, String(line.rank)),
        make("strong", {}, line.name),
        make("span", { class: "podium-effort" }, figureWithUnit(metric, figureOf(line, metric))),
      ),
    ),
  );
}

function table(standings, metric, you) {
  const rows = standings.map((line) =>
    make(
      "tr",
      { class: line.n === you ? "is-you" : null },
      make("td", { class: "number" }, line.rank === null ? "–" : String(line.rank)),
      make("th", { scope: "row" }, line.name),
      make("td", { class: "number" }, figureWords(metric, figureOf(line, metric))),
      make("td", { class: "zone-cell" }, zoneBar(line.zone_ms)),
    ),
  );
  return make(
    "table",
    { class: "table" },
    make("caption", { class: "visually-hidden" }, "Final table"),
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        make("th", { scope: "col", class: "number" }, "#"),
        make("th", { scope: "col" }, "Athlete"),
        make("th", { scope: "col", class: "number" }, metric === "effort" ? "Points" : `${metricCalled(metric)}, ${unitOf(metric)}`),
        make("th", { scope: "col" }, "Time in zones"),
      ),
    ),
    make("tbody", {}, ...rows),
  );
}

/** A bar of the time in each zone; the same in words for whoever does not see it. @param {number[]} zoneMs */
export function zoneBar(zoneMs) {
  const whole = zoneMs.reduce((sum, ms) => sum + ms, 0);
  const said = zoneMs
    .map((ms, zone) => (ms ? `Z${zone} ${ZONE_WORDS[zone]} ${span(ms)}` : ""))
    .filter(Boolean)
    .join(", ");
  const bar = make("div", { class: "zone-bar", role: "img", "aria-label": said || "no time in zones", title: said });
  zoneMs.forEach((ms, zone) => {
    if (!ms) return;
    const part = make("span", { "data-zone": zone });
    part.style.flexGrow = String(ms / whole);
    bar.append(part);
  });
  return bar;
}

/**
 * The summary of a class that has ended; the server needs a moment to make it, so a 404 is asked again.
 * @param {string} classId
 * @param {{call: (method: string, path: string) => Promise<any>}} pass who asks
 * @param {{afterMs?: number, wanted?: () => boolean}} [options] when to ask first; false ends the asking (null)
 */
export async function awaitClassSummary(classId, pass, { afterMs = 0, wanted = () => true } = {}) {
  if (afterMs) await pause(afterMs);
  for (const waitMs of AGAIN_MS) {
    if (!wanted()) return null;
    try {
      return await pass.call("GET", `/v1/classes/${encodeURIComponent(classId)}/summary`);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.code !== "not_found" && !problem.retry) throw problem;
    }
    await pause(waitMs);
  }
  throw new Problem({
    code: "no_answer",
    message: "The summary is not ready yet. Reload this page in a minute.",
    retry: true,
  });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Whether the server offers a demo class; null when it does not. @returns {Promise<string | null>} its join code */
export async function demoCode() {
  try {
    return (await call("GET", "/v1/demo")).code;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    return null;
  }
}
