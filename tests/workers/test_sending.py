"""From a delivery that is due to what became of it: each answer of a provider, and each way for a worker to die."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest

from persistence.database import Database
from persistence.lanes import CHANNEL
from persistence.stores import Stores
from services.flags.switches import Switches
from services.kernel import trace
from services.kernel.caller import Caller
from services.kernel.clock import SystemClock, utc
from services.kernel.ids import WorkoutId
from services.kernel.problems import Unavailable
from services.notifications.addresses import NewDevice
from services.notifications.content import LoginEndedContent, WorkoutContent
from services.notifications.delivery import POLICIES, SHORTEST_PAUSE_S
from services.notifications.hands import EACH, HANDS, QUICK_S, WELL
from services.notifications.outgoing import (
    CutShort,
    DeadAddress,
    InDoubt,
    Outgoing,
    PushMessage,
    Receipt,
    Refused,
    Sms,
    TryLater,
)
from services.notifications.preferences import Preferences, QuietHours
from services.notifications.topics import LOGIN_ENDED
from tests.support.hostile import open_hostile, says
from tests.support.notified import Notified, announced
from tests.support.postbox import Postbox, a_post, a_sender, send_due
from tests.support.providers.build import push, vapid_key, web_push_provider
from tests.support.providers.push_service import Browser
from tests.support.task_buses import WAIT_S, eventually
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.outbound.web_push import LIMITS
from workers.sending import RETRY_S, Sender
from workers.wakeups import Wakeups

MAIL_LEASE_S = POLICIES["email"].lease_s
PUSH_LEASE_S = POLICIES["push"].lease_s


@pytest.fixture
def world(database: Database) -> Notified:
    """An empty world."""
    return Notified(database)


@pytest.fixture
def postbox() -> Postbox:
    """A provider that takes everything."""
    return Postbox()


def workout(world: Notified) -> WorkoutContent:
    """A workout's summary, which goes by push."""
    return WorkoutContent(WorkoutId(world.ids.next()), "run", 0, 60_000, 140, 170, 12.0, 300)


def browser_at(url: str) -> NewDevice:
    """A browser whose push service gave it this address."""
    return NewDevice(kind="webpush", address=url, p256dh="p" * 87, auth="a" * 22)


def host_of(push: PushMessage) -> str:
    """The push service that it goes to."""
    return str(urlsplit(push.device.address).hostname)


def has_sent(sender: Sender, count: int) -> bool:
    """Whether so many have been taken from this lane."""
    return sender.statistics.ended["sent"] == count


async def end_of(world: Notified, caller: Caller) -> tuple[str, int, str]:
    """State, attempts and reason of the only delivery."""
    (only,) = await world.deliveries(caller)
    return only.state, only.attempts, only.reason


async def test_a_mail_leaves_with_its_words_and_a_link_that_stops_it(world: Notified, postbox: Postbox) -> None:
    ada = await world.account("Ada")
    await world.tell(announced("at eight"), ada)
    assert await send_due(a_sender(world, postbox)) == 1
    (mail,) = postbox.mails()
    (delivery,) = await world.deliveries(ada)
    assert mail.to.endswith("@example.org")
    assert mail.text == "Ada: at eight"
    assert mail.message_id == delivery.id
    assert mail.unsubscribe_url is not None
    token = mail.unsubscribe_url.partition("token=")[2]
    assert (await world.use.unsubscribe(token)).topics == ("announcement",)
    assert (delivery.state, delivery.attempts, delivery.provider, delivery.provider_id) == (
        "sent", 1, "postbox", "no-1",
    )  # fmt: skip


