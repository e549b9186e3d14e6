"""From a fact to deliveries: who is told, and the body, made once and kept.

Runs in the transaction that handles the fact, so a delivery exists if and only if its fact is noted as handled. An
endpoint that is paused gets its deliveries too; they wait until its owner resumes it.
"""

import asyncio

import msgspec

from services.classes.summary import ClassSummary
from services.integrations import events
from services.integrations.delivery import NewDelivery
from services.integrations.endpoint import Endpoint
from services.integrations.events import AnyEvent
from services.integrations.links import link_to
from services.integrations.ports import WebhookStores
from services.kernel.clock import Clock, utc
from services.kernel.facts import AnyFact, ClassEnded, ClassSummarised, WorkoutSummarised
from services.kernel.ids import ClassId, Ids, WebhookDeliveryId, WorkoutId
from services.kernel.sealing import Seals
from services.kernel.trace import traceparent
from services.training.sample import Sample
from services.training.workouts import READ_AT_ONCE, Workout


class Telling:
    """Makes deliveries."""

    def __init__(self, clock: Clock, ids: Ids, seals: Seals) -> None:
        self._clock = clock
        self._ids = ids
        self._seals = seals

    async def tell(self, stores: WebhookStores, fact: AnyFact) -> int | None:
        """Make the deliveries of `fact`; how many. None for a fact that no webhook is about."""
        match fact:
            case WorkoutSummarised(workout_id=workout_id):
                return await self._workout_summarised(stores, workout_id)
            case ClassEnded(class_id=class_id):
                return await self._class_ended(stores, class_id)
            case ClassSummarised(class_id=class_id):
                return await self._class_summarised(stores, class_id)
            case _:
                return None

    async def _workout_summarised(self, stores: WebhookStores, workout_id: WorkoutId) -> int:
        workout = await stores.workouts.by_id(workout_id)
        if workout is None or workout.summary is None:
            return 0
        wanting = await stores.webhooks.wanting(workout.account_id, "workout.summarised")
        now_ms = self._clock.wall_ms()
        with_samples = [endpoint for endpoint in wanting if "samples" in endpoint.scopes]
        few = workout.summary.samples <= events.MAX_SAMPLES
        samples = await _samples(stores, workout) if with_samples and few else None
        subject = f"{workout.id}/{workout.revision}"
        made = 0
        for endpoint in wanting:
            told = events.workout_summarised(workout, now_ms)
            if "samples" in endpoint.scopes:
                path = None if few else link_to(self._seals, endpoint.id, workout.id, now_ms)
                told = events.workout_summarised(workout, now_ms, samples=samples, samples_path=path)
            made += await self._make(stores, endpoint, "workout.summarised", subject, told)
        return made

    async def _class_ended(self, stores: WebhookStores, class_id: ClassId) -> int:
        live = await stores.classes.by_id(class_id)
        if live is None or not live.over:
            return 0
        told = events.class_ended(live, self._clock.wall_ms())
        wanting = await stores.webhooks.wanting(live.coach_id, "class.ended")
        return sum([await self._make(stores, each, "class.ended", str(class_id), told) for each in wanting])

    async def _class_summarised(self, stores: WebhookStores, class_id: ClassId) -> int:
        live = await stores.classes.by_id(class_id)
        stored = await stores.classes.summary(class_id)
        if live is None or stored is None:
            return 0
        table = msgspec.json.decode(stored, type=ClassSummary)
        made = 0
        for endpoint in await stores.webhooks.wanting(live.coach_id, "class.summarised"):
            told = events.class_summarised(table, self._clock.wall_ms(), names="names" in endpoint.scopes)
            made += await self._make(stores, endpoint, "class.summarised", str(class_id), told)
        return made

    async def _make(self, stores: WebhookStores, endpoint: Endpoint, event: str, subject: str, told: AnyEvent) -> bool:
        delivery_id = WebhookDeliveryId(self._ids.next())
        delivery = NewDelivery(delivery_id, endpoint.id, event, subject, events.encode(told), traceparent())
        return await stores.webhook_deliveries.add(delivery, utc(self._clock.wall_ms()))


async def _samples(stores: WebhookStores, workout: Workout) -> tuple[Sample, ...]:
    """All samples of a workout that has few enough; the loop takes a turn between two pages."""
    samples: list[Sample] = []
    while len(samples) < events.MAX_SAMPLES:
        most = min(READ_AT_ONCE, events.MAX_SAMPLES - len(samples))
        page = await stores.workouts.samples(workout.id, len(samples), most)
        if not page:
            break
        samples += page
        await asyncio.sleep(0)
    return tuple(samples)
