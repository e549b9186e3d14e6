"""F-80 and F-81: what happens to those whom workers call, and what strangers do who are called.

The providers and strangers are real servers on loopback (outside.py). What was told is in the database, and so is what became of
it; what arrived is with the servers, by the id that every attempt bears. The two are compared once nothing waits any more.
"""

import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import msgspec

from services.classes.live_class import LiveClass, code_from
from services.integrations.webhooks import Made, Webhooks
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import ClassEnded
from services.kernel.ids import ClassId, LoginId, WebhookEndpointId
from services.notifications.addresses import NewDevice
from tests.faults.bench import SLOW, Bench, Case
from tests.faults.outside import RUDE, TRAP, WRITTEN, Outside, leads_to, seals, server_tls
from tests.faults.people import Person, open_registry
from tests.faults.post import Post, Sent, again_and_again, of_lane, p99
from tests.faults.works import Works
from tests.support.census import forget_peak, peak_kb, rss_kb
from tests.support.hostile import HostileServer, answers, open_hostile
from tests.support.providers import Fault
from tests.support.providers.build import apns_token
from tests.support.providers.faults import Faults
from tests.support.providers.push_service import Browser
from tests.support.webhooks import ids_of, verify
from workers.webhooks import judging

AT: Final = "athletes.example"
PEOPLE: Final = 6
PEACE_S: Final = 2.0
QUIET_S: Final = 60.0
"""How long what waits may go on waiting once everybody is well: the longest circuit and the longest ladder of the full form."""
GRACE_S: Final = 1.0
"""Between a provider's word that an address is dead and the last message that may still be on its way there."""
MEMORY_KB: Final = 16 * 1_024
"""How much more a worker may hold at its worst; one of the answers that are too large has ten megabytes."""

AWAY: Final = "fcm"
"""The provider that is away for the whole time: it takes what it is sent and says nothing."""
_COMMON: Final = (Fault("hang"), Fault("slow_down", retry_after="1"), Fault("broken"), Fault("away"), Fault("hang_up"))
TURNS: Final[Mapping[str, Sequence[Fault]]] = {
    "email": (*_COMMON, Fault("busy_recipient"), Fault("cut"), Fault("dead")),
    "sms": (*_COMMON, Fault("cut"), Fault("dead")),
    "apns": (*_COMMON, Fault("cut"), Fault("goaway"), Fault("refuse_stream"), Fault("reset_stream"), Fault("dead")),
    "webpush": (*_COMMON, Fault("cut"), Fault("dead")),
}
"""Who fails, in turn, and how: see tests/support/providers/. A message that is well comes between any two faults."""
DOUBTFUL: Final[Mapping[str, frozenset[str]]] = {
    "email": frozenset({"hang", "hang_up", "cut"}),
    "sms": frozenset({"hang", "hang_up"}),
}
"""After these nobody knows whether the message has left. An SMS whose answer breaks off behind its status was taken."""


# -- F-80 ------------------------------------------------------------------------------------------------------------------------


async def providers_fail(bench: Bench) -> None:
    """F-80."""
    outside = bench.works.outside
    post = await _people_with_everything(bench)
    began: dict[str, float] = {}
    async with post.telling(bench.of(8, 10)):
        await bench.lasts(bench.of(PEACE_S, 15))
        with bench.fault("providers fail, one after the other, and one is away all the time"):
            outside.fcm.faults.always = Fault("hang")
            began[AWAY] = began["all"] = time.time()
            for lane, series in TURNS.items():
                faults = outside.lanes[lane].faults
                began[lane] = time.time()
                faults.next(*(one for fault in series for one in (fault, None)))
                await bench.until(partial(_all_met, faults), 40, f"not every fault of {lane} was met")
            await bench.lasts(bench.of(0, 30))
            ended = time.time()
            outside.fcm.faults.forget()
        await bench.lasts(bench.of(1, 5))
    took = await bench.until(post.ended, QUIET_S, "something that was told still waits")
    bench.said["all delivered after, s"] = round(took, 1)
    await _judge_post(bench, post)
    _lanes_went_on(bench, await post.sent(), began, ended)


def _all_met(faults: Faults) -> bool:
    return not faults.left


