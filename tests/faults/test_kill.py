"""The process is killed in the middle of ten workouts: nothing acknowledged is lost, nothing is stored twice."""

import asyncio
import secrets

import aiohttp

from loadtest.api import Api
from loadtest.client import account_tokens, open_client
from loadtest.device import Athlete, Strap, crowd
from loadtest.plan import class_script
from loadtest.tokens import Tokens
from services.training.sample import Sample
from services.training.summary import WorkoutSummary
from tests.support.server import Server, open_server

ATHLETES = 10
SECONDS = 600
PACE_S = 0.01
"""Between two samples: a workout of ten minutes in six seconds."""


class Workout:
    """What one device did: the samples it holds, those the server has, and the acknowledgements on the way."""

    def __init__(self, athlete: Athlete) -> None:
        self.sent = tuple(athlete.samples(SECONDS))
        self.stored: list[Sample] = []
        self.marks: list[int] = []
        self.summary: WorkoutSummary | None = None


async def train(http: aiohttp.ClientSession, server: Server, code: str, workout: Workout, pace_s: float) -> None:
    api = Api(http, server.base_url, patience_s=60)
    email = f"{secrets.token_hex(6)}@example.org"
    tokens = await account_tokens(api, email, "a sentence nobody guesses", "Athlete")
    async with open_client(api, tokens) as client:
        await client.join(code)
        async with client.open_stream(class_code=code, on_stored=workout.marks.append) as stream:
            for sample in workout.sent:
                await stream.append(sample)
                await asyncio.sleep(pace_s)
            finished = await stream.finish()
        workout.summary = await client.workout_summary(finished.workout)
        workout.stored = await api.samples(await tokens.current(), finished.workout)


async def a_class(http: aiohttp.ClientSession, server: Server) -> tuple[Tokens, str]:
    api = Api(http, server.base_url)
    coach = await account_tokens(
        api, f"{secrets.token_hex(6)}@example.org", "a sentence nobody guesses", "Mia", "coach"
    )
    live = await api.create_class(await coach.current(), "Fault ride")
    return coach, live.code


async def all_train(server: Server, workouts: list[Workout], *, kills: int) -> None:
    async with aiohttp.ClientSession() as http:
        _, code = await a_class(http, server)
        async with asyncio.TaskGroup() as group:
            for workout in workouts:
                group.create_task(train(http, server, code, workout, PACE_S if kills else 0))
            for number in range(kills):
                # In the middle: everybody has acknowledged samples, and nobody is near the end.
                wanted = SECONDS * (number + 1) // (kills + 2)
                while not all(workout.marks and workout.marks[-1] >= wanted for workout in workouts):
                    await asyncio.sleep(0.02)
                await asyncio.to_thread(server.restart)


async def test_ten_workouts_survive_two_kills_sample_by_sample() -> None:
    people = crowd(ATHLETES, class_script(), seed=3, strap=Strap(rr=True))
    undisturbed = [Workout(athlete) for athlete in people]
    killed = [Workout(athlete) for athlete in people]
    with open_server(PACELINE_COMMIT_INTERVAL_MS="50") as server:
        await all_train(server, undisturbed, kills=0)
        await all_train(server, killed, kills=2)
    for calm, hard in zip(undisturbed, killed, strict=True):
        assert calm.stored == list(calm.sent)
        assert hard.stored == calm.stored
        assert hard.marks == sorted(hard.marks), "a mark never moves back: what was acknowledged stays stored"
        assert hard.summary == calm.summary
