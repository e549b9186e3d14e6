/**
 * The few words needed to build a page without a framework. Text goes in as text, so a name can never become markup.
 */

/** The element with this id; a page that lacks it is broken, and says so. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found;
}

/**
 * A new element. `on…` attributes are listeners, true sets an empty attribute, null and false leave it out.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null | false)} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

/** Sets text only where it differs, so that a moving board costs no layout where it stands still. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows exactly one of the elements that carry `data-view`, and moves the reader's focus to its heading. */
export function showView(name, { focus = true } = {}) {
  for (const view of document.querySelectorAll("[data-view]")) {
    view.hidden = view.dataset.view !== name;
    if (!view.hidden && focus) view.querySelector("[data-heading]")?.focus({ preventScroll: false });
  }
}

/** Runs `work` with the button busy; a second press meanwhile does nothing. */
export async function whileBusy(button, work) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/** A question that must be answered before something that cannot be undone. @returns {Promise<boolean>} */
export function confirmed({ title, text, yes, no = "Cancel" }) {
  return new Promise((resolve) => {
    const dialog = make(
      "dialog",
      { class: "dialog", "aria-labelledby": "dialog-title" },
      make("h2", { id: "dialog-title" }, title),
      make("p", {}, text),
      make(
        "form",
        { method: "dialog", class: "actions" },
        make("button", { class: "button", value: "no" }, no),
        make("button", { class: "button button-danger", value: "yes" }, yes),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
