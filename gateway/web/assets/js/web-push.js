/**
 * Pushes to this browser, also while no page is open: asking, subscribing, telling the server, and taking it back.
 */
import { byId, confirmed, make, setText, whileBusy } from "./dom.js";
import { call } from "./http.js";
import { Problem } from "./problem.js";
import { moment } from "./words.js";

const WORKER = "/assets/js/push-worker.js";
const KINDS = { apns: "iPhone or iPad", fcm: "Android", webpush: "Browser" };

export class Devices {
  /** @param {import("./login.js").Login} login */
  constructor(login) {
    this.login = login;
    this.subscription = null;
    byId("browser").addEventListener("click", (event) =>
      whileBusy(event.target, () => (this.subscription ? this.#turnOff() : this.#turnOn())),
    );
  }

  async load() {
    await this.#guarded(async () => {
      this.key = await serverKey();
      this.subscription = works() ? await currentSubscription() : null;
      // Said at every visit: it renews what the server knows, and gives it back what it may have forgotten.
      if (this.subscription && this.key) await this.#tell(this.subscription);
      await this.#showDevices();
    });
    this.#showBrowser();
  }

  async #turnOn() {
    await this.#guarded(async () => {
      if ((await Notification.requestPermission()) !== "granted") return;
      const registration = await navigator.serviceWorker.register(WORKER);
      await ready(registration);
      this.subscription = await registration.pushManager.subscribe({
        userVisibleOnly: true,
        applicationServerKey: this.key,
      });
      await this.#tell(this.subscription);
      await this.#showDevices();
    });
    this.#showBrowser();
  }

  async #turnOff() {
    await this.#guarded(async () => {
      await this.subscription.unsubscribe();
      this.subscription = null;
      if (this.own) await this.login.call("DELETE", `/v1/devices/${this.own}`);
      this.own = null;
      await this.#showDevices();
    });
    this.#showBrowser();
  }

  async #tell(subscription) {
    const { endpoint, keys } = subscription.toJSON();
    const told = await this.login.call("POST", "/v1/devices", {
      kind: "webpush",
      address: endpoint,
      p256dh: keys.p256dh,
      auth: keys.auth,
      name: browserName(),
    });
    this.own = told.id;
  }

  async #showDevices() {
    const { devices } = await this.login.call("GET", "/v1/devices");
    byId("devices").replaceChildren(...devices.map((device) => this.#row(device)));
  }

  #row(device) {
    const name = device.name || KINDS[device.kind];
    const here = device.id === this.own ? " · this one" : "";
    return make(
      "li",
      { class: "device" },
      make("span", {}, make("strong", {}, name), make("small", {}, `${KINDS[device.kind]}${here} · seen ${moment(device.seen_at_ms)}`)),
      make(
        "button",
        {
          class: "button button-small",
          type: "button",
          "aria-label": `Forget ${name}`,
          onclick: (event) => this.#forget(device, name, event.currentTarget),
        },
        "Forget",
      ),
    );
  }

  async #forget(device, name, button) {
    const sure = await confirmed({
      title: `Forget ${name}?`,
      text: "It gets no pushes any more, until it asks for them again.",
      yes: "Forget",
    });
    if (!sure) return;
    await whileBusy(button, () =>
      device.id === this.own && this.subscription
        ? this.#turnOff()
        : this.#guarded(async () => {
            await this.login.call("DELETE", `/v1/devices/${device.id}`);
            await this.#showDevices();
          }),
    );
  }

  #showBrowser() {
    const button = byId("browser");
    const said = this.#state();
    setText(byId("browser-state"), said);
    button.hidden = !works() || !this.key || Notification.permission === "denied";
    setText(button, this.subscription ? "Turn pushes to this browser off" : "Send pushes to this browser");
  }

  #state() {
    if (!this.key) return "This server sends no pushes to browsers.";
    if (!window.isSecureContext) return "Browsers take pushes from https pages only. Ask for the secure address of this server.";
    if (!works()) return "This browser takes no pushes. On an iPhone, add this page to the home screen first.";
    if (Notification.permission === "denied")
      return "This browser blocks notifications from this site. Allow them in its settings, then come back.";
    return this.subscription
      ? "Pushes come to this browser, also while this page is closed."
      : "Pushes can come to this browser, also while this page is closed.";
  }

  async #guarded(work) {
    setText(byId("devices-trouble"), "");
    try {
      await work();
    } catch (problem) {
      // The browser's own refusals are DOMExceptions; what they say is for people.
      if (!(problem instanceof Problem) && !(problem instanceof DOMException)) throw problem;
      setText(byId("devices-trouble"), problem.message);
    }
  }
}

const works = () =>
  window.isSecureContext && "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

async function serverKey() {
  try {
    return (await call("GET", "/v1/web-push-key")).key;
  } catch (problem) {
    if (problem.code === "not_found") return null;
    throw problem;
  }
}

async function currentSubscription() {
  const registration = await navigator.serviceWorker.getRegistration(WORKER);
  return (await registration?.pushManager.getSubscription()) ?? null;
}

/** A worker can be subscribed once it is active. @param {ServiceWorkerRegistration} registration */
function ready(registration) {
  const worker = registration.installing ?? registration.waiting;
  if (registration.active || !worker) return Promise.resolve();
  return new Promise((resolve) => {
    worker.addEventListener("statechange", () => worker.state === "activated" && resolve());
  });
}

function browserName() {
  const agent = navigator.userAgent;
  const browser = /(Edg|OPR|SamsungBrowser|Firefox|Chrome|Safari)\//.exec(agent)?.[1] ?? "Browser";
  const system = /(iPhone|iPad|Android|Windows|Mac OS X|Linux)/.exec(agent)?.[1] ?? "unknown system";
  return `${browser} on ${system}`;
}
