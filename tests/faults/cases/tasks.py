"""F-20 to F-28: what happens to the broker, to the lines that lead to it, and to the workers that do what it brings.

The bus of this stand is on RabbitMQ. While something is broken, orders are told at a steady rate and clerks create and end classes
over HTTP; afterwards every fact must have had its effect once for every queue that wants it, by the database's own ledger, and
HTTP must have noticed nothing.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import aio_pika

from services.kernel.facts import ChallengeMoved, ClassDoorsDue, SafetyIncidentMoved, TaskAsked, WorkoutExamined
from tests.faults.bench import SLOW, Bench, Case
from tests.faults.checkers import answer_ms, slow_answers
from tests.faults.history import Fault
from tests.faults.ledger import ALL_QUEUES, LEDGER
from tests.faults.process import Worker
from tests.support.proxy import Which
from tests.support.rabbitmq import RabbitMQ
from workers.amqp_topology import arguments_of, parking_queue, work_queue
from workers.bus import PUBLISH_TIMEOUT_S, BusUnavailable, Queue
from workers.handlers import CLASS_SUMMARIES, QUEUES

LARGE: Final = 8 * 1024 * 1024
GIVEN_UP_S: Final = 120.0
"""How long a message that kills its worker may take until it is parked."""
CONSUMERS_S: Final = 20.0
IN_PASSING: Final = 5
"""A worker at rest has a task or two more while a loop looks around."""
ALARMS: Final = (
    (
        "Memory",
        "vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1000000})",
        "vm_memory_monitor:set_vm_memory_high_watermark({absolute, 512000000})",
    ),
    (
        "Disk",
        "rabbit_disk_monitor:set_disk_free_limit(1000000000000000)",
        "rabbit_disk_monitor:set_disk_free_limit(50000000)",
    ),
)
"""What the alarm is called, what raises it, and what was set before: see tests/support/rabbitmq.py, and what is shipped."""
PEACE_S: Final = 1.0
LOOK_S: Final = 5.0
"""How late a busy machine may be in the short form, where a heartbeat is a second."""
NODES: Final = 3


async def die(bench: Bench) -> None:
    """F-20."""
    broker = broker_of(bench)
    await bench.lasts(bench.of(PEACE_S, 10))
    with bench.fault("the broker is dead"):
        broker.kill()
        await bench.lasts(2)
        waiting = await bench.works.owed()
        broker.launch()
        await asyncio.to_thread(broker.wait)
    bench.must(waiting > 0, "nothing waited while the broker was dead: the fault did not happen")
    bench.said["effects owed meanwhile"] = waiting
    await _flows_again(bench)
    http_went_on(bench)


async def vanish(bench: Bench) -> None:
    """F-21."""
    limit_s = silence_s(bench.works.tempo.heartbeat_s) + bench.of(LOOK_S, 1)
    workers = bench.stand.workers
    first_new = {worker.name: worker.network.accepted for worker in workers}

    def old_lines() -> int:
        return sum(worker.network.lines(_before(first_new[worker.name])) for worker in workers)

    bench.must(old_lines() > 0, "no worker is connected to the broker")
    await bench.lasts(bench.of(PEACE_S, 10))
    with bench.fault("the broker is not reached, and no line is closed"):
        for worker in workers:
            worker.network.blackhole()
        noticed = await bench.until(lambda: old_lines() == 0, limit_s, "a line that is dead was not given up")
        await bench.lasts(bench.of(0, max(0.0, 60 - noticed)))
        for worker in workers:
            worker.network.heal()
    bench.said["noticed after, s"] = round(noticed, 1)
    await _flows_again(bench)
    http_went_on(bench)


def silence_s(heartbeat_s: int) -> float:
    """How long a line may at most be silent before it is given up, in seconds: three heartbeats with a second more each, and as the
    library looks only as often as it sends heartbeats of its own (twice in one, and at most once a second), one look."""
    return 3 * (heartbeat_s + 1) + max(1, heartbeat_s // 2)


def _before(number: int) -> Which:
    return lambda line: line.number < number


async def alarm(bench: Bench) -> None:
    """F-22."""
    ms = round(bench.of(2, 30) * 1000)
    await _consumers_right(bench)  # after the fault before this one, a queue may still wait for its next try
    before = [await worker.ask("tasks") for worker in bench.stand.workers]
    await bench.lasts(bench.of(PEACE_S, 10))
    # In one call: each of them takes the tool a second or two to make.
    words = ", ".join(
        f"{on}, timer:sleep({ms}), {what} = rabbit_alarm:get_alarms(), {off}, timer:sleep({ms // 2})"
        for what, on, off in ALARMS
    )
    with bench.fault("the broker has a memory alarm, and then a disk alarm"):
        alarms = await asyncio.to_thread(broker_of(bench).evaluate, f"{words}, {{Memory, Disk}}")
    bench.must("memory" in alarms and "disk" in alarms, f"there were no alarms: {alarms}")
    await _flows_again(bench)
    http_went_on(bench)
    await _nothing_pending(bench, before)


async def poison(bench: Bench) -> None:
    """F-23."""
    works = bench.works
    await bench.lasts(bench.of(PEACE_S, 5))
    with bench.fault("poison"):
        for _ in range(3):
            await works.poison("raises")
        for kind, body in (
            ("wrong type", b'{"id": 7, "at_ms": "noon", "fact": {"type": "login.ended", "login_id": []}}'),
            ("large", b'{"id": "' + b"x" * LARGE + b'"}'),
        ):
            works.note_poison(LEDGER.name, await _put(bench, LEDGER, body), kind)
        bench.said["given up after, s"] = round(await _until_parked(bench, 5), 1)
        if bench.form == "full":
            await works.poison("kills")
            deaths, took = await _until_killer_parked(bench, 6)
            bench.said |= {"deaths": deaths, "killer given up after, s": round(took, 1)}
    await _flows_again(bench)
    http_went_on(bench)


async def kill_in_handlers(bench: Bench) -> None:
    """F-24."""
    await bench.lasts(bench.of(PEACE_S, 5))
    places = ("committed",) if bench.form == "short" else ("handled", "committed")
    todo = [(queue, place) for queue in QUEUES for place in places]
    with bench.fault("workers are killed in every handler"):
        for queue, place in todo:
            if TaskAsked in queue.wants:
                await bench.works.ask_for_a_task()
            bait = bench.works.move_a_table if ChallengeMoved in queue.wants else None
            if ClassDoorsDue in queue.wants:
                bait = bench.works.call_for_doors
            if SafetyIncidentMoved in queue.wants:
                bait = bench.works.tell_of_an_incident
            if WorkoutExamined in queue.wants:
                bait = bench.works.tell_of_an_examination
            await _kill_one(
                bench, f"nobody was killed in {queue.name}: nothing came for it", bait, at=place, queue=queue.name
            )
    bench.said["kills"] = len(todo)
    http_went_on(bench)


async def _kill_one(
    bench: Bench, otherwise: str, bait: Callable[[], Awaitable[object]] | None = None, **where: str
) -> None:
    """Tell all workers to be killed at a place, since nobody knows who comes there next; one is enough. Start whoever was.
    `bait` brings one there where nothing else does."""
    workers = bench.stand.workers
    for worker in workers:
        with contextlib.suppress(OSError, ValueError):  # on a busy queue it may die before it has answered
            await worker.ask("die", **where)
    if bait is not None:
        await bait()
    await bench.until(lambda: not all(worker.server.runs for worker in workers), 30, otherwise)
    for worker in workers:
        if not await _spared(worker):
            await worker.start()


async def _spared(worker: Worker) -> bool:
    """Take the order to die back; False when it was carried out."""
    try:
        await worker.ask("live")
    except (OSError, ValueError):  # nobody answers, or not to the end
        return False
    return True


async def kill_in_relay(bench: Bench) -> None:
    """F-25."""
    await bench.lasts(bench.of(PEACE_S, 5))
    with bench.fault("workers are killed between the bus and the outbox"):
        for _ in range(int(bench.of(1, 6))):
            await _kill_one(bench, "nobody was killed: nothing was relayed", at="published")
    await _flows_again(bench)
    http_went_on(bench)


async def hang_up(bench: Bench) -> None:
    """F-26."""
    times, pause_ms = int(bench.of(3, 30)), round(bench.of(0.7, 2) * 1000)
    closing = 'rabbit_networking:close_connection(Pid, "the bench hangs up")'
    words = (
        f"[begin L = [{closing} || Pid <- rabbit_networking:connections()], timer:sleep({pause_ms}), length(L) end "
        f"|| _ <- lists:seq(1, {times})]"
    )
    await bench.lasts(bench.of(PEACE_S, 5))
    with bench.fault("the broker hangs up on everybody"):
        closed = await asyncio.to_thread(broker_of(bench).evaluate, words)
    bench.must(any(digit in closed for digit in "123456789"), f"nobody was hung up on: {closed}")
    bench.said["hung up on"] = closed
    await _consumers_right(bench)
    await _flows_again(bench)
    http_went_on(bench)


async def delete_queue(bench: Bench) -> None:
    """F-27."""
    works, name = bench.works, work_queue(CLASS_SUMMARIES)
    await bench.lasts(bench.of(PEACE_S, 5))
    with bench.fault("a queue is deleted under its consumers"):
        async with works.link() as link:
            await link.channel.queue_delete(name)
        bench.said["consumed again after, s"] = round(await _consumers_right(bench), 1)
        async with works.link() as link:  # other arguments would close the channel
            wanted = arguments_of(CLASS_SUMMARIES, works.tempo.ladder)[name]
            await link.channel.declare_queue(name, durable=True, arguments=wanted)
    await _flows_again(bench)
    http_went_on(bench)


async def lose_nodes(bench: Bench) -> None:
    """F-28."""
    works = bench.works
    async with _on_cluster(bench) as nodes:
        _, second, third = nodes
        works.loud()
        await _consumers_right(bench)
        await bench.lasts(bench.of(PEACE_S, 10))
        with bench.fault("one node of three is down"):
            third.kill()
            await _flows_again(bench)
            await bench.lasts(bench.of(1, 20))
            owed_with_two = await works.owed()
            with bench.fault("two nodes of three are down"):
                second.kill()
                await bench.lasts(bench.of(1.5, 5))
                relayed = await works.relayed()
                owed = await works.owed()
                await bench.lasts(bench.of(3, 20))
                left = await works.relayed() - relayed
                bench.must(left == 0, f"{left} facts left the outbox though no majority had them")
                bench.must(await works.owed() > owed, "effects came though there was no majority")
                bench.said["effects owed meanwhile"] = await works.owed()
                second.launch()
                third.launch()
                await asyncio.to_thread(second.wait)
                await asyncio.to_thread(third.wait)
        bench.said["effects owed with one node down"] = owed_with_two
        await _flows_again(bench)
        http_went_on(bench)
        await bench.all_done()


@asynccontextmanager
async def _on_cluster(bench: Bench) -> AsyncIterator[Sequence[RabbitMQ]]:
    """The same workers on a broker of three nodes; back on the stand's own afterwards, with nothing on its way."""
    works, stand = bench.works, bench.stand
    own = broker_of(bench)
    if works.cluster is None:
        raise LookupError("these works were opened without a cluster")
    nodes = await works.cluster
    await works.quiet()
    bench.must(await works.drained(20) is not None, "what was told before did not get done")
    for worker in stand.workers:
        worker.lead_to(nodes[0])
    stand.broker = nodes[0]
    try:
        yield nodes
    finally:
        stand.broker = own
        for worker in stand.workers:
            worker.lead_to(own)


