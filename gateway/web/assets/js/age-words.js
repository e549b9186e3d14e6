/**
 * Age groups in the words people read.
 */
export const AGE_GROUPS = {
  under_20: "Under 20",
  "20_29": "20 to 29",
  "30_39": "30 to 39",
  "40_49": "40 to 49",
  "50_59": "50 to 59",
  "60_69": "60 to 69",
  "70_up": "70 and over",
};

/** Fills a choice with all groups and, in front, all ages. @param {HTMLSelectElement} select */
export function ageGroupChoice(select) {
  select.replaceChildren(new Option("All ages", ""), ...Object.entries(AGE_GROUPS).map(([group, words]) => new Option(words, group)));
}
