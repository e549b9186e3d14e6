/*
 * The service worker that shows pushes while no page is open. It shows, opens and nothing else: it fetches nothing, keeps nothing, and
 * stands between no page and the server.
 *
 * Of those with one tag only the newest is shown; a page that is being looked at does not need a push beside it, but a browser
 * insists that each is shown, so it is shown without a sound.
 */
"use strict";

self.addEventListener("push", (event) => {
  event.waitUntil(show(read(event.data)));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data.url));
});

function read(data) {
  try {
    const told = data?.json() ?? {};
    return {
      title: String(told.title ?? "Paceline"),
      body: String(told.body ?? ""),
      tag: String(told.tag ?? told.collapse_key ?? ""),
      url: here(told.data?.url),
    };
  } catch (unreadable) {
    console.warn("a push could not be read", unreadable);
    return { title: "Paceline", body: "There is news in your inbox.", tag: "", url: "/inbox" };
  }
}

async function show({ title, body, tag, url }) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const watched = pages.some((page) => page.visibilityState === "visible");
  await self.registration.showNotification(title, { body, tag, silent: watched, data: { url } });
}

async function open(url) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const inbox = pages.find((page) => new URL(page.url).pathname === "/inbox");
  if (inbox) {
    await inbox.focus();
    inbox.postMessage({ open: url });
    return;
  }
  await self.clients.openWindow(url);
}

/** An address on our own origin, as a path; the inbox for anything else. */
function here(url) {
  try {
    const { origin, pathname, search, hash } = new URL(url, self.location.origin);
    return origin === self.location.origin ? pathname + search + hash : "/inbox";
  } catch (wrong) {
    console.warn("a push leads nowhere", wrong);
    return "/inbox";
  }
}
