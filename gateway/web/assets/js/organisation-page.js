/**
 * The organisations that somebody is in: who sits there, who is invited, and what owners and admins do about it. `#invite=…` is the
 * link of an invitation: it asks before anything is done, since mail programs look at links, too.
 */
import { ask, forgetLink, linkHere, say } from "./account-card.js";
import { byId, confirmed, make, setText, showView, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { call } from "./http.js";
import { memberPage } from "./member-page.js";
import { classesOf } from "./organisation-classes.js";
import { ROLES, filled, invitedWords, mayGive, questionWords, seatsWords } from "./organisation-words.js";
import { Problem } from "./problem.js";
import { steppingUp } from "./step-up.js";

class Page {
  constructor(login) {
    this.login = login;
  }

  async load() {
    await guarded(byId("organisation-trouble"), () => this.#show());
  }

  async make(name) {
    await guarded(byId("make-trouble"), async () => {
      const { organisation } = await this.login.call("POST", "/v1/organisations", { name });
      byId("make").reset();
      setText(byId("organisation-said"), `${organisation.name} is yours.`);
      await this.load();
    });
  }

  async #show() {
    const { organisations } = await this.login.call("GET", "/v1/organisations");
    const cards = await Promise.all(organisations.map(({ id }) => this.#loaded(id)));
    byId("organisations").replaceChildren(...cards);
  }

  async #loaded(id) {
    const details = await this.login.call("GET", `/v1/organisations/${id}`);
    const gives = mayGive(details.organisation.role);
    const { invitations } = gives.length ? await this.login.call("GET", `/v1/organisations/${id}/invitations`) : { invitations: [] };
    return this.#card(details, invitations, gives);
  }

  #card({ organisation, members }, invitations, gives) {
    const { id, name, seats, role } = organisation;
    const bar = make("span", {});
    bar.style.width = `${filled(seats, members.length + invitations.length)}%`;
    return make(
      "section",
      { class: "card settings-card", "aria-labelledby": `name-${id}` },
      make("h2", { id: `name-${id}`, tabindex: "-1" }, name),
      make("p", { class: "muted" }, `You are ${ROLES[role].toLowerCase()} here. ${seatsWords(seats, members.length, invitations.length)}.`),
      make("div", { class: "seats", "aria-hidden": "true" }, bar),
      make("ul", { class: "list", "aria-label": `Members of ${name}` }, ...members.map((each) => this.#member(organisation, each, gives))),
      invitations.length > 0 &&
        make("ul", { class: "list", "aria-label": `Invited into ${name}` }, ...invitations.map((each) => this.#invited(organisation, each, gives))),
      classesOf(this.login, organisation, gives.length > 0),
      gives.length > 0 && this.#inviting(organisation, gives),
      this.#tools(organisation, members),
      gives.length > 0 && make("p", { class: "muted" }, "For the operator, it is ", make("span", { class: "organisation-id" }, id)),
    );
  }

  #member(organisation, { account_id: account, name, role }, gives) {
    const own = account === this.login.account.id;
    const path = `/v1/organisations/${organisation.id}/members/${account}`;
    const touches = gives.includes(role) && !own;
    return make(
      "li",
      { class: "seat-row" },
      make("span", {}, make("strong", {}, own ? `${name} (you)` : name), !touches && make("small", {}, ROLES[role])),
      touches &&
        make(
          "span",
          { class: "row-tools" },
          this.#roleChoice(`What ${name} is`, gives, role, (chosen) =>
            this.#act(() => this.login.call("PUT", path, { role: chosen }), `${name} is ${ROLES[chosen].toLowerCase()} now.`),
          ),
          organisation.role === "owner" && this.#tool("Hand over", `Hand ${organisation.name} over to ${name}`, () => this.#handOver(organisation, account, name)),
          this.#tool("Remove", `Remove ${name}`, () => this.#remove(path, name)),
        ),
    );
  }

  #invited(organisation, invitation, gives) {
    const { id, email } = invitation;
    const path = `/v1/organisations/${organisation.id}/invitations/${id}`;
    return make(
      "li",
      { class: "seat-row" },
      make("span", {}, make("strong", {}, email), make("small", {}, invitedWords(invitation))),
      gives.includes(invitation.role) &&
        this.#tool("Withdraw", `Withdraw the invitation of ${email}`, () =>
          this.#act(() => this.login.call("DELETE", path), `The invitation of ${email} is withdrawn.`),
        ),
    );
  }

  #inviting({ id, name }, gives) {
    const email = make("input", { id: `email-${id}`, type: "email", maxlength: "254", autocomplete: "off", required: true });
    const roles = gives.filter((each) => each !== "owner");
    const role = make("select", { id: `role-${id}` }, ...roles.map((each) => make("option", { value: each }, ROLES[each])));
    role.value = "member";
    const press = make("button", { class: "button button-primary", type: "submit" }, "Invite");
    const form = make(
      "form",
      { class: "settings", novalidate: true, "aria-label": `Invite somebody into ${name}` },
      make("div", { class: "field" }, make("label", { for: `email-${id}` }, "E-mail address"), email),
      make("div", { class: "field" }, make("label", { for: `role-${id}` }, "As"), role),
      make("p", {}, press),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      whileBusy(press, () =>
        this.#act(
          () => this.login.call("POST", `/v1/organisations/${id}/invitations`, { email: email.value, role: role.value }),
          `A mail is on its way to ${email.value}.`,
        ),
      );
    });
    return form;
  }

  #tools(organisation, members) {
    const { id, name, role } = organisation;
    const owners = members.filter((each) => each.role === "owner").length;
    return make(
      "p",
      { class: "organisation-tools" },
      (role !== "owner" || owners > 1) && this.#tool("Leave", `Leave ${name}`, () => this.#leave(id, name)),
      role === "owner" && this.#tool("Dissolve", `Dissolve ${name}`, () => this.#dissolve(id, name)),
    );
  }

  #roleChoice(label, roles, role, work) {
    const choice = make("select", { "aria-label": label }, ...roles.map((each) => make("option", { value: each }, ROLES[each])));
    choice.value = role;
    choice.addEventListener("change", () => work(choice.value));
    return choice;
  }

  #tool(words, label, work) {
    const button = make(
      "button",
      { class: "button button-small", type: "button", "aria-label": label, onclick: () => whileBusy(button, work) },
      words,
    );
    return button;
  }

  async #remove(path, name) {
    const text = "They lose what they have by it at once, wherever they are connected.";
    if (!(await confirmed({ title: `Remove ${name}?`, text, yes: "Remove them" }))) return;
    await this.#act(() => this.login.call("DELETE", path), `${name} is out.`);
  }

  async #handOver({ id, name }, account, heir) {
    const text = `${heir} owns it from then on, and you are an admin.`;
    if (!(await confirmed({ title: `Hand ${name} over to ${heir}?`, text, yes: "Hand it over" }))) return;
    await this.#act(
      () => steppingUp(this.login, () => this.login.call("POST", `/v1/organisations/${id}/hand-over`, { account_id: account })),
      `${name} belongs to ${heir} now.`,
    );
  }

  async #leave(id, name) {
    if (!(await confirmed({ title: `Leave ${name}?`, text: "You come back only if you are invited again.", yes: "Leave" }))) return;
    await this.#act(() => this.login.call("POST", `/v1/organisations/${id}/leave`), `You have left ${name}.`);
  }

  async #dissolve(id, name) {
    const text = "Nobody is in it any more, and it cannot be brought back. Classes stay with who gives them.";
    if (!(await confirmed({ title: `Dissolve ${name}?`, text, yes: "Dissolve it" }))) return;
    await this.#act(() => steppingUp(this.login, () => this.login.call("DELETE", `/v1/organisations/${id}`)), `${name} is dissolved.`);
  }

  /** Does something, shows everything as it is then, also after a refusal, and says what was done. */
  async #act(work, done) {
    setText(byId("organisation-said"), "");
    await guarded(byId("organisation-trouble"), async () => {
      await work().finally(() => this.#show());
      setText(byId("organisation-said"), done);
    });
  }
}

