"""What every provider promises (services/notifications/outgoing.py), on each of them: the five ways to answer, bounded time, one id
on every attempt, and nobody's address in a log."""

import asyncio
import logging
import random
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any, Final, Protocol

import pytest
from structlog.testing import capture_logs

from services.kernel.clock import SystemClock
from services.notifications.outgoing import (
    CutShort,
    DeadAddress,
    Device,
    InDoubt,
    Mail,
    NotTaken,
    Outgoing,
    Provider,
    PushMessage,
    Receipt,
    Refused,
    Sms,
    TryLater,
)
from tests.support.providers import (
    Fault,
    Faults,
    apns_server,
    authority,
    open_apns,
    open_fcm,
    open_push_service,
    open_sms,
    open_smtp,
    sms_server,
    smtp_server,
)
from tests.support.providers.build import (
    NUMBER,
    PERSON,
    apns_provider,
    apns_token,
    fcm_provider,
    mail,
    push,
    service_account,
    sms,
    sms_provider,
    smtp_provider,
    vapid_key,
    web_push_provider,
)
from tests.support.providers.faults import Kind
from workers.outbound.breaker import OPEN_AFTER, Guarded
from workers.outbound.client import Limits, Outbound, open_outbound
from workers.outbound.egress import Egress
from workers.outbound.fcm import FcmProvider
from workers.outbound.outcomes import Away

WAIT_S: Final = 0.25
"""What a provider is given for an answer where the test is about one that does not come."""
PATIENT_S: Final = 20.0
LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
CLOCK: Final = SystemClock()
NAMES: Final = ("smtp", "apns", "fcm", "webpush", "sms")


class Server(Protocol):
    """What the servers for tests have in common."""

    @property
    def faults(self) -> Faults: ...
    @property
    def taken(self) -> Counter[str]: ...
    @property
    def asked(self) -> int: ...
    @property
    def connections(self) -> int: ...
    @property
    def port(self) -> int: ...


@dataclass
class Bench:
    """A provider, the server it talks to, messages for it, and what must not be seen of them."""

    provider: Provider
    server: Server
    message: Callable[[], Outgoing]
    private: tuple[str, ...]


@asynccontextmanager
async def outbound() -> AsyncIterator[Outbound]:
    async with open_outbound(CLOCK, Egress(LOOPBACK), tls=authority().client()) as calls:
        yield calls


@asynccontextmanager
async def open_bench(name: str, answer_s: float = PATIENT_S) -> AsyncIterator[Bench]:
    limits = Limits(connect_s=min(5.0, answer_s), total_s=answer_s)
    async with AsyncExitStack() as stack:
        if name == "smtp":
            mails = await stack.enter_async_context(open_smtp(starttls=True, login=True))
            mailer = smtp_provider(mails, CLOCK, tls="starttls", login=True, answer_s=PATIENT_S, take_s=answer_s)
            stack.push_async_callback(mailer.close)
            yield Bench(mailer, mails, mail, (PERSON, "mira.okafor", smtp_server.PASSWORD))
        elif name == "apns":
            apple = await stack.enter_async_context(open_apns())
            pusher = apns_provider(apple, CLOCK, answer_s=answer_s)
            stack.push_async_callback(pusher.close)
            yield Bench(pusher, apple, push, (apns_token(), apns_server.key_pem().splitlines()[1]))
        elif name == "fcm":
            google = await stack.enter_async_context(open_fcm())
            calls = await stack.enter_async_context(outbound())
            device = Device("fcm", "dKx9:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx")
            provider = fcm_provider(google, calls, CLOCK, limits)
            key_line = google.service_account().split("\\n")[1]
            yield Bench(provider, google, lambda: push(device), (device.address, key_line))
        elif name == "webpush":
            service = await stack.enter_async_context(open_push_service())
            calls = await stack.enter_async_context(outbound())
            key = vapid_key()
            subscription = service.subscribe(key.public).device
            provider_of_browsers = web_push_provider(key, calls, CLOCK, limits)
            private = (subscription.address, subscription.address.rpartition("/")[2], subscription.auth)
            yield Bench(provider_of_browsers, service, lambda: push(subscription), private)
        else:
            texts = await stack.enter_async_context(open_sms())
            calls = await stack.enter_async_context(outbound())
            yield Bench(sms_provider(texts, calls, CLOCK, limits), texts, sms, (NUMBER, NUMBER[1:], sms_server.TOKEN))


