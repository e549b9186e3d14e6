"""Real recordings that ride a challenge together: each half of a workout first, and then the whole of it."""

from typing import Final

from services.challenges.challenges import ChallengeView
from services.training.summary import summarise
from tests.services.training.recordings.real import read_once
from tests.support.challenged import Challenged
from tests.support.world import BODY

RECORDINGS: Final = (
    "run-fr945-16-laps.tcx",
    "bike-strava-hills.gpx",
    "bike-garminconnect-gaps.gpx",
    "swim-openwater-vivoactive.tcx",
)


async def recordings_ride(world: Challenged) -> ChallengeView:
    """The challenge that they have ridden, closed."""
    view = await world.challenge(await world.account("Cleo"))
    for recording in RECORDINGS:
        rider = await world.account(recording)
        await world.join(view, rider)
        samples = read_once(recording)[1].samples
        half, whole = (summarise(part, BODY) for part in (samples[: len(samples) // 2], samples))
        ridden = await world.works_out(rider, whole.duration_ms // 1_000 + 1, summary=half)
        await world.corrected(rider, ridden, [], whole)  # the phone was out of reach for the second half
    await world.close(view)
    return view
