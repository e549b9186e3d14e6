/**
 * Copying a link, also where the browser has no clipboard: then it is selected, so that the keyboard can copy it.
 */
import { setText } from "./dom.js";

/** @param {HTMLInputElement} input @param {HTMLElement} said */
export async function copy(input, said) {
  try {
    await navigator.clipboard.writeText(input.value);
    setText(said, "Copied.");
  } catch (refused) {
    console.info("no clipboard here:", refused);
    input.focus();
    input.select();
    setText(said, "It is selected; press Ctrl+C.");
  }
}
