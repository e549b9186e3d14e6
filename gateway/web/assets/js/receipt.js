/**
 * Tells the coach that a cue has arrived, and that it was shown: at once, or when somebody looks at the page again while it is
 * still news.
 */
import { newsForMs } from "./cue.js";
import { Problem } from "./problem.js";

/** @param {import("./live.js").Live} live @param {any} cue @param {() => number} serverNowMs */
export function acknowledge(live, cue, serverNowMs) {
  const isShown = () => document.visibilityState === "visible" && newsForMs(cue, serverNowMs()) > 0;
  if (isShown()) {
    tell(live, cue, true);
    return;
  }
  tell(live, cue, false);
  const onLook = () => {
    if (newsForMs(cue, serverNowMs()) > 0 && !isShown()) return;
    document.removeEventListener("visibilitychange", onLook);
    if (isShown()) tell(live, cue, true);
  };
  document.addEventListener("visibilitychange", onLook);
}

async function tell(live, { class_id, position }, shown) {
  try {
    await live.ask("cue.seen", { class_id, cue: position, shown });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    console.info("the coach does not learn of this receipt:", problem.message); // it is worth no second try
  }
}