# -- what is asked of all of them ------------------------------------------------------------------------------------------------


def broker_of(bench: Bench) -> RabbitMQ:
    """The stand's broker."""
    if bench.stand.broker is None:
        raise LookupError("this stand has no broker")
    return bench.stand.broker


def http_went_on(bench: Bench) -> None:
    """Whatever the broker does, what tells a fact over HTTP is answered as ever. Who waited for the broker would wait for
    `PUBLISH_TIMEOUT_S`; a short run on a busy machine has too few answers for a finer limit."""
    limit_ms = bench.of(800 * PUBLISH_TIMEOUT_S, 300)
    faults = list(bench.history.of(Fault))
    began, ended = min(fault.t for fault in faults), max(fault.t for fault in faults)
    for gateway in bench.stand.gateways:
        slow = slow_answers(bench.history, f"http-{gateway.name}", began, ended, limit_ms=limit_ms)
        bench.must(slow < SLOW, f"{slow:.1%} of the HTTP answers of {gateway.name} took longer than {limit_ms:g} ms")
    for what, took in (
        ("before", answer_ms(bench.history, "http-", 0, began)),
        ("meanwhile", answer_ms(bench.history, "http-", began, ended)),
    ):
        if took:
            bench.said[f"HTTP p99 {what}, ms"] = round(took[min(len(took) - 1, int(len(took) * 0.99))])


