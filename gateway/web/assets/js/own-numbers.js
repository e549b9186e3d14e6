/**
 * The athlete's own numbers, as large as the screen allows.
 *
 * Heart rate, percent and zone come straight from the sensor in this browser, so they are right without a network too;
 * points and rank are the room's and vanish when the room cannot be heard. The same clock as on the board applies: a
 * reading counts as live for 3 s, is stale until 10 s, and is lost after that.
 */
import { percentOf, zoneOf } from "./body.js";
import { byId, setText } from "./dom.js";
import { figureWords, metricCalled, unitOf } from "./metric-words.js";
import { zoneWords } from "./words.js";

const LIVE_MS = 3_000;
const STALE_MS = 10_000;
const BLANK = "–";
const FROM = { measured: "measured", age: "by age", assumed: "assumed" };

export class OwnNumbers {
  /** @param {{maxHr: number, maxFrom: "measured" | "age" | "assumed"}} body */
  constructor(body) {
    this.body = body;
    this.bpm = null;
    this.readAt = -Infinity;
    setText(byId("percent-of"), `of max ${body.maxHr} (${FROM[body.maxFrom]})`);
  }

  /** @param {import("./heart-rate.js").Reading} reading taken just now */
  read({ bpm }) {
    if (bpm === null) return; // no contact: the last one ages, as on the board
    this.bpm = bpm;
    this.readAt = performance.now();
  }

  /** @returns {"live" | "stale" | "lost" | "none"} */
  get freshness() {
    if (this.bpm === null) return "none";
    const age = performance.now() - this.readAt;
    return age < LIVE_MS ? "live" : age < STALE_MS ? "stale" : "lost";
  }

  /**
   * @param {import("./board.js").Line | null} line the room's line for this athlete
   * @param {{fresh: boolean, of: number}} room whether the room is heard, and how many are ranked
   */
  show(line, { fresh, of }) {
    const { freshness } = this;
    const live = freshness === "live";
    const percent = live ? percentOf(this.bpm, this.body.maxHr) : null;
    const zone = live ? zoneOf(percent) : null;
    const { dataset } = byId("own");
    dataset.state = freshness;
    dataset.zone = live ? String(zone) : "";
    setText(byId("bpm"), live ? String(this.bpm) : BLANK);
    setText(byId("percent"), live ? `${percent}%` : BLANK);
    setText(
      byId("zone"),
      live ? zoneWords(zone) : { stale: "stale", lost: "sensor lost", none: "no sensor yet" }[freshness],
    );
    byId("needle").hidden = !live;
    if (live) {
      byId("needle").style.left = `${needle(percent)}%`;
      byId("heart").style.animationDuration = `${(60 / this.bpm).toFixed(2)}s`;
    }
    const known = fresh && line !== null;
    const metric = known ? line.metric : "effort";
    setText(byId("effort-of"), `${metricCalled(metric)}, ${unitOf(metric)}`);
    setText(byId("effort"), known ? figureWords(metric, line.figure) : BLANK);
    setText(byId("rank"), known && Number.isFinite(line.rank) ? `${line.rank} of ${of}` : BLANK);
  }
}

/** Where a percentage of maximum lies on the scale of six equal parts, 0 to 100; below zone 1 counts from 30 %. */
function needle(percent) {
  const part = percent < 50 ? Math.max(0, (percent - 30) / 20) : Math.min(6, 1 + (percent - 50) / 10);
  return (part / 6) * 100;
}
