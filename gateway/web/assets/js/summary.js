/**
 * A workout's summary as a page: what it was, what it cost, and in plain words what was assumed.
 *
 * The server sends codes for whatever it could not know; this is where they become sentences that say how to know more.
 */
import { make } from "./dom.js";
import { zoneBar } from "./standings.js";
import { distanceWords } from "./units.js";
import { ZONE_FLOORS, ZONE_WORDS, clock, count, span } from "./words.js";

const ASSUMED = {
  max_hr_tanaka:
    "Your maximum heart rate was estimated from your age (208 − 0.7 × age). Enter a measured one in your profile for exact zones.",
  max_hr_assumed:
    "Your maximum heart rate is unknown; 190 was assumed. Enter your birth date or a measured maximum in your profile.",
  max_hr_exceeded: "You went above the maximum heart rate we know. If the strap was right, raise it in your profile.",
  rest_hr_assumed: "Your resting heart rate is unknown; 60 was assumed for the training impulse.",
  energy_extrapolated:
    "Part of the energy was computed outside the range the formula was made for (90 to 150 bpm, 18 to 45 years).",
  clock_stepped_back: "The device's clock stepped back during the workout; the time it repeated was not counted twice.",
};
const MISSING = {
  sex_unknown: "not computed: enter your sex in the profile",
  mass_unknown: "not computed: enter your weight in the profile",
  age_unknown: "not computed: enter your birth date in the profile",
  no_heart_rate: "no heart rate was recorded",
  no_effort: "the heart rate stayed below 70 % of maximum",
  not_covered: "the recording ended before the minute after the peak",
};
const VARIANTS = {
  men: "Banister's men's weights",
  women_086: "Banister's women's weights (0.86)",
  women_064: "the women's weights 0.64",
};

/** @param {any} summary a WorkoutSummary of the wire */
export function summaryOf(summary) {
  const zones = summary.ms_in_zone ?? [0, 0, 0, 0, 0, 0];
  return make(
    "div",
    { class: "summary" },
    make(
      "dl",
      { class: "figures" },
      figure("Duration", clock(summary.duration_ms), gapWords(summary)),
      figure("Heart rate", rate(summary.mean_bpm, "mean"), rateRange(summary)),
      figure("Effort", summary.edwards.toFixed(1), "points (Edwards): minutes in zone times zone number"),
      banister(summary.banister),
      energy(summary.energy),
      recovery(summary.recovery),
      ...motion(summary),
    ),
    make("h3", {}, "Time in zones"),
    zoneBar(zones),
    zoneTable(zones),
    notes(summary),
  );
}

function figure(name, value, note) {
  return make(
    "div",
    { class: "figure" },
    make("dt", {}, name),
    make("dd", {}, make("strong", {}, value), make("span", {}, note)),
  );
}

const rate = (bpm, what) => (bpm === null || bpm === undefined ? "–" : `${Math.round(bpm)} bpm ${what}`);

function rateRange({ min_bpm: low, max_bpm: high }) {
  return low === null || low === undefined ? MISSING.no_heart_rate : `from ${low} to ${high} bpm`;
}

function gapWords({ gaps, duration_ms: whole, measured_ms: measured }) {
  if (!gaps?.count)
    return whole === measured ? "no gaps" : `no gaps over 5 s, ${span(whole - measured)} unknown in all`;
  const longest = gaps.count > 1 ? `, the longest ${span(gaps.longest_ms)}` : "";
  return `${count(gaps.count, "gap")} without heart rate, ${span(gaps.total_ms)}${longest}`;
}

function banister(load) {
  if (load.points === null || load.points === undefined)
    return figure("Training impulse", "–", MISSING[load.reason] ?? "not computed");
  return figure("Training impulse", load.points.toFixed(1), `TRIMP, ${VARIANTS[load.variant] ?? load.variant}`);
}

function energy(told) {
  if (told.kcal === null || told.kcal === undefined)
    return figure("Energy", "–", MISSING[told.reason] ?? "not computed");
  const share = told.inside_range_share ?? 1;
  const note =
    share >= 0.995 ? "from heart rate (Keytel 2005)" : `${Math.round(share * 100)} % of the time inside Keytel's range`;
  return figure("Energy", `${Math.round(told.kcal)} kcal`, note);
}

function recovery(told) {
  if (told.hrr60 === null || told.hrr60 === undefined)
    return figure("Recovery", "–", MISSING[told.reason] ?? "not computed");
  return figure(
    "Recovery",
    `${told.hrr60} bpm`,
    `in the minute after your peak: ${told.peak_bpm} to ${told.later_bpm} bpm`,
  );
}

/** What only some sensors measure: no figure where none did. */
function motion({ distance_m: metres, mean_power_w: watts, mean_cadence: cadence }) {
  const known = (value) => value !== null && value !== undefined;
  return [
    known(metres) && figure("Distance", distanceWords(metres), "by the sensor's counter"),
    known(watts) && figure("Power", `${Math.round(watts)} W`, "mean, coasting included"),
    known(cadence) && figure("Cadence", `${Math.round(cadence)} / min`, "mean, while you moved"),
  ].filter(Boolean);
}

function zoneTable(zones) {
  const whole = zones.reduce((sum, ms) => sum + ms, 0) || 1;
  return make(
    "table",
    { class: "table zone-table" },
    make("caption", { class: "visually-hidden" }, "Time in each zone"),
    make(
      "tbody",
      {},
      ...zones
        .map((ms, zone) =>
          make(
            "tr",
            {},
            make(
              "th",
              { scope: "row" },
              make("span", { class: "zone-chip", "data-zone": zone }, `Z${zone}`),
              ` ${ZONE_WORDS[zone]}`,
            ),
            make(
              "td",
              { class: "muted" },
              zone === 0
                ? "below 50 %"
                : zone === 5
                  ? "90 % and more"
                  : `${ZONE_FLOORS[zone]} to ${ZONE_FLOORS[zone + 1]} %`,
            ),
            make("td", { class: "number" }, clock(ms)),
            make("td", { class: "number muted" }, `${Math.round((ms / whole) * 100)} %`),
          ),
        )
        .reverse(),
    ),
  );
}

function notes(summary) {
  const said = (summary.assumptions ?? []).map((code) => ASSUMED[code] ?? code);
  if (summary.samples_without_contact) {
    said.push(
      `The sensor had no contact for ${count(summary.samples_without_contact, "reading")} of ${summary.samples}; that time earned nothing.`,
    );
  }
  if (!said.length)
    return make("p", { class: "muted" }, "Nothing was assumed: all of it comes from your own measurements.");
  return make(
    "section",
    { class: "notes" },
    make("h3", {}, "What was assumed"),
    make("ul", {}, ...said.map((sentence) => make("li", {}, sentence))),
  );
}
