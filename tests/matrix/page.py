"""docs/systems/access.md, made of the table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from services.access.decision import REASONS
from services.access.permission import ALL, Permission
from services.access.role import EVERYBODY, PEOPLE, ROLES
from tests.matrix.roles import MEANINGS, OK, Who
from tests.matrix.table import EVENTS, ROUTES, EventRow, RouteRow

FILE: Final = Path(__file__).parents[2] / "docs" / "systems" / "access.md"

_HEAD: Final = """\
# Access

Whoever asks for something is told one of three things: here it is, you may not, or there is nothing of the kind. Which of them is
decided in one place: `decide` in `services/access/policy.py`, a pure function of who asks (`services/kernel/caller.py`), a row of
the table of permissions, and what is known of the thing; HTTP, the socket and rooms ask it alike. A "you may not" bears the
reason. This page is made by `python -m tests.matrix` from that table and the one in `tests/matrix/table.py`, do not edit it;
`tests/matrix/test_matrix.py` asks the running gateway every line of it, as everybody.

A decision takes 0.13 to 0.25 µs (`python -m tests.benchmarks.policy`, 2026-11-29, two cores beside other work).

## The rules behind it

- What one has nothing to do with (a workout, a task, a notification, a device, a webhook endpoint of somebody else's; a class or a
  challenge that one is not in) is not found, exactly as an id that nobody has. Ids are no secret: those of offered classes are
  shown to every account, and who could look one up could read its join code.
- What one may see but not change (a class or a challenge that one is in, an offer, a series of classes) answers `forbidden`.
- What needs a role of the account answers `forbidden` before anything is looked for. A screen has no account, and is told the same.
- Without a token nothing is looked for: `not_authenticated`. The token of one kind opens no other door: the admin token is no
  access token, and the other way round.
- A join code is all it takes to come in, so codes that no class has are counted: after twenty of them an account may try one every
  ten seconds (`too_many_attempts`, `rooms/knocking.py`); for screens, which have no account, each address may try sixty and then
  one a second (`services/accounts/attempts.py`).
- Who was sent out of a class is told so (`removed_from_class`) by the socket and by HTTP, until they are let in again: they
  have been in it, so that there is such a class is no news to them.
- Whoever has come to watch sends no heart rate into the class: they join it as athlete first.
- Some links are a right of their own, made by this installation and signed: the end of a mail, the samples of a webhook, a
  provider's report. For them it does not matter who asks.

## Who is who

"""


def page() -> str:
    """The whole page."""
    who = "\n".join(f"- **{each}**: {MEANINGS[each]}" for each in Who)
    return (
        f"{_HEAD}{who}\n\n"
        f"## Roles\n\n{_list(ROLES)}\n\n"
        f"## Why something is refused\n\n{_list(REASONS)}\n\n"
        f"## Permissions\n\n{_permissions()}\n\n"
        "## Who may do what\n\n"
        "A hook is a yes; the rest is the code of the problem (docs/reference/problems.md).\n\n"
        f"### On the socket\n\n{_table('event', EVENTS)}\n\n"
        f"### Over HTTP\n\n{_table('route', ROUTES)}\n"
    )


def _list(rows: Mapping[Any, str]) -> str:
    return "\n".join(f"- `{name}`: {says}" for name, says in rows.items())


def _permissions() -> str:
    head = "| permission | lets one | held by | who stands as | and |\n|---|---|---|---|---|"
    return "\n".join([head, *(_permission(each) for each in ALL.values())])


def _permission(row: Permission) -> str:
    holders = (
        "everybody"
        if row.held_by == EVERYBODY
        else "people"
        if row.held_by == PEOPLE
        else ", ".join(sorted(row.held_by))
    )
    if row.shows == "admin_token":
        holders = "the admin token"
    needs = [
        word
        for word, asked in (
            ("the class is live", row.live),
            ("they agree", row.consent),
            ("the plan allows it", row.plan),
            ("apps for themselves, too", row.services),
        )
        if asked
    ]
    return f"| `{row.name}` | {row.does} | {holders} | {', '.join(sorted(row.to))} | {'; '.join(needs)} |"


def _table(what: str, rows: Sequence[EventRow] | Sequence[RouteRow]) -> str:
    head = f"| {what} | for | {' | '.join(Who)} |\n|---|---|{'---|' * len(Who)}"
    return "\n".join([head, *(_line(row) for row in rows)])


def _line(row: EventRow | RouteRow) -> str:
    name = f"`{row.name}`" + (f" {row.case}" if row.case else "")
    cells = ("✓" if said == OK else f"`{said}`" for said in row.rule.outcomes().values())
    return f"| {name} | {row.rule.says} | {' | '.join(cells)} |"
