/**
 * How an emergency contact stands, in words. Pure.
 *
 * @typedef {"asked" | "agreed" | "refused" | "unanswered" | "unreachable"} State
 * @typedef {{name: string, email: string, state: State, until_ms: number}} Contact
 */

const STATES = {
  asked: ({ name, email }, until) => `${name} has been asked at ${email}, and can agree until ${until}. Until then they are told nothing.`,
  agreed: ({ name, email }) => `${name} has agreed and is written to at ${email} when you do not answer.`,
  refused: ({ name }) => `${name} does not want to be told, and is not asked again. You can name somebody else.`,
  unanswered: ({ name }) => `${name} has not answered in time, and is told nothing. You can ask again.`,
  unreachable: ({ email }) => `Nobody could be reached at ${email}. Is the address right?`,
};

/** @param {Contact | null} contact @param {(ms: number) => string} dateOf */
export function contactWords(contact, dateOf) {
  if (!contact) return "If nobody coaches you, or nobody there reacts, somebody you name can be written to. You have named nobody.";
  return STATES[contact.state](contact, dateOf(contact.until_ms));
}

const PHONE_STATES = {
  asked: ({ number }, until) => `${number} has been asked by text message, and can agree until ${until}.`,
  agreed: ({ number }) => `${number} has agreed and is sent a text message, too, when you do not answer.`,
  refused: ({ number }) => `${number} does not want text messages, and is not asked again.`,
  unanswered: ({ number }) => `${number} has not answered in time, and is sent nothing. You can ask again.`,
  unreachable: ({ number }) => `Nobody could be reached at ${number}. Is the number right?`,
};

/** How their number stands. @param {{number: string, state: State, until_ms: number} | null} phone @param {(ms: number) => string} dateOf */
export function contactPhoneWords(phone, dateOf) {
  if (!phone) return "A text message is quicker than a mail: give their number, and they are asked there whether they agree.";
  return PHONE_STATES[phone.state](phone, dateOf(phone.until_ms));
}

/** What to say of a question that cannot be asked yet; "" for any other problem. @param {{code: string, retryAfterMs: number | null}} problem */
export function askLaterWords({ code, retryAfterMs }) {
  if (code !== "too_many_asked" || !retryAfterMs) return "";
  const minutes = Math.ceil(retryAfterMs / 60_000);
  const hours = Math.ceil(minutes / 60);
  const wait = minutes < 60 ? `${minutes} min` : hours < 48 ? `${hours} h` : `${Math.ceil(hours / 24)} days`;
  return `That was asked just now, or too often. You can ask again in ${wait}.`;
}
