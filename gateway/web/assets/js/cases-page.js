/**
 * What waits for whoever decides: appeals and marked workouts of the classes that they lead and the challenges that they have made, and
 * messages that were reported. What people have written goes in as text.
 */
import { decisionWords, findingWords, reasonWords, waitingWords } from "./cases-words.js";
import { byId, confirmed, make, setText, showView, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { memberPage } from "./member-page.js";
import { Problem } from "./problem.js";
import { moment } from "./words.js";

const MAX_REASON = 1_000;
const GONE = new Set(["nothing_to_rule", "not_found", "changed_meanwhile"]); // somebody else was quicker

class Cases {
  /** @param {import("./login.js").Login} login */
  constructor(login) {
    this.login = login;
    this.asked = 0;
  }

  async load() {
    await guarded(byId("cases-trouble"), async () => {
      const asked = (this.asked += 1);
      const [{ cases }, { reports }] = await Promise.all([
        this.login.call("GET", "/v1/reviews"),
        this.login.call("GET", "/v1/reports"),
      ]);
      if (asked !== this.asked) return; // something else was decided meanwhile, and is being read
      fill(byId("reviews"), cases.map((waiting) => this.#review(waiting)), "No workout waits for you.");
      fill(byId("reports"), reports.map((waiting) => this.#report(waiting)), "No message waits for you.");
    });
  }

  #review(waiting) {
    const reason = make("textarea", { maxlength: MAX_REASON, required: true, dir: "auto" });
    const trouble = make("p", { class: "trouble", role: "alert" });
    const rule = (button, decision) =>
      whileBusy(button, () => {
        const why = reason.value.trim();
        if (!why) {
          setText(trouble, "Say why: they read it.");
          reason.focus();
          return Promise.resolve();
        }
        return this.#decide(trouble, `Decided about ${waiting.name}'s workout. They are told, with your reason.`, () =>
          this.login.call("POST", `/v1/workouts/${waiting.workout_id}/verdict/ruling`, { decision, reason: why }),
        );
      });
    const [uphold, overturn] = decisionWords(waiting);
    return make(
      "li",
      { class: "card case" },
      make("h3", { dir: "auto" }, waiting.name),
      make("p", { class: "muted" }, [waiting.sport, moment(waiting.started_at_ms)].filter(Boolean).join(", ")),
      make("p", {}, waitingWords(waiting)),
      make("ul", {}, ...waiting.findings.map((finding) => make("li", {}, findingWords(finding)))),
      waiting.appeal !== null && make("blockquote", { dir: "auto" }, waiting.appeal),
      make("label", { class: "field" }, "Your reason, which they read", reason),
      trouble,
      make(
        "p",
        { class: "actions" },
        make("button", { class: "button", type: "button", onclick: ({ currentTarget }) => rule(currentTarget, "uphold") }, uphold),
        make(
          "button",
          { class: "button button-primary", type: "button", onclick: ({ currentTarget }) => rule(currentTarget, "overturn") },
          overturn,
        ),
      ),
    );
  }

  #report({ class_id: classId, title, report }) {
    const trouble = make("p", { class: "trouble", role: "alert" });
    const decide = async (button, verdict) => {
      const sure =
        verdict === "keep" ||
        (await confirmed({ title: "Take it down?", text: "Nobody is given this message any more.", yes: "Take it down" }));
      if (!sure) return;
      await whileBusy(button, () =>
        this.#decide(trouble, verdict === "keep" ? "The message stays." : "The message is taken down.", () =>
          this.login.call("PUT", `/v1/classes/${classId}/reports/${report.id}/verdict`, { verdict }),
        ),
      );
    };
    return make(
      "li",
      { class: "card case" },
      make("h3", { dir: "auto" }, title),
      make("p", { class: "muted" }, `${reasonWords(report.reason)}, ${moment(report.reported_at_ms)}`),
      make("blockquote", { dir: "auto" }, report.text),
      trouble,
      make(
        "p",
        { class: "actions" },
        make("button", { class: "button", type: "button", onclick: ({ currentTarget }) => decide(currentTarget, "keep") }, "It stays"),
        make(
          "button",
          { class: "button button-danger", type: "button", onclick: ({ currentTarget }) => decide(currentTarget, "remove") },
          "Take it down",
        ),
      ),
    );
  }

  /** Decides, says so, and looks what waits now; what somebody else has decided meanwhile goes, too. */
  async #decide(trouble, said, work) {
    setText(trouble, "");
    try {
      await work();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (!GONE.has(problem.code)) {
        setText(trouble, problem.message);
        return;
      }
      said = `It was decided already: ${problem.message}`;
    }
    setText(byId("cases-said"), said);
    await this.load();
    document.querySelector("[data-view=cases] [data-heading]").focus();
  }
}

function fill(list, entries, none) {
  list.replaceChildren(...(entries.length ? entries : [make("li", { class: "muted" }, none)]));
}

memberPage({
  meanwhile: "What waits is shown again when we are back.",
  async enter(login) {
    showView("cases");
    await new Cases(login).load();
  },
});