async def _people_with_everything(bench: Bench) -> Post:
    """People who can be reached in every way there is."""
    works = bench.works
    async with open_registry(bench.stand) as registry:
        people = await registry.people([f"Reachable {n}" for n in range(PEOPLE)], at=AT)
    post = Post(works, people)
    await post.have_phones()
    for person in people:
        browser = works.outside.webpush.subscribe(works.outside.vapid_public)
        await post.live_at(person, NewDevice(kind="apns", address=apns_token(person.account_id.int >> 64)))
        await post.live_at(person, NewDevice(kind="fcm", address=person.account_id.hex.rjust(40, "f")))
        await post.live_at(person, _subscription(browser))
    return post


def _subscription(browser: Browser) -> NewDevice:
    device = browser.device
    return NewDevice(kind="webpush", address=device.address, p256dh=device.p256dh, auth=device.auth)


async def _judge_post(bench: Bench, post: Post) -> None:
    """What was told against what became of it, and that against what the providers have."""
    outside, sent = bench.works.outside, await post.sent()
    bench.said |= {"told": len(post.told), "deliveries": len(sent)}
    missing = await post.missing()
    bench.must(not missing, f"{len(missing)} times what was told is not in its inbox once: {missing[:3]}")
    await _dead_are_forgotten(bench, post, sent)
    for lane in outside.lanes:
        _judge_lane(bench, lane, of_lane(sent, lane), outside)
    _all_were_sent_to(bench, post, sent)


def _judge_lane(bench: Bench, lane: str, sent: Sequence[Sent], outside: Outside) -> None:
    taken = outside.lanes[lane].taken
    lied = [one.id for one in sent if one.state == "sent" and not taken[str(one.id)]]
    bench.must(not lied, f"{lane}: {len(lied)} are called sent that its provider has not: {lied[:3]}")
    again = [one for one in sent if taken[str(one.id)] > 1]
    doubts = sum(fault.kind in {"hang", "hang_up", "reset_stream"} for fault in TURNS.get(lane, ()))
    if lane in DOUBTFUL:
        bench.must(not again, f"{lane}: {[str(one.id) for one in again][:3]} came more than once")
        _doubts_stay(bench, lane, sent)
    else:
        # Under the same names, so that a device shows one; and only where the answer was lost behind the message.
        bench.must(len(again) <= doubts, f"{lane}: {len(again)} pushes came more than once, {doubts} were in doubt")
        bench.said[f"{lane} twice under one name"] = len(again)
    given_up = [one.reason for one in of_lane(sent, lane, "failed")]
    bench.must(
        len(given_up) == any(fault.kind == "dead" for fault in TURNS.get(lane, ())),
        f"{lane}: what failed is not just what went to a dead address: {given_up[:5]}",
    )
    stopped = Counter(one.state for one in sent) - Counter({"sent": len(sent), "in_doubt": len(sent), "failed": 1})
    bench.must(not set(stopped) - {"suppressed"}, f"{lane}: ended otherwise: {dict(stopped)}")


def _doubts_stay(bench: Bench, lane: str, sent: Sequence[Sent]) -> None:
    """Of mails and SMS: what is in doubt is called so, all of it, and was not sent again."""
    doubtful = of_lane(sent, lane, "in_doubt")
    met = sum(fault.kind in DOUBTFUL[lane] for fault in TURNS[lane])
    bench.must(len(doubtful) == met, f"{lane}: {met} answers were lost, {len(doubtful)} messages are in doubt")
    bench.said[f"{lane} in doubt"] = len(doubtful)


async def _dead_are_forgotten(bench: Bench, post: Post, sent: Sequence[Sent]) -> None:
    """Who was called dead is; nothing that was told later went there."""
    died = {(one.account_id, one.lane): one.changed_s for one in sent if one.state == "failed"}
    forgotten = await post.forgotten()
    bench.must(forgotten == set(died), f"called dead: {sorted(died)}, forgotten: {sorted(forgotten)}")
    late = [
        one.id
        for one in sent
        if one.state == "sent" and one.made_s > died.get((one.account_id, one.lane), float("inf")) + GRACE_S
    ]
    bench.must(not late, f"{len(late)} messages went to a dead address: {late[:3]}")
    bench.said["dead addresses"] = len(forgotten)


def _all_were_sent_to(bench: Bench, post: Post, sent: Sequence[Sent]) -> None:
    """Everything that was told left in every lane, but for whoever's address had died."""
    dead = {(one.account_id, one.lane) for one in sent if one.state == "failed"}
    told, left = Counter(post.told_to), Counter((one.account_id, one.lane) for one in sent)
    short = [
        f"{lane} {person.name}: {left[person.account_id, lane]} of {told[person.account_id]}"
        for person in post.people
        for lane in bench.works.outside.lanes
        if (person.account_id, lane) not in dead and left[person.account_id, lane] != told[person.account_id]
    ]
    bench.must(not short, f"not everything left: {short[:5]}")


