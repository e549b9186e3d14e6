/**
 * A mail in a frame, as a mail program would show it: in its own styles, running nothing.
 *
 * Mails are made of inline styles, which no page of ours allows (`style-src 'self'`), frames in it included. So the styles do not come as
 * text of a document: they are set one by one, as any script may set them. The frame is a document of ours in which nothing runs.
 */
import { make } from "./dom.js";

const HELD = "data-style";

/** @param {{html: string, subject: string}} mail @param {string} width px */
export function mailFrame(mail, width) {
  const frame = make("iframe", {
    class: "mail",
    title: `Mail: ${mail.subject}`,
    sandbox: "allow-same-origin",
    width,
    height: 700,
    srcdoc: "<!doctype html>",
  });
  frame.addEventListener("load", () => dress(frame, mail.html), { once: true });
  return frame;
}

function dress(frame, html) {
  // Already reading them would be refused. Nothing in a text looks like them: there a quotation mark and a < are escaped.
  const sheets = [];
  const bare = html.replaceAll(' style="', ` ${HELD}="`).replaceAll(/<style>(.*?)<\/style>/gs, (_, text) => {
    const sheet = new frame.contentWindow.CSSStyleSheet();
    sheet.replaceSync(text);
    sheets.push(sheet);
    return "";
  });
  const mail = new DOMParser().parseFromString(bare, "text/html");
  const shown = frame.contentDocument;
  shown.replaceChild(shown.importNode(mail.documentElement, true), shown.documentElement);
  shown.adoptedStyleSheets = sheets;
  for (const each of shown.querySelectorAll(`[${HELD}]`)) {
    each.style.cssText = each.getAttribute(HELD);
    each.removeAttribute(HELD);
  }
}
