/**
 * What can be done about one message of the chat: a dialog with a high five for its author, a report, a block, and for who leads the class,
 * taking it down and muting.
 */
import { REASONS } from "./chat-words.js";
import { make, setText, whileBusy } from "./dom.js";
import { Problem } from "./problem.js";

const MUTE_MS = 5 * 60_000;

/**
 * @typedef {{own: boolean, leads: boolean, mutable: boolean, account: string | null, ask: (event: string, payload: any) => Promise<any>,
 *            call: (method: string, path: string) => Promise<any>, onTakenDown: () => void, onBlocked: () => void,
 *            onUnblocked: () => void, say: (words: string) => void}} Hands
 * @param {import("./chat-log.js").Message} message
 * @param {Hands} hands
 */
export function messageSheet(message, hands) {
  const trouble = make("p", { class: "trouble", role: "alert" });
  const actions = make("div", { class: "sheet-actions" });
  const dialog = make(
    "dialog",
    { class: "dialog chat-sheet", "aria-labelledby": "sheet-title" },
    make("h2", { id: "sheet-title", dir: "auto" }, hands.own ? "What you said" : `What ${message.name} said`),
    make("p", { class: "chat-quote", dir: "auto" }, message.text),
    trouble,
    actions,
  );
  dialog.addEventListener("close", () => dialog.remove());

  /** Does it, says so, and closes; what is refused is said in the dialog. */
  const doing = (button, work, done) =>
    whileBusy(button, async () => {
      setText(trouble, "");
      try {
        await work();
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        setText(trouble, problem.message);
        return;
      }
      dialog.close();
      hands.say(done);
    });

  const action = (words, work, done, look = "") => {
    const button = make("button", { class: `button button-wide ${look}`, type: "button" }, words);
    button.onclick = () => doing(button, work, done);
    return button;
  };
  const about = { message: message.position };

  if (!hands.own) {
    actions.append(
      action(
        `High five for ${message.name}`,
        () => hands.ask("reaction.send", { kind: "high_five", to: message.n }),
        `High five sent to ${message.name}.`,
      ),
    );
    if (!hands.leads) actions.append(reporting());
    actions.append(blocking());
  }
  if (hands.leads) {
    actions.append(
      action(
        "Take it down for everybody",
        async () => {
          await hands.ask("chat.remove", about);
          hands.onTakenDown();
        },
        "Taken down for everybody.",
        "button-danger",
      ),
    );
    if (!hands.own && hands.mutable) actions.append(...muting());
  }
  actions.append(make("button", { class: "button button-wide", type: "button", onclick: () => dialog.close() }, "Back"));
  document.body.append(dialog);
  dialog.showModal();
  return {
    close: () => dialog.close(),
    /** The message is there no more. */
    closeFor: (position) => position === message.position && dialog.open && dialog.close(),
  };

  function reporting() {
    const reason = make(
      "select",
      { "aria-label": "Why it should not stand" },
      ...REASONS.map(([value, words]) => make("option", { value }, words)),
    );
    return make(
      "div",
      { class: "sheet-report" },
      reason,
      action(
        "Report to the coach",
        () => hands.ask("chat.report", { ...about, reason: reason.value }),
        "Reported. The coach decides; nobody is told that it was you.",
      ),
    );
  }

  function blocking() {
    if (hands.account === null)
      return make("p", { class: "hint" }, "They go by another name here, so they cannot be blocked; you can report what they say.");
    const path = `/v1/blocks/${encodeURIComponent(hands.account)}`;
    return action(
      `Hear ${message.name} no more`,
      async () => {
        await hands.call("PUT", path);
        hands.onBlocked();
      },
      `You hear ${message.name} no more, in any class. They are not told.`,
    );
  }

  function muting() {
    const { n, name } = message;
    return [
      action(
        `Mute ${name} for 5 minutes`,
        () => hands.ask("chat.mute", { n, for_ms: MUTE_MS }),
        `${name} is muted for 5 minutes.`,
      ),
      action(`Mute ${name} for this class`, () => hands.ask("chat.mute", { n }), `${name} is muted for this class.`),
      action(`Let ${name} speak again`, () => hands.ask("chat.unmute", { n }), `${name} may speak again.`),
    ];
  }
}
