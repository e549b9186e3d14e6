"""What an operator says to many people at once: what it is, and saying it.

An announcement is one row and one fact, however many it is for; who is told is found out page by page when it is told
(workers/notifying.py). One with the `subject` of an earlier one takes its place: what has not left yet leaves with the
new words, and what has been read is unread again.
"""

import uuid
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from services.kernel.clock import Clock, utc
from services.kernel.facts import AnnouncementMade, AnyFact
from services.kernel.ids import AnnouncementId, ClassId, FactId, Ids
from services.kernel.problems import BadShape
from services.notifications.content import AnnouncementContent

MAX_TITLE: Final = 120
MAX_BODY: Final = 4_000
MAX_SENDER: Final = 80
MAX_SUBJECT: Final = 80


class Announcement(msgspec.Struct, frozen=True):
    """What is said, and to whom: everybody, or the members of a class. `told` counts the people told so far; `superseded`: a
    later one of the same `subject` is there."""

    id: AnnouncementId
    content: AnnouncementContent
    class_id: ClassId | None
    subject: str
    told: int = 0
    superseded: bool = False


class AnnouncementStore(Protocol):
    """What this needs of the announcements' store."""

    async def add(self, announcement: Announcement, at: datetime) -> None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: uuid.UUID) -> FactId: ...


class AnnouncementStores(Protocol):
    """The stores of one transaction."""

    @property
    def announcements(self) -> AnnouncementStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


def checked(content: AnnouncementContent) -> AnnouncementContent:
    """The words, trimmed. Raises BadShape with the path."""
    said = AnnouncementContent(
        title=" ".join(content.title.split()),
        body=content.body.strip(),
        sender=" ".join(content.sender.split()),
        link=content.link.strip(),
    )
    for name, text, most in (("title", said.title, MAX_TITLE), ("body", said.body, MAX_BODY)):
        if not 1 <= len(text) <= most:
            raise BadShape(f"the {name} of an announcement has 1 to {most} characters", path=f"$.{name}")
    if not 1 <= len(said.sender) <= MAX_SENDER:
        raise BadShape(f"whoever says it has a name of 1 to {MAX_SENDER} characters", path="$.sender")
    if said.link and (urlsplit(said.link).scheme != "https" or not urlsplit(said.link).hostname):
        raise BadShape("a link begins with https://", path="$.link")
    return said


async def announce(
    stores: AnnouncementStores,
    clock: Clock,
    ids: Ids,
    content: AnnouncementContent,
    *,
    class_id: ClassId | None = None,
    subject: str = "",
) -> Announcement:
    """Say something, in the caller's transaction; people hear it when that has been committed. Raises BadShape.

    Without a `subject` it takes nothing's place.
    """
    if len(subject) > MAX_SUBJECT:
        raise BadShape(f"a subject has at most {MAX_SUBJECT} characters", path="$.subject")
    announcement_id = AnnouncementId(ids.next())
    announcement = Announcement(announcement_id, checked(content), class_id, subject or str(announcement_id))
    await stores.announcements.add(announcement, utc(clock.wall_ms()))
    await stores.outbox.add(AnnouncementMade(announcement_id=announcement_id), announcement_id)
    return announcement
