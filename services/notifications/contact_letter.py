"""What is written to an emergency contact: whether they agree, that somebody does not answer, that they have answered. Pure.

It is no notification. The reader has no account, so there is no inbox that it could be in, no preference that could hold it back,
no quiet hours and nothing that gathers it; and it says no more than a stranger may read who finds the mail: no figures of
anybody's heart, and no place.

Each letter has an id that is made from what it is about, so whoever writes it a second time writes the same one.
"""

import uuid
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from services.kernel.ids import ContactId, ContactPhoneId, DeliveryId, IncidentId
from services.notifications.deciding import Later, Stop
from services.notifications.delivery import State

Says = Literal["ask", "alarm", "well"]
Way = Literal["email", "sms"]
"""How a letter goes. By both ways it is two letters."""

ANSWER_MS: Final = 14 * 86_400_000
"""How long the question whether somebody agrees can be answered with yes. By feeling: a holiday. No is always an answer."""
ALARM_MS: Final = 6 * 3_600_000
"""How old the news may be that somebody does not answer, while no mail server takes it. By feeling: it says since when, and late is
better than never on the same day."""
SOON_MS: Final = 5_000
"""Until it is looked again whether a letter that is just being handed over has left."""
_LETTERS: Final = uuid.UUID("7c1f9d58-3b57-4a52-8f0e-52b1f2a6d9c3")


class ContactLetter(msgspec.Struct, frozen=True):
    """What a letter says. `contact` is whom it greets, `athlete` whom it is about. Of an incident: `seen` is its kind,
    `asked_at_ms` since when there was no answer, `coach_told` whether a coach knows too, `answered_at_ms` when the answer came. Of
    the question: `until_ms` is when it ends."""

    says: Says
    contact: str
    athlete: str
    seen: str = ""
    asked_at_ms: int = 0
    coach_told: bool = False
    answered_at_ms: int = 0
    until_ms: int = 0


@dataclass(frozen=True)
class Standing:
    """How the contact of a letter, and what it is about, stand at the moment in which it is to leave, `agreed` to this way of being
    told. `alarm`: of news that all is well, what became of the alarm that went the same way."""

    says: Says
    agreed: bool
    refused: bool
    replaced: bool
    answered: bool = False
    alarm: State | None = None


def letter_id(about: ContactId | ContactPhoneId | IncidentId, says: Says, way: Way = "email") -> DeliveryId:
    """The id of a letter: always the same one."""
    return DeliveryId(uuid.uuid5(_LETTERS, f"{about} {says}" if way == "email" else f"{about} {says} {way}"))


def still(now: Standing, now_ms: int, expires_at_ms: int) -> Later | Stop | None:
    """Whether a letter that is due now may leave: None for yes."""
    if now.refused:
        return Stop("suppressed", "the contact wants none")
    if now_ms >= expires_at_ms:
        return Stop("expired", "nobody wants it any more")
    match now.says:
        case "ask" if now.replaced or now.agreed:
            return Stop("suppressed", "this is asked no more")
        case "alarm" if now.replaced or not now.agreed:
            return Stop("suppressed", "they are no contact any more")
        case "alarm" if now.answered:
            return Stop("suppressed", "answered before it left")
        case "well" if now.alarm == "sending":
            return Later(now_ms + SOON_MS)
        case "well" if now.alarm not in {"sent", "delivered", "in_doubt"}:
            return Stop("suppressed", "the contact was never told")
        case _:
            return None
