"""Links to a workout's samples, for workouts with too many to travel inside a webhook.

The link is its own right: it names the endpoint, the workout and an end, and carries a tag that only this installation can
make. It is good for as long as its delivery can be replayed, because a replay sends the same body; but the endpoint must
still exist, belong to the workout's owner and have the scope `samples`, so a link dies with the consent.
"""

import re
import uuid
from dataclasses import dataclass
from typing import Final

from services.integrations.delivery import KEPT_DAYS
from services.kernel.ids import WebhookEndpointId, WorkoutId
from services.kernel.sealing import Seals

PATH: Final = "/v1/webhook-samples/"
GOOD_FOR_S: Final = (KEPT_DAYS + 1) * 24 * 3_600
_FORM: Final = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})\.(\d{10,12})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class SamplesLink:
    """What a link says, once its tag has been found good."""

    endpoint_id: WebhookEndpointId
    workout_id: WorkoutId


def link_to(seals: Seals, endpoint_id: WebhookEndpointId, workout_id: WorkoutId, now_ms: int) -> str:
    """The path of a new link."""
    said = f"{endpoint_id.hex}.{workout_id.hex}.{now_ms // 1_000 + GOOD_FOR_S}"
    return f"{PATH}{said}.{seals.tag(_claim(said))}"


def read_link(seals: Seals, text: str, now_ms: int) -> SamplesLink | None:
    """What the last part of a link's path says; None when it was not made here, or has ended."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    endpoint, workout, end, tag = found.groups()
    if not seals.is_tag(tag, _claim(f"{endpoint}.{workout}.{end}")) or now_ms >= int(end) * 1_000:
        return None
    return SamplesLink(WebhookEndpointId(uuid.UUID(endpoint)), WorkoutId(uuid.UUID(workout)))


def _claim(said: str) -> str:
    return f"webhook samples {said}"
