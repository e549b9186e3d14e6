/**
 * An invitation to a challenge: what one agrees to, the team where there are teams, and the button that joins.
 */
import { rulesWords } from "./challenge-words.js";
import { make, setText, whileBusy } from "./dom.js";
import { Problem } from "./problem.js";
import { count } from "./words.js";

/**
 * Shows what a code invites to. Raises `Problem` when it invites to nothing.
 * @param {HTMLElement} place
 * @param {import("./login.js").Login} login
 * @param {string} code
 * @param {(challenge: any) => void} onJoined
 */
export async function showInvitation(place, login, code, onJoined) {
  const invited = await login.call("GET", `/v1/challenges/invitations/${encodeURIComponent(code)}`);
  const trouble = make("p", { class: "trouble", role: "alert" });
  const button = make("button", { class: "button button-primary button-wide", type: "submit" }, "Join");
  const form = make(
    "form",
    { class: "invitation", novalidate: true },
    make("h3", { class: "invitation-title" }, invited.title),
    make("p", {}, rulesWords(invited)),
    make("p", { class: "muted" }, `${count(invited.members, "member")} so far.`),
    invited.teams.length > 0 && teams(invited.teams),
    make(
      "p",
      { class: "muted" },
      `What you do from now on counts. By joining you agree that the members see your name and score${invited.teams.length ? " and team" : ""}, and in the score log the times at which your number has worked out. When you leave you are off the table at once. Your days are those of ${zoneHere()}, for as long as it lasts.`,
    ),
    trouble,
    invited.open ? button : make("p", { class: "lead" }, "It is too late to join."),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(button, async () => {
      setText(trouble, "");
      const team = new FormData(form).get("team");
      try {
        const body = { code, time_zone: zoneHere(), ...(team && { team }) };
        onJoined(await login.call("POST", "/v1/challenges/join", body));
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        setText(trouble, problem.field === "team" ? "Choose your team." : problem.message);
      }
    });
  });
  place.replaceChildren(form);
}

function teams(names) {
  return make(
    "fieldset",
    { class: "choices" },
    make("legend", {}, "Your team"),
    ...names.map((name) =>
      make(
        "label",
        { class: "choice" },
        make("input", { type: "radio", name: "team", value: name }),
        make("strong", {}, name),
      ),
    ),
  );
}

/** Where one's days begin. */
export const zoneHere = () => Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
