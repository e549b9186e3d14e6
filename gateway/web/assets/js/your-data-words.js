/**
 * One's own copy and one's own end, in words. Pure.
 *
 * @typedef {{state: string, done?: number, total?: number, note?: string, cancelling?: boolean, problem?: string,
 *            result?: {file?: {name: string, bytes: number, until_ms: number}}}} Task
 */
import { moment } from "./words.js";

const KB = 1_000;
const LARGER = ["kB", "MB", "GB"];

/** "812 kB". @param {number} bytes */
export function sizeWords(bytes) {
  let [size, at] = [bytes / KB, 0];
  while (size >= KB && at < LARGER.length - 1) [size, at] = [size / KB, at + 1];
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${LARGER[at]}`;
}

/** How it stands with a copy. @param {Task | null} task @param {number} nowMs */
export function copyWords(task, nowMs) {
  if (!task) return "";
  switch (task.state) {
    case "waiting":
      return task.cancelling ? "It is being stopped." : "It begins in a moment.";
    case "running":
      if (task.cancelling) return "It is being stopped.";
      return task.total ? `${task.done ?? 0} of ${task.total} ${task.note || "parts"} are written.` : "It is being written.";
    case "done": {
      const file = task.result?.file;
      if (!file || file.until_ms <= nowMs) return "Your last copy has been removed. Make a new one.";
      return `Your copy is ready: ${sizeWords(file.bytes)}, until ${moment(file.until_ms)}.`;
    }
    case "cancelled":
      return "The last one was stopped.";
    default:
      return `The last one failed: ${task.problem || "nobody knows why"}. Try again.`;
  }
}

/** Whether a copy is on its way. @param {Task | null} task */
export const isUnderWay = (task) => task?.state === "waiting" || task?.state === "running";

/** The file that can be fetched, or null. @param {Task | null} task @param {number} nowMs */
export function fileOf(task, nowMs) {
  const file = task?.state === "done" ? task.result?.file : null;
  return file && file.until_ms > nowMs ? file : null;
}

/** What is going to happen. @param {{due_ms: number} | null} erasure */
export const erasureWords = (erasure) =>
  erasure
    ? `Your account is closed on ${moment(erasure.due_ms)}, and everything about you goes with it. Until then you can keep it.`
    : "Everything about you goes: workouts, challenges, messages. What others keep shows somebody who left. You have a week to think again.";