async def test_a_mail_that_an_operator_has_stopped_waits_and_then_leaves(world: Notified, postbox: Postbox) -> None:
    ada = await world.account("Ada")
    await world.device(ada)
    await world.tell(announced("at eight"), ada)
    await world.tell(workout(world), ada)
    switches = Switches()
    mails, pushes = a_sender(world, postbox, switches=switches), a_sender(world, postbox, "apns", switches=switches)
    switches.learn({"mail.sending": False})
    assert await send_due(mails) == 0
    assert await send_due(pushes) > 0, "only mail was stopped"
    assert postbox.mails() == []
    switches.learn({})
    assert await send_due(mails) > 0
    assert "Ada: at eight" in [mail.text for mail in postbox.mails()]


async def test_a_push_says_how_many_are_unread_and_where_to_look(world: Notified, postbox: Postbox) -> None:
    ada = await world.account("Ada")
    device = await world.device(ada)
    await world.tell(announced(), ada)
    await world.tell(workout(world), ada)
    await send_due(a_sender(world, postbox, "apns"))
    (push,) = postbox.pushes()
    newest = next(each for each in await world.inbox(ada) if each.topic == "workout.summarised")
    assert (push.device.address, push.badge, push.collapse_key) == (device.address, 2, newest.collapse_key)
    assert push.data["url"] == f"https://pace.example.org/inbox#{newest.id}"
    assert 0 < push.ttl_s <= 86_400


async def test_what_is_essential_has_no_link_that_stops_it_and_goes_by_sms_to_who_asked(
    world: Notified, postbox: Postbox
) -> None:
    ada = await world.account("Ada")
    await world.phone(ada)
    await world.wants(ada, "security.login_ended", "sms", "now")
    await world.tell(LoginEndedContent(ada.login_id, "phone", 0), ada)
    await send_due(a_sender(world, postbox))
    await send_due(a_sender(world, postbox, "sms"))
    (mail,) = postbox.mails()
    assert mail.unsubscribe_url is None
    assert [message.to for message in postbox.sent if isinstance(message, Sms)] == ["+4915112345678"]


