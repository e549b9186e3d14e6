/**
 * How a telephone number stands, in words. Pure.
 *
 * @typedef {{number: string, expires_at_ms: number, guesses_left: number, message: "waiting" | "sent" | "failed"}} Check
 */

/** @param {{number: string | null, dead: boolean, check: Check | null, offered: boolean}} view */
export function phoneWords({ number, dead, offered }) {
  if (!offered) return `This server sends no text messages${number ? `; your number is ${number}` : ""}.`;
  if (!number) return "Text messages go to a number that you have proved to be yours. There is none yet.";
  if (dead) return `Nobody could be reached at ${number}, so nothing is sent there any more. Give the number again, or another one.`;
  return `Text messages go to ${number}.`;
}

/** @param {Check | null} check */
export function checkWords(check) {
  if (!check) return "";
  if (check.message === "failed") return `The text message to ${check.number} could not be delivered. Is the number right?`;
  return `${check.message === "sent" ? "We have sent" : "We are sending"} a code to ${check.number}. It is good for ten minutes.`;
}

/** What to say of a code that cannot be sent yet; "" for any other problem. @param {{code: string, retryAfterMs: number | null}} problem */
export function askAgainWords({ code, retryAfterMs }) {
  if (code !== "too_many_codes" || !retryAfterMs) return "";
  const minutes = Math.ceil(retryAfterMs / 60_000);
  if (minutes <= 1) return "A code was sent just now. You can have another one in a minute.";
  const wait = minutes < 60 ? `${minutes} minutes` : minutes < 120 ? "an hour or two" : `${Math.ceil(minutes / 60)} hours`;
  return `Too many codes were sent. You can have another one in ${wait}.`;
}
