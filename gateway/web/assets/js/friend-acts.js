/**
 * The buttons for what can be done about a friendship, and the doing: on the page of friends, and in the dialog of a class.
 */
import { confirmed, make, setText, whileBusy } from "./dom.js";
import { LABELS, doneWords, requestOf } from "./friend-words.js";
import { guarded } from "./guarded.js";

const LOOKS = { accept: "button-primary", part: "button-danger" };
const PARTING = "They are not told. To be friends again it takes both of you.";

/**
 * @param {import("./friend-words.js").Act[]} acts
 * @param {{account_id: string, name: string}} who
 * @param {{call: (method: string, path: string, body?: any) => Promise<any>, said: HTMLElement, trouble: HTMLElement,
 *          show: () => Promise<void>}} where as whoever looks; `show` shows everything as it is then, also after a refusal
 */
export function friendButtons(acts, { account_id: account, name }, { call, said, trouble, show }) {
  return acts.map((act) => {
    const button = make(
      "button",
      {
        class: `button button-small ${LOOKS[act] ?? ""}`,
        type: "button",
        "aria-label": `${LABELS[act]}: ${name}`,
        onclick: () => whileBusy(button, () => perform(act)),
      },
      LABELS[act],
    );
    return button;
  });

  async function perform(act) {
    if (act === "part" && !(await confirmed({ title: `Part from ${name}?`, text: PARTING, yes: "Part" }))) return;
    setText(said, "");
    await guarded(trouble, async () => {
      const answer = await call(...requestOf(act, account, name)).finally(show);
      setText(said, doneWords(act, name, answer));
    });
  }
}