@pytest.fixture(params=NAMES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with open_bench(request.param) as made:
        yield made


@pytest.fixture(params=NAMES)
async def hasty(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A bench whose provider waits a quarter of a second for answers."""
    async with open_bench(request.param, WAIT_S) as made:
        yield made


async def outcome(bench: Bench, *faults: Fault, message: Outgoing | None = None) -> Receipt | NotTaken:
    """What becomes of a message that meets these faults."""
    bench.server.faults.next(*faults)
    try:
        async with asyncio.timeout(PATIENT_S):
            return await bench.provider.send(message or bench.message())
    except NotTaken as end:
        return end


# -- the five ways


async def test_a_message_that_is_taken_has_a_receipt_with_the_providers_own_name_for_it(bench: Bench) -> None:
    message = bench.message()
    receipt = await outcome(bench, message=message)
    assert isinstance(receipt, Receipt)
    assert receipt.provider == bench.provider.name
    assert receipt.provider_id
    assert bench.server.taken == {str(message.message_id): 1}


async def test_a_message_carries_the_same_id_on_every_attempt(bench: Bench) -> None:
    message = bench.message()
    assert isinstance(await outcome(bench, Fault("broken"), message=message), TryLater)
    assert isinstance(await outcome(bench, message=message), Receipt)
    assert isinstance(await outcome(bench, message=message), Receipt)
    assert bench.server.taken == {str(message.message_id): 2}


@pytest.mark.parametrize("kind", ["broken", "away"])
async def test_a_provider_that_fails_is_to_be_asked_later_and_the_attempt_counts(bench: Bench, kind: Any) -> None:
    end = await outcome(bench, Fault(kind))
    assert isinstance(end, Away)
    assert not end.blameless
    assert end.provider == bench.provider.name
    assert not bench.server.taken
    assert isinstance(await outcome(bench), Receipt), "the next message is well"


async def test_too_many_messages_are_to_come_later_and_when_the_provider_says(bench: Bench) -> None:
    end = await outcome(bench, Fault("slow_down", retry_after="7"))
    assert isinstance(end, TryLater)
    assert end.retry_after_s == (None if bench.provider.name == "smtp" else 7), "SMTP has no word for it"
    assert not bench.server.taken


async def test_a_date_to_come_back_at_is_understood_too(bench: Bench) -> None:
    end = await outcome(bench, Fault("slow_down", retry_after="Fri, 31 Dec 2100 23:59:59 GMT"))
    assert isinstance(end, TryLater)
    assert end.retry_after_s in {None, 86_400.0}, "nobody waits longer than a day"


async def test_an_address_where_nobody_lives_is_dead(bench: Bench) -> None:
    assert isinstance(await outcome(bench, Fault("dead")), DeadAddress)
    assert isinstance(await outcome(bench), Receipt), "the next message is well"


async def test_a_message_that_will_never_be_taken_is_refused(bench: Bench) -> None:
    assert isinstance(await outcome(bench, Fault("refused")), Refused)
    assert isinstance(await outcome(bench), Receipt), "the next message is well"


async def test_a_message_of_another_channel_is_refused(bench: Bench) -> None:
    strangers: list[Outgoing] = [mail(), push(Device("apns", apns_token())), push(Device("fcm", "x" * 40)), sms()]
    own = bench.message()
    for one in strangers:
        same = type(one) is type(own) and getattr(one, "device", None) == getattr(own, "device", None)
        kind = one.device.kind if isinstance(one, PushMessage) else None
        if same or kind == bench.provider.name or (bench.provider.name == "smtp" and isinstance(one, Mail)):
            continue
        if bench.provider.name == "sms" and isinstance(one, Sms):
            continue
        assert isinstance(await outcome(bench, message=one), Refused)
    assert bench.server.asked == 0


# -- doubt


async def test_no_answer_in_time_leaves_the_message_in_doubt(hasty: Bench) -> None:
    if hasty.provider.name == "fcm":
        await outcome(hasty)  # the token is not what this is about
    started = CLOCK.monotonic()
    assert isinstance(await outcome(hasty, Fault("hang")), InDoubt)
    assert CLOCK.monotonic() - started < WAIT_S + 5
    assert isinstance(await outcome(hasty), Receipt), "the next message is well"


async def test_a_connection_that_ends_before_the_answer_leaves_the_message_in_doubt(bench: Bench) -> None:
    assert isinstance(await outcome(bench, Fault("hang_up")), InDoubt)
    assert isinstance(await outcome(bench), Receipt), "the next message is well"


async def test_an_answer_that_breaks_off_behind_a_yes_is_a_yes_and_a_message_is_not_sent_twice(bench: Bench) -> None:
    end = await outcome(bench, Fault("cut"))
    assert isinstance(end, InDoubt if bench.provider.name == "smtp" else Receipt), "SMTP's yes has an end of its own"
    assert bench.server.asked == 1


@pytest.mark.parametrize("name", NAMES)
async def test_a_provider_that_is_not_there_has_taken_nothing(name: str) -> None:
    async with AsyncExitStack() as stack:
        bench = await stack.enter_async_context(open_bench(name))
        await outcome(bench)
        port = bench.server.port
    end = await gone(name, port)
    assert isinstance(end, Away)


async def gone(name: str, port: int) -> Receipt | NotTaken:
    """What a provider says whose server listens at `port` no more."""
    limits = Limits(5.0, PATIENT_S)
    try:
        async with AsyncExitStack() as stack:
            calls = await stack.enter_async_context(outbound())
            match name:
                case "smtp":
                    nobody = smtp_server.SmtpServer(utf8=True)
                    nobody.port = port
                    return await smtp_provider(nobody, CLOCK).send(mail())
                case "apns":
                    apple = apns_server.ApnsServer(lambda: 0.0)
                    apple.url = f"https://localhost:{port}"
                    provider = apns_provider(apple, CLOCK)
                    stack.push_async_callback(provider.close)
                    return await provider.send(push())
                case "fcm":
                    google = await stack.enter_async_context(open_fcm())
                    account = service_account(google)
                    sender = FcmProvider(account, calls, CLOCK, url=f"http://localhost:{port}", limits=limits)
                    return await sender.send(push(Device("fcm", "x" * 40)))
                case "webpush":
                    service = await stack.enter_async_context(open_push_service())
                    key = vapid_key()
                    device = service.subscribe(key.public).device
                    moved = replace(device, address=f"https://localhost:{port}/push/1")
                    return await web_push_provider(key, calls, CLOCK, limits).send(push(moved))
                case _:
                    texts = sms_server.SmsServer()
                    texts.url = f"http://localhost:{port}"
                    return await sms_provider(texts, calls, CLOCK, limits).send(sms())
    except NotTaken as end:
        return end


# -- manners


async def test_one_message_after_the_other_goes_over_one_connection(bench: Bench) -> None:
    for _ in range(5):
        assert isinstance(await outcome(bench), Receipt)
    assert bench.server.connections == 1


async def test_many_messages_at_once_are_each_taken_once(bench: Bench) -> None:
    messages = [bench.message() for _ in range(20)]
    guarded = Guarded(bench.provider, CLOCK, places=4, patience_s=PATIENT_S)
    receipts = await asyncio.gather(*(guarded.send(one) for one in messages))
    assert len(receipts) == 20
    assert bench.server.taken == {str(one.message_id): 1 for one in messages}
    assert bench.server.connections <= 4


async def test_a_send_that_is_cancelled_ends_at_once_and_leaves_nothing_behind(bench: Bench) -> None:
    await outcome(bench)
    bench.server.faults.next(Fault("hang"))
    before = bench.server.asked
    sending = asyncio.create_task(bench.provider.send(bench.message()), name="a send that is cancelled")
    await until(lambda: bench.server.asked > before)
    sending.cancel()
    with pytest.raises((asyncio.CancelledError, CutShort)):
        await sending
    assert isinstance(await outcome(bench), Receipt)


FAULTS: Final = tuple(Fault(kind) for kind in ("slow_down", "broken", "away", "dead", "refused", "hang_up", "cut"))


async def test_nobodys_address_and_no_secret_is_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = ""
    with capture_logs() as lines:
        for fault in FAULTS:
            end = await outcome(behind_a_guard(bench), fault)
            if isinstance(end, NotTaken):
                told += f"{end!r} {''.join(traceback.format_exception(end))}"
            else:
                told += repr(end)
        told += repr(bench.provider)
    told += f"{lines} {[record.getMessage() for record in caplog.records if not record.name.startswith('mail.')]}"
    assert [word for word in bench.private if word in told] == []


def behind_a_guard(bench: Bench) -> Bench:
    return replace(bench, provider=Guarded(bench.provider, CLOCK, places=4))


# -- the circuit and the bulkhead


async def test_a_provider_that_fails_again_and_again_is_not_asked_any_more(bench: Bench) -> None:
    guarded = behind_a_guard(bench)
    for _ in range(OPEN_AFTER):
        end = await outcome(guarded, Fault("broken"))
        assert isinstance(end, TryLater)
        assert not end.blameless
    asked = bench.server.asked
    end = await outcome(guarded)
    assert isinstance(end, TryLater)
    assert end.blameless
    assert end.retry_after_s
    assert bench.server.asked == asked


async def test_dead_addresses_are_no_reason_not_to_ask(bench: Bench) -> None:
    guarded = behind_a_guard(bench)
    for _ in range(OPEN_AFTER + 2):
        assert isinstance(await outcome(guarded, Fault("dead")), DeadAddress)
    assert isinstance(await outcome(guarded), Receipt)


async def until(holds: Callable[[], bool]) -> None:
    """Return when it holds; every server here lives on this loop, so turns of it are enough."""
    async with asyncio.timeout(PATIENT_S):
        while not holds():
            await asyncio.sleep(0)


@pytest.mark.parametrize("name", NAMES)
async def test_a_provider_that_hangs_holds_its_own_places_and_nobody_elses(name: str) -> None:
    other = NAMES[(NAMES.index(name) + 1) % len(NAMES)]
    async with open_bench(name) as hung, open_bench(other) as well:
        await outcome(hung)
        hung.server.faults.always = Fault("hang")
        stuck = Guarded(hung.provider, CLOCK, places=3, patience_s=0.05)
        flood = [asyncio.create_task(stuck.send(hung.message()), name=f"flood {n}") for n in range(12)]
        await until(lambda: sum(task.done() for task in flood) == 9)
        for task in flood:
            if task.done():
                end = task.exception()
                assert isinstance(end, TryLater)
                assert end.blameless, "it was never asked"
        started = CLOCK.monotonic()
        assert isinstance(await outcome(behind_a_guard(well)), Receipt)
        assert CLOCK.monotonic() - started < 5
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)


KINDS: Final[tuple[Kind, ...]] = ("hang", "hang_up", "cut", "slow_down", "broken", "away", "dead", "refused")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
async def test_whatever_happens_no_end_says_what_is_not_so(name: str, seed: int) -> None:
    """Faults and cancellations by chance: what is said to be taken was taken, what is said not to be was not, and nothing was
    taken twice."""
    chance = random.Random(f"{name} {seed}")
    async with open_bench(name, WAIT_S) as bench:
        for _ in range(6):
            bench.server.faults.next(
                *(Fault(chance.choice(KINDS)) if chance.random() < 0.6 else None for _ in range(5))
            )
            messages = [bench.message() for _ in range(5)]
            sends = [asyncio.create_task(bench.provider.send(one), name="a send") for one in messages]
            for _ in range(chance.randrange(80)):
                await asyncio.sleep(0)
            chance.choice(sends).cancel()
            ends = await asyncio.gather(*sends, return_exceptions=True)
            for message, end in zip(messages, ends, strict=True):
                taken = bench.server.taken[str(message.message_id)]
                match end:
                    case Receipt():
                        assert taken == 1
                    case InDoubt() | asyncio.CancelledError():
                        assert taken <= 1
                    case NotTaken():
                        assert taken == 0, repr(end)
                    case _:
                        pytest.fail(repr(end))
        bench.server.faults.forget()
        afterwards = [await outcome(bench) for _ in range(3)]
        assert isinstance(afterwards[-1], Receipt), "a connection that was just lost may cost one more"
