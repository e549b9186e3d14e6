"""Screens that ask to be let in, on a real database: who may answer, and what becomes of two who do the same at once."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest

from persistence.database import Database
from persistence.stores import Transactions
from services.accounts import pairing as pure
from services.accounts import pairings as module
from services.accounts.account import Account
from services.accounts.displays import Display, Displays
from services.accounts.keyring import load_key, make_key
from services.accounts.pairing import FETCH_MS, INTERVAL_S, LIFETIME_S
from services.accounts.pairings import Pairings
from services.accounts.tokens import Tokens
from services.classes.classes import Classes
from services.classes.live_class import LiveClass, Role
from services.kernel.caller import AccountRole, Caller
from services.kernel.clock import ManualClock, utc
from services.kernel.ids import AccountId, ClassId, LoginId, Uuid7Ids
from services.kernel.problems import (
    AuthorizationPending,
    Busy,
    ClassNotFound,
    ClassOver,
    Forbidden,
    PairingExpired,
    PairingRefused,
    PairingUnknown,
    Problem,
    RemovedFromClass,
    SlowDown,
    TooManyAttempts,
)
from services.limits.limits import Limits
from services.limits.table import SCREENS, USER_CODE, USER_CODE_FROM
from services.schedule.jobs import Tick
from workers.jobs import Jobs
from workers.outbox_upkeep import OutboxUpkeep

HERE = "203.0.113.9"
ELSEWHERE = "198.51.100.7"


class EmptyStage:
    """Nobody is in the room."""

    async def settle(self, class_id: ClassId) -> None:
        """Nothing is waiting to be stored."""

    async def ended(self, live: LiveClass) -> None:
        """Nobody is there to be told."""


@dataclass
class Studio:
    """An installation of two nodes, with people and classes."""

    here: Pairings[LiveClass]
    there: Pairings[LiveClass]
    classes: Classes
    tokens: Tokens
    limits: Limits
    transactions: Transactions
    clock: ManualClock
    ids: Uuid7Ids

    async def person(self, role: AccountRole = "member") -> Caller:
        account = Account(
            AccountId(self.ids.next()), f"{self.ids.next()}@example.org", "Ana", frozenset({"member", role}), 0
        )
        async with self.transactions() as stores:
            await stores.accounts.add(account, "hash")
        return Caller(account.id, LoginId(self.ids.next()), "Ana", account.roles, self.clock.wall_ms() + 900_000)

    async def led_by(self, coach: Caller) -> LiveClass:
        return await self.classes.create(coach, "Thursday hills")

    async def joins(self, who: Caller, live: LiveClass, role: Role) -> None:
        async with self.transactions() as stores:
            await stores.classes.lock(live.id)
            await stores.classes.enter(live.id, who.account_id, role, utc(self.clock.wall_ms()))

    async def heard(self, device_code: str) -> str:
        """What a screen hears."""
        try:
            await self.here.poll(device_code)
        except Problem as problem:
            return problem.code
        return "let in"


@pytest.fixture
def studio(database: Database) -> Studio:
    clock = ManualClock()
    ids = Uuid7Ids(clock)
    transactions = Transactions(database, clock, ids)
    classes = Classes(transactions, clock, ids, EmptyStage())
    tokens, limits = Tokens(load_key(make_key())), Limits(clock)
    displays = Displays(classes, tokens, clock, ids)

    def node() -> Pairings[LiveClass]:
        return Pairings(transactions, classes, displays, limits, clock, base_url=lambda: "https://run.example")

    return Studio(node(), node(), classes, tokens, limits, transactions, clock, ids)


async def test_a_screen_asks_at_one_node_is_given_a_class_at_another_and_gets_the_token_of_a_display(
    studio: Studio,
) -> None:
    coach = await studio.person("coach")
    live = await studio.led_by(coach)
    screen = await studio.here.begin(address=HERE)
    assert screen.verification_uri_complete == f"https://run.example/display#{screen.user_code}"
    assert screen.picture.startswith("<svg")
    assert await studio.heard(screen.device_code) == "authorization_pending"

    asking = await studio.there.look(coach, screen.user_code.lower(), address=ELSEWHERE)
    assert (asking.pairing.network, asking.pairing.asked_ms) == ("203.0.113.0/24", studio.clock.wall_ms())
    assert [each.id for each in asking.classes] == [live.id]
    await studio.there.answer(coach, screen.user_code, live.id, address=ELSEWHERE)

    display = await studio.here.poll(screen.device_code)
    assert display.watched == live
    caller = studio.tokens.identify(display.issued.token, studio.clock.wall_ms())
    assert caller.roles == {"display"}
    assert caller.class_id == live.id
    assert caller.account_id != coach.account_id
    assert await studio.heard(screen.device_code) == "pairing_expired", "the token is given once"


async def test_nothing_that_opens_anything_lies_in_the_database_asvs_6_5_2(studio: Studio, database: Database) -> None:
    screen = await studio.here.begin(address=HERE)
    async with database.tx() as tx:
        row = await tx.fetchrow("SELECT pairings::text AS all FROM pairings")
    assert row is not None
    assert screen.device_code not in row["all"]
    assert HERE not in row["all"]


async def test_a_screen_that_was_refused_hears_so_and_its_code_is_used_up(studio: Studio) -> None:
    coach = await studio.person("coach")
    live = await studio.led_by(coach)
    screen = await studio.here.begin(address=HERE)
    await studio.here.answer(coach, screen.user_code, None, address=None)
    for _ in range(2):
        with pytest.raises(PairingRefused):
            await studio.here.poll(screen.device_code)
    with pytest.raises(PairingUnknown):
        await studio.here.look(coach, screen.user_code, address=None)
    with pytest.raises(PairingUnknown):
        await studio.here.answer(coach, screen.user_code, live.id, address=None)


async def test_of_people_who_answer_at_once_one_is_heard(studio: Studio) -> None:
    """ASVS 2.3.4."""
    coaches = [await studio.person("coach") for _ in range(6)]
    lives = [await studio.led_by(coach) for coach in coaches]
    screen = await studio.here.begin(address=HERE)

    async def say(n: int) -> str:
        node = (studio.here, studio.there)[n % 2]
        try:
            await node.answer(coaches[n], screen.user_code, lives[n].id if n % 3 else None, address=None)
        except PairingUnknown:
            return "too late"
        return "refused" if n % 3 == 0 else str(lives[n].id)

    said = await asyncio.gather(*(say(n) for n in range(6)))
    (won,) = [each for each in said if each != "too late"]
    if won == "refused":
        assert await studio.heard(screen.device_code) == "pairing_refused"
    else:
        assert str((await studio.here.poll(screen.device_code)).watched.id) == won


async def test_of_questions_of_one_screen_at_once_one_gets_the_token(studio: Studio) -> None:
    """ASVS 2.3.4."""
    coach = await studio.person("coach")
    live = await studio.led_by(coach)
    screen = await studio.here.begin(address=HERE)
    await studio.here.answer(coach, screen.user_code, live.id, address=None)
    nodes = (studio.here, studio.there) * 4
    heard = await asyncio.gather(*(node.poll(screen.device_code) for node in nodes), return_exceptions=True)
    assert Counter(type(each) for each in heard) == {Display: 1, PairingExpired: 7}


async def test_a_screen_that_asks_too_often_is_told_so_on_whatever_node(studio: Studio) -> None:
    screen = await studio.here.begin(address=HERE)
    with pytest.raises(AuthorizationPending) as pending:
        await studio.here.poll(screen.device_code)
    assert pending.value.retry_after_ms == INTERVAL_S * 1_000
    with pytest.raises(SlowDown) as slower:
        await studio.there.poll(screen.device_code)
    assert slower.value.retry_after_ms == 2 * INTERVAL_S * 1_000
    await studio.clock.advance(2 * INTERVAL_S)
    with pytest.raises(AuthorizationPending) as goes_on:
        await studio.here.poll(screen.device_code)
    assert goes_on.value.retry_after_ms == 2 * INTERVAL_S * 1_000


async def test_after_ten_minutes_nobody_waits_any_more_and_the_job_forgets_it(
    studio: Studio, database: Database
) -> None:
    coach = await studio.person("coach")
    live = await studio.led_by(coach)
    screen = await studio.here.begin(address=HERE)
    await studio.clock.advance(LIFETIME_S)
    with pytest.raises(PairingExpired):
        await studio.here.poll(screen.device_code)
    with pytest.raises(PairingUnknown):
        await studio.here.look(coach, screen.user_code, address=None)
    with pytest.raises(PairingUnknown):
        await studio.here.answer(coach, screen.user_code, live.id, address=None)

    young = await studio.here.begin(address=HERE)
    await studio.clock.advance(1)
    jobs = Jobs(studio.clock, OutboxUpkeep(studio.clock))
    async with studio.transactions() as stores:
        assert await jobs.prune_pairings(stores, Tick("prune-pairings", studio.clock.wall_ms())) == 1
    async with database.tx() as tx:
        assert await tx.fetchval("SELECT count(*) FROM pairings") == 1
    assert await studio.heard(young.device_code) == "authorization_pending"
    assert await studio.heard(screen.device_code) == "pairing_expired"


async def test_what_was_agreed_to_can_be_fetched_for_a_minute_though_its_time_is_up(studio: Studio) -> None:
    coach = await studio.person("coach")
    live = await studio.led_by(coach)
    screens = [await studio.here.begin(address=HERE) for _ in range(2)]
    await studio.clock.advance(LIFETIME_S - 1)
    for screen in screens:
        await studio.here.answer(coach, screen.user_code, live.id, address=None)
    await studio.clock.advance(FETCH_MS / 1_000 - 1)
    assert await studio.heard(screens[0].device_code) == "let in"
    await studio.clock.advance(1)
    assert await studio.heard(screens[1].device_code) == "pairing_expired"


@pytest.mark.parametrize("device_code", ["", "pld_", "pld_" + "A" * 43, "x" * 100, "\0", "é"])
async def test_a_device_code_that_is_none_says_what_one_that_ran_out_says(studio: Studio, device_code: str) -> None:
    await studio.here.begin(address=HERE)
    with pytest.raises(PairingExpired):
        await studio.here.poll(device_code)


async def test_the_user_code_is_no_device_code(studio: Studio) -> None:
    """What stands on the wall for everybody fetches nothing."""
    coach = await studio.person("coach")
    live = await studio.led_by(coach)
    screen = await studio.here.begin(address=HERE)
    await studio.here.answer(coach, screen.user_code, live.id, address=None)
    for said in (screen.user_code, screen.user_code.replace("-", "")):
        with pytest.raises(PairingExpired):
            await studio.here.poll(said)


async def test_whoever_is_in_a_class_may_show_it_and_nobody_else_asvs_8_2_2(studio: Studio) -> None:
    coach, other = await studio.person("coach"), await studio.person("coach")
    athlete, spectator, stranger, sent_out = [await studio.person() for _ in range(4)]
    live = await studio.led_by(coach)
    await studio.joins(athlete, live, "athlete")
    await studio.joins(spectator, live, "spectator")
    await studio.joins(sent_out, live, "athlete")
    async with studio.transactions() as stores:
        await stores.leading.remove(live.id, sent_out.account_id, coach.account_id, utc(studio.clock.wall_ms()))

    for who in (coach, athlete, spectator):
        screen = await studio.here.begin(address=None)
        asking = await studio.here.look(who, screen.user_code, address=None)
        assert [each.id for each in asking.classes] == [live.id]
        await studio.here.answer(who, screen.user_code, live.id, address=None)
        assert await studio.heard(screen.device_code) == "let in"

    screen = await studio.here.begin(address=None)
    for who, problem in ((stranger, ClassNotFound), (other, ClassNotFound), (sent_out, RemovedFromClass)):
        assert (await studio.here.look(who, screen.user_code, address=None)).classes == ()
        with pytest.raises(problem):
            await studio.here.answer(who, screen.user_code, live.id, address=None)
    with pytest.raises(ClassNotFound):
        await studio.here.answer(coach, screen.user_code, ClassId(studio.ids.next()), address=None)
    assert await studio.heard(screen.device_code) == "authorization_pending", "a refusal of policy answers nothing"


async def test_a_screen_lets_no_screen_in(studio: Studio) -> None:
    coach = await studio.person("coach")
    live = await studio.led_by(coach)
    screen = await studio.here.begin(address=None)
    await studio.here.answer(coach, screen.user_code, live.id, address=None)
    let_in = await studio.here.poll(screen.device_code)
    display = studio.tokens.identify(let_in.issued.token, studio.clock.wall_ms())
    next_one = await studio.here.begin(address=None)
    with pytest.raises(Forbidden):
        await studio.here.answer(display, next_one.user_code, live.id, address=None)


async def test_a_class_that_is_over_is_offered_to_no_screen_and_shown_on_none(studio: Studio) -> None:
    coach = await studio.person("coach")
    live = await studio.led_by(coach)
    agreed, waiting = [await studio.here.begin(address=None) for _ in range(2)]
    await studio.here.answer(coach, agreed.user_code, live.id, address=None)
    await studio.classes.end(coach, live.id)
    with pytest.raises(ClassOver):
        await studio.here.poll(agreed.device_code)
    assert (await studio.here.look(coach, waiting.user_code, address=None)).classes == ()
    with pytest.raises(ClassOver):
        await studio.here.answer(coach, waiting.user_code, live.id, address=None)


async def test_codes_are_counted_by_account_before_they_are_looked_for_asvs_6_6_3(studio: Studio) -> None:
    guesser, other = await studio.person(), await studio.person()
    screen = await studio.here.begin(address=None)
    for _ in range(USER_CODE.burst):
        with pytest.raises(PairingUnknown):
            await studio.there.look(guesser, "BCDF-GHJK", address=None)
    for attempt in (studio.here.look(guesser, screen.user_code, address=None), _refuse(studio, guesser, screen)):
        with pytest.raises(TooManyAttempts) as refused:
            await attempt
        assert refused.value.retry_after_ms == USER_CODE.every_ms
    await studio.here.look(other, screen.user_code, address=None)
    await studio.clock.advance(USER_CODE.every_ms / 1_000)
    await studio.here.look(guesser, screen.user_code, address=None)


async def test_many_accounts_of_one_address_share_its_guesses_asvs_6_6_3(studio: Studio) -> None:
    screen = await studio.here.begin(address=None)
    guessers = [await studio.person() for _ in range(4)]
    for n in range(USER_CODE_FROM.burst):
        with pytest.raises(PairingUnknown):
            await studio.here.answer(guessers[n % 4], "BCDF-GHJK", None, address=HERE)
    honest = await studio.person()
    with pytest.raises(TooManyAttempts):
        await studio.here.look(honest, screen.user_code, address="203.0.113.9")
    await studio.here.look(honest, screen.user_code, address=ELSEWHERE)


async def test_what_is_no_code_at_all_counts_as_well(studio: Studio) -> None:
    guesser = await studio.person()
    for _ in range(USER_CODE.burst):
        with pytest.raises(PairingUnknown):
            await studio.here.look(guesser, "no code", address=None)
    with pytest.raises(TooManyAttempts):
        await studio.here.look(guesser, "no code", address=None)


async def test_a_right_code_is_no_guess_so_a_coach_lets_in_as_many_screens_as_they_like(studio: Studio) -> None:
    coach = await studio.person("coach")
    live = await studio.led_by(coach)
    for _ in range(2 * USER_CODE.burst):
        screen = await studio.here.begin(address=None)
        await studio.here.look(coach, screen.user_code, address=HERE)
        await studio.here.answer(coach, screen.user_code, live.id, address=HERE)


async def test_few_screens_of_one_address_wait_at_a_time(studio: Studio) -> None:
    for _ in range(SCREENS.burst):
        await studio.here.begin(address="2001:db8:1:2::1")
    with pytest.raises(TooManyAttempts) as refused:
        await studio.there.begin(address="2001:db8:1:2::ffff")
    assert refused.value.retry_after_ms == SCREENS.every_ms
    await studio.here.begin(address="2001:db8:1:3::1")
    await studio.clock.advance(SCREENS.every_ms / 1_000)
    await studio.here.begin(address="2001:db8:1:2::1")


async def test_when_as_many_wait_as_may_the_next_one_is_told_when_there_will_be_room(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many at once exactly as many get in as there is room for."""
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    await studio.here.begin(address=None)
    await studio.clock.advance(100)
    nodes = (studio.here, studio.there) * 5
    got = await asyncio.gather(*(node.begin(address=None) for node in nodes), return_exceptions=True)
    assert Counter(type(each).__name__ for each in got) == {"PairingBegun": 4, "Busy": 6}
    assert {each.retry_after_ms for each in got if isinstance(each, Busy)} == {(LIFETIME_S - 100) * 1_000}
    await studio.clock.advance(LIFETIME_S - 100)
    await studio.here.begin(address=None)


async def test_a_code_that_another_screen_shows_is_not_shown_twice(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["BCDFGHJK", "BCDFGHJK", "BCDFGHJK", "WDJBMJHT"])
    monkeypatch.setattr(pure, "make_user_code", lambda: next(drawn))
    shown = [(await studio.here.begin(address=None)).user_code for _ in range(2)]
    assert shown == ["BCDF-GHJK", "WDJB-MJHT"]


async def _refuse(studio: Studio, who: Caller, screen: module.PairingBegun) -> None:
    await studio.here.answer(who, screen.user_code, None, address=None)
