/**
 * The label of a script in the library as a form: what it is called, what it is for, its tags, and who may see it. It changes the label it
 * is given in place, and shows what the server says against it at the field that it is about.
 */
import { make, setText } from "./dom.js";
import { SHARED, tagsOf, tagsText } from "./library-words.js";

export class ScriptLabel {
  /** @param {HTMLElement} root @param {any} label @param {() => void} onChange */
  constructor(root, label, onChange) {
    this.root = root;
    this.label = label;
    root.hidden = false;
    const set = (key, value) => {
      label[key] = value;
      onChange();
    };
    const text = (key, most) =>
      make("input", { value: label[key], maxlength: most, autocomplete: "off", oninput: ({ target }) => set(key, target.value) });
    const shared = make(
      "select",
      { onchange: ({ target }) => set("shared", target.value) },
      ...Object.entries(SHARED).map(([value, words]) => make("option", { value, selected: value === label.shared }, words)),
    );
    const tags = make("input", {
      value: tagsText(label.tags),
      autocomplete: "off",
      placeholder: "hills, threshold",
      oninput: ({ target }) => set("tags", tagsOf(target.value)),
    });
    root.replaceChildren(
      make("div", { class: "script-row" }, field("name", "Name", text("name", 80)), field("shared", "Seen by", shared)),
      make(
        "div",
        { class: "script-row" },
        field("description", "What it is for", text("description", 400)),
        field("tags", "Tags, with commas between", tags),
      ),
    );
  }

  /** Shows what was refused at its field; null: nothing. @returns {boolean} whether there is such a field */
  refuse(problem) {
    let placed = false;
    for (const place of this.root.querySelectorAll("[data-path]")) {
      const here = Boolean(problem?.path?.startsWith(place.dataset.path));
      setText(place.querySelector(".trouble"), here ? problem.message : "");
      if (here) place.querySelector("input, select").setAttribute("aria-invalid", "true");
      else place.querySelector("input, select").removeAttribute("aria-invalid");
      placed ||= here;
    }
    return placed;
  }
}

const field = (key, label, control) =>
  make(
    "div",
    { class: "script-field wide", "data-path": `$.label.${key}` },
    make("label", {}, make("span", {}, label), control),
    make("small", { class: "trouble", role: "alert" }),
  );
