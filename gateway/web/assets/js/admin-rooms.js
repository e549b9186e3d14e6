/**
 * The rooms of administration: which classes are live over all nodes, who is in one, and sending out and ending. Nothing is asked for
 * before somebody wants to see it: each look stands in the audit.
 */
import { inRoomWords, roomWords, thereWords, when } from "./admin-words.js";
import { byId, confirmed, make, setText, whileBusy } from "./dom.js";

const PAGE = 50;

export class RoomsCard {
  constructor(page) {
    this.page = page;
    this.before = null;
    this.opened = null;
    this.after = 0;
  }

  /** Reads the list anew, or goes on behind what is shown. */
  async show({ older = false } = {}) {
    await this.page.guarded("rooms", async () => {
      const query = new URLSearchParams({ limit: String(PAGE) });
      if (older && this.before) query.set("before", this.before);
      const answer = await this.page.call("GET", `/v1/staff/rooms?${query}`);
      const rows = answer.rooms.map((room) => this.#row(room));
      if (older) byId("rooms").append(...rows);
      else byId("rooms").replaceChildren(...rows);
      this.before = answer.next_before;
      byId("rooms-more-place").hidden = answer.next_before === null;
      byId("rooms-none").hidden = byId("rooms").childElementCount > 0;
      setText(byId("rooms-show"), "Show rooms anew");
    });
  }

  #row(room) {
    const open = make("button", { class: "link", type: "button" }, room.title);
    open.addEventListener("click", () => whileBusy(open, () => this.open(room.id)));
    return make("li", {}, open, make("small", {}, `${roomWords(room)}, ${thereWords(room.there)}, since ${when(room.since_ms)}`));
  }

  async open(id) {
    byId("room").hidden = true;
    this.opened = null;
    this.after = 0;
    await this.page.guarded("rooms", async () => {
      await this.#read(id);
      byId("room").hidden = false;
      byId("room-title").focus();
    });
  }

  /** The next of those who are there. */
  async people() {
    if (this.opened) await this.page.guarded("room-act", () => this.#read(this.opened.id));
  }

  async #read(id) {
    const first = this.after === 0;
    const { room, people, next_after } = await this.page.call("GET", `/v1/staff/rooms/${id}?after=${this.after}`);
    this.opened = room;
    this.after = next_after ?? 0;
    setText(byId("room-title"), room.title);
    const fact = (name, words) => make("div", {}, make("dt", {}, name), make("dd", {}, words));
    byId("room-facts").replaceChildren(
      fact("Kind", roomWords(room)),
      fact("Right now", thereWords(room.there)),
      fact("Since", when(room.since_ms)),
      fact("Id", room.id),
    );
    const known = room.there !== null;
    setText(byId("room-people-title"), known ? "Who is there" : "Who has joined");
    const rows = people.map((person) => this.#person(person, known));
    if (!first) byId("room-people").append(...rows);
    else byId("room-people").replaceChildren(...(rows.length ? rows : [make("li", { class: "muted" }, "Nobody is there.")]));
    byId("room-more").hidden = next_after === null;
  }

  #person(person, known) {
    const words = make("div", {}, make("strong", {}, person.name), make("small", {}, inRoomWords(person, known)));
    const row = make("li", {}, words);
    if (person.leads === "coach") return row;
    const out = make("button", { class: "button button-small", type: "button", "aria-label": `Send ${person.name} out` }, "Send out");
    out.addEventListener("click", () => whileBusy(out, () => this.#sendOut(person)));
    row.append(out);
    return row;
  }

  #reason(why) {
    const field = byId("room-reason");
    const reason = field.value.trim();
    if (reason.length >= 3) return reason;
    this.page.complain("room-act", field, why);
    return null;
  }

  async #sendOut(person) {
    const reason = this.#reason("Say why; it stands in the audit.");
    if (!reason) return;
    const room = this.opened;
    await this.page.guarded("room-act", async () => {
      await this.page.call("POST", `/v1/staff/rooms/${room.id}/send-out`, { n: person.n, reason });
      setText(byId("rooms-said"), `${person.name} was sent out of ${room.title}.`);
      byId("room-reason").value = "";
      this.after = 0;
      await this.#read(room.id);
      await this.page.audit();
    });
  }

  async end() {
    const room = this.opened;
    const reason = room && this.#reason("Say why; it stands in the audit.");
    if (!reason) return;
    const yes = await confirmed({ title: `End ${room.title}?`, text: "It is over for everybody in it, and does not go on.", yes: "End the class" });
    if (!yes) return;
    await this.page.guarded("room-act", async () => {
      await this.page.call("POST", `/v1/staff/rooms/${room.id}/end`, { reason });
      setText(byId("rooms-said"), `${room.title} is over.`);
      byId("room-reason").value = "";
      byId("room").hidden = true;
      this.opened = null;
      await this.show();
      await this.page.audit();
    });
  }
}
