"""What an operator can switch off while everything runs: one closed table.

A flag is for the evening on which something has to stop now: registrations by the thousand, a chat that nobody can moderate, a
mistake in a mail. It is no setting (paceline/options.py), which says how an installation is made, and no experiment: everybody on
every node meets the same. Everything is on until somebody switches it off, says why, and that stands in the audit.

**Adding one**: a row here with what stops and what goes on, a problem for whoever meets it (services/kernel/problems.py), and
`switches.require(name)` at the one place where the thing begins. No row without a place that reads it: a test looks.
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

from services.kernel.problems import ChallengesPaused, ChatPaused, ConsentingPaused, Problem, RegisteringPaused

FlagName = Literal["registering", "chat", "challenges.making", "apps.consenting", "mail.sending"]


class Flag(msgspec.Struct, frozen=True):
    """One switch, on by default. `off` is what happens while it is off; `refused` what whoever meets it is told, None where
    nobody asks for anything and it only waits."""

    name: FlagName
    off: str
    refused: type[Problem] | None


_ROWS: Final = (
    Flag(
        "registering",
        "Nobody new gets an account: not by registering, nor by a link that was mailed, nor by signing in with a provider for "
        "the first time. Who has an account gets in; an operator can make one on the server.",
        RegisteringPaused,
    ),
    Flag(
        "chat",
        "No new messages in any room. What was said can be read, reported and taken down; cues of coaches go on.",
        ChatPaused,
    ),
    Flag(
        "challenges.making",
        "Nobody makes a new challenge or heat. Those there are go on, and are joined by their code.",
        ChallengesPaused,
    ),
    Flag(
        "apps.consenting",
        "Nobody lets another app into their account. Apps that are in one go on.",
        ConsentingPaused,
    ),
    Flag(
        "mail.sending",
        "No mail leaves but what tells an emergency contact of an incident; it waits, and what is too old by then is not sent. "
        "That includes mails for a forgotten password.",
        None,
    ),
)
FLAGS: Final[Mapping[FlagName, Flag]] = {row.name: row for row in _ROWS}
"""The table, by name."""

if set(FLAGS) != set(get_args(FlagName)):
    raise RuntimeError("FlagName and the table of flags differ")
