"""Telling people something: from what happened to lines in inboxes and deliveries on their way, for one or for a thousand.

Everything is done for all people at once, in four statements however many they are, inside the transaction of whoever
calls: the notification is there if and only if the fact that led to it counts as handled. Whoever has more than `PAGE`
people to tell does it in pages, each in a transaction of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.kernel.clock import Clock, utc
from services.kernel.facts import NotificationsTold
from services.kernel.ids import AccountId, DeliveryId, Ids, NotificationId
from services.notifications.content import Content
from services.notifications.deciding import Person, Planned, decide
from services.notifications.notification import Notification, collapse_key
from services.notifications.outgoing import Channel
from services.notifications.ports import NewDelivery, Placed, TellingStores, Words
from services.notifications.topics import DAY_S, TOPICS, Topic

PAGE: Final = 1_000
"""People told in one transaction: some 0.3 s of work, and a few MB."""
IDS_PER_FACT: Final = 100
"""Notifications that one fact names: about 4 KB of it."""


@dataclass(frozen=True)
class News:
    """What one person is to be told. `subject`: what later news of the same topic about the same thing would bear, too."""

    account_id: AccountId
    content: Content
    subject: str


class Telling:
    """Tells. `leaving` are the channels that this installation has providers for; on others nothing is even begun."""

    def __init__(self, words: Words, leaving: frozenset[Channel], clock: Clock, ids: Ids) -> None:
        self._words: Final = words
        self._leaving: Final = leaving
        self._clock: Final = clock
        self._ids: Final = ids

    async def tell(self, stores: TellingStores, topic: str, news: Sequence[News]) -> int:
        """Tell each of these people, one piece of news per account; how many inboxes changed.

        Who has no account any more is left out. Raises ValueError for an account that is there twice.
        """
        about = TOPICS[topic]
        by_account = {one.account_id: one for one in news}
        if len(by_account) != len(news):
            raise ValueError("one piece of news per account: tell the others in another call")
        now_ms = self._clock.wall_ms()
        # In one order always: two who tell the same people about the same thing wait for each other and do not lock each other out.
        people = sorted(await stores.notification_settings.people(list(by_account), topic), key=_account)
        if not people:
            return 0
        again = about.collapse == "again"
        notifications = [self._notification(about, by_account[person.account_id], now_ms) for person in people]
        placed = await stores.notifications.put(notifications, again=again)
        fresh = placed if again else [one for one in placed if one.added]
        if replaced := [one.id for one in fresh if not one.added]:
            await stores.deliveries.collapse(replaced, utc(now_ms))
        await self._send(stores, about, people, fresh, now_ms)
        for some in _parts(placed):
            # About the first of them, not about whose it is: news of one person need no order among each other (handlers.PUSHES has
            # none), and somebody who is told a lot would else be a line that leaves the outbox one by one.
            await stores.outbox.add(NotificationsTold(ids=tuple(one.id for one in some)), some[0].id)
        return len(placed)

    async def _send(
        self, stores: TellingStores, topic: Topic, people: Sequence[Person], fresh: Sequence[Placed], now_ms: int
    ) -> None:
        where = {one.account_id: one.id for one in fresh}
        deliveries = [
            self._delivery(topic, person.account_id, where[person.account_id], planned, now_ms)
            for person in people
            if person.account_id in where
            for planned in decide(topic, person, now_ms)
            if planned.channel in self._leaving
        ]
        if deliveries:
            await stores.deliveries.add(deliveries, utc(now_ms))

    def _notification(self, topic: Topic, news: News, now_ms: int) -> Notification:
        notification_id = NotificationId(self._ids.next())
        return Notification(
            id=notification_id,
            account_id=news.account_id,
            topic=topic.name,
            template=topic.name,
            version=self._words.version(topic.name),
            content=news.content,
            collapse_key=collapse_key(topic, news.subject, notification_id),
            told_at_ms=now_ms,
            expires_at_ms=now_ms + topic.keep_s * 1_000,
        )

    def _delivery(
        self, topic: Topic, account_id: AccountId, notification_id: NotificationId, planned: Planned, now_ms: int
    ) -> NewDelivery:
        # What is gathered must live to see its digest.
        wanted_until_ms = planned.due_at_ms + DAY_S * 1_000 if planned.lane == "digest" else 0
        return NewDelivery(
            id=DeliveryId(self._ids.next()),
            account_id=account_id,
            notification_id=notification_id,
            planned=planned,
            urgent=topic.urgency == "high",
            expires_at_ms=max(now_ms + topic.ttl_s * 1_000, wanted_until_ms),
        )


def _account(person: Person) -> AccountId:
    return person.account_id


def _parts(placed: Sequence[Placed]) -> list[Sequence[Placed]]:
    return [placed[at : at + IDS_PER_FACT] for at in range(0, len(placed), IDS_PER_FACT)]
