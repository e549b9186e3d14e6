/** As much of a browser's document as parts of the pages need that are tested without a browser. */

class Element {
  constructor(tag) {
    this.tag = tag;
    this.parent = null;
    this.children = [];
    this.attributes = new Map();
    this.listeners = new Map();
    this.dataset = {};
    this.style = { setProperty() {} };
    this.classes = new Set();
    this.classList = { toggle: (name, on) => (on ? this.classes.add(name) : this.classes.delete(name)) };
    this.hidden = false;
    this.open = false;
  }

  get textContent() {
    return this.children.map((child) => (typeof child === "string" ? child : child.textContent)).join("");
  }

  set textContent(text) {
    this.children = [text];
  }

  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }

  setAttribute(name, value) {
    this.attributes.set(name, value);
  }

  removeAttribute(name) {
    this.attributes.delete(name);
  }

  append(...children) {
    for (const child of children) if (child instanceof Element) child.parent = this;
    this.children.push(...children);
  }

  replaceChildren(...children) {
    this.children = [];
    this.append(...children);
  }

  remove() {
    if (this.parent) this.parent.children = this.parent.children.filter((child) => child !== this);
    this.parent = null;
  }

  addEventListener(type, listener) {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener]);
  }

  /** An event from the browser; whether nobody prevented what it does with it. */
  dispatch(type) {
    let prevented = false;
    const event = { target: this, currentTarget: this, preventDefault: () => (prevented = true) };
    for (const listener of this.listeners.get(type) ?? []) listener(event);
    return !prevented;
  }

  showModal() {
    this.open = true;
  }

  /** As in a browser, those who listen hear of it later. */
  close() {
    if (!this.open) return;
    this.open = false;
    queueMicrotask(() => this.dispatch("close"));
  }
}

/** A document for this test, with an empty element for whatever id is asked for. */
export function openDocument(test) {
  const named = new Map();
  const document = {
    body: new Element("body"),
    visibilityState: "visible",
    createElement: (tag) => new Element(tag),
    getElementById(id) {
      if (!named.has(id)) named.set(id, new Element("div"));
      return named.get(id);
    },
    addEventListener() {},
    removeEventListener() {},
  };
  globalThis.document = document;
  test.after(() => delete globalThis.document);
  return document;
}