def _lanes_went_on(bench: Bench, sent: Sequence[Sent], began: Mapping[str, float], ended: float) -> None:
    """Whoever's provider is well waits for nobody else's: from being told to being taken, before and while others failed."""
    well = [lane for lane in TURNS if lane != next(iter(TURNS))]
    before = [one.took_ms for one in sent if one.lane in well and one.state == "sent" and one.made_s < began["all"]]
    meanwhile = [
        one.took_ms
        for one in sent
        if one.lane in well and one.state == "sent" and began["all"] <= one.made_s < min(began[one.lane], ended)
    ]
    _not_slower(bench, "healthy lanes", before, meanwhile)


def _not_slower(bench: Bench, what: str, before: Sequence[float], meanwhile: Sequence[float]) -> None:
    """Slower is what takes that much longer than before. A short run is one on a busy machine, whose workers wait for the processor
    longer than for anybody else: there it is only told apart from a lane that stands still."""
    bench.must(len(before) > 0 and len(meanwhile) > 0, f"{what}: nothing was sent before, or nothing meanwhile")
    limit_ms = p99(before) + bench.of(5_000, 1_000)
    slow = sum(took > limit_ms for took in meanwhile) / max(len(meanwhile), 1)
    bench.must(slow < SLOW, f"{what}: {slow:.1%} took longer than {limit_ms:g} ms while others failed")
    bench.said |= {f"{what} p99 before, ms": p99(before), f"{what} p99 meanwhile, ms": p99(meanwhile)}


# -- F-81 ------------------------------------------------------------------------------------------------------------------------


class Receiver(msgspec.Struct, frozen=True):
    """Whoever is told, and by which endpoint."""

    made: Made
    server: HostileServer


class Hook(msgspec.Struct, frozen=True):
    """A webhook on its way, or there. `took_ms` from being told to being taken."""

    id: str
    endpoint_id: WebhookEndpointId
    subject: str
    state: str
    made_s: float
    took_ms: float


async def strangers_misbehave(bench: Bench) -> None:
    """F-81."""
    async with AsyncExitStack() as resources:
        owner, other = await _owners(bench)
        good = [await resources.enter_async_context(owner.receiver("localhost")) for _ in range(2)]
        post = await _people_with_browsers(bench)
        async with post.telling(bench.of(3, 4)), owner.ending(bench.of(3, 5)), other.ending(bench.of(1, 3)):
            await bench.lasts(bench.of(PEACE_S, 15))
            held = {worker.name: rss_kb(worker.pid) for worker in bench.stand.workers}
            for worker in bench.stand.workers:
                forget_peak(worker.pid)
            began = time.time()
            with bench.fault("strangers do what they should not with what they are sent"):
                traps = [await resources.enter_async_context(open_hostile(answers(200), host=TRAP))]
                traps.append(
                    await resources.enter_async_context(open_hostile(answers(201), host=TRAP, tls=server_tls()))
                )
                rude = await _rude(resources, other, post, traps)
                await bench.lasts(bench.of(8, 60))
                grown = {worker.name: peak_kb(worker.pid) - held[worker.name] for worker in bench.stand.workers}
                calls = await other.calls(rude)
                await other.forget(rude)
        bench.must(max(grown.values()) < MEMORY_KB, f"workers grew by {grown} kB")
        bench.said["most that a worker grew, MB"] = round(max(grown.values()) / 1_024, 1)
        await _judge_good(bench, owner, good, began)
        _judge_rude(bench, rude, calls, traps)
        await _judge_browsers(bench, post, began)
        await owner.forget({str(n): receiver for n, receiver in enumerate(good)})
        await post.move_away()


