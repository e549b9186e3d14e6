/**
 * What became of what the coach said: pure. The server tells it for the last cues, oldest first, each as the array
 * [cue, sent, delivered, seen, p50_ms, p95_ms].
 */

/** The newest of them in words; "" while there is none. */
export function receiptWords({ cues = [] }) {
  const last = cues.at(-1);
  if (!last) return "";
  const [, sent, delivered, seen, p50, p95] = last;
  const seenBy = `Seen by ${seen} of ${sent}`;
  if (p50 === null) return seenBy;
  const arrived = delivered === seen ? "" : `, arrived at ${delivered}`;
  return `${seenBy}${arrived} · half within ${p50} ms, nearly all within ${p95} ms`;
}
