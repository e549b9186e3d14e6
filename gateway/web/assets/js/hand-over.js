/**
 * What one tab leaves for the next while both stand in line for the same lock.
 *
 * localStorage will not do: each tab has a copy of its own that the browser brings up to date a little later, so a tab that
 * has just been given the lock may still read what was there before (measured in Chromium with four tabs that count
 * in turns: three of ten steps were lost). A transaction of IndexedDB is the same for all tabs once it is complete.
 *
 * Where the browser refuses a database nothing is handed over, and reading gives null.
 */
const NAME = "paceline-hand-over";
const STORE = "newest";

/** @param {string} key @returns {Promise<any>} what was left last under this key, or null */
export async function pickUp(key) {
  return (await within("readonly", (store) => store.get(key))) ?? null;
}

/** @param {string} key @param {any} value replaces what was there; null leaves nothing */
export async function handOver(key, value) {
  await within("readwrite", (store) => (value === null ? store.delete(key) : store.put(value, key)));
}

async function within(mode, work) {
  try {
    const database = await open();
    try {
      const tx = database.transaction(STORE, mode);
      const request = work(tx.objectStore(STORE));
      await new Promise((resolve, reject) => {
        tx.oncomplete = resolve;
        tx.onabort = () => reject(tx.error);
      });
      return request.result;
    } finally {
      database.close();
    }
  } catch (refused) {
    console.info("nothing is handed over between tabs:", refused);
    return null;
  }
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