let page = null;

async function showInvitation() {
  const [purpose, token] = linkHere();
  const place = byId("invitation");
  place.hidden = purpose !== "invite" || !token;
  if (place.hidden) return;
  await orOver(async () => {
    const seen = await call("POST", "/v1/organisation-invitations/look", { body: { token } });
    ask(place, {
      title: `You are invited into ${seen.organisation}`,
      words: questionWords(seen),
      button: "Take the seat",
      heading: "h2",
      act: () => accept(token),
    });
    const no = make("button", { class: "button button-wide", type: "button", onclick: () => whileBusy(no, () => decline(token)) }, "No, thank you");
    place.querySelector("form").append(no);
  });
}

async function accept(token) {
  if (!page?.login.account) throw new Problem({ code: "log_in_first", message: "Log in below, or register, with the address that the mail went to." });
  const { name } = await page.login.call("POST", "/v1/organisation-invitations/accept", { token });
  answered(`You have a seat in ${name}.`);
  await page.load();
}

async function decline(token) {
  await orOver(async () => {
    await call("POST", "/v1/organisation-invitations/decline", { body: { token } });
    answered("You have said no, and the seat is free for somebody else.");
  });
}

/** Does what needs the link; where that is refused, the card says so and nothing else. */
async function orOver(work) {
  try {
    await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    over(problem.message);
  }
}

function answered(words) {
  forgetLink();
  over(words, "Thank you");
}

function over(words, title = "This invitation is over") {
  say(byId("invitation"), { title, words, to: "/organisation", go: "To your organisations", heading: "h2" });
}

byId("make").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("make-name").value.trim();
  if (!name) {
    setText(byId("make-trouble"), "Give it a name.");
    return;
  }
  whileBusy(event.target.querySelector("[type=submit]"), () => page.make(name));
});

window.addEventListener("hashchange", showInvitation);
await showInvitation();
await memberPage({
  meanwhile: "You can go on meanwhile.",
  async enter(login) {
    page = new Page(login);
    showView("home", { focus: byId("invitation").hidden });
    await page.load();
  },
});
