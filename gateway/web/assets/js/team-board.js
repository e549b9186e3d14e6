/**
 * The teams of a class beside its board: place, name and what each has, as the server says it. Two of a team have to be on the board
 * before it has anything.
 */
import { make } from "./dom.js";
import { figureWithUnit } from "./metric-words.js";

/**
 * @param {{rank: number | null, name: string, figure: number | null, athletes: number}} team
 * @param {string} metric
 */
export const teamFigure = ({ figure }, metric) => figureWithUnit(metric, figure);

/** The teams of a board with their names. @param {import("./board.js").Board} board @param {{teams?: string[]} | null} view */
export function teamsOf(board, view) {
  const names = view?.teams ?? [];
  return board.teams.map(([team, rank, figure, athletes]) => ({ team, rank, name: names[team] ?? `Team ${team + 1}`, figure, athletes }));
}

/** The teams of a final table by rank, as those of a board. @param {{teams?: any[]}} summary */
export const teamsOfTable = ({ teams = [] }) =>
  teams.map(({ team, rank = null, name, figure = null, athletes }) => ({ team, rank, name, figure, athletes }));

/** "Teams by the mean of those on the board". @param {{team_rule?: string} | null} view */
export const teamRuleWords = (view) =>
  view?.team_rule === "sum" ? "Teams by the sum of those on the board" : "Teams by the mean of those on the board";

/**
 * Shows them in a list that is hidden while there are none.
 * @param {HTMLOListElement} root
 * @param {import("./board.js").Board} board
 * @param {any} view
 * @param {{fresh: boolean, own?: number | null}} how `own` is the team of who looks
 */
export function showTeams(root, board, view, { fresh, own = null }) {
  fill(root, teamsOf(board, view), board.metric, { words: teamRuleWords(view), fresh, own });
}

/** The teams of a class that is over, in a list of their own; null where it had none. @param {any} summary a ClassSummary of the wire */
export function teamTable(summary) {
  const teams = teamsOfTable(summary);
  if (!teams.length) return null;
  const root = make("ol", { class: "team-board" });
  const words = summary.team_rule === "sum" ? "Teams by the sum of their lines" : "Teams by the mean of their lines";
  fill(root, teams, summary.metric ?? "effort", { words, fresh: true, own: null });
  return root;
}

function fill(root, teams, metric, { words, fresh, own }) {
  root.hidden = teams.length === 0;
  root.setAttribute("aria-label", words);
  root.title = words;
  root.replaceChildren(
    ...teams.map((each) =>
      make(
        "li",
        { class: each.team === own ? "is-you" : null },
        make("span", { class: "team-rank" }, fresh && each.rank !== null ? String(each.rank) : "–"),
        make("span", { class: "team-name" }, each.name),
        make("span", { class: "team-figure" }, fresh ? teamFigure(each, metric) : "–"),
      ),
    ),
  );
}
