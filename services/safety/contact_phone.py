"""The telephone number of an emergency contact, and whether its owner has agreed to be sent text messages there. Pure.

A number is somebody else's, as an address is, and is asked by itself: with a text message and a link in it, so who agrees is
who reads what comes to that number. Yes and no are as for mail (contact.py). Each text message costs money and rings on
somebody's table, so the bounds on asking are the same, counted for numbers."""

import msgspec

from services.kernel.ids import AccountId, ContactId, ContactPhoneId
from services.notifications.contact_letter import ANSWER_MS
from services.safety.contact import ContactState


class ContactPhone(msgspec.Struct, frozen=True):
    """One time that a number was asked. `contact_id` is whose it is said to be, `contact` and `athlete` are names;
    `dead_at_ms`: when the provider said that nobody lives there; `replaced_at_ms`: when another number, or another contact, or
    nobody took its place."""

    id: ContactPhoneId
    account_id: AccountId
    contact_id: ContactId
    athlete: str
    contact: str
    number: str
    asked_at_ms: int
    agreed_at_ms: int | None = None
    refused_at_ms: int | None = None
    dead_at_ms: int | None = None
    replaced_at_ms: int | None = None


def state_of(phone: ContactPhone, now_ms: int) -> ContactState:
    """How it stands: only a number that has "agreed" is ever sent anything else."""
    if phone.refused_at_ms is not None:
        return "refused"
    if phone.dead_at_ms is not None:
        return "unreachable"
    if phone.agreed_at_ms is not None:
        return "agreed"
    return "asked" if now_ms < phone.asked_at_ms + ANSWER_MS else "unanswered"


def may_agree(phone: ContactPhone, now_ms: int) -> bool:
    """Whether this question can still be answered with yes."""
    return phone.replaced_at_ms is None and state_of(phone, now_ms) == "asked"
