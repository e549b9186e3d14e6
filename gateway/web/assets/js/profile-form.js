/**
 * What an athlete may tell about the body, each with the reason why it is asked. Only what was changed is sent.
 */
import { byId, make, setText, whileBusy } from "./dom.js";
import { Problem } from "./problem.js";
import { fieldValue, typedUnit, typedValue, useUnits } from "./units.js";

const FIELDS = [
  { name: "name", label: "Name", type: "text", maxlength: 80, why: "Stands beside your numbers on the board." },
  {
    name: "birth_date",
    label: "Birth date",
    type: "date",
    why: "Estimates your maximum heart rate; needed for energy.",
  },
  {
    name: "sex",
    label: "Sex",
    options: [
      ["", "Rather not say"],
      ["female", "Female"],
      ["male", "Male"],
    ],
    why: "The formulas for training impulse and energy differ.",
  },
  {
    name: "mass_kg",
    label: "Weight",
    unit: "kg",
    type: "number",
    step: "any",
    inputmode: "decimal",
    why: "Needed for energy.",
  },
  {
    name: "max_hr",
    label: "Maximum heart rate, bpm",
    type: "number",
    min: 100,
    max: 250,
    step: 1,
    inputmode: "numeric",
    why: "Makes your zones exact. Only enter a measured one.",
  },
  {
    name: "rest_hr",
    label: "Resting heart rate, bpm",
    type: "number",
    min: 25,
    max: 120,
    step: 1,
    inputmode: "numeric",
    why: "Measured lying down in the morning; sharpens the training impulse.",
  },
  {
    name: "units",
    label: "Units",
    options: [
      ["metric", "Kilometres, kilograms"],
      ["imperial", "Miles, pounds"],
    ],
    why: "How distances and weights are shown to you, and typed.",
  },
];
const NUMBERS = new Set(["mass_kg", "max_hr", "rest_hr"]);

/** Builds the form once. @param {import("./login.js").Login} login @param {() => void} onSaved */
export function profileForm(login, onSaved) {
  byId("profile-fields").replaceChildren(...FIELDS.map(row));
  byId("profile").addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(event.target.querySelector("[type=submit]"), () => save(login, onSaved));
  });
}

/** Fills the form with what the account says now. */
export function showProfile(account) {
  useUnits(account);
  for (const { name, label, unit } of FIELDS) {
    const known = account[name] ?? null;
    byId(`profile-${name}`).value = known === null ? "" : unit ? fieldValue(known, unit) : known;
    if (unit) setText(document.querySelector(`label[for="profile-${name}"]`), `${label}, ${typedUnit(unit)}`);
  }
  complain("");
  setText(byId("profile-said"), "");
}

function row({ name, label, why, options, unit, ...attributes }) {
  const id = `profile-${name}`;
  const shared = { id, name, "aria-describedby": `${id}-why` };
  const input = options
    ? make("select", shared, ...options.map(([value, words]) => make("option", { value }, words)))
    : make("input", { ...shared, autocomplete: "off", ...attributes });
  return make(
    "div",
    { class: "field" },
    make("label", { for: id }, unit ? `${label}, ${typedUnit(unit)}` : label),
    input,
    make("small", { id: `${id}-why`, class: "hint" }, why),
  );
}

async function save(login, onSaved) {
  complain("");
  setText(byId("profile-said"), "");
  const before = login.account;
  const change = {};
  for (const { name, label, unit } of FIELDS) {
    const input = byId(`profile-${name}`);
    if (!input.checkValidity()) {
      complain(`${label}: ${input.validationMessage}`, name);
      return;
    }
    const typed = input.value.trim();
    const known = before[name] ?? null;
    const value = typed === "" ? null : NUMBERS.has(name) ? Number(typed) : typed;
    if (unit && known !== null && value === fieldValue(known, unit)) continue; // shown less finely than it is kept
    const kept = unit && value !== null ? typedValue(value, unit) : value;
    if (kept !== known) change[name] = kept;
  }
  if (change.name === null) {
    complain("Enter a name: the board needs one.", "name");
    return;
  }
  try {
    if (Object.keys(change).length) {
      login.learn(await login.call("PATCH", "/v1/me", change));
      showProfile(login.account);
    }
    setText(byId("profile-said"), "Saved.");
    onSaved();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    complain(problem.message, problem.field);
  }
}

function complain(message, where = "") {
  setText(byId("profile-trouble"), message);
  for (const { name } of FIELDS) byId(`profile-${name}`).setAttribute("aria-invalid", String(name === where));
  if (where && FIELDS.some(({ name }) => name === where)) byId(`profile-${where}`).focus();
}
