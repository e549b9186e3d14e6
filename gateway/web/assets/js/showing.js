/**
 * Who sees what of somebody: the choice of a display mode, for one class or for the classes to come.
 *
 * What stands here is what the server has said: a choice that was not stored jumps back. Nothing is guessed while it is asked.
 */
import { make, setText } from "./dom.js";
import { Problem } from "./problem.js";

/** The modes, from the one that shows most to the one that shows nothing, in words. */
export const MODES = {
  full: ["Everything", "Everybody sees your name, heart rate, zone and points."],
  zone: ["Zone only", "Everybody sees your name, zone and points. Only the coach sees your heart rate."],
  alias: ["Another name", "Everybody sees your numbers under another name, or as “Athlete” with a number. Only the coach knows that it is you."],
  coach: ["Coach only", "Only the coach sees you. You have no rank."],
  hidden: ["Hidden", "Nobody sees you, not even the coach. You have no rank."],
};

/** In which modes figures of the body can be shown: those that show a heart rate, from which calories could be told anyhow. */
const SHOWS_BODY = ["full", "alias"];
const BODY_KEPT = "Where a class is ranked by calories, power per kg or improvement, only you and the coach see yours, and you have no rank.";
const BODY_SHOWN =
  "Where a class is ranked by calories, power per kg or improvement, everybody sees yours. Your weight and age can be guessed from them.";

/** In which modes somebody is on the board, and can be found on it. */
const ON_BOARD = ["full", "zone", "alias"];
const AGE_SHOWN = "Whoever shows only an age group on the board finds you in yours, ten years wide, from the birth date in your profile. Nobody sees your age.";

/**
 * @param {HTMLElement} root what the choice is put into
 * @param {string} name of the radio buttons, one of its kind on the page
 * @param {{load: () => Promise<any>, save: (choice: {mode: string, alias?: string, body?: boolean, age?: boolean}) => Promise<any>}} server
 */
export function showingChoice(root, name, { load, save }) {
  const radio = ([mode, [label]]) =>
    make(
      "label",
      {},
      make("input", { type: "radio", name, value: mode, onchange: ({ target }) => choose(target) }),
      make("span", {}, label),
    );
  const alias = make("input", {
    id: `${name}-alias`,
    maxlength: 40,
    autocomplete: "off",
    "aria-describedby": `${name}-means`,
    onchange: ({ target }) => choose(target),
  });
  const means = make("p", { id: `${name}-means`, class: "muted", role: "status" });
  const reach = make("p", { class: "muted" });
  const trouble = make("p", { class: "trouble", role: "alert" });
  const field = make("div", { class: "field", hidden: true }, make("label", { for: alias.id }, "The other name"), alias);
  const body = make("input", { type: "checkbox", onchange: ({ target }) => choose(target) });
  const figures = make("label", { class: "switch" }, body, " Show figures that tell of my body");
  const age = make("input", { type: "checkbox", onchange: ({ target }) => choose(target) });
  const group = make("label", { class: "switch" }, age, " Let others find me by my age group");
  const segments = make("div", { class: "segments" }, ...Object.entries(MODES).map(radio));
  const choices = make("fieldset", { class: "efforts", disabled: true }, make("legend", {}, "Others see"), segments, field, figures, group);
  const found = make("p", { class: "muted" }, AGE_SHOWN);
  root.replaceChildren(choices, means, reach, found, trouble);
  let known = { mode: "full", alias: "" };

  function show() {
    for (const input of segments.querySelectorAll("input")) input.checked = input.value === known.mode;
    alias.value = known.alias ?? "";
    field.hidden = known.mode !== "alias";
    setText(means, MODES[known.mode][1]);
    figures.hidden = !SHOWS_BODY.includes(known.mode);
    body.checked = known.body ?? false;
    group.hidden = !ON_BOARD.includes(known.mode);
    age.checked = known.age ?? false;
    found.hidden = group.hidden || !age.checked;
    reach.hidden = figures.hidden;
    setText(reach, body.checked ? BODY_SHOWN : BODY_KEPT);
  }

  async function ask(question) {
    choices.disabled = true;
    setText(trouble, "");
    try {
      known = await question();
      choices.disabled = false;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      setText(trouble, problem.message);
    }
    show();
  }

  /** @param {HTMLElement} by what was used, and has the focus again afterwards */
  async function choose(by) {
    const mode = segments.querySelector("input:checked").value;
    const typed = alias.value.trim();
    const choice = { mode, ...(typed && { alias: typed }), ...(body.checked && { body: true }), ...(age.checked && { age: true }) };
    await ask(() => save(choice));
    choices.disabled = false;
    by.focus();
  }

  ask(load);
}
