"""Servers given by URL replace the embedded ones, and the roles may live in processes of their own: a workout travels from a
gateway through Postgres, RabbitMQ, a worker elsewhere, and Redis back to the athlete's socket."""

import asyncio
import contextlib
import json
import secrets
import urllib.request
from pathlib import Path

import aiohttp

from loadtest.api import Api
from loadtest.client import account_tokens, open_client
from services.training.sample import Sample
from tests.support.rabbitmq import RabbitMQ
from tests.support.redis_server import open_redis
from tests.support.server import open_server

SECONDS = 61


async def test_a_workout_reaches_its_summary_through_servers_of_ones_own(
    fresh_dsn: str, rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    async with open_redis() as redis:
        urls = {"DATABASE_URL": fresh_dsn, "REDIS_URL": redis.url, "AMQP_URL": rabbitmq.url}
        with contextlib.ExitStack() as processes:
            gateway = processes.enter_context(open_server(PACELINE_ROLES="gateway", **urls))
            worker = processes.enter_context(open_server(PACELINE_ROLES="worker,relay,scheduler", **urls))
            async with aiohttp.ClientSession() as http:
                api = Api(http, gateway.base_url)
                email = f"{secrets.token_hex(6)}@example.org"
                tokens = await account_tokens(api, email, "a sentence nobody guesses", "Ada")
                async with open_client(api, tokens) as client:
                    async with client.open_stream() as stream:
                        for second in range(SECONDS):
                            await stream.append(Sample(t=1_000 * second, bpm=140))
                        finished = await stream.finish()
                    summary = await client.workout_summary(finished.workout)
            with urllib.request.urlopen(f"{gateway.base_url}/readyz") as answer:
                assert json.load(answer)["ready"]
            children = [Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text() for one in (gateway, worker)]
            assert [await asyncio.to_thread(one.stop) for one in (worker, gateway)] == [0, 0]
    assert summary.duration_ms == (SECONDS - 1) * 1_000
    assert summary.edwards == 3.0
    assert children == ["", ""], "nothing is embedded when everything is given"
