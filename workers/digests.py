"""The digest: what somebody wants gathered, in one mail a day or a week, at the hour they chose.

What is to be gathered waits as deliveries in the lane "digest", due at that hour. This job takes them, person by person: they are
locked, asked whether they are still wanted, and put into a new delivery, which is sent like any other
mail. Twice is impossible: who comes second finds nothing, and the id of a digest is made from the person and the instant it
was due.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog

from persistence.deliveries import Recipient
from persistence.stores import Stores
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId, DeliveryId
from services.notifications import preferences as prefs
from services.notifications.deciding import Stop, still
from services.notifications.topics import TOPICS, Way
from services.schedule.jobs import Tick

PEOPLE: Final = 50
"""People of one bite, which is one transaction."""
WANTED: Final = timedelta(days=1)
"""How long a digest is wanted after its hour."""

log = structlog.get_logger(__name__)


class Digests:
    """Gathers what is due."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock

    async def gather(self, stores: Stores, _: Tick) -> int:
        """One bite: make the digests of some people; how many people that were."""
        people = await stores.deliveries.to_gather(utc(self._clock.wall_ms()), PEOPLE)
        for account_id in people:
            await self.gather_for(stores, account_id)
        return len(people)

    async def gather_for(self, stores: Stores, account_id: AccountId) -> DeliveryId | None:
        """Make the digest that is due for somebody; None when there is none, or nothing in it is wanted any more."""
        now_ms = self._clock.wall_ms()
        now = utc(now_ms)
        due = await stores.deliveries.lock_gathered(account_id, now)
        recipients = await stores.deliveries.recipients([delivery_id for delivery_id, _ in due])
        wanted: list[DeliveryId] = []
        for delivery_id, _ in due:
            match _verdict(recipients[delivery_id], now_ms):
                case Stop(state=state, reason=reason):
                    await stores.deliveries.drop_gathered(delivery_id, state, reason, now)
                case None:
                    wanted.append(delivery_id)
        if not wanted:
            return None
        period = max(due_at for delivery_id, due_at in due if delivery_id in wanted)
        return await self._digest(stores, account_id, period, wanted, recipients[wanted[0]])

    async def _digest(
        self, stores: Stores, account_id: AccountId, period: datetime, wanted: list[DeliveryId], to: Recipient
    ) -> DeliveryId | None:
        now_ms = self._clock.wall_ms()
        now = utc(now_ms)
        digest_id = await stores.deliveries.add_digest(account_id, period, now, now + WANTED)
        if digest_id is None:
            # This person's digest of this hour has left: told by a node whose clock is behind. It goes into the next one.
            await stores.deliveries.gather_anew(account_id, utc(prefs.next_digest(to.preferences, now_ms)))
            return None
        await stores.deliveries.put_into(digest_id, wanted, now)
        log.info("digests.gathered", delivery=str(digest_id), items=len(wanted))
        return digest_id


def _verdict(to: Recipient, now_ms: int) -> Stop | None:
    """Whether one of the gathered is still wanted. Not now is no answer here: the hour of the digest was chosen."""
    if to.address is None:
        return Stop("suppressed", "there is no address any more")
    if to.notification is None:
        return Stop("suppressed", "nobody here can read it")
    topic = TOPICS[to.notification.topic]
    way: Way = prefs.way_of(prefs.chosen_for(to.preferences, topic), topic, "email")
    if way == "off":
        return Stop("suppressed", "turned off meanwhile")
    read = to.notification.read_at_ms is not None
    verdict = still(topic, "email", to.preferences, now_ms, expires_at_ms=to.notification.expires_at_ms, read=read)
    return verdict if isinstance(verdict, Stop) else None
