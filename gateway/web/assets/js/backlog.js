/**
 * The samples of one stream that the server has not promised to keep yet. Pure: no socket, no store.
 *
 * Samples are numbered from 0 for the life of the stream. Everything before `base` is stored and forgotten; from `base` to
 * `next` we hold; `cursor` is what goes out next. Sending again is always safe, so whatever goes wrong is answered by
 * moving the cursor back.
 */
export class Backlog {
  /** @param {{base?: number, samples?: any[][]}} [kept] what an earlier page load left */
  constructor({ base = 0, samples = [] } = {}) {
    this.base = base;
    this.samples = [...samples];
    this.cursor = base;
    this.maxBatch = 1_000;
    this.maxUnacked = 20_000;
  }

  /** The number the next new sample gets; also how many the stream has in all. */
  get next() {
    return this.base + this.samples.length;
  }

  get waiting() {
    return this.samples.length;
  }

  /** @param {any[]} sample [t, bpm, rr] @returns {number} its number */
  add(sample) {
    this.samples.push(sample);
    return this.next - 1;
  }

  /** The next batch to send, or null when there is none or too much is under way. */
  take() {
    const room = this.maxUnacked - (this.cursor - this.base);
    const size = Math.min(this.maxBatch, this.next - this.cursor, room);
    if (size <= 0) return null;
    const seq = this.cursor;
    this.cursor += size;
    return { seq, samples: this.samples.slice(seq - this.base, seq - this.base + size) };
  }

  /** The server keeps everything before `nextSeq`: forget it. A server that knows more than we do is right. */
  stored(nextSeq) {
    if (nextSeq <= this.base) return;
    this.samples.splice(0, nextSeq - this.base);
    this.base = nextSeq;
    this.cursor = Math.max(this.cursor, this.base);
  }

  /** Go on sending from `seq`, or from the first sample that is not stored. */
  rewind(seq = this.base) {
    this.cursor = Math.min(Math.max(seq, this.base), this.next);
  }
}