class Owner:
    """A coach, whose classes end one after the other, as an owner of endpoints. `ended`: the classes."""

    def __init__(self, works: Works, coach: Person) -> None:
        self.ended: Final[set[str]] = set()
        self._works: Final = works
        self._coach: Final = coach
        self._caller: Final = Caller(
            coach.account_id, LoginId(works.ids.next()), coach.name, frozenset({"member", "coach"}), 2**53
        )
        self._use: Final = Webhooks(works.transactions, works.clock, works.ids, seals(), judging(WRITTEN))

    async def endpoint(self, url: str) -> Made:
        """An endpoint that hears of every class that ends."""
        return await self._use.create(self._caller, url, ("class.ended",), (), "bench")

    @asynccontextmanager
    async def ending(self, per_s: float) -> AsyncIterator[None]:
        """End so many classes a second while inside."""
        async with again_and_again(per_s, self._end_one):
            yield

    async def _end_one(self) -> None:
        works, now_ms = self._works, self._works.clock.wall_ms()
        live = LiveClass(
            id=ClassId(works.ids.next()),
            code=code_from(secrets.token_bytes(6)),
            title="Fault ride",
            coach_id=self._coach.account_id,
            coach_name=self._coach.name,
            created_ms=now_ms,
        )
        async with works.transactions() as stores:
            if not await stores.classes.create(live):
                return  # another class has this code
            await stores.classes.end(live.id, utc(now_ms))
            await stores.outbox.add(ClassEnded(class_id=live.id), live.id)
        self.ended.add(str(live.id))

    @asynccontextmanager
    async def receiver(self, host: str) -> AsyncIterator[Receiver]:
        """One that takes everything."""
        async with open_hostile(answers(204)) as server:
            yield Receiver(await self.endpoint(server.url(host=host)), server)

    async def forget(self, receivers: Mapping[str, Receiver]) -> None:
        """Tell these nothing more."""
        for receiver in receivers.values():
            await self._use.remove(self._caller, receiver.made.endpoint.id)

    async def hooks(self, receivers: Sequence[Receiver]) -> list[Hook]:
        """Everything that these were to be told."""
        async with self._works.database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT id::text, endpoint_id, subject, state, extract(epoch FROM created_at)::float AS made_s,
                       coalesce(extract(epoch FROM finished_at - created_at), 0)::float * 1000 AS took_ms
                FROM webhook_deliveries
                WHERE endpoint_id = ANY($1::uuid[])
                """,
                [receiver.made.endpoint.id for receiver in receivers],
            )
        return [Hook(**row) for row in rows]

    async def calls(self, receivers: Mapping[str, Receiver]) -> dict[str, Counter[str]]:
        """How calls to these ended, by result and status."""
        async with self._works.database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT d.endpoint_id, concat_ws(' ', a.result, a.status) AS ended, count(*) AS n
                FROM webhook_attempts a JOIN webhook_deliveries d ON d.id = a.delivery_id
                WHERE d.endpoint_id = ANY($1::uuid[])
                GROUP BY 1, 2
                """,
                [receiver.made.endpoint.id for receiver in receivers.values()],
            )
        names = {receiver.made.endpoint.id: name for name, receiver in receivers.items()}
        found: dict[str, Counter[str]] = {name: Counter() for name in receivers}
        for row in rows:
            found[names[row["endpoint_id"]]][row["ended"]] = row["n"]
        return found


async def _owners(bench: Bench) -> list[Owner]:
    """Whoever has the good receivers, and whoever has the others."""
    async with open_registry(bench.stand) as registry:
        coaches = await registry.people(["Owner of good ones", "Owner of others"], "coach", "member")
    return [Owner(bench.works, coach) for coach in coaches]


async def _people_with_browsers(bench: Bench) -> Post:
    """People whose browser's push service is well."""
    outside = bench.works.outside
    async with open_registry(bench.stand) as registry:
        post = Post(bench.works, await registry.people(["Surfer 1", "Surfer 2"]))
    for person in post.people:
        await post.live_at(person, _subscription(outside.webpush.subscribe(outside.vapid_public)))
    return post


async def _rude(
    resources: AsyncExitStack, owner: Owner, post: Post, traps: Sequence[HostileServer]
) -> dict[str, Receiver]:
    """Everybody rude, as a receiver and as a push service; and two addresses that lead inside."""
    rude = {}
    hook_trap, push_trap = traps
    for name, act in RUDE.items():
        server = await resources.enter_async_context(open_hostile(act))
        rude[name] = Receiver(await owner.endpoint(server.url()), server)
        service = await resources.enter_async_context(open_hostile(act, tls=server_tls()))
        await _subscribed(post, post.people[0], service.url("/push/x", "localhost", "https"))
    away = await resources.enter_async_context(open_hostile(answers(200)))
    away.act = leads_to(away.url("/again"), hook_trap.url(host=TRAP))
    rude["leads elsewhere"] = Receiver(await owner.endpoint(away.url()), away)
    rude["leads inside"] = Receiver(await owner.endpoint(hook_trap.url(host=TRAP)), hook_trap)
    await _subscribed(post, post.people[0], push_trap.url("/push/x", TRAP, "https"))
    return rude


async def _subscribed(post: Post, person: Person, address: str) -> None:
    await post.live_at(person, _subscription(Browser(address)))