async def _flows_again(bench: Bench) -> None:
    """What is told now is done, once the fault is over: how long until the first of it."""
    works = bench.works
    mark = await works.ledger.mark()
    took = await bench.until(lambda: works.some_done(mark), 45, "nothing that was told afterwards is done")
    bench.said["flows again after, s"] = round(took, 1)


async def _consumers_right(bench: Bench) -> float:
    """Every queue is consumed by every worker, once."""
    workers = len(bench.stand.workers)

    async def right() -> bool:
        try:
            return set((await _consumers(bench)).values()) == {workers}
        except (BusUnavailable, aio_pika.exceptions.AMQPException):
            return False

    return await bench.until(right, CONSUMERS_S, f"not every queue has {workers} consumers")


async def _consumers(bench: Bench) -> dict[str, int]:
    async with bench.works.link() as link:
        found = {}
        for queue in ALL_QUEUES:
            declared = await link.channel.declare_queue(work_queue(queue), passive=True)
            found[queue.name] = declared.declaration_result.consumer_count or 0
        return found


async def _until_parked(bench: Bench, count: int) -> float:
    async def enough() -> bool:
        return await _parked(bench) >= count

    return await bench.until(enough, 30, f"not all of {count} poisonous messages were parked")


async def _until_killer_parked(bench: Bench, count: int) -> tuple[int, float]:
    """Start whoever died, until the message that kills is given up; how many died, and how long that took."""
    began, deaths = time.monotonic(), 0
    while time.monotonic() - began < GIVEN_UP_S:
        given_up = await _parked(bench) >= count  # first: the last of those who die is dead by then
        for worker in bench.stand.workers:
            if not worker.server.runs:
                deaths += 1
                await worker.start()
        if given_up:
            return deaths, time.monotonic() - began
        await asyncio.sleep(0.1)
    bench.found.append(f"a message that kills its worker is not parked after {deaths} deaths")
    return deaths, GIVEN_UP_S


