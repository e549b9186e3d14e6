/**
 * What a coach is told of athletes who have not answered: above everything else on the page, until it is over.
 *
 * It comes over the socket, once. What was missed is asked for after every connect, when the server hears its other nodes
 * again, and twice a minute meanwhile: between the nodes something may be lost that neither server nor page notices.
 */
import { byId, make, setText, whileBusy } from "./dom.js";
import { OpenAlerts } from "./open-alerts.js";
import { Problem } from "./problem.js";
import { alertState, alertWords } from "./safety-words.js";

const OVER_FOR_MS = 20_000;
const TAKEN_FOR_MS = 11 * 60_000; // the server says after ten that it is over
const ASK_EVERY_MS = 30_000; // by feeling: half of what a coach has before the contact is told
const ASK_AGAIN_MS = 3_000;

/**
 * @param {import("./live.js").Live} live @param {import("./login.js").Login} login
 * @returns {{close: () => void}} takes it all away
 */
export function followAlerts(live, login) {
  const alerts = new OpenAlerts();
  /** @type {Map<string, HTMLElement>} by incident */
  const shown = new Map();
  const list = make("ul", { id: "safety-alerts", class: "list", role: "alert" });
  document.getElementById("safety-alerts")?.remove();
  byId("main").prepend(list);
  let connected = false;
  let behind = false;
  let closed = false;
  let timer = 0;

  function take(alert) {
    if (alerts.take(alert)) show(alert);
  }

  function show(alert) {
    const { incident, state } = alert;
    const element = entry(alert);
    const before = shown.get(incident);
    if (before) before.replaceWith(element);
    else list.append(element);
    shown.set(incident, element);
    const ms = { closed: OVER_FOR_MS, gone: OVER_FOR_MS, acknowledged: TAKEN_FOR_MS }[state];
    if (ms) setTimeout(() => shown.get(incident) === element && hide(incident), ms);
  }

  function hide(incident) {
    shown.get(incident).remove();
    shown.delete(incident);
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
      !["acknowledged", "closed", "gone"].includes(alert.state) && going,
    );
  }

  async function ask() {
    clearTimeout(timer);
    const asked = alerts.ask();
    let againMs = ASK_EVERY_MS;
    try {
      const { news, gone } = alerts.takeAnswer(asked, await login.call("GET", "/v1/safety/alerts"));
      for (const alert of news) show(alert);
      for (const alert of gone) show({ ...alert, state: "gone" });
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      console.info("which alerts wait is not known:", problem.message);
      if (problem.retry) againMs = problem.retryAfterMs ?? ASK_AGAIN_MS;
    }
    if (!connected || closed || alerts.overtaken(asked)) return;
    timer = setTimeout(ask, againMs);
  }

  live.on("safety.alert", take);
  live.watch((standing) => {
    const missed = !connected || (behind && !standing.behind);
    connected = standing.phase === "connected";
    behind = standing.behind;
    if (!connected) clearTimeout(timer);
    else if (missed && !closed) ask();
  });
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      list.remove();
    },
  };
}
