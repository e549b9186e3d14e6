/**
 * Work that the server may refuse, with a place on the page where that is said.
 */
import { setText } from "./dom.js";
import { Problem } from "./problem.js";

/**
 * Empties `place` and runs `work`; a refusal is said there.
 * @param {HTMLElement} place
 * @param {() => unknown} work
 * @param {(problem: Problem) => string} [words] what to say of it
 * @returns {Promise<boolean>} whether it was done
 */
export async function guarded(place, work, words = (problem) => problem.message) {
  setText(place, "");
  try {
    await work();
    return true;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    setText(place, words(problem));
    return false;
  }
}
