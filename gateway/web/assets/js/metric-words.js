/**
 * What a board is ranked by, in the words people read: the metrics of a class, their units and their figures.
 */
import { shownIn } from "./units.js";
import { effortWords } from "./words.js";

/**
 * Each metric: what it is called, the unit, a short unit for small places, the decimals, and whether it tells of the body, so that
 * the room sees it only of those who show it.
 */
export const METRICS = {
  effort: { called: "Effort", unit: "points", short: "pts", decimals: 1, personal: false },
  zone_minutes: { called: "Minutes in zones", unit: "min", short: "min", decimals: 1, personal: false },
  ...Object.fromEntries(
    [2, 3, 4, 5].map((zone) => [
      `minutes_from_zone_${zone}`,
      { called: `Minutes from zone ${zone} up`, unit: "min", short: "min", decimals: 1, personal: false },
    ]),
  ),
  distance: { called: "Distance", unit: "m", short: "m", decimals: 0, personal: false },
  calories: { called: "Calories", unit: "kcal", short: "kcal", decimals: 0, personal: true },
  power_per_kg: { called: "Power per kg", unit: "W/kg", short: "W/kg", decimals: 2, personal: true },
  improvement: { called: "Improvement", unit: "%", short: "%", decimals: 0, personal: true },
};

/** The metric of this name, in the units of who looks; one of a newer server is shown with its bare name. @param {string} metric */
function of(metric) {
  const found = METRICS[metric] ?? { called: metric, unit: "", short: "", decimals: 1, personal: false };
  const other = shownIn(found.unit);
  return other ? { ...found, unit: other.unit, short: other.unit, decimals: other.decimals, per: other.per } : found;
}

/** "Calories". @param {string} metric */
export const metricCalled = (metric) => of(metric).called;

/** "kcal". @param {string} metric */
export const unitOf = (metric) => of(metric).unit;

/** "312", "+12", "–" where there is none. @param {string} metric @param {number | null} figure */
export function figureWords(metric, figure) {
  if (figure === null) return "–";
  if (metric === "effort") return effortWords(figure);
  const { decimals, per = 1 } = of(metric);
  const words = (figure / per).toFixed(decimals);
  return metric === "improvement" && figure > 0 ? `+${words}` : words;
}

/** "312 kcal". @param {string} metric @param {number | null} figure */
export const figureWithUnit = (metric, figure) =>
  figure === null ? "–" : `${figureWords(metric, figure)} ${of(metric).unit}`.trim();

/** The unit where there is little room, empty where there is no figure. @param {string} metric @param {number | null} figure */
export const shortUnit = (metric, figure) => (figure === null ? "" : of(metric).short);

/** "Ranked by calories (kcal). Only those who show this have a place." @param {string} metric */
export function rankedWords(metric) {
  const { called, unit, personal } = of(metric);
  const by = `Ranked by ${called.toLowerCase()}${unit ? ` (${unit})` : ""}`;
  return personal ? `${by}, of those who show it` : by;
}

/** Fills a choice with all metrics. @param {HTMLSelectElement} select @param {string} chosen */
export function metricChoice(select, chosen = "effort") {
  select.replaceChildren(
    ...Object.entries(METRICS).map(([metric, { called, unit }]) => new Option(`${called} (${unit})`, metric)),
  );
  select.value = chosen;
}
