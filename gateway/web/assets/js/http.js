/**
 * One HTTP call to our own origin: JSON in, JSON out, every failure a `Problem`.
 *
 * Nothing waits for an answer for ever: a network that swallows a call without a word would hold up whatever comes
 * behind it, and above all the connection that is to come back. Time that is up is told as a network that is not there.
 */
import { Problem, noNetwork, problemFrom } from "./problem.js";

const BEGINS_WITHIN_MS = 10_000; // as long as the socket waits for an acknowledgement
const WHOLE_WITHIN_MS = 30_000; // from its head on: the largest are 10,000 samples of a curve, at 5 kB/s
const FILE_WITHIN_MS = 600_000; // by feeling

/**
 * @param {string} method
 * @param {string} path from the root, "/v1/…"
 * @param {{body?: unknown, token?: string | null, side?: "coach" | "athlete" | null, signal?: AbortSignal,
 *          beginsWithinMs?: number}} [options]
 *   with a `side`, the call opens, renews or ends the login in the cookie of that side; no other takes a cookie along or may set one
 * @returns {Promise<any>} the decoded body; null where there is none
 */
export async function call(method, path, { body, token = null, side = null, signal, beginsWithinMs } = {}) {
  const how = { body, token, side, signal, beginsWithinMs, accept: "application/json" };
  return ask(method, path, how, async (answer) => {
    const told = await readJson(answer);
    if (answer.ok) return told;
    throw problemFrom(told, `The server answered ${answer.status}.`);
  });
}

/** A file of our own origin. @param {string} path @param {string} token @returns {Promise<Blob>} */
export async function callForFile(path, token) {
  return ask("GET", path, { token, accept: "*/*", wholeWithinMs: FILE_WITHIN_MS }, async (answer) => {
    if (answer.ok) return answer.blob();
    throw problemFrom(await readJson(answer), `The server answered ${answer.status}.`);
  });
}

/** Asks, and has the answer read by `read`; either ends when its time is up, or with the `signal`. */
async function ask(method, path, how, read) {
  const { body, token, side, signal, accept, beginsWithinMs = BEGINS_WITHIN_MS, wholeWithinMs = WHOLE_WITHIN_MS } = how;
  const headers = { Accept: accept };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  if (side) headers["X-Paceline-Page"] = side;
  const stopping = new AbortController(); // not `AbortSignal.any`, which needs Safari 17.4 and Firefox 124
  const stop = () => stopping.abort();
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  let timer = setTimeout(stop, beginsWithinMs);
  try {
    const answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: stopping.signal,
      cache: "no-store",
      credentials: side ? "same-origin" : "omit",
      keepalive: Boolean(side), // a page that is left meanwhile must not lose the new cookie with the answer
    });
    clearTimeout(timer);
    timer = setTimeout(stop, wholeWithinMs);
    return await read(answer);
  } catch (cause) {
    if (signal?.aborted || cause instanceof Problem) throw cause;
    throw noNetwork();
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

async function readJson(answer) {
  const text = await answer.text();
  if (answer.ok && text === "") return null;
  try {
    return JSON.parse(text);
  } catch (notJson) {
    if (answer.ok) throw problemFrom(null, `The server's answer is not JSON (${notJson.message}).`);
    return null; // a proxy's own error page: the status is all there is to tell
  }
}
