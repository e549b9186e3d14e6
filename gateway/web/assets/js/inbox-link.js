/**
 * The way to the inbox in the bar of a page, with the number of what is unread.
 */
import { byId, make } from "./dom.js";
import { badgeWords } from "./inbox.js";
import { Problem } from "./problem.js";

/** Shows it for who is logged in, and hides it for nobody. @param {import("./login.js").Login} login */
export async function showInboxLink(login) {
  byId("to-inbox").hidden = !login.account;
  if (!login.account) return;
  try {
    show((await login.call("GET", "/v1/notifications/unread")).unread);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    console.info("the number of unread notifications is not known:", problem.message);
  }
}

/** Keeps the number right while the page has a socket. @param {import("./live.js").Live} live */
export function followInbox(live) {
  live.on("notification.new", ({ unread }) => show(unread));
  live.on("notifications.read", ({ unread }) => show(unread));
}

function show(unread) {
  const link = byId("to-inbox");
  link.querySelector(".badge")?.remove();
  if (unread) link.append(make("span", { class: "badge" }, badgeWords(unread)));
  link.setAttribute("aria-label", unread ? `Inbox, ${badgeWords(unread)} unread` : "Inbox");
}