async def _judge_good(bench: Bench, owner: Owner, good: Sequence[Receiver], began: float) -> None:
    """Each of the good ones gets everything, each id with one body, signed, and no later than before."""

    async def all_there() -> bool:
        there = {(hook.endpoint_id, hook.subject) for hook in await owner.hooks(good) if hook.state == "delivered"}
        return all((receiver.made.endpoint.id, subject) in there for receiver in good for subject in owner.ended)

    await bench.until(all_there, QUIET_S, "a good receiver was not told everything")
    hooks = await owner.hooks(good)
    for receiver in good:
        bodies: dict[str, set[bytes]] = {}
        for request in receiver.server.requests:
            body = verify(receiver.made.secret, request, float(request.headers["webhook-timestamp"]))
            bodies.setdefault(request.headers["webhook-id"], set()).add(body)
        own = [hook for hook in hooks if hook.endpoint_id == receiver.made.endpoint.id]
        lied = [hook.id for hook in own if hook.state == "delivered" and hook.id not in bodies]
        bench.must(not lied, f"{len(lied)} webhooks are called delivered that never came")
        bench.must(all(len(each) == 1 for each in bodies.values()), "a webhook came with two bodies under one id")
    times = Counter(one for receiver in good for one in ids_of(receiver.server.requests))
    bench.said |= {"webhooks taken by good receivers": len(times), "of them twice": sum(n > 1 for n in times.values())}
    done = [hook for hook in hooks if hook.state == "delivered"]
    before = [hook.took_ms for hook in done if hook.made_s < began]
    meanwhile = [hook.took_ms for hook in done if hook.made_s >= began]
    _not_slower(bench, "good receivers", before, meanwhile)


def _judge_rude(
    bench: Bench, rude: Mapping[str, Receiver], calls: Mapping[str, Counter[str]], traps: Sequence[HostileServer]
) -> None:
    """They were called and took nothing; nobody was led anywhere."""
    for name, ends in calls.items():
        bench.must(ends.total() > 0, f"{name}: was never called, so nothing was tested")
        bench.must("answered 200" not in ends, f"{name}: counts as taken: {dict(ends)}")
    bench.said["calls to the rude"] = sum(ends.total() for ends in calls.values())
    bench.must(set(calls["leads inside"]) == {"blocked"}, f"calls that lead inside: {dict(calls['leads inside'])}")
    led = sum(trap.connections for trap in traps)
    bench.must(led == 0, f"{led} connections reached an address that nobody may be led to")
    again = sum(request.path == "/again" for request in rude["leads elsewhere"].server.requests)
    bench.must(again == 0, f"a redirect was followed {again} times")
    bench.said["blocked"] = calls["leads inside"]["blocked"]


async def _judge_browsers(bench: Bench, post: Post, began: float) -> None:
    """Whoever has a good push service gets everything, once, and waits for no stranger's."""
    taken = bench.works.outside.webpush.taken
    good = {browser.device.address for browser in bench.works.outside.webpush.browsers.values()}

    async def all_there() -> bool:
        own = await post.sent_to(good)
        return len(own) == len(post.told) and all(one.state == "sent" for one in own)

    await bench.until(all_there, QUIET_S, "a good browser was not told everything")
    own = await post.sent_to(good)
    wrong = [one.id for one in own if taken[str(one.id)] != 1]
    bench.must(not wrong, f"{len(wrong)} pushes did not come to a good browser once")
    before = [one.took_ms for one in own if one.made_s < began]
    meanwhile = [one.took_ms for one in own if one.made_s >= began]
    _not_slower(bench, "good browsers", before, meanwhile)


CASES: Final = (
    Case(
        id="F-80",
        title="providers of mail, push and SMS fail",
        injected="FCM takes everything and says nothing all the time; mail, SMS, APNs and a push service of browsers in turn: no "
        "answer, 429 with Retry-After (mail: 452), 500, 503, closed before the answer, closed in the middle of it, a dead address, "
        "and of mail and APNs what is their own; six people are told something by all of them eight times a second (full: ten)",
        inject=providers_fail,
        parts=("rabbitmq",),
    ),
    Case(
        id="F-81",
        title="strangers that are called misbehave",
        injected="receivers of webhooks and push services that answer ten megabytes, drip, break off, say wrong JSON or no HTTP, "
        "are silent, redirect to themselves and inside, or are inside; for 8 s (full: 60 s), beside two good receivers and "
        "good browsers",
        inject=strangers_misbehave,
        parts=("rabbitmq",),
    ),
)
