/**
 * What this client has of a room's chat: pure, no socket, no page.
 *
 * A message is known by its position, so one that comes live and in a page as well is there once. One that was taken down stays down,
 * whichever of the two is heard first. It keeps the newest `MAX_SHOWN`; older ones are asked for again.
 */

export const MAX_SHOWN = 300;

/**
 * @typedef {{n: number, name: string, text: string, at_ms: number, position: string}} Message
 */

export class ChatLog {
  constructor() {
    /** Oldest first. @type {Message[]} */
    this.messages = [];
    /** From where older ones can be asked for; null when there are none, or none are known to be. @type {string | null} */
    this.before = null;
    this.down = new Set();
  }

  /** The last page of a history in place of everything, but for what has come since it was asked for. */
  begin({ messages = [], before = null }, since = []) {
    this.messages = [];
    this.before = before;
    this.#merge([...messages, ...since]);
  }

  /** A page of older ones. */
  extend({ messages = [], before = null }) {
    this.before = before;
    this.#merge(messages, { trim: false });
  }

  /** Something that was said now. @param {Message} message @returns {boolean} whether it is to be shown */
  take(message) {
    this.#merge([message]);
    return this.messages.includes(message);
  }

  /** A message was taken down. @returns {boolean} whether it was shown */
  remove(position) {
    this.down.add(position);
    const before = this.messages.length;
    this.messages = this.messages.filter((message) => message.position !== position);
    return this.messages.length < before;
  }

  /** Nothing of what member `n` says is to be seen. */
  silence(n) {
    this.messages = this.messages.filter((message) => message.n !== n);
  }

  #merge(more, { trim = true } = {}) {
    const all = new Map(this.messages.map((message) => [message.position, message]));
    for (const message of more)
      if (!this.down.has(message.position) && !all.has(message.position)) all.set(message.position, message);
    this.messages = [...all.values()].sort(inOrder);
    if (trim && this.messages.length > MAX_SHOWN) {
      this.messages = this.messages.slice(-MAX_SHOWN);
      this.before = this.messages[0].position;
    }
  }
}

/** Of one epoch by number; of two, as they were said. A position is "0f3a9c41-000000000012". */
function inOrder(one, other) {
  const [epoch, number] = one.position.split("-");
  const [otherEpoch, otherNumber] = other.position.split("-");
  if (epoch !== otherEpoch) return one.at_ms - other.at_ms;
  return number < otherNumber ? -1 : number > otherNumber ? 1 : 0;
}
