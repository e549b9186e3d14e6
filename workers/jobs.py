"""The jobs of the schedule, on one screen: what is done by the clock, how often, and what becomes of missed times.

Adding one: a row in `jobs`, and its work here or in the module of its noun. It gets the stores of its transaction and the tick,
does one bounded bite, and says how much that was; it is called again until it says 0, and what a bite did commits with the count
(schedule.py). So it need not fear being done twice, and must not do anything that a rolled-back transaction leaves behind.
A job's name is for ever: what was done is remembered under it.
"""

from datetime import timedelta
from typing import Final

from persistence.stores import Stores
from persistence.tickets import prune_used_tickets
from persistence.upkeep import Upkeep
from services.accounts.account_mail import LIFE_MS
from services.kernel.clock import Clock, utc
from services.kernel.facts import ClassEnded, WorkoutFinished
from services.kernel.ids import Ids
from services.notifications.phone import DAY_MS
from services.privacy.erasure import REST_MS
from services.safety.contact import WEEK_MS
from services.schedule.jobs import Tick
from services.schedule.timetable import Every
from services.social import friend
from services.training.location import LOCATION_DAYS
from workers.auditing import AuditJobs
from workers.class_doors import SeriesUpkeep
from workers.digests import Digests
from workers.erasing import EraseJobs
from workers.exporting import ExportJobs, Exports
from workers.outbox_upkeep import OutboxUpkeep
from workers.schedule import Job
from workers.signing_in import SignInUpkeep
from workers.webhooks import WebhookUpkeep

TICKET_MARGIN: Final = timedelta(minutes=5)
"""How far the clocks of two nodes may be apart: a ticket that one has forgotten must be over for all."""
BITE: Final = 200
"""Rows of one transaction of a job."""

SILENT_MIN: Final = 30
"""Minutes without a sample after which an open stream is finished."""
OVER_S: Final = 60
"""The same in seconds, once its class is over."""
FORGOTTEN_H: Final = 12
"""Hours after which a class that nobody ended is over."""
DIGEST_DAYS: Final = 90
"""How long it is remembered what was mailed in a digest: as long as most of what was in it."""
TAPE_DAYS: Final = 90
"""How long a class can be played again. Its summary and everybody's samples stay. By feeling: a season."""
INCIDENT_DAYS: Final = 90
"""How long incidents are remembered. By feeling: as long as notifications are."""
TICK_DAYS: Final = 3
"""How long ticks are remembered, for whoever asks what happened at night. The newest of each job stays."""


def jobs(
    clock: Clock, ids: Ids, outbox: OutboxUpkeep, exports: Exports, audit: AuditJobs, *, token_ms: int = REST_MS
) -> tuple[Job, ...]:
    """The table."""
    upkeep = Jobs(clock, outbox)
    erase = EraseJobs(exports, clock, ids, rest_ms=max(token_ms, REST_MS))
    exported = ExportJobs(exports, clock)
    digests = Digests(clock)
    webhooks = WebhookUpkeep(clock, BITE)
    return (
        Job("make-outbox-days", Every(3_600), upkeep.make_outbox_days),
        Job("drop-outbox-days", Every(3_600), upkeep.drop_outbox_days),
        Job("finish-abandoned-streams", Every(15), upkeep.finish_abandoned_streams),
        Job("end-forgotten-classes", Every(300), upkeep.end_forgotten_classes),
        Job("extend-series", Every(600), SeriesUpkeep(clock, ids).extend),
        Job("gather-digests", Every(15), digests.gather),
        Job("prune-notifications", Every(3_600), upkeep.prune_notifications),
        Job("prune-digests", Every(3_600), upkeep.prune_digests),
        Job("prune-phone-checks", Every(3_600), upkeep.prune_phone_checks),
        Job("prune-account-mails", Every(3_600), upkeep.prune_account_mails),
        Job("prune-contacts", Every(3_600), upkeep.prune_contacts),
        Job("prune-incidents", Every(3_600), upkeep.prune_incidents),
        Job("prune-friend-requests", Every(3_600), upkeep.prune_friend_requests),
        Job("prune-inbox", Every(3_600), upkeep.prune_inbox),
        Job("prune-refresh-tokens", Every(3_600), upkeep.prune_refresh_tokens),
        Job("prune-used-tickets", Every(60), upkeep.prune_used_tickets),
        Job("prune-pairings", Every(60), upkeep.prune_pairings),
        Job("prune-sign-ins", Every(300), SignInUpkeep(clock, BITE).prune),
        Job("prune-app-tokens", Every(3_600), upkeep.prune_app_tokens),
        Job("remove-old-exports", Every(300), exported.remove_old_exports),
        Job("prune-long-tasks", Every(3_600), exported.prune_long_tasks),
        Job("prune-tapes", Every(3_600), upkeep.prune_tapes),
        Job("prune-locations", Every(3_600), upkeep.prune_locations),
        Job("prune-ticks", Every(3_600), upkeep.prune_ticks),
        Job("prune-webhook-deliveries", Every(3_600), webhooks.prune_deliveries),
        Job("erase-accounts", Every(30), erase.erase),
        Job("seal-fields", Every(15), upkeep.seal_fields),
        Job("wrap-keys-anew", Every(15), upkeep.wrap_keys_anew),
        Job("sweep-removed-webhooks", Every(60), webhooks.sweep_removed),
        Job("sign-audit", Every(600), audit.checkpoint),
    )


