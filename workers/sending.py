"""What leaves for people's pockets: a loop for each provider, from the deliveries that are due to what became of them.

The deliveries are their own queue (persistence/deliveries.py). A task on the bus for each of them would add three
transactions to every mail and know less: what is held until the morning, waits for its provider or is in doubt is a row
with a time in it, not a message that somebody has to put back. A loop is woken when something is told, and looks by itself
every `POLL_S`.

One lane per provider is the bulkhead: whatever a provider does, refuse, hang or drip, only what goes to it waits for it. The
lane of browsers leads to many receivers, and whoever is well waits for none that is not: services/notifications/hands.py says
who may have a hand, and what nobody may have one for is not claimed.

One attempt is two transactions with the call between them. The first says `sending`, counts the attempt, and asks once more
whether the person still wants it; the second says how it ended. Whoever dies in between leaves a row whose lease runs out,
and `services/notifications/delivery.py` says what that means: a push is sent again, a mail is in doubt. Whoever is
stopped waits for what is being sent; a call that takes longer than the stop grants is cancelled, and what had not been
handed over by then waits again.
"""

import asyncio
import contextlib
import datetime
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog

from persistence.account_mails import AddressedMail
from persistence.deliveries import Claimed, Recipient
from persistence.lanes import CHANNEL
from persistence.stores import Stores
from services.flags.switches import ALL_ON, Switches
from services.kernel import trace
from services.kernel.clock import Clock, pause, utc
from services.kernel.ids import AccountId
from services.kernel.problems import Unavailable
from services.notifications import account_letter, contact_letter
from services.notifications.deciding import Later, Stop, still
from services.notifications.delivery import POLICIES, Lane, Step, after_attempt, in_doubt
from services.notifications.hands import HANDS, QUICK_S, Hands
from services.notifications.links import Linking
from services.notifications.notification import Notification
from services.notifications.outgoing import (
    InDoubt,
    Mail,
    NotTaken,
    Outgoing,
    Providers,
    PushMessage,
    Receipt,
    Sms,
    TryLater,
)
from services.notifications.phone import PhoneCodes
from services.notifications.ports import Reader, Words
from services.notifications.topics import TOPICS
from workers.wakeups import Wakeups, woken_by
from workers.wall_watch import WallWatch

POLL_S: Final = 5.0
"""How often a lane is looked at without having been woken; also how late what was held may be."""
RETRY_S: Final = 2.0
"""Between two looks while the database is away, and between two attempts to write down how something ended."""
NEWER_S: Final = 60
"""How long what this process cannot read is left to others: to a newer program while both run, to one that has the key."""
LANES: Final[tuple[tuple[Lane, int], ...]] = (("email", 4), ("apns", 8), ("fcm", 8), ("webpush", HANDS), ("sms", 4))
"""Every lane, and how many calls this process makes in it at once. As many as a provider's own places
(workers/outbound/providers.py): more would only be sent away again."""
APART: Final[Lane] = "webpush"
"""The lane of many receivers."""

Transactions = Callable[[], AbstractAsyncContextManager[Stores]]

Found = TypeVar("Found")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class LaneStatistics:
    """What became of a lane's attempts on this process since its start, by the state they led to; those that run now; and the
    seconds that providers took for `calls`."""

    ended: Counter[str] = field(default_factory=Counter)
    running: int = 0
    calls: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Letter:
    """A delivery that is to leave now, with what it says: a notification, a code, a letter to a contact or a mail about an account;
    `gathered` for a digest, `unread` for the badge of a push. `taken_at`: when it was claimed, monotonic seconds."""

    claimed: Claimed
    recipient: Recipient
    gathered: Sequence[Notification]
    unread: int
    taken_at: float


