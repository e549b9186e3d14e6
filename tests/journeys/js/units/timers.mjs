/** What the tests of the pages' scripts have in place of a browser's time. */

/** Lets everything that waits on promises and zero-delay timers happen. */
export async function settle() {
  for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
}

/** The timers of a test: those without a wait run as ever, the others when the test jumps over their wait. */
export class Timers {
  constructor(test) {
    this.now = 0;
    this.waits = new Map();
    const { setTimeout: real, clearTimeout: realClear } = globalThis;
    globalThis.setTimeout = (work, waitMs = 0) => {
      if (waitMs <= 0) return real(work, 0);
      const wait = { at: this.now + waitMs, work };
      this.waits.set(wait, wait);
      return wait;
    };
    globalThis.clearTimeout = (wait) => {
      if (!this.waits.delete(wait)) realClear(wait);
    };
    test.after(() => Object.assign(globalThis, { setTimeout: real, clearTimeout: realClear }));
  }

  async jump(ms) {
    await settle();
    this.now += ms;
    for (const wait of [...this.waits.keys()].filter(({ at }) => at <= this.now)) {
      this.waits.delete(wait);
      wait.work();
    }
    await settle();
  }
}
