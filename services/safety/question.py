"""One time that somebody was asked whether they agree to be told, by mail or by text message, and how that stands. Pure.

A no holds for whoever it was said to, however often the same address is named again; a yes can be taken back at any time.
"""

from typing import Literal

import msgspec

from services.kernel.ids import AccountId
from services.notifications.contact_letter import ANSWER_MS

ContactState = Literal["asked", "agreed", "refused", "unanswered", "unreachable"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What each question has. `account_id` and `athlete`, a name, are who wants it; `dead_at_ms`: when somebody who carries letters
    said that nobody lives at the address; `replaced_at_ms`: when whoever asked has named another, or nobody."""

    account_id: AccountId
    athlete: str
    asked_at_ms: int
    agreed_at_ms: int | None = None
    refused_at_ms: int | None = None
    dead_at_ms: int | None = None
    replaced_at_ms: int | None = None


def state_of(question: Question, now_ms: int) -> ContactState:
    """How it stands: only who has "agreed" is ever told."""
    if question.refused_at_ms is not None:
        return "refused"
    if question.dead_at_ms is not None:
        return "unreachable"
    if question.agreed_at_ms is not None:
        return "agreed"
    return "asked" if now_ms < question.asked_at_ms + ANSWER_MS else "unanswered"


def may_agree(question: Question, now_ms: int) -> bool:
    """Whether this question can still be answered with yes."""
    return question.replaced_at_ms is None and state_of(question, now_ms) == "asked"