class Jobs:
    """The jobs themselves: each does one bite and says how many rows it took."""

    def __init__(self, clock: Clock, outbox: OutboxUpkeep) -> None:
        self._clock: Final = clock
        self._outbox: Final = outbox

    async def make_outbox_days(self, stores: Stores, _: Tick) -> int:
        """Days before the facts come."""
        return await self._outbox.make_days(stores)

    async def drop_outbox_days(self, stores: Stores, _: Tick) -> int:
        """Days that nobody needs any more."""
        return await self._outbox.drop_days(stores)

    async def finish_abandoned_streams(self, stores: Stores, _: Tick) -> int:
        """Finish streams that nobody feeds any more, so that their summaries come."""
        now = utc(self._clock.wall_ms())
        abandoned = await Upkeep(stores.tx).finish_abandoned(
            now,
            silent_since=now - timedelta(minutes=SILENT_MIN),
            over_since=now - timedelta(seconds=OVER_S),
            limit=BITE,
        )
        for each in abandoned:
            await stores.outbox.add(
                WorkoutFinished(workout_id=each.workout_id, account_id=each.account_id), each.workout_id
            )
        return len(abandoned)

    async def end_forgotten_classes(self, stores: Stores, _: Tick) -> int:
        """End classes whose coach went home."""
        now = utc(self._clock.wall_ms())
        forgotten = await stores.classes.forgotten(now - timedelta(hours=FORGOTTEN_H), BITE)
        for class_id in forgotten:
            if await stores.classes.end(class_id, now):
                await stores.outbox.add(ClassEnded(class_id=class_id), class_id)
        return len(forgotten)

    async def prune_inbox(self, stores: Stores, _: Tick) -> int:
        """Forget facts that cannot come again: neither out of a queue nor out of the outbox."""
        return await stores.inbox.prune(await self._outbox.forgettable(stores), BITE)

    async def prune_notifications(self, stores: Stores, _: Tick) -> int:
        """Forget what no inbox shows any more, and what was sent of it."""
        return await stores.notifications.prune(utc(self._clock.wall_ms()), BITE)

    async def prune_digests(self, stores: Stores, _: Tick) -> int:
        """Forget digests of long ago."""
        before = utc(self._clock.wall_ms()) - timedelta(days=DIGEST_DAYS)
        return await stores.deliveries.prune_digests(before, BITE)

    async def prune_phone_checks(self, stores: Stores, _: Tick) -> int:
        """Forget codes that are counted no more, and the numbers that they went to."""
        return await stores.phones.prune_checks(utc(self._clock.wall_ms() - DAY_MS), BITE)

    async def prune_account_mails(self, stores: Stores, _: Tick) -> int:
        """Forget mails whose links are over, and who has never finished registering."""
        now = utc(self._clock.wall_ms())
        margin = timedelta(days=1)
        undo = timedelta(milliseconds=LIFE_MS["undo"]) + margin
        others = timedelta(milliseconds=max(life for says, life in LIFE_MS.items() if says != "undo")) + margin
        return await stores.account_mails.prune(now - others, now - undo, BITE)

    async def prune_contacts(self, stores: Stores, _: Tick) -> int:
        """Forget who was asked to be an emergency contact and is it no more, once it is counted no more."""
        before = utc(self._clock.wall_ms() - WEEK_MS)
        phones = await stores.contact_phones.prune(before, BITE)
        return phones + await stores.contacts.prune(before, BITE)

    async def prune_friend_requests(self, stores: Stores, _: Tick) -> int:
        """Forget requests whose time has run out."""
        return await stores.friends.prune(utc(self._clock.wall_ms() - friend.LIFE_MS), BITE)

    async def prune_incidents(self, stores: Stores, _: Tick) -> int:
        """Forget incidents of long ago: they are about somebody's heart."""
        return await stores.safety.prune(utc(self._clock.wall_ms()) - timedelta(days=INCIDENT_DAYS), BITE)

    async def prune_refresh_tokens(self, stores: Stores, _: Tick) -> int:
        """Forget refresh tokens that nobody can use any more."""
        return await Upkeep(stores.tx).prune_refresh_tokens(utc(self._clock.wall_ms()), BITE)

    async def prune_used_tickets(self, stores: Stores, _: Tick) -> int:
        """Forget tickets that nobody could use again."""
        return await prune_used_tickets(stores.tx, utc(self._clock.wall_ms()) - TICKET_MARGIN, BITE)

    async def prune_pairings(self, stores: Stores, _: Tick) -> int:
        """Forget screens that nobody let in."""
        return await stores.pairings.prune(utc(self._clock.wall_ms()), BITE)

    async def prune_app_tokens(self, stores: Stores, _: Tick) -> int:
        """Forget codes and refresh tokens of apps that nobody can use any more. A day late: a code that comes back is told from one
        that never was for so long."""
        return await stores.app_grants.prune(utc(self._clock.wall_ms() - DAY_MS), BITE)

    async def prune_tapes(self, stores: Stores, _: Tick) -> int:
        """Forget how the boards of classes of long ago looked."""
        return await stores.tapes.prune(utc(self._clock.wall_ms()) - timedelta(days=TAPE_DAYS), BITE)

    async def prune_locations(self, stores: Stores, _: Tick) -> int:
        """Forget where people were."""
        return await stores.locations.prune(utc(self._clock.wall_ms()) - timedelta(days=LOCATION_DAYS), BITE)

    async def seal_fields(self, stores: Stores, _: Tick) -> int:
        """Seal what an older program has written plain. Looking through a table that is sealed costs reading it, twice."""
        return await stores.sealing_passes.go_on(BITE, utc(self._clock.wall_ms()))

    async def wrap_keys_anew(self, stores: Stores, _: Tick) -> int:
        """Bring everything under the newest of the sealing keys, so that older ones can be taken away."""
        return await stores.sealing_keys.wrap_anew(BITE)

    async def prune_ticks(self, stores: Stores, _: Tick) -> int:
        """Forget what the schedule did long ago."""
        return await stores.ticks.prune(utc(self._clock.wall_ms()) - timedelta(days=TICK_DAYS), BITE)
