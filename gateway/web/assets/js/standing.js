/**
 * What the connection is doing, in words, on every page: a small sign while all is well, a bar when it is not.
 *
 * The text is a polite live region: a screen reader hears that the connection went and came, and is spared the numbers.
 */
import { make } from "./dom.js";

const CATCHING_UP = "Catching up with the class…";

/**
 * @param {HTMLElement} sign where the small sign goes
 * @param {import("./live.js").Live} live
 * @param {{meanwhile?: string, well?: string, inStep?: () => boolean}} [options] what is so while the connection is gone, the word
 *   for all is well, and whether what the page shows is in step: a connection that is there does not say that
 * @returns {() => void} to be called when `inStep` may have changed
 */
export function showStanding(
  sign,
  live,
  { meanwhile = "Numbers are hidden until we are back.", well = "Live", inStep = () => true } = {},
) {
  const dot = make("span", { class: "sign-dot", "aria-hidden": "true" });
  const text = make("span", { role: "status", "aria-live": "polite" });
  const again = make(
    "button",
    { class: "button button-small", type: "button", onclick: () => location.reload() },
    "Reconnect",
  );
  sign.replaceChildren(dot, text, again);
  sign.classList.add("sign");
  const show = () => {
    const { standing } = live;
    const isInStep = inStep();
    sign.dataset.phase = standing.phase === "connected" && (standing.behind || !isInStep) ? "behind" : standing.phase;
    const said = words(standing, meanwhile, isInStep ? well : CATCHING_UP);
    if (text.textContent !== said) text.textContent = said;
    again.hidden = standing.phase !== "over";
    document.body.classList.toggle("is-away", standing.phase === "away" || standing.phase === "over");
  };
  live.watch(show);
  return show;
}

/**
 * The sentence for a standing.
 * @param {import("./live.js").Standing} standing
 * @param {string} meanwhile what is so while the connection is gone
 * @param {string} [well] the word for all is well
 */
export function words({ phase, fresh, reason, behind }, meanwhile, well = "Live") {
  switch (phase) {
    case "connected":
      return behind ? "Part of the class may be missing right now. It comes back by itself." : well;
    case "connecting":
      return "Connecting…";
    case "over":
      return `Disconnected: ${reason}`;
    default:
      return `Disconnected: ${reason.replace(/\.$/, "")}. ${fresh ? "Reconnecting…" : meanwhile}`;
  }
}
