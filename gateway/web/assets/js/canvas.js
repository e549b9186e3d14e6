/**
 * Small drawings of heart rate over time: a trace per athlete for the coach, the whole curve in a summary.
 *
 * Drawn on a canvas, because a coach sees hundreds of traces move once a second. Colours come from the page's own theme;
 * gaps stay gaps: no line is drawn where nothing was measured.
 */
import { zoneOf } from "./body.js";
import { ZONE_FLOORS } from "./words.js";

/** The zone colours of the theme in force. */
export function zoneColours() {
  const style = getComputedStyle(document.documentElement);
  return ZONE_FLOORS.map((_, zone) => style.getPropertyValue(`--z${zone}-line`).trim());
}

/** A canvas context in CSS pixels, cleared; null while the canvas has no size. */
function clean(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width || !height) return null;
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/** The last minutes of one athlete, one point a second, in percent of maximum heart rate; null where not live. */
export class Trace {
  /** @param {number} seconds how much is remembered */
  constructor(seconds = 180) {
    this.seconds = seconds;
    /** @type {(number | null)[]} */
    this.points = [];
  }

  /** @param {number | null} percent */
  add(percent) {
    this.points.push(percent);
    if (this.points.length > this.seconds) this.points.shift();
  }

  draw(canvas, colours) {
    const paper = clean(canvas);
    if (!paper) return;
    const { pen, width, height } = paper;
    const [low, high] = [40, 105];
    const y = (percent) => height - 2 - ((Math.min(Math.max(percent, low), high) - low) / (high - low)) * (height - 4);
    const x = (index) => ((this.seconds - this.points.length + index) / (this.seconds - 1)) * width;
    pen.lineWidth = 1;
    pen.strokeStyle = getComputedStyle(canvas).getPropertyValue("--line").trim();
    pen.beginPath();
    for (const floor of [50, 70, 90]) {
      pen.moveTo(0, Math.round(y(floor)) + 0.5);
      pen.lineTo(width, Math.round(y(floor)) + 0.5);
    }
    pen.stroke();
    pen.lineWidth = 2;
    pen.lineJoin = "round";
    pen.lineCap = "round";
    for (let index = 1; index < this.points.length; index += 1) {
      const [before, here] = [this.points[index - 1], this.points[index]];
      if (before === null || here === null) continue;
      pen.strokeStyle = colours[zoneOf(here)];
      pen.beginPath();
      pen.moveTo(x(index - 1), y(before));
      pen.lineTo(x(index), y(here));
      pen.stroke();
    }
  }
}

const HOLD_MS = 5_000; // a reading is believed for this long, as the server does

/**
 * A whole workout's heart rate. `samples` [t ms, bpm or null, …] in order; `maxHr` bpm gives the colours.
 * @param {HTMLCanvasElement} canvas
 * @param {any[][]} samples
 * @param {{maxHr: number, colours: string[]}} options
 */
export function drawCurve(canvas, samples, { maxHr, colours }) {
  const paper = clean(canvas);
  const known = samples.filter(([, bpm]) => bpm !== null);
  if (!paper || known.length < 2) return;
  const { pen, width, height } = paper;
  const left = 34;
  const bottom = 20;
  const end = Math.max(1, samples[samples.length - 1][0]);
  const rates = known.map(([, bpm]) => bpm);
  const low = Math.floor((rates.reduce((a, b) => Math.min(a, b)) - 5) / 10) * 10;
  const high = Math.ceil((rates.reduce((a, b) => Math.max(a, b)) + 5) / 10) * 10;
  const x = (t) => left + (t / end) * (width - left - 4);
  const y = (bpm) => height - bottom - ((bpm - low) / (high - low)) * (height - bottom - 6);
  const style = getComputedStyle(canvas);
  pen.font = `12px ${style.fontFamily}`;
  pen.fillStyle = style.color;
  pen.strokeStyle = style.getPropertyValue("--line").trim();
  pen.lineWidth = 1;
  const step = high - low > 80 ? 40 : 20;
  for (let bpm = Math.ceil(low / step) * step; bpm <= high; bpm += step) {
    pen.textAlign = "right";
    pen.fillText(String(bpm), left - 6, y(bpm) + 4);
    pen.beginPath();
    pen.moveTo(left, Math.round(y(bpm)) + 0.5);
    pen.lineTo(width, Math.round(y(bpm)) + 0.5);
    pen.stroke();
  }
  const minutes = Math.max(1, Math.ceil(end / 60_000 / 6));
  for (let minute = 0; minute * 60_000 <= end; minute += minutes) {
    pen.textAlign = minute === 0 ? "left" : "center";
    if (x(minute * 60_000) < width - 16)
      pen.fillText(minute === 0 ? "0 min" : String(minute), x(minute * 60_000), height - 4);
  }
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  let zone = -1;
  let before = null;
  for (const sample of thinned(samples, width * 2)) {
    const [t, bpm] = sample;
    const joins =
      before !== null && bpm !== null && t >= before[0] && t - before[0] <= Math.max(HOLD_MS, (end / width) * 2);
    const here = bpm === null ? -1 : zoneOf((bpm * 100) / maxHr);
    if (joins) {
      if (here !== zone) {
        if (zone >= 0) pen.stroke();
        pen.beginPath();
        pen.strokeStyle = colours[here];
        pen.moveTo(x(before[0]), y(before[1]));
        zone = here;
      }
      pen.lineTo(x(t), y(bpm));
    } else if (zone >= 0) {
      pen.stroke();
      zone = -1;
    }
    before = bpm === null ? null : sample;
  }
  if (zone >= 0) pen.stroke();
}

/** At most about `most` samples, evenly picked, every loss of contact kept. */
function thinned(samples, most) {
  const every = Math.ceil(samples.length / most);
  return every <= 1 ? samples : samples.filter(([, bpm], index) => bpm === null || index % every === 0);
}
