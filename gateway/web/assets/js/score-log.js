/**
 * The score log of a challenge as a file, in the form that `paceline challenge check` reads: the pages of the server, one after
 * the other.
 */
import { make } from "./dom.js";

const PAGE = 500;

/**
 * Fetches the log and lets the browser keep it.
 * @param {import("./login.js").Login} login @param {string} id
 */
export async function saveLog(login, id) {
  const pages = [];
  let entries = 0;
  for (let after = 0; after !== null;) {
    const page = await login.call("GET", `/v1/challenges/${encodeURIComponent(id)}/log?after=${after}&limit=${PAGE}`);
    pages.push(JSON.stringify(page));
    entries += page.entries.length;
    after = page.next_after;
  }
  const name = `challenge-${id}.log`;
  const address = URL.createObjectURL(new Blob([`${pages.join("\n")}\n`], { type: "application/json" }));
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  URL.revokeObjectURL(address);
  return { entries, name };
}
