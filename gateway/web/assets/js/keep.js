/**
 * Samples on this device until the server has them: an IndexedDB that survives a reload, a crash and an empty battery.
 *
 * Where the browser gives no database (some private windows) samples are kept in memory only, and `durable` says so.
 */

const NAME = "paceline";
const VERSION = 1;

/**
 * A stream as kept: who, since when, for which class, and whether it only waits to be finished.
 * @typedef {{stream: string, account: string, startedAtMs: number, classCode: string | null, title: string,
 *            team?: string | null, device: string, base: number, lastT: number, finishing: boolean}} Kept
 */

/** @returns {Promise<Keep>} */
export async function openKeep() {
  try {
    return new Keep(await openDatabase());
  } catch (refused) {
    console.warn("samples are kept in memory only: this browser refuses a database", refused);
    return new Keep(null);
  }
}

export class Keep {
  /** @param {IDBDatabase | null} database */
  constructor(database) {
    this.database = database;
    /** @type {Map<string, Kept>} */
    this.memory = new Map();
  }

  get durable() {
    return this.database !== null;
  }

  /** The streams of an account that are not finished, oldest first. @returns {Promise<Kept[]>} */
  async streams(account) {
    const all = this.database
      ? await answer(this.database.transaction("streams").objectStore("streams").getAll())
      : [...this.memory.values()];
    return all.filter((kept) => kept.account === account).sort((a, b) => a.startedAtMs - b.startedAtMs);
  }

  /** @param {Kept} kept @param {{seq: number, sample: any[]} | null} [added] a sample kept in the same breath */
  async save(kept, added = null) {
    if (!this.database) {
      this.memory.set(kept.stream, { ...kept });
      return;
    }
    const tx = this.database.transaction(["streams", "samples"], "readwrite");
    tx.objectStore("streams").put({ ...kept });
    if (added) tx.objectStore("samples").put({ stream: kept.stream, ...added });
    await done(tx);
  }

  /** The samples of a stream from `base` on, without a hole. @returns {Promise<any[][]>} */
  async samples(stream, base) {
    if (!this.database) return [];
    const range = IDBKeyRange.bound([stream, base], [stream, Infinity]);
    const rows = await answer(this.database.transaction("samples").objectStore("samples").getAll(range));
    const whole = [];
    for (const row of rows) {
      if (row.seq !== base + whole.length) break;
      whole.push(row.sample);
    }
    return whole;
  }

  /** Everything before `kept.base` is stored on the server. @param {Kept} kept */
  async forgetStored(kept) {
    if (!this.database) return this.save(kept);
    const tx = this.database.transaction(["streams", "samples"], "readwrite");
    tx.objectStore("streams").put({ ...kept });
    tx.objectStore("samples").delete(IDBKeyRange.bound([kept.stream, 0], [kept.stream, kept.base], false, true));
    await done(tx);
  }

  /** The stream is finished, or given up by its owner. */
  async forget(stream) {
    this.memory.delete(stream);
    if (!this.database) return;
    const tx = this.database.transaction(["streams", "samples"], "readwrite");
    tx.objectStore("streams").delete(stream);
    tx.objectStore("samples").delete(IDBKeyRange.bound([stream, 0], [stream, Infinity]));
    await done(tx);
  }
}

function openDatabase() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("streams", { keyPath: "stream" });
      request.result.createObjectStore("samples", { keyPath: ["stream", "seq"] });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another tab holds an older database open; close it"));
  });
}

const answer = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

const done = (tx) =>
  new Promise((resolve, reject) => {
    tx.oncomplete = () => resolve(undefined);
    tx.onabort = () => reject(tx.error);
    tx.onerror = () => reject(tx.error);
  });
