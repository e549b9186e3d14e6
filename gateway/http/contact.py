"""The emergency contact: named, asked, taken back. What the contact sees is in contact_page.py."""

from typing import Annotated

import msgspec

from gateway.http.phones import MAX_TEXT
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.account import MAX_EMAIL, MAX_NAME
from services.kernel.problems import ContactRefused, Forbidden, NotFound, TooManyAsked
from services.notifications.contact_letter import ANSWER_MS
from services.safety.contact import ASKS_A_DAY, ASKS_A_WEEK, PAUSE_MS, Contact
from services.safety.contact_phone import ContactPhone
from services.safety.incident import COACH_MS
from services.safety.question import ContactState, state_of


class NamedContact(msgspec.Struct, frozen=True):
    """Whom you have named. `state`: "asked" waits for an answer until `until_ms`, "unanswered" got none by then; only who has
    "agreed" is told when you do not answer; "refused" has said no, or has taken it back; "unreachable" means that nobody lives at
    this address."""

    name: str
    email: str
    state: ContactState
    asked_at_ms: int
    until_ms: int
    agreed_at_ms: int | None
    refused_at_ms: int | None


class ContactPhoneView(msgspec.Struct, frozen=True):
    """The number of your contact, in E.164 form. `state` as that of the contact: only a number that has "agreed" is sent text
    messages."""

    number: str
    state: ContactState
    asked_at_ms: int
    until_ms: int
    agreed_at_ms: int | None
    refused_at_ms: int | None


class ContactView(msgspec.Struct, frozen=True):
    """`contact` is null while you have named nobody, `phone` while you have given no number of theirs."""

    contact: NamedContact | None
    phone: ContactPhoneView | None


class NameContact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`name` as they are greeted, `email` where they are asked and told."""

    name: Annotated[str, msgspec.Meta(max_length=4 * MAX_NAME)]
    email: Annotated[str, msgspec.Meta(max_length=MAX_EMAIL + 2)]


class GiveContactPhone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`phone` with its country, like +49 151 12345678; spaces, hyphens, dots, slashes and brackets may be in it."""

    phone: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]


async def own_contact(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> ContactView:
    return _view(deps, await deps.contacts.now(call.caller), await deps.contact_phones.now(call.caller))


async def name_contact(deps: GatewayDeps, call: Call[NameContact, Nothing, Nothing]) -> ContactView:
    named = await deps.contacts.name(call.caller, call.body.name, call.body.email)
    return _view(deps, named, await deps.contact_phones.now(call.caller))


async def take_contact_back(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> None:
    await deps.contacts.take_back(call.caller)


async def give_contact_phone(deps: GatewayDeps, call: Call[GiveContactPhone, Nothing, Nothing]) -> ContactPhoneView:
    return _phone_view(deps, await deps.contact_phones.give(call.caller, call.body.phone))


async def take_contact_phone_back(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> None:
    await deps.contact_phones.take_back(call.caller)


def _phone_view(deps: GatewayDeps, phone: ContactPhone) -> ContactPhoneView:
    return ContactPhoneView(
        number=phone.number,
        state=state_of(phone, deps.clock.wall_ms()),
        asked_at_ms=phone.asked_at_ms,
        until_ms=phone.asked_at_ms + ANSWER_MS,
        agreed_at_ms=phone.agreed_at_ms,
        refused_at_ms=phone.refused_at_ms,
    )


def _view(deps: GatewayDeps, contact: Contact | None, phone: ContactPhone | None) -> ContactView:
    texted = None if phone is None else _phone_view(deps, phone)
    if contact is None:
        return ContactView(None, texted)
    return ContactView(
        NamedContact(
            name=contact.name,
            email=contact.email,
            state=state_of(contact, deps.clock.wall_ms()),
            asked_at_ms=contact.asked_at_ms,
            until_ms=contact.asked_at_ms + ANSWER_MS,
            agreed_at_ms=contact.agreed_at_ms,
            refused_at_ms=contact.refused_at_ms,
        ),
        texted,
    )


OWN_CONTACT = Route(
    "GET",
    "/v1/emergency-contact",
    name="own_contact",
    permission=may.USE_SAFETY,
    tag="safety",
    does="Whom you have named to be told when you do not answer, and whether they have agreed.",
    handler=own_contact,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=ContactView,
    problems=(Forbidden,),
)
NAME_CONTACT = Route(
    "PUT",
    "/v1/emergency-contact",
    name="name_contact",
    permission=may.USE_SAFETY,
    tag="safety",
    does="Name an emergency contact; they are asked by mail whether they agree.",
    more=(
        "It takes the place of whom you had named before. Nothing else is sent to them before they have agreed with the link in"
        f" that mail, which they can do for {ANSWER_MS // 86_400_000} days; with the same link they say no, or take it back later,"
        " and then you cannot ask at this address again (`contact_refused`). Once they have agreed, they are written to when you do"
        f" not answer `safety.prompt`: {COACH_MS // 1_000} s after those who coach your class, or at once where nobody does; and"
        f" again when you answer after that. To ask once more, say the same again: {PAUSE_MS // 60_000} minutes later at the"
        f" earliest, at most {ASKS_A_DAY} times a day, and {ASKS_A_WEEK} a week at one address, whoever asks (`too_many_asked`)."
    ),
    handler=name_contact,
    body=NameContact,
    query=Nothing,
    path=Nothing,
    reply=ContactView,
    problems=(Forbidden, NotFound, ContactRefused, TooManyAsked),
)
TAKE_CONTACT_BACK = Route(
    "DELETE",
    "/v1/emergency-contact",
    name="take_contact_back",
    permission=may.USE_SAFETY,
    tag="safety",
    does="Have nobody told any more.",
    handler=take_contact_back,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    problems=(Forbidden, NotFound),
)
GIVE_CONTACT_PHONE = Route(
    "PUT",
    "/v1/emergency-contact/phone",
    name="give_contact_phone",
    permission=may.USE_SAFETY,
    tag="safety",
    does="Give the telephone number of your emergency contact; they are asked by text message whether they agree.",
    more=(
        "They answer with the link in that message, and take it back with the same link; a number that has said no is not asked"
        " again by you. Once they have agreed they are told by text message, too, when you do not answer. Asked is as seldom as by"
        " mail. Another contact takes the number with it."
    ),
    handler=give_contact_phone,
    body=GiveContactPhone,
    query=Nothing,
    path=Nothing,
    reply=ContactPhoneView,
    problems=(Forbidden, NotFound, ContactRefused, TooManyAsked),
)
TAKE_CONTACT_PHONE_BACK = Route(
    "DELETE",
    "/v1/emergency-contact/phone",
    name="take_contact_phone_back",
    permission=may.USE_SAFETY,
    tag="safety",
    does="Have nothing sent to the number of your emergency contact any more.",
    handler=take_contact_phone_back,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    problems=(Forbidden, NotFound),
)
