"""`paceline announce`: what an operator says to everybody, or to the members of a class."""

import argparse
import asyncio
import os
import sys
from dataclasses import dataclass
from typing import Final

from paceline.kept import NOT_OPENED, open_kept
from paceline.operating_user import this_user
from paceline.settings import Settings, SettingsError, load_settings
from persistence.stores import Stores
from services.audit.entry import Entry
from services.classes.live_class import LiveClass, normal_code
from services.kernel.clock import Clock, SystemClock
from services.kernel.ids import AccountId, Ids, NotificationId, Uuid7Ids
from services.kernel.problems import ClassNotFound, Problem
from services.notifications.announcement import announce, checked
from services.notifications.content import AnnouncementContent
from services.notifications.local import LANGUAGES
from services.notifications.notification import Notification
from services.notifications.ports import Links, Reader
from services.notifications.rendering import Words
from services.notifications.topics import ANNOUNCEMENT

DESCRIPTION: Final = """
Shows what people will read and how many they are, and says it only with --yes. It is in their inboxes as soon as workers have gone
through everybody, and leaves by mail and push as each of them has chosen. With the local PostgreSQL, stop `paceline run` first:
it serves one process at a time.
"""

EPILOG: Final = """
  paceline announce --title "New classes" --body "From Monday …"           show it, say nothing
  paceline announce --title "New classes" --body "From Monday …" --yes     say it to everybody
  paceline announce … --class ABC234 --yes                                 to the members of a class
  paceline announce … --subject monday --yes                               in place of an earlier one with this subject

exit codes:
  0  shown, or said
  1  it cannot be said: no such class, or the database does not answer
  2  the call or the settings are wrong
"""


@dataclass(frozen=True)
class Said:
    """The words, to whom, and in place of what."""

    content: AnnouncementContent
    code: str | None
    subject: str
    really: bool


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "announce",
        help="tell everybody something, or the members of a class",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--title", required=True, help="one line")
    command.add_argument("--body", required=True, help='the text; "-" reads it from the standard input')
    command.add_argument("--sender", default="Paceline", help="who says it (default: Paceline)")
    command.add_argument("--link", default="", metavar="URL", help="where there is more")
    command.add_argument("--class", dest="code", metavar="CODE", help="only to those who were in this class")
    command.add_argument("--subject", default="", help="a later announcement with it takes this one's place")
    command.add_argument("--yes", action="store_true", help="say it; without this it is only shown")


def run(args: argparse.Namespace) -> int:
    """Show or say it; see EPILOG for the exit codes."""
    try:
        settings = load_settings(os.environ)
        body = sys.stdin.read() if args.body == "-" else args.body
        content = checked(AnnouncementContent(title=args.title, body=body, sender=args.sender, link=args.link))
    except SettingsError as wrong:
        return _say(f"{len(wrong.faults)} of the settings are wrong:\n{wrong}", 2)
    except Problem as wrong:
        return _say(wrong.message, 2)
    try:
        print(asyncio.run(_announce(settings, Said(content, args.code, args.subject, args.yes))))
    except Problem as problem:
        return _say(problem.message, 1)
    except NOT_OPENED as problem:
        return _say(str(problem), 1)
    return 0


async def _announce(settings: Settings, said: Said) -> str:
    clock = SystemClock()
    async with open_kept(settings, clock) as transactions, transactions() as stores:
        told = await announced(stores, clock, Uuid7Ids(clock), said)
        if said.really:
            await stores.audit.add(Entry(this_user(), "announcement.made", reason=said.content.title))
        return told


async def announced(stores: Stores, clock: Clock, ids: Ids, said: Said) -> str:
    """Show it, and say it if that is meant; what to print. Raises ClassNotFound, BadShape."""
    live: LiveClass | None = None
    if said.code is not None:
        live = await stores.classes.by_code(normal_code(said.code))
        if live is None:
            raise ClassNotFound(f"there is no class {said.code}")
    class_id = None if live is None else live.id
    people = await stores.announcements.audience_size(class_id)
    to = f"{people} people with an account" if live is None else f"the {people} members of {live.title!r}"
    shown = preview(said.content, clock.wall_ms())
    if not said.really:
        return f"{shown}\n\nThis is for {to}. Nothing has been said; add --yes to say it."
    made = await announce(stores, clock, ids, said.content, class_id=class_id, subject=said.subject)
    return f"{shown}\n\nSaid to {to}: announcement {made.id}."


def preview(content: AnnouncementContent, now_ms: int) -> str:
    """What people will read, in every language there is."""
    words, ids = Words(), Uuid7Ids(SystemClock())
    notification = Notification(
        id=NotificationId(ids.next()),
        account_id=AccountId(ids.next()),
        topic=ANNOUNCEMENT.name,
        template=ANNOUNCEMENT.name,
        version=words.version(ANNOUNCEMENT.name),
        content=content,
        collapse_key="",
        told_at_ms=now_ms,
        expires_at_ms=now_ms,
    )
    links = Links("https://…", "https://…", "https://…")
    parts = []
    for locale in LANGUAGES:
        reader = Reader("Ada", locale, "UTC")
        mail, push = words.mail(notification, reader, links), words.push(notification, reader)
        parts.append(f"[{locale}] push: {push.title}: {push.body}\n[{locale}] mail: {mail.subject}\n\n{mail.text}")
    return "\n".join(parts)


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
