/**
 * Metric or imperial, as the account says. Everything that is sent and kept is metric; this is how it is shown and typed.
 */
const METRES_PER_MILE = 1_609.344;
const KG_PER_POUND = 0.45359237;
const CM_PER_INCH = 2.54;
const IMPERIAL = {
  m: { unit: "mi", per: METRES_PER_MILE, decimals: 2 },
  kg: { unit: "lb", per: KG_PER_POUND, decimals: 1 },
  cm: { unit: "in", per: CM_PER_INCH, decimals: 1 },
};

let imperial = false;

/** From now on as this account wants it. @param {{units?: "metric" | "imperial"} | null} account */
export function useUnits(account) {
  imperial = account?.units === "imperial";
}

/** How a metric unit is shown: its unit, how many of the metric one make one, and its decimals; null: as it is. @param {string} unit */
export const shownIn = (unit) => (imperial ? (IMPERIAL[unit] ?? null) : null);

/** "72.5 kg", "159.8 lb", "188 bpm". @param {number} value in `unit` @param {string} unit */
export function withUnit(value, unit) {
  const other = shownIn(unit);
  return other ? `${(value / other.per).toFixed(other.decimals)} ${other.unit}` : `${value} ${unit}`;
}

/** "12.40 km", "7.71 mi". @param {number} metres */
export const distanceWords = (metres) => (imperial ? withUnit(metres, "m") : `${(metres / 1_000).toFixed(2)} km`);

/** What is typed for a value that is kept in `unit`: the unit to type it in. @param {string} unit */
export const typedUnit = (unit) => shownIn(unit)?.unit ?? unit;

/** A typed value in the metric `unit`, no finer than a scale shows. @param {number} typed @param {string} unit */
export function typedValue(typed, unit) {
  const other = shownIn(unit);
  return other ? Math.round(typed * other.per * 100) / 100 : typed;
}

/** A kept value as it stands in a field. @param {number} value in `unit` @param {string} unit */
export function fieldValue(value, unit) {
  const other = shownIn(unit);
  return other ? Number((value / other.per).toFixed(other.decimals)) : value;
}