async def _parked(bench: Bench) -> int:
    async with bench.works.link() as link:
        declared = await link.channel.declare_queue(parking_queue(LEDGER), passive=True)
        return declared.declaration_result.message_count or 0


async def _put(bench: Bench, queue: Queue, body: bytes) -> uuid.UUID:
    """Put something into a queue behind everybody's back; what it is called there."""
    name = uuid.uuid4()
    async with bench.works.link() as link:
        message = aio_pika.Message(body, message_id=str(name), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await link.channel.default_exchange.publish(message, work_queue(queue))
    return name


async def _nothing_pending(bench: Bench, before: Sequence[dict[str, int]]) -> None:
    """No publish waits for ever: no worker has many more tasks of a kind than before."""
    more: dict[str, int] = {}

    async def none_more() -> bool:
        more.clear()
        for worker, then in zip(bench.stand.workers, before, strict=True):
            now: dict[str, int] = await worker.ask("tasks")
            more.update({what: count for what, count in now.items() if count - then.get(what, 0) > IN_PASSING})
        return not more

    await bench.works.quiet()
    await bench.until(none_more, 15, "a worker keeps tasks that have nothing to do")
    bench.must(not more, f"tasks that are left: {more}")
    bench.works.loud()


CASES: Final = (
    Case(
        id="F-20",
        title="the broker dies",
        injected="`kill -9` of RabbitMQ under load, started again after 2 s",
        inject=die,
        parts=("rabbitmq",),
    ),
    Case(
        id="F-21",
        title="the broker is not reached, and nobody says so",
        injected="black hole on every line to RabbitMQ until it is noticed, with heartbeats of 1 s (full: of 10 s, for 60 s)",
        inject=vanish,
        parts=("rabbitmq",),
    ),
    Case(
        id="F-22",
        title="the broker has an alarm",
        injected="memory alarm for 2 s (full: 30 s), then disk alarm for as long",
        inject=alarm,
        parts=("rabbitmq",),
    ),
    Case(
        id="F-23",
        title="poison",
        injected="three facts whose handler raises always, a body of the wrong type, one of 8 MB (full: one that kills its worker)",
        inject=poison,
        parts=("rabbitmq",),
    ),
    Case(
        id="F-24",
        title="a worker is killed between effect and acknowledgement",
        injected="`kill -9` of a worker after the commit of a handler, before the acknowledgement (full: also before the commit), "
        "once for every queue",
        inject=kill_in_handlers,
        parts=("rabbitmq",),
    ),
    Case(
        id="F-25",
        title="a relay is killed between bus and outbox",
        injected="`kill -9` of a relay when the broker has confirmed its batch, before the outbox knows (full: six "
        "times)",
        inject=kill_in_relay,
        parts=("rabbitmq",),
    ),
    Case(
        id="F-26",
        title="the broker hangs up on everybody",
        injected="all connections closed by the broker, three times in 2 s (full: every 2 s for 60 s)",
        inject=hang_up,
        parts=("rabbitmq",),
    ),
    Case(
        id="F-27",
        title="a queue is deleted under its consumers",
        injected="queue.delete of a work queue, with what lies in it, while facts for it are told",
        inject=delete_queue,
        parts=("rabbitmq",),
    ),
    Case(
        id="F-28",
        title="one node of the broker is down, then two",
        injected="a cluster of three nodes; `kill -9` of the third, then of the second",
        inject=lose_nodes,
        parts=("rabbitmq",),
    ),
)
