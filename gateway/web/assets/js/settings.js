/**
 * The settings of the inbox: topics and channels, quiet hours, the gathered mail, time zone and language.
 */
import { CHANNEL_WORDS, WAY_WORDS, awayWords, channelsOf, preferencesOf, timeOf, zonesWith } from "./choices.js";
import { byId, make, setText, whileBusy } from "./dom.js";
import { Problem } from "./problem.js";

// The page is in English, whatever language the notifications come in.
const URL = "/v1/notification-preferences?language=en";

export class Settings {
  /** @param {import("./login.js").Login} login @param {() => void} onSaved what is shown may read differently now */
  constructor(login, onSaved) {
    this.login = login;
    this.onSaved = onSaved;
    this.view = null;
    byId("digest-hour").replaceChildren(
      ...Array.from({ length: 24 }, (_, hour) => make("option", { value: hour }, timeOf(hour * 60))),
    );
    byId("choices").addEventListener("submit", (event) => {
      event.preventDefault();
      whileBusy(event.target.querySelector("[type=submit]"), () => this.#save());
    });
    byId("choices").addEventListener("input", () => setText(byId("choices-said"), ""));
    byId("quiet").addEventListener("change", () => this.#showQuiet());
    byId("here").addEventListener("click", () => {
      byId("time-zone").value = ourZone();
      this.#offerZone();
    });
    byId("time-zone").addEventListener("change", () => this.#offerZone());
  }

  /** Reads them anew. */
  async load() {
    try {
      this.#show(await this.login.call("GET", URL));
      setText(byId("choices-trouble"), "");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      setText(byId("choices-trouble"), problem.message);
    }
  }

  async #save() {
    setText(byId("choices-trouble"), "");
    setText(byId("choices-said"), "");
    const quiet = byId("quiet").checked ? [byId("quiet-begins").value, byId("quiet-until").value] : null;
    if (quiet && (!quiet[0] || !quiet[1])) {
      setText(byId("choices-trouble"), "Say when the quiet hours begin and end.");
      return;
    }
    const day = byId("digest-day").value;
    const wanted = preferencesOf(this.view, this.#ways(), {
      quiet,
      digest: { hour: Number(byId("digest-hour").value), weekday: day === "" ? null : Number(day) },
      timeZone: byId("time-zone").value,
      locale: byId("locale").value,
    });
    try {
      this.#show(await this.login.call("PUT", URL, wanted));
      setText(byId("choices-said"), "Saved.");
      this.onSaved();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.code === "changed_meanwhile") await this.load();
      setText(
        byId("choices-trouble"),
        problem.code === "changed_meanwhile"
          ? "Another device has changed this just now. Here is how it stands; make your change again."
          : problem.message,
      );
    }
  }

  #show(view) {
    this.view = view;
    const { preferences } = view;
    byId("topics").replaceChildren(...view.topics.map(topicRow));
    setText(byId("channels-away"), awayWords(view.channels));
    const quiet = preferences.quiet_hours;
    byId("quiet").checked = Boolean(quiet);
    if (quiet) {
      byId("quiet-begins").value = timeOf(quiet.begins);
      byId("quiet-until").value = timeOf(quiet.until);
    }
    this.#showQuiet();
    byId("digest-day").value = preferences.digest.weekday ?? "";
    byId("digest-hour").value = preferences.digest.hour;
    byId("time-zone").replaceChildren(
      ...zonesWith(knownZones(), preferences.time_zone).map((zone) =>
        make("option", { value: zone }, zone.replaceAll("_", " ")),
      ),
    );
    byId("time-zone").value = preferences.time_zone;
    this.#offerZone();
    showLocale(preferences.locale);
  }

  #showQuiet() {
    for (const id of ["quiet-begins", "quiet-until"]) byId(id).disabled = !byId("quiet").checked;
  }

  #offerZone() {
    const here = ourZone();
    byId("here").hidden = !here || byId("time-zone").value === here;
    setText(byId("here"), `Use ${here.replaceAll("_", " ")}, as this device`);
  }

  /** What the controls say, by topic and channel. */
  #ways() {
    const ways = {};
    for (const control of byId("topics").querySelectorAll("[data-topic]")) {
      const { topic, channel } = control.dataset;
      ways[topic] ??= {};
      ways[topic][channel] = control.type === "checkbox" ? (control.checked ? "now" : "off") : control.value;
    }
    return ways;
  }
}

function topicRow(topic) {
  const id = `topic-${topic.topic.replaceAll(".", "-")}`;
  return make(
    "fieldset",
    { class: "topic" },
    make("legend", { id }, topic.about),
    make("div", { class: "ways" }, ...channelsOf(topic).map((channel) => way(topic, channel))),
  );
}

function way(topic, channel) {
  const { way: now, allowed } = topic.channels[channel];
  const words = CHANNEL_WORDS[channel];
  const shared = { "data-topic": topic.topic, "data-channel": channel };
  if (allowed.length < 2)
    return make(
      "span",
      { class: "way way-fixed" },
      make("span", {}, words),
      make("span", { class: "always" }, "Always"),
    );
  if (allowed.includes("digest"))
    return make(
      "label",
      { class: "way" },
      make("span", {}, words),
      make(
        "select",
        shared,
        ...allowed.map((one) => make("option", { value: one, selected: one === now }, WAY_WORDS[one])),
      ),
    );
  return make(
    "label",
    { class: "way" },
    make("span", {}, words),
    make("input", { type: "checkbox", role: "switch", class: "toggle", checked: now === "now", ...shared }),
  );
}

function showLocale(locale) {
  const select = byId("locale");
  const known = [...select.options].some(({ value }) => value === locale);
  // Another app may have chosen a language that we do not offer: it stays as it is until somebody changes it.
  if (!known) select.append(make("option", { value: locale }, locale));
  select.value = locale;
}

const ourZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
const knownZones = () => [...(Intl.supportedValuesOf?.("timeZone") ?? []), ourZone()].filter(Boolean);
