/**
 * Where heart rate comes from in a browser: a Bluetooth strap, or a simulated one for trying things out.
 *
 * Both hand readings to `onReading` about once a second and tell their state in words to `onState`. A strap that goes
 * out of range is looked for again with growing patience until `stop()`.
 */
import { readMeasurement } from "./heart-rate.js";

const HEART_RATE = 0x180d;
const MEASUREMENT = 0x2a37;
const LONGEST_WAIT_MS = 15_000;

/**
 * @typedef {{onReading: (reading: import("./heart-rate.js").Reading) => void,
 *            onState: (words: string, phase: "off" | "searching" | "on" | "lost") => void}} StrapWatcher
 */

/** Whether this page may use Bluetooth at all; browsers allow it on https and on this very machine only. */
export const bluetoothWorks = () => Boolean(navigator.bluetooth);

export class BluetoothStrap {
  /** @param {StrapWatcher} watcher */
  constructor(watcher) {
    this.watcher = watcher;
    this.device = null;
    this.stopped = false;
    this.tries = 0;
    this.onValue = (event) => {
      const reading = readMeasurement(event.target.value);
      if (reading) this.watcher.onReading(reading);
    };
    this.onLost = () => this.#lookAgain();
  }

  get name() {
    return this.device?.name || "Bluetooth strap";
  }

  /** Asks the person to choose a strap, which browsers allow only right after a click. Raises when none was chosen. */
  async start() {
    this.watcher.onState("Choose your strap…", "searching");
    this.device = await navigator.bluetooth.requestDevice({ filters: [{ services: [HEART_RATE] }] });
    this.device.addEventListener("gattserverdisconnected", this.onLost);
    await this.#connect();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.device?.removeEventListener("gattserverdisconnected", this.onLost);
    this.device?.gatt?.disconnect();
    this.watcher.onState("Strap off", "off");
  }

  async #connect() {
    this.watcher.onState(`Connecting to ${this.name}…`, "searching");
    const server = await this.device.gatt.connect();
    const service = await server.getPrimaryService(HEART_RATE);
    const measurement = await service.getCharacteristic(MEASUREMENT);
    measurement.addEventListener("characteristicvaluechanged", this.onValue);
    await measurement.startNotifications();
    this.tries = 0;
    this.watcher.onState(`${this.name} connected`, "on");
  }

  #lookAgain() {
    if (this.stopped) return;
    const waitMs = Math.min(LONGEST_WAIT_MS, 1_000 * 2 ** this.tries);
    this.tries += 1;
    this.watcher.onState(`${this.name} is out of reach, looking for it…`, "lost");
    this.timer = setTimeout(async () => {
      if (this.stopped) return;
      try {
        await this.#connect();
      } catch (failed) {
        console.info("the strap did not answer:", failed);
        this.#lookAgain();
      }
    }, waitMs);
  }
}

/** Efforts a simulated heart can be asked for, as shares of the way from rest to maximum. */
export const EFFORTS = { rest: 0.08, easy: 0.45, steady: 0.62, hard: 0.8, sprint: 0.97 };

/**
 * A heart that follows the asked effort the way hearts do: fast up (half a minute), slower down (most of one), never
 * quite still. Time constants are the usual first-order ones of heart-rate kinetics, rounded by feeling.
 */
export class SimulatedStrap {
  /** @param {StrapWatcher} watcher @param {{maxHr: number, restHr: number}} body */
  constructor(watcher, { maxHr, restHr }) {
    this.watcher = watcher;
    this.maxHr = maxHr;
    this.restHr = restHr;
    this.bpm = restHr + 18;
    this.effort = "steady";
    this.contact = true;
    this.timer = 0;
  }

  get name() {
    return "Simulated strap";
  }

  async start() {
    this.timer = setInterval(() => this.#beat(), 1_000);
    this.watcher.onState("Simulated strap on", "on");
  }

  stop() {
    clearInterval(this.timer);
    this.watcher.onState("Strap off", "off");
  }

  #beat() {
    const target = this.restHr + (this.maxHr - this.restHr) * EFFORTS[this.effort];
    const constant = target > this.bpm ? 24 : 42;
    this.bpm += (target - this.bpm) / constant + (Math.random() - 0.5) * 1.6;
    if (!this.contact) {
      this.watcher.onReading({ bpm: null, rr: [] });
      return;
    }
    const bpm = Math.round(this.bpm);
    this.watcher.onReading({ bpm, rr: [Math.round(60_000 / this.bpm)] });
  }
}
