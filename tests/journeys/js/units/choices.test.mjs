/** What one wants to be told: the controls of the page say exactly what is sent. */
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  awayWords,
  channelsOf,
  minutesOf,
  preferencesOf,
  timeOf,
  zonesWith,
} from "../../../../gateway/web/assets/js/choices.js";

test("times go there and back", () => {
  for (const minutes of [0, 7, 405, 1_290, 1_439]) assert.equal(minutesOf(timeOf(minutes)), minutes);
  assert.equal(timeOf(405), "06:45");
});

test("the document that is sent is the one that was read, with what was chosen", () => {
  const view = { preferences: { revision: 4, locale: "en", of_tomorrow: true }, topics: [] };
  const sent = preferencesOf(view, { news: { email: "off" } }, {
    quiet: ["22:00", "07:00"],
    digest: { hour: 8, weekday: null },
    timeZone: "Europe/Vienna",
    locale: "de",
  });
  assert.deepEqual(sent, {
    revision: 4,
    of_tomorrow: true,
    locale: "de",
    time_zone: "Europe/Vienna",
    quiet_hours: { begins: 1_320, until: 420 },
    digest: { hour: 8, weekday: null },
    chosen: { news: { email: "off" } },
  });
  assert.equal(preferencesOf(view, {}, { quiet: null, digest: {}, timeZone: "", locale: "" }).quiet_hours, null);
});

test("channels stand in one order, and only those that a topic has", () => {
  assert.deepEqual(channelsOf({ channels: { sms: {}, email: {} } }), ["email", "sms"]);
});

test("channels that are not set up are named once", () => {
  assert.equal(awayWords(["email", "push", "sms"]), "");
  assert.match(awayWords(["email", "push"]), /^SMS is not set up/);
  assert.match(awayWords([]), /^E-mail, Push, and SMS are not set up/);
});

test("the zone that is chosen can be chosen, even when this browser does not know it", () => {
  assert.deepEqual(zonesWith(["Europe/Vienna"], "Europe/Kyiv"), ["Europe/Kyiv", "Europe/Vienna", "UTC"]);
});
