/**
 * One HTTP call to our own origin: JSON in, JSON out, every failure a `Problem`.
 */
import { noNetwork, problemFrom } from "./problem.js";

/**
 * @param {string} method
 * @param {string} path from the root, "/v1/…"
 * @param {{body?: unknown, token?: string | null, side?: "coach" | "athlete" | null, signal?: AbortSignal}} [options]
 *   with a `side`, the call opens, renews or ends the login in the cookie of that side; no other takes a cookie along or may set one
 * @returns {Promise<any>} the decoded body; null where there is none
 */
export async function call(method, path, { body, token = null, side = null, signal } = {}) {
  const answer = await ask(method, path, { body, token, side, signal, accept: "application/json" });
  const told = await readJson(answer);
  if (answer.ok) return told;
  throw problemFrom(told, `The server answered ${answer.status}.`);
}

/** A file of our own origin. @param {string} path @param {string} token @returns {Promise<Blob>} */
export async function callForFile(path, token) {
  const answer = await ask("GET", path, { token, accept: "*/*" });
  if (answer.ok) return answer.blob();
  throw problemFrom(await readJson(answer), `The server answered ${answer.status}.`);
}

async function ask(method, path, { body, token, side, signal, accept }) {
  const headers = { Accept: accept };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  if (side) headers["X-Paceline-Page"] = side;
  try {
    return await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
      credentials: side ? "same-origin" : "omit",
      keepalive: Boolean(side), // a page that is left meanwhile must not lose the new cookie with the answer
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw noNetwork();
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
