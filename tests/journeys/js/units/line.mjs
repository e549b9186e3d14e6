/** A connection as the pages have it (`live.js`), in the hands of a test. */
export class Line {
  constructor() {
    this.standing = { phase: "connecting", fresh: false, reason: "", behind: false };
    this.recovered = false;
    this.watchers = [];
    this.handlers = new Map();
    this.asked = [];
    /** What the server answers by event: a value, or what makes or throws one. */
    this.answers = {};
  }

  get connected() {
    return this.standing.phase === "connected";
  }

  watch(watcher) {
    this.watchers.push(watcher);
    watcher(this.standing);
  }

  on(event, handler) {
    this.handlers.set(event, [...(this.handlers.get(event) ?? []), handler]);
  }

  async ask(event, payload) {
    this.asked.push(event);
    const answer = this.answers[event];
    return typeof answer === "function" ? answer(payload) : answer;
  }

  say(event, payload) {
    for (const handler of this.handlers.get(event) ?? []) handler(payload);
  }

  stand(standing) {
    this.standing = { ...this.standing, ...standing };
    for (const watcher of this.watchers) watcher(this.standing);
  }

  connect() {
    this.stand({ phase: "connected", fresh: true });
  }

  /** The connection breaks; what came over it is believed for a moment. */
  break() {
    this.stand({ phase: "away" });
  }

  /** It has been away for longer than that. */
  blank() {
    this.stand({ phase: "away", fresh: false });
  }

  distrust() {
    this.blank();
  }
}
