"""People, classes and workouts in a real database, made by the real stores in a few words each."""

import base64
import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from persistence.database import Database
from persistence.stores import Stores, Transactions
from persistence.streams import StreamBatch
from services.accounts.account import Account
from services.classes.booking import BookingView
from services.classes.bookings import Bookings
from services.classes.live_class import LiveClass, Role
from services.classes.offer import MS_PER_MINUTE, Terms
from services.classes.offers import Offers
from services.integrations.telling import Telling
from services.kernel.caller import AccountRole, Caller
from services.kernel.clock import ManualClock, utc
from services.kernel.facts import AnyFact
from services.kernel.ids import AccountId, ClassId, LoginId, StreamId, Uuid7Ids, WorkoutId
from services.kernel.sealing import Seals
from services.privacy.vault import Vault
from services.training.physiology import Physiology
from services.training.sample import Sample
from workers.webhooks import WebhookFacts

NOTHING: Final = (0,) * 6
SEALING_KEY: Final = bytes(range(32))
SEALING_KEYS: Final = base64.b64encode(SEALING_KEY).decode()
"""The same as the option PACELINE_SEALING_KEYS, for commands on a database that a World or a server has filled."""
SEALS: Final = Seals((SEALING_KEY,))
VAULT: Final = Vault(SEALS)
BODY: Final = Physiology(
    max_hr=190,
    rest_hr=60,
    sex="female",
    mass_kg=62.5,
    age_years=31,
    max_hr_source="measured",
    rest_hr_source="measured",
)


class World:
    """A database, a clock that stands still (where a server is about, at its now), and builders. `transactions` is what use cases
    are given."""

    def __init__(self, database: Database, clock: ManualClock | None = None, *, vault: Vault | None = VAULT) -> None:
        self.database: Final = database
        self.clock: Final = clock or ManualClock()
        self.ids: Final = Uuid7Ids(self.clock)
        self.transactions: Final = Transactions(database, self.clock, self.ids, vault=vault)
        self._numbers: Final = itertools.count(1)

    async def account(self, name: str = "Ada", *roles: AccountRole) -> Caller:
        """Somebody with an account, as caller."""
        account = Account(
            id=AccountId(self.ids.next()),
            email=f"somebody{next(self._numbers)}@example.org",
            name=name,
            roles=frozenset(roles or ("member",)),
            created_at_ms=self.clock.wall_ms(),
        )
        async with self.transactions() as stores:
            await stores.accounts.add(account, "hash")
        return Caller(account.id, LoginId(self.ids.next()), name, account.roles, 2**53)

    async def live_class(self, coach: Caller, title: str = "Hills") -> LiveClass:
        """A live class of this coach, made now."""
        live = LiveClass(
            id=ClassId(self.ids.next()),
            code=f"CODE{next(self._numbers)}",
            title=title,
            coach_id=coach.account_id,
            coach_name=coach.name,
            created_ms=self.clock.wall_ms(),
        )
        async with self.transactions() as stores:
            assert await stores.classes.create(live)
        return live

    async def offer(self, coach: Caller, in_min: int = 24 * 60, **terms: Any) -> ClassId:
        """A class of this coach that can be booked, so many minutes from now."""
        number = next(self._numbers)
        wanted = Terms(**{"title": "Hills", "duration_min": 45, "capacity": 10, **terms})
        starts_ms = self.clock.wall_ms() + in_min * MS_PER_MINUTE
        offers = Offers(self.transactions, self.clock, self.ids)
        return (await offers.create(coach, starts_ms, wanted, f"offer{number}")).id

    async def book(self, caller: Caller, class_id: ClassId) -> BookingView:
        """Somebody books a class."""
        bookings = Bookings(self.transactions, self.clock, self.ids)
        return await bookings.book(caller, class_id, f"booking{next(self._numbers)}")

    async def end(self, live: LiveClass) -> None:
        """End the class now, without telling anybody."""
        async with self.transactions() as stores:
            assert await stores.classes.end(live.id, utc(self.clock.wall_ms()))

    async def enter(self, live: LiveClass, caller: Caller, role: Role = "athlete") -> None:
        """Make somebody a member."""
        async with self.transactions() as stores:
            await stores.classes.lock(live.id)
            await stores.classes.enter(live.id, caller.account_id, role, utc(self.clock.wall_ms()))

    async def workout(
        self,
        caller: Caller,
        *batches: Sequence[Sample],
        live: LiveClass | None = None,
        zone_ms: tuple[int, ...] = NOTHING,
        body: Physiology = BODY,
    ) -> tuple[WorkoutId, StreamId]:
        """A live workout with one stream, opened now, that has these batches of samples."""
        workout_id, stream_id = WorkoutId(self.ids.next()), StreamId(self.ids.next())
        now = utc(self.clock.wall_ms())
        async with self.transactions() as stores:
            await stores.workouts.create(
                workout_id,
                account_id=caller.account_id,
                class_id=None if live is None else live.id,
                sport="run",
                physiology=body,
                created_at=now,
            )
            await self.stream(stores, workout_id, stream_id, caller, live)
        seq = 0
        for batch in batches:
            await self.write(stream_id, seq, batch, zone_ms)
            seq += len(batch)
        return workout_id, stream_id

    async def stream(
        self,
        stores: Stores,
        workout_id: WorkoutId,
        stream_id: StreamId,
        caller: Caller,
        live: LiveClass | None = None,
        *,
        later_s: float = 0,
    ) -> None:
        """One more stream of a workout."""
        now = utc(self.clock.wall_ms()) + timedelta(seconds=later_s)
        assert await stores.streams.create(
            stream_id,
            workout_id=workout_id,
            account_id=caller.account_id,
            class_id=None if live is None else live.id,
            device="watch",
            device_started_at=now,
            opened_at=now,
            feed_epoch=0,
        )

    async def write(
        self, stream_id: StreamId, seq: int, samples: Sequence[Sample], zone_ms: tuple[int, ...] = NOTHING
    ) -> None:
        """A group commit for one stream."""
        batch = StreamBatch(
            stream_id=stream_id,
            epoch=1,
            first_seq=seq,
            samples=tuple(samples),
            received_ms=self.clock.wall_ms(),
            last_t=samples[-1].t,
            last_bpm=samples[-1].bpm,
            clock_offset_ms=0,
            zone_ms=zone_ms,
        )
        async with self.transactions() as stores:
            (written,) = await stores.streams.write([batch])
        assert not written.fenced

    def webhook_facts(self) -> WebhookFacts:
        """What makes webhook deliveries of facts."""
        return WebhookFacts(Telling(self.clock, self.ids, SEALS))

    async def told(self) -> list[AnyFact]:
        """The facts waiting in the outbox, oldest first."""
        async with self.transactions() as stores:
            return [envelope.fact for envelope in await stores.outbox.peek(1_000)]


def steady(seconds: int, bpm: int | None = 150, start: int = 0) -> list[Sample]:
    """One sample a second at one heart rate."""
    return [Sample((start + second) * 1000, bpm) for second in range(seconds)]
