"""Long tasks on whole processes: progress on another node, workers that are killed and frozen, cancelling, the file."""

import asyncio
import contextlib
import hashlib
import io
import json
import secrets
import signal
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from loadtest.api import Api
from loadtest.client import PacelineClient, account_tokens, open_client
from loadtest.tokens import Tokens
from persistence.database import Database, open_database
from persistence.stores import Transactions
from realtime.wire import TaskRef, TaskView
from services.kernel.clock import SystemClock, utc
from services.kernel.ids import AccountId, StreamId, TaskId, Uuid7Ids, WorkoutId
from services.training import workouts
from services.training.sample import Sample
from tests.support.redis_server import open_redis
from tests.support.server import Server, open_server, shared_keys
from tests.support.world import BODY

WORKOUTS = 160
SAMPLES = 1_500
CLOCK = SystemClock()
IDS = Uuid7Ids(CLOCK)


@dataclass
class Ada:
    """Somebody with a history, connected to the node that is only a gateway, and what she is told."""

    account: AccountId
    tokens: Tokens
    client: PacelineClient
    http: aiohttp.ClientSession
    base_url: str
    told: list[TaskView] = field(default_factory=list)

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {await self.tokens.current()}"}
        async with self.http.request(method, f"{self.base_url}{path}", json=body, headers=headers) as answer:
            content = await answer.read()
            return answer.status, json.loads(content) if answer.content_type.endswith("json") else content

    async def start(self, work: dict[str, object]) -> TaskId:
        status, view = await self.call("POST", "/v1/tasks", {"key": secrets.token_hex(4), "work": work})
        assert status == 202, view
        return TaskId(msgspec.convert(view["task"], TaskId))

    def states(self, task: TaskId) -> list[str]:
        return [view.state for view in self.told if view.task == task]


@dataclass
class Installation:
    """A gateway, workers that come and go, and what lies beneath."""

    database: Database
    gateway: Server
    workers: list[Server]
    stack: AsyncExitStack
    environ: dict[str, str]

    async def worker(self) -> Server:
        """One more worker."""
        context = contextlib.ExitStack()
        self.stack.push_async_callback(asyncio.to_thread, context.close)
        environ = {**self.environ, "PACELINE_ROLES": "worker,relay,scheduler"}
        server = await asyncio.to_thread(context.enter_context, open_server(**environ))
        self.workers.append(server)
        return server

    async def ada(self) -> Ada:
        http = await self.stack.enter_async_context(aiohttp.ClientSession())
        api = Api(http, self.gateway.base_url, patience_s=5)
        tokens = await account_tokens(api, f"{secrets.token_hex(6)}@example.org", "a sentence nobody guesses", "Ada")
        async with http.get(
            f"{self.gateway.base_url}/v1/me", headers={"Authorization": f"Bearer {await tokens.current()}"}
        ) as me:
            account = AccountId(msgspec.convert((await me.json())["id"], AccountId))
        client = await self.stack.enter_async_context(open_client(api, tokens))
        ada = Ada(account, tokens, client, http, self.gateway.base_url)
        client.link.on("task.progress", ada.told.append)
        await client.link.opened()
        return ada

    async def history(self, account: AccountId) -> list[WorkoutId]:
        """Finished workouts with samples and summaries."""
        transactions = Transactions(self.database, CLOCK, IDS)
        made = []
        samples = [Sample(second * 1_000, 100 + second % 80) for second in range(SAMPLES)]
        for _ in range(WORKOUTS):
            async with transactions() as stores:
                workout_id, stream_id = WorkoutId(IDS.next()), StreamId(IDS.next())
                now = utc(CLOCK.wall_ms())
                await stores.workouts.create(
                    workout_id, account_id=account, class_id=None, sport="run", physiology=BODY, created_at=now
                )
                await stores.streams.create(
                    stream_id,
                    workout_id=workout_id,
                    account_id=account,
                    class_id=None,
                    device="watch",
                    device_started_at=now,
                    opened_at=now,
                    feed_epoch=0,
                )
                await stores.tx.execute(
                    "INSERT INTO sample_batches SELECT $1, 0, $2, $3, $4, '{}', $5",
                    stream_id,
                    now,
                    [sample.t for sample in samples],
                    [sample.bpm for sample in samples],
                    [0] * SAMPLES,
                )
                await stores.tx.execute(
                    "UPDATE streams SET next_seq = $2, finished_at = $3 WHERE id = $1", stream_id, SAMPLES, now
                )
                await stores.workouts.finish(workout_id, now)
                await stores.workouts.store_summary(
                    workout_id, (await workouts.tally_of(stores, workout_id)).summary(BODY)
                )
            made.append(workout_id)
        return made

    async def revisions(self, account: AccountId) -> set[int]:
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT revision FROM workouts WHERE account_id = $1", account)
        return {row["revision"] for row in rows}

    async def holder(self, task: TaskId) -> tuple[str, int, int]:
        """State, epoch and how far a task is."""
        async with self.database.connection() as connection:
            row = await connection.fetchrow("SELECT state, epoch, done FROM long_tasks WHERE id = $1", task)
        assert row is not None
        return row["state"], row["epoch"], row["done"]