async def test_a_provider_that_is_busy_is_asked_again_when_it_said(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    postbox.refuse(TryLater("too fast", provider="smtp", retry_after_s=900))
    sender = a_sender(world, postbox)
    await send_due(sender)
    assert await end_of(world, ada) == ("waiting", 1, "too fast")
    await world.clock.advance(899)
    assert await send_due(sender) == 0
    await world.clock.advance(1)
    assert await send_due(sender) == 1
    assert await end_of(world, ada) == ("sent", 2, "")
    assert len({message.message_id for message in postbox.sent}) == 1


async def test_a_provider_that_never_takes_it_is_given_up_after_the_last_attempt(
    world: Notified, postbox: Postbox
) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    attempts = POLICIES["email"].max_attempts
    postbox.refuse(*(TryLater("away") for _ in range(99)))
    sender = a_sender(world, postbox)
    for _ in range(attempts + 3):
        await send_due(sender)
        await world.clock.advance(POLICIES["email"].ladder_s[-1])
    assert await end_of(world, ada) == ("failed", attempts, f"tried {attempts} times, at last: away")
    assert len(postbox.sent) == attempts


async def test_a_provider_that_was_not_asked_costs_no_attempt(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    postbox.refuse(*(TryLater("circuit open", blameless=True, retry_after_s=5) for _ in range(50)))
    sender = a_sender(world, postbox)
    for _ in range(51):
        await send_due(sender)
        await world.clock.advance(5)
    assert await end_of(world, ada) == ("sent", 1, "")


async def test_a_refused_message_fails_and_the_address_stays(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.device(ada)
    await world.tell(workout(world), ada)
    postbox.refuse(Refused("too large"))
    await send_due(a_sender(world, postbox, "apns"))
    assert await end_of(world, ada) == ("failed", 1, "too large")
    assert len(await world.use.devices(ada)) == 1


async def test_a_dead_device_is_forgotten_and_the_other_one_gets_the_next_push(
    world: Notified, postbox: Postbox
) -> None:
    ada = await world.account()
    await world.device(ada, "old")
    await world.device(ada, "new", "webpush")
    await world.tell(workout(world), ada)
    postbox.refuse(DeadAddress("unregistered"))
    await send_due(a_sender(world, postbox, "apns"))
    await send_due(a_sender(world, postbox, "webpush"))
    assert await world.states(ada) == [("apns", "failed"), ("webpush", "sent")]
    assert [device.name for device in await world.use.devices(ada)] == ["new"]
    await world.tell(workout(world), ada, subject="another")
    assert sorted(lane for lane, state in await world.states(ada) if state == "waiting") == ["webpush"]


async def test_a_device_that_registered_again_after_it_was_dead_lives(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.clock.advance(60)
    await world.device(ada)
    await world.tell(workout(world), ada)
    postbox.refuse(DeadAddress("unregistered", since_ms=world.clock.wall_ms() - 30_000))
    await send_due(a_sender(world, postbox, "apns"))
    assert len(await world.use.devices(ada)) == 1


async def test_a_dead_address_is_mailed_no_more_and_nobody_elses_is_touched(world: Notified, postbox: Postbox) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    await world.tell(announced(), ada)
    postbox.refuse(DeadAddress("no such mailbox"))
    sender = a_sender(world, postbox)
    await send_due(sender)
    await world.tell(announced(), ada, bob, subject="another")
    assert [each.state for each in await world.deliveries(ada)] == ["failed"]
    assert [each.state for each in await world.deliveries(bob)] == ["waiting"]
    async with world.database.tx() as tx:
        await tx.execute("UPDATE accounts SET email = 'new@example.org' WHERE id = $1", ada.account_id)
    await world.tell(announced(), ada, subject="a third")
    assert [each.state for each in await world.deliveries(ada)] == ["waiting", "failed"]


@pytest.mark.parametrize("lane", ["email", "sms"])
async def test_mail_and_sms_that_may_be_on_their_way_are_not_sent_again(
    world: Notified, postbox: Postbox, lane: str
) -> None:
    ada = await world.account()
    await world.phone(ada)
    await world.wants(ada, "security.login_ended", "sms", "now")
    await world.tell(LoginEndedContent(ada.login_id, "phone", 0), ada)
    postbox.refuse(InDoubt("the line broke after the final dot", provider="smtp"))
    sender = a_sender(world, postbox, "email" if lane == "email" else "sms")
    await send_due(sender)
    await world.clock.advance(86_400)
    assert await send_due(sender) == 0
    assert (lane, "in_doubt") in await world.states(ada)
    async with world.transactions() as stores:
        assert await stores.deliveries.count_in_doubt() == 1
        (seen,) = await stores.deliveries.in_doubt(10)
    assert (seen.reason, seen.provider, seen.topic) == (
        "the line broke after the final dot", "smtp", "security.login_ended",
    )  # fmt: skip


async def test_a_push_that_may_be_on_its_way_is_sent_again_under_the_same_names(
    world: Notified, postbox: Postbox
) -> None:
    ada = await world.account()
    await world.device(ada)
    await world.tell(workout(world), ada)
    postbox.refuse(InDoubt("reset in mid body"))
    sender = a_sender(world, postbox, "apns")
    await send_due(sender)
    await world.clock.advance(5)
    await send_due(sender)
    first, second = postbox.pushes()
    assert (first.message_id, first.collapse_key) == (second.message_id, second.collapse_key)
    assert await world.states(ada) == [("apns", "sent")]


async def test_an_operator_sends_a_mail_in_doubt_again_and_a_sent_one_never(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    postbox.refuse(InDoubt("who knows"))
    sender = a_sender(world, postbox)
    await send_due(sender)
    (delivery,) = await world.deliveries(ada)
    now = utc(world.clock.wall_ms())
    async with world.transactions() as stores:
        assert await stores.deliveries.send_again(delivery.id, now, now + timedelta(days=1))
    await send_due(sender)
    assert await end_of(world, ada) == ("sent", 1, "")
    async with world.transactions() as stores:
        assert not await stores.deliveries.send_again(delivery.id, now, now + timedelta(days=1))


async def test_a_worker_that_died_while_it_mailed_leaves_the_mail_in_doubt(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    sender = a_sender(world, postbox)
    assert len((await sender.take(10))[1]) == 1  # and dies
    await world.clock.advance(MAIL_LEASE_S - 1)
    assert await send_due(sender) == 0
    await world.clock.advance(1)
    await send_due(sender)
    assert await end_of(world, ada) == ("in_doubt", 2, "a worker died while it was being sent")
    assert postbox.sent == []


async def test_a_worker_that_died_while_it_pushed_is_followed_by_one_that_pushes_again(
    world: Notified, postbox: Postbox
) -> None:
    ada = await world.account()
    await world.device(ada)
    await world.tell(workout(world), ada)
    sender = a_sender(world, postbox, "apns")
    await sender.take(10)
    await world.clock.advance(PUSH_LEASE_S)
    await send_due(sender)
    assert await end_of(world, ada) == ("sent", 2, "")


async def test_a_push_that_kills_every_worker_is_given_up(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.device(ada)
    await world.tell(workout(world), ada)
    sender = a_sender(world, postbox, "apns")
    for _ in range(POLICIES["push"].max_attempts + 1):
        await sender.take(10)
        await world.clock.advance(PUSH_LEASE_S)
    assert (await end_of(world, ada))[0] == "failed"


async def test_a_worker_that_was_frozen_past_half_its_lease_sends_nothing(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    sender = a_sender(world, postbox)
    _, (letter,) = await sender.take(10)
    await world.clock.advance(MAIL_LEASE_S / 2 + 1)
    await sender.send(letter)
    assert postbox.sent == []
    assert await end_of(world, ada) == ("waiting", 0, "taken, and not sent in time")


async def test_a_worker_whose_lease_is_over_does_not_overwrite_what_another_one_found(
    world: Notified, postbox: Postbox
) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    sender = a_sender(world, postbox)
    _, (letter,) = await sender.take(10)

    async def slow(message: Outgoing) -> Receipt:
        await world.clock.advance(MAIL_LEASE_S)
        await send_due(a_sender(world, Postbox()))
        return Receipt("smtp", "late")

    postbox.answer = slow
    await sender.send(letter)
    assert (await end_of(world, ada))[0] == "in_doubt"


async def test_a_provider_that_hangs_or_breaks_its_word_leaves_a_doubt(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    postbox.refuse(RuntimeError("a fault in an adapter"))
    await send_due(a_sender(world, postbox))
    assert await end_of(world, ada) == ("in_doubt", 1, "the provider's adapter failed: RuntimeError")


async def test_what_was_read_turned_off_or_grew_old_meanwhile_does_not_leave(world: Notified, postbox: Postbox) -> None:
    reader, chooser, late = await world.account("Ada"), await world.account("Bob"), await world.account("Eve")
    await world.tell(announced(), reader, chooser)
    await world.use.mark_read(reader, tuple(each.id for each in await world.inbox(reader)))
    await world.wants(chooser, "announcement", "email", "off")
    sender = a_sender(world, postbox)
    await send_due(sender)
    await world.tell(announced(), late)
    await world.clock.advance(8 * 86_400)
    await send_due(sender)
    assert postbox.sent == []
    assert await end_of(world, reader) == ("suppressed", 0, "read in the inbox before it left")
    assert await end_of(world, chooser) == ("suppressed", 0, "turned off meanwhile")
    assert await end_of(world, late) == ("expired", 0, "nobody wants it any more")


async def test_who_has_gone_to_bed_meanwhile_gets_it_in_the_morning(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.device(ada)
    await world.tell(workout(world), ada)
    minute = world.clock.wall_ms() // 60_000 % 1_440
    await world.prefers(ada, Preferences(quiet_hours=QuietHours(begins=minute, until=(minute + 60) % 1_440)))
    sender = a_sender(world, postbox, "apns")
    await send_due(sender)
    assert await end_of(world, ada) == ("waiting", 0, "held")
    await world.clock.advance(3_600)
    await send_due(sender)
    assert (await end_of(world, ada))[0] == "sent"


async def test_the_urgent_leave_before_ten_thousand_others(world: Notified, postbox: Postbox) -> None:
    people = [await world.account(f"no. {number}") for number in range(5)]
    await world.tell(announced(), *people)
    await world.clock.advance(1)
    await world.tell(LoginEndedContent(people[0].login_id, "phone", 0), people[0])
    sender = a_sender(world, postbox, concurrency=1)
    _, (letter,) = await sender.take(1)
    assert letter.recipient.notification is not None
    assert letter.recipient.notification.topic == "security.login_ended"


async def test_something_only_a_newer_program_can_read_is_left_to_it(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    async with world.database.tx() as tx:
        await tx.execute("UPDATE notifications SET topic = 'moon.eclipsed', content = '{\"topic\": \"moon.eclipsed\"}'")
    await send_due(a_sender(world, postbox))
    assert await end_of(world, ada) == ("waiting", 0, "held")
    assert await world.inbox(ada) == ()


async def test_a_number_that_does_not_open_waits_until_nobody_wants_it_and_holds_no_other_back(
    world: Notified, postbox: Postbox
) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    for caller, number in ((ada, "+4915112345678"), (bob, "+4915187654321")):
        await world.phone(caller, number)
        await world.wants(caller, "security.login_ended", "sms", "now")
    async with world.database.tx() as tx:
        await tx.execute("UPDATE phones SET sealed = '\\x01' WHERE account_id = $1", ada.account_id)
    for caller in (ada, bob):
        await world.tell(LoginEndedContent(caller.login_id, "phone", 0), caller)
    sender = a_sender(world, postbox, "sms")
    await send_due(sender)
    assert [message.to for message in postbox.sent if isinstance(message, Sms)] == ["+4915187654321"]
    (waiting,) = [one for one in await world.deliveries(ada) if one.channel == "sms"]
    assert (waiting.state, waiting.attempts, waiting.reason) == ("waiting", 0, "held")
    await world.clock.advance(LOGIN_ENDED.ttl_s)
    await send_due(sender)
    (over,) = [one for one in await world.deliveries(ada) if one.channel == "sms"]
    assert over.state == "expired"


async def test_a_callback_ends_a_delivery_once_and_a_late_one_changes_nothing(
    world: Notified, postbox: Postbox
) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    assert not await world.use.record_outcome("postbox", "no-1", "delivered")
    await send_due(a_sender(world, postbox))
    assert await world.use.record_outcome("postbox", "no-1", "delivered")
    assert not await world.use.record_outcome("postbox", "no-1", "delivered")
    assert not await world.use.record_outcome("postbox", "no-1", "failed", "late")
    assert await world.use.record_outcome("postbox", "no-1", "bounced", "no such user")
    assert await end_of(world, ada) == ("bounced", 1, "no such user")


async def test_a_callback_finds_a_message_in_doubt_by_our_own_name_for_it(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.phone(ada)
    await world.wants(ada, "security.login_ended", "sms", "now")
    await world.tell(LoginEndedContent(ada.login_id, "phone", 0), ada)
    postbox.refuse(InDoubt("no answer", provider="sms"))
    await send_due(a_sender(world, postbox, "sms"))
    (doubtful,) = [each for each in await world.deliveries(ada) if each.lane == "sms"]
    assert not await world.use.record_outcome("another", "SM1", "delivered", message_id=doubtful.id)
    assert await world.use.record_outcome("sms", "SM1", "bounced", "error 30005", message_id=doubtful.id, dead=True)
    (known,) = [each for each in await world.deliveries(ada) if each.lane == "sms"]
    assert (known.state, known.provider_id) == ("bounced", "SM1")
    await world.tell(LoginEndedContent(ada.login_id, "phone", 0), ada)
    assert [each.lane for each in await world.deliveries(ada) if each.state == "waiting"] == ["email", "email"]


async def test_a_callback_that_is_quicker_than_our_own_commit_is_not_lost(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)

    async def quick(message: Outgoing) -> Receipt:
        assert await world.use.record_outcome("smtp", "1", "delivered", message_id=message.message_id)
        return Receipt("smtp", "1")

    postbox.answer = quick
    await send_due(a_sender(world, postbox))
    assert (await end_of(world, ada))[0] == "delivered"


async def test_two_workers_share_a_lane_and_nothing_leaves_twice(world: Notified, postbox: Postbox) -> None:
    people = [await world.account(f"no. {number}") for number in range(30)]
    await world.tell(announced(), *people)
    await asyncio.gather(*(send_due(a_sender(world, postbox)) for _ in range(4)))
    assert sorted(mail.to for mail in postbox.mails()) == sorted({mail.to for mail in postbox.mails()})
    assert len(postbox.mails()) == 30


async def test_a_delivery_is_in_the_trace_of_what_led_to_it(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    with trace.span("what the phone did") as span:
        await world.tell(announced(), ada)
    seen: list[trace.TraceContext | None] = []

    async def look(message: Outgoing) -> Receipt:
        seen.append(trace.current())
        return Receipt("smtp", "1")

    postbox.answer = look
    await send_due(a_sender(world, postbox))
    assert [context and context.trace_id for context in seen] == [span.context.trace_id]


class Running:
    """A lane's loop, running while entered."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def __aenter__(self) -> Sender:
        self._task = asyncio.create_task(self._sender.run())
        return self._sender

    async def __aexit__(self, *_: object) -> None:
        self._sender.stop()
        await self._task


async def test_a_provider_that_hangs_holds_its_own_lane_and_no_other(world: Notified) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    await world.device(ada)
    await world.tell(announced(), ada, bob)
    await world.tell(workout(world), ada)
    hung, released = asyncio.Event(), asyncio.Event()

    async def hang(message: Outgoing) -> Receipt:
        hung.set()
        await released.wait()
        return Receipt("smtp", "at last")

    mails, pushes = Postbox(hang), Postbox()
    async with Running(a_sender(world, mails, concurrency=1)), Running(a_sender(world, pushes, "apns")):
        await hung.wait()
        await eventually(lambda: pushes.sent)
        assert len(mails.sent) == 1
        released.set()


async def test_stopping_waits_for_what_is_being_sent_and_begins_nothing(world: Notified) -> None:
    people = [await world.account(f"no. {number}") for number in range(3)]
    await world.tell(announced(), *people)
    began, released = asyncio.Event(), asyncio.Event()

    async def slow(message: Outgoing) -> Receipt:
        began.set()
        await released.wait()
        return Receipt("smtp", "taken")

    postbox = Postbox(slow)
    async with Running(a_sender(world, postbox, concurrency=1)) as sender:
        await began.wait()
        sender.stop()
        released.set()
    states = sorted([(await end_of(world, who))[0] for who in people])
    assert states == ["sent", "waiting", "waiting"]


async def test_a_push_service_that_names_a_message_in_bytes_that_are_no_text_ends_no_loop(world: Notified) -> None:
    said = b"HTTP/1.1 201 Created\r\nLocation: /m/\xff\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    clock, egress = SystemClock(), Egress((ip_network("127.0.0.0/8"),))
    async with open_hostile(says(said)) as server, open_outbound(clock, egress) as calls:
        provider = web_push_provider(vapid_key(), calls, clock, LIMITS)
        device = replace(Browser("https://push.example.org/").device, address=server.url("/push"))

        async def answer(_: Outgoing) -> Receipt:
            return await provider.send(push(device))

        ada = await world.account()
        await world.device(ada, kind="webpush")
        await world.tell(workout(world), ada)
        async with Running(a_sender(world, Postbox(answer), "webpush")) as sender:
            await eventually(partial(has_sent, sender, 1))
    (only,) = await world.deliveries(ada)
    assert (only.state, only.provider, only.provider_id) == ("sent", "webpush", "")


async def test_an_end_that_cannot_be_written_down_is_left_to_its_lease_and_the_lane_goes_on(
    world: Notified, postbox: Postbox
) -> None:
    people = [await world.account(f"no. {number}") for number in range(2)]
    await world.tell(announced(), *people)
    stumbled: list[str] = []

    @asynccontextmanager
    async def transactions() -> AsyncIterator[Stores]:
        if postbox.sent and not stumbled:
            stumbled.append("once")
            raise ValueError("invalid byte sequence")
        async with world.transactions() as stores:
            yield stores

    sender = Sender("email", 1, transactions, postbox, a_post(world), world.clock)
    async with Running(sender):
        await eventually(partial(has_sent, sender, 1))
    assert sorted([(await end_of(world, who))[0] for who in people]) == ["sending", "sent"]


async def test_what_was_not_handed_over_when_the_program_stops_waits_for_the_next_worker(world: Notified) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    await stopped_in(world, CutShort("stopped before the mail was handed over", provider="smtp"))
    assert await end_of(world, ada) == ("waiting", 0, "stopped before the mail was handed over")
    await world.clock.advance(SHORTEST_PAUSE_S)
    assert await send_due(a_sender(world, Postbox())) == 1
    assert await end_of(world, ada) == ("sent", 1, "")


async def test_what_may_have_left_when_the_program_stops_is_in_doubt(world: Notified, postbox: Postbox) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    await stopped_in(world, asyncio.CancelledError())
    await world.clock.advance(MAIL_LEASE_S)
    await send_due(a_sender(world, postbox))
    assert (await end_of(world, ada))[0] == "in_doubt"
    assert postbox.sent == []


async def stopped_in(world: Notified, end: BaseException) -> None:
    """A lane that is cut while its provider is at work, as the program does it after its grace; the call ends so."""
    began = asyncio.Event()

    async def slow(_: Outgoing) -> Receipt:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise end from None
        raise AssertionError("nobody sets it")

    sender = a_sender(world, Postbox(slow))
    loop = asyncio.create_task(sender.run())
    await began.wait()
    await cut(sender, loop)


async def cut(sender: Sender, loop: "asyncio.Task[None]") -> None:
    """Stop a lane without grace."""
    sender.stop()
    loop.cancel()
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(loop, return_exceptions=True)


async def test_an_end_that_is_being_written_down_when_the_program_stops_is_written(
    world: Notified, postbox: Postbox
) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    writing, go_on = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def transactions() -> AsyncIterator[Stores]:
        async with world.transactions() as stores:
            if postbox.sent:
                writing.set()
                await go_on.wait()
            yield stores

    sender = Sender("email", 1, transactions, postbox, a_post(world), world.clock)
    loop = asyncio.create_task(sender.run())
    await writing.wait()
    cutting = asyncio.create_task(cut(sender, loop))
    for _ in range(5):
        await asyncio.sleep(0)
    go_on.set()
    await cutting
    assert await end_of(world, ada) == ("sent", 1, "")


async def test_who_stops_while_the_database_is_away_tries_once_more_and_no_longer(
    world: Notified, postbox: Postbox
) -> None:
    ada = await world.account()
    await world.tell(announced(), ada)
    tries: list[str] = []

    @asynccontextmanager
    async def transactions() -> AsyncIterator[Stores]:
        if postbox.sent:
            tries.append("a try")
            raise Unavailable("the database does not answer right now")
        async with world.transactions() as stores:
            yield stores

    sender = Sender("email", 1, transactions, postbox, a_post(world), world.clock)
    loop = asyncio.create_task(sender.run())
    await eventually(lambda: tries)
    await world.clock.advance(RETRY_S / 2)
    await cut(sender, loop)
    assert len(tries) == 2
    assert await end_of(world, ada) == ("sending", 1, "")


async def test_statistics_count_what_became_of_each_attempt(world: Notified, postbox: Postbox) -> None:
    people = [await world.account(f"no. {number}") for number in range(4)]
    await world.tell(announced(), *people)
    postbox.refuse(Refused("no"), InDoubt("who knows"), TryLater("later"))
    sender = a_sender(world, postbox)
    await send_due(sender)
    assert sender.statistics.ended == {"failed": 1, "in_doubt": 1, "waiting": 1, "sent": 1}
    assert (sender.statistics.calls, sender.statistics.running) == (4, 0)


async def test_browsers_whose_service_is_well_wait_for_none_of_those_that_hang(world: Notified) -> None:
    postbox, wakeups = Postbox(), Wakeups(world.database, world.clock, (CHANNEL,))
    hanging, people, released = set[str](), list[Caller](), asyncio.Event()
    for number in range(60):
        people.append(await world.account(f"no. {number}"))
        await world.use.add_device(people[-1], browser_at(f"https://push-{number}.example.org/x"))
        if number % 3 == 0:
            hanging.add(f"push-{number}.example.org")

    async def answer(message: Outgoing) -> Receipt:
        if isinstance(message, PushMessage) and host_of(message) in hanging:
            await released.wait()
        return Receipt("webpush", "taken")

    postbox.answer = answer
    well = len(people) - len(hanging)
    async with Running(a_sender(world, postbox, "webpush", concurrency=HANDS, wakeups=wakeups)) as sender:
        for turn in (1, 2):
            await world.tell(workout(world), *people, subject=f"turn {turn}")
            wakeups.wake(CHANNEL)
            await eventually(partial(has_sent, sender, turn * well))
        called = Counter(host_of(push) for push in postbox.pushes())
        assert {called[host] for host in hanging} == {1}, "one call each, and all of them still on their way"
        await eventually(lambda: sender.statistics.running == len(hanging))
        released.set()
        await eventually(partial(has_sent, sender, 2 * len(people)))


async def test_browsers_that_turn_slow_give_their_hands_to_those_that_are_well(world: Notified) -> None:
    postbox, wakeups = Postbox(), Wakeups(world.database, world.clock, (CHANNEL,))
    released = asyncio.Event()
    ada, bob = await world.account("Ada"), await world.account("Bob")
    for number in range(WELL // EACH):
        await world.use.add_device(ada, browser_at(f"https://push-{number}.example.org/x"))
    await world.use.add_device(bob, browser_at("https://good.example.org/x"))

    async def hang(message: Outgoing) -> Receipt:
        if isinstance(message, PushMessage) and host_of(message) != "good.example.org":
            await released.wait()
        return Receipt("webpush", "taken")

    async with Running(a_sender(world, postbox, "webpush", concurrency=HANDS, wakeups=wakeups)) as sender:
        everybody = WELL // EACH + 1
        await world.tell(workout(world), ada, bob)
        wakeups.wake(CHANNEL)
        await eventually(partial(has_sent, sender, everybody))  # who answers quickly is well
        postbox.answer = hang
        for number in range(EACH):
            await world.tell(workout(world), ada, subject=f"hangs {number}")
        wakeups.wake(CHANNEL)
        await eventually(lambda: sender.statistics.running == WELL)  # and now they hold every hand of the well
        await world.tell(workout(world), bob, subject="waits for none of them")
        await world.clock.advance(QUICK_S + 0.1)
        wakeups.wake(CHANNEL)
        await eventually(partial(has_sent, sender, everybody + 1))
        await eventually(lambda: sender.statistics.running == WELL)
        released.set()