class Post:
    """What turns a letter into a message: the words, and the links they lead to. Pure."""

    def __init__(self, words: Words, linking: Linking, codes: PhoneCodes) -> None:
        self._words: Final = words
        self._linking: Final = linking
        self._codes: Final = codes

    def message(self, letter: Letter, now_ms: int) -> Outgoing:
        """The message, with the id that all its attempts bear. Raises LookupError when its template is gone."""
        claimed, to = letter.claimed, letter.recipient
        if to.account_mail is not None:
            return self._account_mail(claimed, to.account_mail)
        reader = Reader(to.name, to.preferences.locale, to.preferences.time_zone)
        if letter.gathered:
            links = self._linking.of_digest(_sure(to.account_id))
            mail = self._words.digest(letter.gathered, reader, links)
            return Mail(claimed.id, _sure(to.address), mail.subject, mail.text, mail.html, links.unsubscribe)
        if to.letter is not None and to.letter.phone_id is not None:
            said_to = Reader(to.letter.content.contact, to.preferences.locale, to.preferences.time_zone)
            link = self._linking.of_contact_phone(to.letter.phone_id)
            return Sms(claimed.id, to.letter.address, self._words.contact_sms(to.letter.content, said_to, link))
        if to.letter is not None:
            links = self._linking.of_contact(to.letter.contact_id)
            said_to = Reader(to.letter.content.contact, to.preferences.locale, to.preferences.time_zone)
            mail = self._words.contact(to.letter.content, said_to, links)
            return Mail(claimed.id, _sure(to.address), mail.subject, mail.text, mail.html, links.unsubscribe)
        if to.check is not None:
            code = self._codes.code(to.check.id, to.check.number)
            return Sms(claimed.id, to.check.number, self._words.code(code, reader))
        said = _sure(to.notification)
        match claimed.channel:
            case "email":
                links = self._linking.of_notification(_sure(to.account_id), TOPICS[said.topic], said.id)
                mail = self._words.mail(said, reader, links)
                return Mail(claimed.id, _sure(to.address), mail.subject, mail.text, mail.html, links.unsubscribe)
            case "push":
                short = self._words.push(said, reader)
                return PushMessage(
                    message_id=claimed.id,
                    device=_sure(to.device),
                    title=short.title,
                    body=short.body,
                    collapse_key=said.collapse_key,
                    ttl_s=max((claimed.expires_at_ms - now_ms) // 1_000, 0),
                    urgency=TOPICS[said.topic].urgency,
                    badge=letter.unread,
                    data={"notification": str(said.id), "topic": said.topic, "url": self._linking.open(said.id)},
                )
            case "sms":
                return Sms(claimed.id, _sure(to.address), self._words.sms(said, reader))
            case "inbox":
                raise ValueError("the inbox is no lane: what is in it has arrived")

    def _account_mail(self, claimed: Claimed, addressed: AddressedMail) -> Mail:
        said = account_letter.letter_of(addressed.mail, addressed.standing)
        reader = Reader("", addressed.locale, addressed.time_zone)
        mail = self._words.account(said, reader, self._linking.of_account_mail(addressed.mail, said.says))
        return Mail(claimed.id, said.email, mail.subject, mail.text, mail.html, None)


class Sender:
    """One lane's loop."""

    def __init__(
        self,
        lane: Lane,
        concurrency: int,
        transactions: Transactions,
        providers: Providers,
        post: Post,
        clock: Clock,
        wakeups: Wakeups | None = None,
        *,
        poll_s: float = POLL_S,
        switches: Switches = ALL_ON,
        wall: WallWatch | None = None,
    ) -> None:
        """`wall` says when nothing may be claimed because this machine's clock is wrong; None: nobody looks at that."""
        self.lane: Final = lane
        self._concurrency: Final = concurrency
        self._transactions: Final = transactions
        self._providers: Final = providers
        self._post: Final = post
        self._clock: Final = clock
        self._wakeups: Final = wakeups
        self._poll_s: Final = poll_s
        self._switches: Final = switches
        self._wall: Final = wall
        self._stopping: Final = asyncio.Event()
        self._hands: Final = Hands() if lane == APART else None
        self.statistics: Final = LaneStatistics()

    async def run(self) -> None:
        """Send until `stop`; outlasts every fault of database and providers. What is being sent then is finished first."""
        with woken_by(self._wakeups, CHANNEL) as woken:
            await self._run(woken)

    def stop(self) -> None:
        """Begin nothing more and return from `run`. May be called again."""
        self._stopping.set()

    async def _run(self, woken: asyncio.Event) -> None:
        """Claim as many deliveries as hands are free; the group waits for those at work when the loop ends."""
        running: set[asyncio.Task[None]] = set()

        def done(task: asyncio.Task[None]) -> None:
            running.discard(task)
            woken.set()

        async with asyncio.TaskGroup() as group:
            while not self._stopping.is_set():
                woken.clear()
                free = self._concurrency - len(running)
                try:
                    taken, letters = await self.take(free) if free else (0, [])
                except Exception:
                    # Whatever it was, this loop must outlast it: nobody else would look at the lane.
                    log.exception("sending.claim_failed", lane=self.lane, again_in_s=RETRY_S)
                    await pause(self._clock, RETRY_S, self._stopping)
                    continue
                for letter in letters:
                    sending = group.create_task(self.send(letter), name=f"{self.lane} {letter.claimed.id}")
                    running.add(sending)
                    sending.add_done_callback(done)
                if self._has_taken_all(taken, free):
                    # A call that turns slow wakes nobody, and gives its hand to others.
                    look_s = QUICK_S if self._hands is not None and running else self._poll_s
                    await pause(self._clock, min(look_s, self._poll_s), woken, self._stopping)

    def _has_taken_all(self, taken: int, free: int) -> bool:
        """Whether nothing is left that could leave now. In a lane with one receiver, fewer than there were hands for are all."""
        return not taken or (taken < free and self._hands is None)

    # -- before the call

    async def take(self, limit: int) -> tuple[int, list[Letter]]:
        """Claim what is due: how many that were, and those of them that are to leave. While an operator has stopped the mail
        (services/flags/flag.py) all of it waits where it is, but for what tells of an incident; while this machine's
        clock is wrong, it waits for others."""
        taken_at = self._clock.monotonic()
        now_ms = self._clock.wall_ms()
        now = utc(now_ms)
        lease = max(policy.lease_s for channel, policy in POLICIES.items() if channel == _channel_of(self.lane))
        async with self._transactions() as stores:
            if self._wall is not None and not await self._wall.agrees(stores.tx):
                return 0, []
            claimed = await self._claim(stores, now, now + datetime.timedelta(seconds=lease), limit)
            if not claimed:
                return 0, []
            recipients = await stores.deliveries.recipients([one.id for one in claimed])
            letters = [
                Letter(one, recipients[one.id], await self._gathered(stores, one), 0, taken_at)
                for one in claimed
                if one.id in recipients and await self._leaves(stores, one, recipients[one.id], now_ms)
            ]
            if self.lane in {"apns", "fcm", "webpush"} and letters:
                letters = await _with_badges(stores, letters, now)
        if self._hands is not None:
            for letter in letters:
                self._hands.begin(letter.claimed.receiver, letter.claimed.id, taken_at)
        return len(claimed), letters

    async def _claim(
        self, stores: Stores, now: datetime.datetime, until: datetime.datetime, limit: int
    ) -> list[Claimed]:
        if self._hands is None:
            stopped = self.lane == "email" and not self._switches.on("mail.sending")
            return await stores.deliveries.claim(self.lane, now, until, limit, alarms_only=stopped)
        rooms = self._hands.rooms(self._clock.monotonic())
        return await stores.deliveries.claim_apart(self.lane, now, until, limit, rooms)

    async def _leaves(self, stores: Stores, claimed: Claimed, to: Recipient, now_ms: int) -> bool:
        """Whether a claimed delivery is to leave now; writes down what becomes of one that is not."""
        now = utc(now_ms)
        if claimed.abandoned:
            step = in_doubt(claimed.channel, claimed.attempt - 1, "a worker died while it was being sent")
            if step.state != "waiting":
                await self._finish(stores, claimed, step, now)
                return False
        match _verdict(claimed, to, now_ms):
            case Stop(state=state, reason=reason):
                await stores.deliveries.stop(claimed.id, claimed.attempt, state, reason, now)
                self.statistics.ended[state] += 1
                return False
            case Later(due_at_ms=due_at_ms):
                step = Step("waiting", "held", pause_s=(due_at_ms - now_ms) / 1_000, counted=False)
                await self._finish(stores, claimed, step, now)
                return False
        return True

    @staticmethod
    async def _gathered(stores: Stores, claimed: Claimed) -> Sequence[Notification]:
        return () if claimed.notification_id is not None else await stores.deliveries.gathered(claimed.id)

    # -- the call, and after it

    async def send(self, letter: Letter) -> None:
        """Make one attempt and write down how it ended, in the trace of whatever led to it."""
        claimed = letter.claimed
        about: dict[str, trace.Attribute] = {"paceline.delivery": str(claimed.id), "paceline.attempt": claimed.attempt}
        self.statistics.running += 1
        try:
            with (
                trace.span(
                    f"deliver {self.lane}", "consumer", parent=trace.parse(claimed.traceparent), **about
                ) as span,
                structlog.contextvars.bound_contextvars(trace_id=span.context.trace_id),
            ):
                step = await self._attempt(letter)
                if self._hands is not None and step.counted:
                    self._hands.answered(claimed.receiver, claimed.id, self._clock.monotonic())
                span.note(**{"paceline.state": step.state})
                await self._write_down(letter, step)
        except Exception:
            # Nobody has written down how it ended: the lease will run out, and others go on meanwhile.
            log.exception("sending.left_to_its_lease", lane=self.lane, delivery=str(claimed.id))
        finally:
            self.statistics.running -= 1
            if self._hands is not None:
                self._hands.end(claimed.receiver, claimed.id)

    async def _attempt(self, letter: Letter) -> Step:
        claimed = letter.claimed
        policy = POLICIES[claimed.channel]
        if self._clock.monotonic() - letter.taken_at > policy.lease_s / 2:
            # This process was frozen. The lease may be over, and another one may have begun.
            return Step("waiting", "taken, and not sent in time", counted=False)
        try:
            message = self._post.message(letter, self._clock.wall_ms())
        except Exception as fault:
            log.exception("sending.no_words", lane=self.lane, delivery=str(claimed.id))
            # A later version of this program may have the template; the attempts are counted.
            return after_attempt(
                claimed.channel, claimed.attempt, TryLater(f"it could not be put into words: {type(fault).__name__}")
            )
        began = self._clock.monotonic()
        try:
            return after_attempt(claimed.channel, claimed.attempt, await self._call(message, policy.lease_s / 2))
        finally:
            self.statistics.calls += 1
            self.statistics.seconds += self._clock.monotonic() - began

    async def _call(self, message: Outgoing, limit_s: float) -> Receipt | NotTaken:
        """Ask the provider, within half of the lease: the other half is for writing down what it said."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._providers.send(message)
        except NotTaken as end:
            return end
        except TimeoutError:
            return InDoubt("no answer in time")
        except Exception as fault:
            # Not what a provider may raise: nothing is known of the message.
            log.exception("sending.provider_failed", lane=self.lane, delivery=str(message.message_id))
            return InDoubt(f"the provider's adapter failed: {type(fault).__name__}")

    async def _write_down(self, letter: Letter, step: Step) -> None:
        """Keep how the attempt ended, trying as long as the lease lasts: a mail that is known to be sent shall not be in doubt
        because the database was away for a moment. Whoever is cancelled finishes the try at hand, and no other."""
        until = letter.taken_at + POLICIES[letter.claimed.channel].lease_s
        while (problem := await _to_its_end(self._written_down(letter, step))) is not None:
            if _is_cancelled() or self._clock.monotonic() + RETRY_S > until:
                log.error(
                    "sending.not_written_down",
                    lane=self.lane,
                    delivery=str(letter.claimed.id),
                    state=step.state,
                    problem=str(problem),
                )
                return
            with contextlib.suppress(asyncio.CancelledError):  # once more, then
                await self._clock.sleep(RETRY_S)

    async def _written_down(self, letter: Letter, step: Step) -> Unavailable | None:
        """Keep how the attempt ended; what was in the way."""
        now = utc(self._clock.wall_ms())
        try:
            async with self._transactions() as stores:
                if await self._finish(stores, letter.claimed, step, now) and step.forget:
                    await self._forget(stores, letter, step, now)
        except Unavailable as problem:
            return problem
        return None

    async def _finish(self, stores: Stores, claimed: Claimed, step: Step, now: datetime.datetime) -> bool:
        kept = await stores.deliveries.finish(claimed.id, claimed.attempt, step, now)
        if not kept:
            log.warning("sending.taken_by_another", lane=self.lane, delivery=str(claimed.id), state=step.state)
            return False
        self.statistics.ended[step.state] += 1
        if step.state in {"failed", "in_doubt"}:
            log.warning(
                f"sending.{step.state}",
                lane=self.lane,
                delivery=str(claimed.id),
                reason=step.reason,
                forget=step.forget,
            )
        return True

    @staticmethod
    async def _forget(stores: Stores, letter: Letter, step: Step, now: datetime.datetime) -> None:
        """The address that this letter went to is dead: this one alone."""
        settings, claimed, to = stores.notification_settings, letter.claimed, letter.recipient
        if claimed.channel == "push" and claimed.device_id is not None:
            since = now if step.dead_since_ms is None else utc(step.dead_since_ms)
            await settings.device_died(claimed.device_id, since, step.reason, now)
        elif to.letter is not None and to.letter.phone_id is not None:
            await stores.contact_phones.died(to.letter.phone_id, now)
        elif to.letter is not None:
            await stores.contacts.died(to.letter.contact_id, now)
        elif claimed.channel == "email" and to.address is not None and claimed.account_id is not None:
            await settings.email_died(claimed.account_id, to.address, step.reason, now)
        elif claimed.channel == "sms" and to.check is None and claimed.account_id is not None:
            await settings.phone_died(claimed.account_id, now, step.reason, now)


def _verdict(claimed: Claimed, to: Recipient, now_ms: int) -> Stop | Later | None:
    if not to.readable:
        if now_ms >= claimed.expires_at_ms:
            return Stop("expired", "nobody could read it in time")
        return Later(now_ms + NEWER_S * 1_000)
    if to.address is None and to.device is None:
        return Stop("suppressed", "there is no address any more")
    if to.account_mail is not None:
        return account_letter.still(to.account_mail.mail, to.account_mail.standing, now_ms)
    if to.letter is not None:
        return contact_letter.still(to.letter.standing, now_ms, claimed.expires_at_ms)
    if to.check is not None and to.check.over:
        return Stop("suppressed", "another code took its place, or none is wanted any more")
    if to.notification is None:
        # A code is wanted while it is good. A digest: its hour was chosen, and what is in it was looked at when it was gathered.
        return Stop("expired", "nobody wants it any more") if now_ms >= claimed.expires_at_ms else None
    return still(
        TOPICS[to.notification.topic],
        claimed.channel,
        to.preferences,
        now_ms,
        expires_at_ms=claimed.expires_at_ms,
        read=to.notification.read_at_ms is not None,
    )


async def _with_badges(stores: Stores, letters: list[Letter], now: datetime.datetime) -> list[Letter]:
    who: list[AccountId] = [_sure(letter.recipient.account_id) for letter in letters]
    unread = await stores.notifications.unread_of(who, now)
    return [
        Letter(each.claimed, each.recipient, each.gathered, unread[_sure(each.recipient.account_id)], each.taken_at)
        for each in letters
    ]


async def _to_its_end(what: Coroutine[Any, Any, Found]) -> Found:
    """What comes of it, also when this task is cancelled meanwhile."""
    doing = asyncio.create_task(what, name="sending.write_down")
    while not doing.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({doing})
    return doing.result()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _channel_of(lane: Lane) -> str:
    return lane if lane in {"email", "sms"} else "push"


def _sure(found: Found | None) -> Found:
    if found is None:
        raise LookupError("this was checked when the delivery was taken")
    return found