@asynccontextmanager
async def installation(dsn: str, exports: Path) -> AsyncIterator[Installation]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis())
        database = await stack.enter_async_context(open_database(dsn, size=3))
        environ = {
            "DATABASE_URL": dsn,
            "REDIS_URL": redis.url,
            **shared_keys(),
            "PACELINE_EXPORT_DIR": str(exports),
            "PACELINE_DB_POOL": "6",
        }
        context = contextlib.ExitStack()
        stack.push_async_callback(asyncio.to_thread, context.close)
        gateway = await asyncio.to_thread(context.enter_context, open_server(**environ, PACELINE_ROLES="gateway"))
        yield Installation(database, gateway, [], stack, environ)


async def until(condition: Callable[[], Any], what: str, seconds: float = 60) -> None:
    """Wait until something is true."""
    began = CLOCK.monotonic()
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert CLOCK.monotonic() - began < seconds, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.02)


async def test_killed_in_the_middle_a_task_goes_on_with_another_worker_and_no_step_is_done_twice(
    fresh_dsn: str, tmp_path: Path
) -> None:
    async with installation(fresh_dsn, tmp_path) as here:
        ada = await here.ada()
        await here.history(ada.account)
        assert await here.revisions(ada.account) == {1}
        assert (await ada.call("PATCH", "/v1/me", {"max_hr": 181, "rest_hr": 48}))[0] == 200
        first = await here.worker()
        task = await ada.start({"kind": "recompute_workouts"})

        await until(lambda: any(view.done for view in ada.told), "progress on the socket of another process")
        await asyncio.to_thread(first.kill)
        state, epoch, done = await here.holder(task)
        assert (state, epoch) == ("running", 1)
        assert 0 < done < WORKOUTS, "killed too late: give it more workouts"
        await here.worker()
        await until(lambda: "done" in ada.states(task), "the end on the socket")
        last = [view for view in ada.told if view.task == task][-1]
        assert (last.done, last.total) == (WORKOUTS, WORKOUTS)
        assert last.result is not None
        assert last.result.changed == WORKOUTS
        assert await here.revisions(ada.account) == {2}, "each workout once"
        assert (await here.holder(task))[:2] == ("done", 2)
        dones = [view.done for view in ada.told if view.task == task]
        assert dones == sorted(dones)


async def test_frozen_past_its_lease_a_worker_commits_nothing_more_and_the_file_is_whole(
    fresh_dsn: str, tmp_path: Path
) -> None:
    async with installation(fresh_dsn, tmp_path) as here:
        ada = await here.ada()
        made = await here.history(ada.account)
        first = await here.worker()
        task = await ada.start({"kind": "export_account"})

        async def is_under_way() -> bool:
            return (await here.holder(task))[2] >= 10

        await until(is_under_way, "some steps")
        first.send(signal.SIGSTOP)
        state, epoch, done = await here.holder(task)
        assert (state, epoch) == ("running", 1)
        assert done < WORKOUTS, "frozen too late: give it more workouts"
        await here.worker()
        await until(lambda: "done" in ada.states(task), "the end on the socket")
        first.send(signal.SIGCONT)
        await until(lambda: first.said("long_tasks.lost"), "the frozen worker noticing")
        assert (await here.holder(task))[:2] == ("done", 2)
        # The frozen one may still say how far it was: what has ended stays ended.
        view = [view for view in ada.told if view.task == task and view.state == "done"][-1]
        assert view.result is not None
        assert view.result.file is not None
        status, content = await ada.call("GET", f"/v1/tasks/{task}/result")
        assert status == 200
        assert hashlib.sha256(content).hexdigest() == view.result.file.sha256
        with zipfile.ZipFile(io.BytesIO(content)) as read:
            assert read.testzip() is None
            names = [name for name in read.namelist() if name.startswith("workouts/")]
            assert {name.split("_")[1].removesuffix(".jsonl") for name in names} == set(map(str, made))
            assert len(names) == WORKOUTS
            assert all(len(read.read(name).splitlines()) == SAMPLES + 1 for name in names)


async def test_cancelled_over_the_socket_a_task_stops_and_says_so(fresh_dsn: str, tmp_path: Path) -> None:
    async with installation(fresh_dsn, tmp_path) as here:
        ada, bob = await here.ada(), await here.ada()
        await here.history(ada.account)
        await here.worker()
        async with here.database.tx() as tx:
            # So that it is not done before it is asked to stop.
            await tx.execute("LOCK TABLE sample_batches IN ACCESS EXCLUSIVE MODE")
            task = await ada.start({"kind": "export_account"})
            await until(lambda: "running" in ada.states(task), "the task being begun")
            reply = await ada.client.call("task.cancel", TaskRef(task=task), TaskView)
            asked_at = CLOCK.monotonic()
            assert reply.state == "cancelled" or reply.cancelling
            await until(lambda: set(ada.states(task)) & {"cancelled", "done"}, "the end on the socket")
            assert ada.states(task)[-1] == "cancelled"
            assert CLOCK.monotonic() - asked_at < 5
        assert (await ada.call("GET", f"/v1/tasks/{task}"))[1]["state"] == "cancelled"
        await until(lambda: not list(tmp_path.glob("*.zip")), "the file being removed")
        assert bob.told == []
