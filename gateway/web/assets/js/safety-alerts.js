/**
 * What a coach is told of athletes who have not answered: above everything else on the page, until it is over.
 */
import { byId, make, setText, whileBusy } from "./dom.js";
import { Problem } from "./problem.js";
import { alertState, alertWords, isNews } from "./safety-words.js";

const OVER_FOR_MS = 20_000;

/** @param {import("./live.js").Live} live */
export function followAlerts(live) {
  /** @type {Map<string, {alert: any, element: HTMLElement}>} */
  const known = new Map();
  const list = make("ul", { id: "safety-alerts", class: "list", role: "alert" });
  document.getElementById("safety-alerts")?.remove();
  byId("main").prepend(list);

  function take(alert) {
    const before = known.get(alert.incident);
    if (!isNews(before?.alert, alert)) return;
    const element = entry(alert);
    if (before) before.element.replaceWith(element);
    else list.append(element);
    known.set(alert.incident, { alert, element });
    if (alert.state === "closed") setTimeout(() => element.remove(), OVER_FOR_MS);
  }

  function entry(alert) {
    const trouble = make("p", { class: "trouble" });
    const going = make("button", { class: "button button-danger", type: "button" }, "I am going");
    going.addEventListener("click", () =>
      whileBusy(going, async () => {
        setText(trouble, "");
        try {
          take(await live.ask("safety.acknowledge", { incident: alert.incident }));
        } catch (problem) {
          if (!(problem instanceof Problem)) throw problem;
          setText(trouble, problem.message);
        }
      }),
    );
    return make(
      "li",
      { class: "card", "data-incident": alert.incident },
      make("h2", {}, alertWords(alert)),
      make("p", {}, alertState(alert)),
      trouble,
      !["acknowledged", "closed"].includes(alert.state) && going,
    );
  }

  live.on("safety.alert", take);
}
