/**
 * What the connection is doing, in words, on every page: a small sign while all is well, a bar when it is not.
 *
 * The text is a polite live region: a screen reader hears that the connection went and came, and is spared the numbers.
 */
import { make } from "./dom.js";

/**
 * @param {HTMLElement} sign where the small sign goes
 * @param {import("./live.js").Live} live
 * @param {{meanwhile?: string, well?: string}} [options] what is so while the connection is gone, and the word for all is well
 */
export function showStanding(sign, live, { meanwhile = "Numbers are hidden until we are back.", well = "Live" } = {}) {
  const dot = make("span", { class: "sign-dot", "aria-hidden": "true" });
  const text = make("span", { role: "status", "aria-live": "polite" });
  const again = make(
    "button",
    { class: "button button-small", type: "button", onclick: () => location.reload() },
    "Reconnect",
  );
  sign.replaceChildren(dot, text, again);
  sign.classList.add("sign");
  live.watch((standing) => {
    sign.dataset.phase = standing.phase === "connected" && standing.behind ? "behind" : standing.phase;
    const said = words(standing, meanwhile, well);
    if (text.textContent !== said) text.textContent = said;
    again.hidden = standing.phase !== "over";
    document.body.classList.toggle("is-away", standing.phase === "away" || standing.phase === "over");
  });
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
