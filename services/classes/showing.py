"""How a member of a class is shown to the others: the display modes, and what somebody agrees to with each. Pure.

| mode | everybody in the room sees | the coach sees |
|---|---|---|
| full | name, heart rate, zone, score, rank | the same |
| zone | name, zone, score, rank | everything |
| alias | heart rate, zone, score, rank under another name | everything |
| coach | nothing | everything |
| hidden | nothing | nothing |

Where a class is ranked by a figure that tells of the body or the past of people (services/classes/metric.py: calories,
power per kg, improvement), that figure, and with it a rank, is shown to the room only of those who show it (`body`, no unless they
say so) in a mode that also shows their heart rate: full and alias. In zone mode it stays with the coach, because a heart rate can
be worked out of calories.

With `age` somebody agrees to be found by their age group (age_group.py) when a board is filtered by it (rooms/filtering.py), in the
modes in which they are on the board at all. `age_group` is there as long as that is so and their year of birth is known, and not
otherwise: in the other modes it does not leave the database.

A mode is decided by the member alone and redacted on the server, by the node that knows the figures first-hand, before anything
leaves it (rooms/redaction.py). Wherever somebody who is not named must be called something, in the chat for instance, it is by
their alias; without one by their number.

`revision` grows with each decision of one member in one class: of two that a node hears the higher one counts, in whatever order
they come.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from services.classes.age_group import AgeGroup
from services.kernel.ids import ClassId

DisplayMode = Literal["full", "zone", "alias", "coach", "hidden"]
Purpose = Literal["name", "heart_rate", "zone", "score", "body", "age_group"]
Audience = Literal["room", "coach"]
CONSENT_VERSION: Final = 1
"""Of what people agree to: the table above, in the words of the pages. Raised when a mode comes to show more than before."""
MAX_ALIAS: Final = 40

Alias = Annotated[
    str,
    msgspec.Meta(max_length=MAX_ALIAS, description="what you are called instead of your name; empty: by your number"),
]

_EVERYTHING_TO: Final[dict[Audience, dict[Purpose, Audience]]] = {
    audience: {"name": audience, "heart_rate": audience, "zone": audience, "score": audience}
    for audience in ("room", "coach")
}
CONSENTS: Final[dict[DisplayMode, dict[Purpose, Audience]]] = {
    "full": _EVERYTHING_TO["room"],
    "zone": {**_EVERYTHING_TO["room"], "heart_rate": "coach"},
    "alias": {**_EVERYTHING_TO["room"], "name": "coach"},
    "coach": _EVERYTHING_TO["coach"],
    "hidden": {},
}
"""What is agreed to with each mode: what for, and the widest audience. Whoever may be seen by the room is seen by its coach."""

Body = Annotated[
    bool,
    msgspec.Meta(
        description="show the room figures that tell of your body or your past: calories, power per kg, improvement"
    ),
]


Age = Annotated[
    bool,
    msgspec.Meta(
        description="let the room find you by your age group, ten years wide, when it filters the board by it; never by your age"
    ),
]


class Showing(msgspec.Struct, frozen=True):
    """How one member of one class is shown. See the module."""

    mode: DisplayMode = "full"
    alias: str = ""
    revision: int = 0
    body: bool = False
    age: bool = False
    age_group: AgeGroup | None = None


class Consent(msgspec.Struct, frozen=True):
    """One line of the ledger: what somebody agreed to show, to whom, in which version of the words; `class_id` None: in every class
    that they join from then on. Times are UTC."""

    class_id: ClassId | None
    purpose: Purpose
    audience: Audience
    version: int
    given_at: datetime
    withdrawn_at: datetime | None = None


def on_board(showing: Showing | None) -> bool:
    """Whether the room sees a line of this member. None: nothing was ever decided, which is `full`."""
    return showing is None or showing.mode not in ("coach", "hidden")


def body_shown(showing: Showing | None) -> bool:
    """Whether the room sees figures of this member that tell of their body."""
    return showing is not None and showing.body and showing.mode in ("full", "alias")


def age_shown(showing: Showing | None) -> bool:
    """Whether the room may find this member by their age group."""
    return showing is not None and showing.age and on_board(showing)


def consents_of(mode: DisplayMode, *, body: bool, age: bool = False) -> dict[Purpose, Audience]:
    """What is agreed to with a mode, with showing the body, and with being found by one's age group."""
    showing, agreed = Showing(mode, body=body, age=age), dict(CONSENTS[mode])
    if body_shown(showing):
        agreed["body"] = "room"
    if age_shown(showing):
        agreed["age_group"] = "room"
    return agreed


def shows_heart_rate(showing: Showing | None) -> bool:
    """Whether this member agrees that their coach sees their raw heart rate, live. None: nothing was decided, which is `full`."""
    return "heart_rate" in CONSENTS[Showing().mode if showing is None else showing.mode]


def is_named(showing: Showing | None) -> bool:
    """Whether the room may know who this member is."""
    return showing is None or showing.mode in ("full", "zone")


def public_name(showing: Showing | None, n: int, name: str) -> str:
    """What the room calls member number `n`."""
    if showing is None or is_named(showing):
        return name
    return showing.alias or f"Athlete {n}"


def newer(one: Showing | None, other: Showing | None) -> Showing | None:
    """The later decision of two about the same member."""
    if one is None or other is None:
        return one or other
    return other if other.revision > one.revision else one


def ledger_moves(
    standing: Iterable[tuple[Purpose, Audience]], agreed: Mapping[Purpose, Audience]
) -> tuple[set[tuple[Purpose, Audience]], set[tuple[Purpose, Audience]]]:
    """What is withdrawn and what is given when somebody with these consents agrees to this from now on."""
    before, after = set(standing), set(agreed.items())
    return before - after, after - before
