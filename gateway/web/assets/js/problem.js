/**
 * A refusal, from wherever it came: an acknowledgement, an HTTP answer, or a network that is not there.
 *
 * The server's codes are its one problem table. Two more are ours: `no_network` when nothing answered at all, and
 * `no_answer` when the socket was open but no acknowledgement came in time. Both may be tried again.
 */
export class Problem extends Error {
  /**
   * @param {{code: string, message: string, retry?: boolean, path?: string | null, retryAfterMs?: number | null,
   *          data?: Record<string, string | number | null> | null}} view
   */
  constructor({ code, message, retry = false, path = null, retryAfterMs = null, data = null }) {
    super(message);
    this.name = "Problem";
    this.code = code;
    this.retry = retry;
    this.path = path;
    this.retryAfterMs = retryAfterMs;
    this.data = data ?? {};
  }

  /** The field of a form this is about: "$.password" -> "password"; "" when it is about no field. */
  get field() {
    const match = /^\$\.([A-Za-z_]+)/.exec(this.path ?? "");
    return match ? match[1] : "";
  }
}

/** A problem as the wire tells it ({code, message, retry, path, retry_after_ms, data}; HTTP: title and detail). */
export function problemFrom(view, fallback = "The server refused without saying why.") {
  const told = view && typeof view === "object" ? view : {};
  return new Problem({
    code: typeof told.code === "string" ? told.code : "refused",
    message: told.message || told.detail || told.title || fallback,
    retry: Boolean(told.retry),
    path: told.path ?? null,
    retryAfterMs: told.retry_after_ms ?? null,
    data: told.data ?? null,
  });
}

export const noNetwork = () =>
  new Problem({
    code: "no_network",
    message: "The server cannot be reached. Check the network and try again.",
    retry: true,
  });

export const noAnswer = () =>
  new Problem({ code: "no_answer", message: "The server did not answer in time.", retry: true });
