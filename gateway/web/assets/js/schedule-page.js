/**
 * Classes on offer: find one, book a place or a number on its waitlist, give it back; and the way in once the doors are open.
 *
 * Whoever gets a place from the waitlist is told in their inbox, on this page too, and the lists are read anew then.
 */
import { dayOf } from "./challenge-words.js";
import { byId, confirmed, make, setText, showView, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { memberPage } from "./member-page.js";
import { OnDemand } from "./on-demand.js";
import { aboutWords, bookingWords, mayDo, needsWords, placesWords } from "./offer-words.js";
import { Problem } from "./problem.js";
import { newKey } from "./cue.js";
import { moment } from "./words.js";

const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const OFFERS = 30;
const BOOKINGS = 50;

class Page {
  constructor(login) {
    this.login = login;
    /** How often each list was asked for: an answer that was overtaken counts no more. */
    this.asked = { booked: 0, been: 0, offers: 0 };
    this.offers = [];
    this.next = null;
    /** The names of what one is entitled to now. */
    this.held = new Set();
    this.onDemand = new OnDemand(login, () => this.held);
    /** The key of a booking whose answer has not come, by class: asked again, it is the same wish. */
    this.keys = new Map();
  }

  async load() {
    await Promise.all([this.loadBooked(), this.loadBeen(), this.loadOffers()]);
    await this.onDemand.load();
  }

  async loadBooked() {
    await guarded(byId("booked-trouble"), async () => {
      const asked = (this.asked.booked += 1);
      const { bookings } = await this.login.call("GET", `/v1/bookings?upcoming=true&limit=${BOOKINGS}`);
      if (asked !== this.asked.booked) return;
      const soonest = bookings.toSorted((one, other) => one.starts_at_ms - other.starts_at_ms);
      byId("booked").replaceChildren(...soonest.map((booking) => this.booked(booking)));
      byId("booked-empty").hidden = bookings.length > 0;
    });
  }

  /** What is over and was not cancelled plays again, for whoever came. */
  async loadBeen() {
    await guarded(byId("booked-trouble"), async () => {
      const asked = (this.asked.been += 1);
      const { bookings } = await this.login.call("GET", `/v1/bookings?limit=${BOOKINGS}`);
      if (asked !== this.asked.been) return;
      const been = bookings.filter(({ state, ends_at_ms: endsMs }) => state === "confirmed" && endsMs < Date.now());
      byId("been").hidden = been.length === 0;
      byId("been-list").replaceChildren(
        ...been.map((booking) =>
          make(
            "li",
            { class: "offer card" },
            make("time", { class: "offer-time", datetime: new Date(booking.starts_at_ms).toISOString() }, TIME.format(booking.starts_at_ms)),
            make(
              "div",
              { class: "offer-words" },
              make("h4", {}, booking.title),
              make("p", { class: "muted" }, `${DAY.format(booking.starts_at_ms)} · ${booking.coach_name}`),
            ),
            make(
              "div",
              { class: "offer-act" },
              make("a", { class: "button", href: `/replay?as=${this.login.side}#${booking.class_id}` }, "Play it again"),
            ),
          ),
        ),
      );
    });
  }

  async loadOffers() {
    await guarded(byId("offers-trouble"), async () => {
      const asked = (this.asked.offers += 1);
      const [page, { entitlements }] = await Promise.all([this.page(null), this.login.call("GET", "/v1/me/entitlements")]);
      if (asked !== this.asked.offers) return;
      this.held = new Set(entitlements.filter(({ holds }) => holds).map(({ name }) => name));
      this.offers = page.offers;
      this.next = page.next_after;
      this.show();
    });
  }

  async more() {
    await guarded(byId("offers-trouble"), async () => {
      const asked = this.asked.offers;
      const page = await this.page(this.next);
      if (asked !== this.asked.offers) return;
      this.offers = [...this.offers, ...page.offers];
      this.next = page.next_after;
      this.show();
    });
  }

  page(after) {
    const asked = new URLSearchParams({ limit: OFFERS, free: byId("free").checked });
    if (byId("level").value) asked.set("level", byId("level").value);
    const from = byId("from").value;
    if (from && from > dayOf(new Date())) asked.set("from_ms", new Date(`${from}T00:00:00`).getTime());
    if (after) asked.set("after", after);
    return this.login.call("GET", `/v1/offers?${asked}`);
  }

  show() {
    const days = new Map();
    for (const offer of this.offers) {
      const day = DAY.format(offer.starts_at_ms);
      days.set(day, [...(days.get(day) ?? []), offer]);
    }
    byId("days").replaceChildren(
      ...[...days].map(([day, offers]) =>
        make(
          "section",
          { class: "day" },
          make("h3", { class: "small-title" }, day),
          make("ul", { class: "list" }, ...offers.map((offer) => this.offer(offer))),
        ),
      ),
    );
    byId("offers-empty").hidden = this.offers.length > 0;
    byId("more").hidden = this.next === null;
  }

  offer(offer) {
    const { act, why } = mayDo(offer, Date.now(), moment, this.login.account.id, this.held);
    const needs = needsWords(offer.terms, this.held);
    const trouble = make("p", { class: "trouble", role: "alert" });
    const what = act === "wait" ? "Join the waitlist" : "Book";
    const button = make(
      "button",
      {
        class: `button${act === "book" ? " button-primary" : ""}`,
        type: "button",
        "aria-label": `${what}: ${offer.terms.title}, ${moment(offer.starts_at_ms)}`,
        onclick: (event) => whileBusy(event.currentTarget, () => this.book(offer, trouble)),
      },
      what,
    );
    return make(
      "li",
      { class: "offer card", "data-id": offer.id },
      make("time", { class: "offer-time", datetime: new Date(offer.starts_at_ms).toISOString() }, TIME.format(offer.starts_at_ms)),
      make(
        "div",
        { class: "offer-words" },
        make("h4", {}, offer.terms.title),
        make("p", { class: "muted" }, `${offer.coach_name} · ${aboutWords(offer)}`),
        make("p", {}, placesWords(offer)),
        needs ? make("p", { class: "muted" }, needs) : null,
        trouble,
      ),
      make("div", { class: "offer-act" }, act ? button : make("span", { class: "muted" }, why)),
    );
  }

  async book(offer, trouble) {
    const key = this.keys.get(offer.id) ?? newKey();
    this.keys.set(offer.id, key);
    await guarded(trouble, async () => {
      try {
        const booking = await this.login.call("POST", `/v1/offers/${offer.id}/bookings`, { key });
        this.keys.delete(offer.id);
        setText(byId("said"), `${booking.title}, ${moment(booking.starts_at_ms)}: ${bookingWords(booking)}.`);
      } catch (problem) {
        if (problem instanceof Problem && !problem.retry) this.keys.delete(offer.id);
        throw problem;
      }
      await this.load();
    });
  }

  booked(booking) {
    const trouble = make("p", { class: "trouble", role: "alert" });
    const begun = Date.now() >= booking.starts_at_ms;
    return make(
      "li",
      { class: "offer card", "data-booking": booking.id },
      make("time", { class: "offer-time", datetime: new Date(booking.starts_at_ms).toISOString() }, TIME.format(booking.starts_at_ms)),
      make(
        "div",
        { class: "offer-words" },
        make("h4", {}, booking.title),
        make("p", { class: "muted" }, `${DAY.format(booking.starts_at_ms)} · ${booking.coach_name}`),
        make("p", { class: "booking-state" }, bookingWords(booking)),
        trouble,
      ),
      make(
        "div",
        { class: "offer-act" },
        booking.code
          ? make("a", { class: "button button-primary", href: `/athlete?code=${encodeURIComponent(booking.code)}` }, "Go in")
          : null,
        !begun &&
          make(
            "button",
            {
              class: "button button-small",
              type: "button",
              "aria-label": `Cancel: ${booking.title}, ${moment(booking.starts_at_ms)}`,
              onclick: () => this.cancel(booking, trouble),
            },
            "Cancel",
          ),
      ),
    );
  }

  async cancel(booking, trouble) {
    const sure = await confirmed({
      title: booking.state === "confirmed" ? "Give your place back?" : "Leave the waitlist?",
      text:
        booking.state === "confirmed"
          ? "The first who waits has it at once. You cannot have it back, only book again."
          : "Your number is gone; if you come again you wait behind the others.",
      yes: booking.state === "confirmed" ? "Give it back" : "Leave",
      no: "Keep it",
    });
    if (!sure) return;
    await guarded(trouble, async () => {
      await this.login.call("DELETE", `/v1/bookings/${booking.id}`);
      setText(byId("said"), `${booking.title}, ${moment(booking.starts_at_ms)}: cancelled.`);
      await this.load();
    });
  }
}

/** @type {Page} */
let page;

byId("from").value = dayOf(new Date());
await memberPage({
  meanwhile: "Places may go without this page knowing.",
  async enter(login, live) {
    page = new Page(login);
    showView("home", { focus: false });
    live.on("notification.new", () => {
      setText(byId("said"), ""); // what was said of a booking may no longer be so
      page.load();
    });
    await page.load();
  },
});

for (const id of ["level", "from", "free"]) byId(id).addEventListener("change", () => page.loadOffers());
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("more").addEventListener("click", (event) => whileBusy(event.currentTarget, () => page.more()));
