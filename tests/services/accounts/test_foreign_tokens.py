"""Whom an access token of another issuer opens an account for, what ends that, and where its keys come from: on a real database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import pytest

from persistence.database import Database
from services.accounts.accounts import identifier
from services.accounts.foreign_tokens import (
    KEYS_HOLD_S,
    KEYS_KEPT_S,
    LOOK_AGAIN_S,
    USED_EVERY_MS,
    WANT_EVERY_S,
    ForeignTokens,
)
from services.accounts.id_token import SKEW_S
from services.accounts.identities import UNLINKED, Identities
from services.accounts.identity import Identity
from services.accounts.keyring import load_key, make_key
from services.accounts.staff import AccountActs
from services.accounts.tokens import Tokens
from services.apps.lent import BELIEVED_S, Callers
from services.audit.entry import SYSTEM
from services.flags.switches import Switches
from services.kernel.caller import Caller
from services.kernel.facts import AccountRegistered, LoginEnded
from services.kernel.problems import NotAuthenticated, TokenExpired, Unavailable
from tests.support.foreign import Issuer
from tests.support.world import World

NEW: Final[dict[str, object]] = {"email": "new@example.org", "email_verified": True, "name": "Anna New"}


class House:
    """An installation that trusts one issuer, and Anna, who is linked to it."""

    def __init__(self, database: Database, more: str = "") -> None:
        self.world = World(database)
        self.clock = self.world.clock
        self.issuer = Issuer(self.clock)
        self.more = more
        self.acts = AccountActs(self.world.transactions, self.clock, self.world.ids)
        self.switches = Switches()
        self.foreign = self.another_node()
        self.anna: Caller

    def another_node(self) -> ForeignTokens:
        providers = (self.issuer.provider(self.more),)
        return ForeignTokens(self.world.transactions, providers, self.clock, self.world.ids, self.switches)

    def callers(self) -> Callers:
        identify = identifier(Tokens(load_key(make_key())), self.clock)
        return Callers(identify, self.world.transactions, self.clock, self.foreign)

    async def shown(self, **claims: object) -> Caller:
        return await self.foreign.caller_of(self.issuer.token(**claims))

    async def why_not(self, **claims: object) -> str:
        with pytest.raises(NotAuthenticated) as refused:
            await self.shown(**claims)
        assert refused.value.data["provider"] == "studio"
        return str(refused.value.data["reason"])

    async def end_logins(self) -> None:
        await self.acts.end_logins(SYSTEM, self.anna.account_id, "a test")

    async def identity(self) -> Identity:
        async with self.world.transactions() as stores:
            found = await stores.identities.find(self.issuer.url, "anna-1")
        assert found is not None
        return found

    async def count(self, sql: str) -> int:
        async with self.world.transactions() as stores:
            found: int = await stores.tx.fetchval(sql)
        return found

    async def wanted_ms(self) -> int:
        return await self.count("SELECT (extract(epoch FROM wanted_at) * 1000)::bigint FROM issuers")


Make = Callable[..., Awaitable[House]]


@pytest.fixture
def make(database: Database) -> Make:
    async def made(more: str = "", *, published: bool = True, linked: bool = True) -> House:
        house = House(database, more)
        house.anna = await house.world.account("Anna", "member", "coach")
        if published:
            await house.issuer.publish(house.world.transactions)
        if linked:
            await house.issuer.link(house.world.transactions, house.world.ids, house.anna.account_id)
        return house

    return made


class TestForWhom:
    async def test_a_linked_identity_acts_as_its_account_with_the_scopes_that_are_mapped(self, make: Make) -> None:
        house = await make()
        caller = await house.shown()
        assert caller == Caller(
            account_id=house.anna.account_id,
            login_id=caller.login_id,
            name="Anna",
            roles=frozenset({"member", "coach"}),
            expires_at_ms=(house.issuer.now_s + 600) * 1_000,
            scopes=frozenset({"profile:read"}),
        )
        assert (await house.shown(scope="studio.ride")).login_id == caller.login_id
        assert await house.count("SELECT count(*) FROM logins") == house.foreign.opened == 1

    async def test_at_first_sight_on_two_nodes_at_once_one_login_is_opened(self, make: Make) -> None:
        house = await make()
        nodes = [house.foreign, house.another_node(), house.another_node()]
        found = await asyncio.gather(*(node.caller_of(house.issuer.token()) for node in nodes))
        assert len({caller.login_id for caller in found}) == 1
        assert await house.count("SELECT count(*) FROM logins") == 1

    async def test_somebody_unknown_is_told_to_sign_in_with_that_provider_first(self, make: Make) -> None:
        """ASVS 6.8.1: an address opens no account that is there."""
        house = await make(linked=False)
        assert await house.why_not(email="somebody1@example.org", email_verified=True) == "not_linked"
        with pytest.raises(NotAuthenticated, match="sign in with the studio first"):
            await house.shown()
        assert await house.count("SELECT count(*) FROM logins") == 0

    async def test_the_same_subject_of_another_issuer_is_somebody_else(self, make: Make) -> None:
        """ASVS 10.5.2."""
        house = await make()
        rival = Issuer(house.clock, "rival")
        await rival.publish(house.world.transactions)
        providers = (house.issuer.provider(), rival.provider())
        foreign = ForeignTokens(house.world.transactions, providers, house.clock, house.world.ids)
        assert (await foreign.caller_of(house.issuer.token())).account_id == house.anna.account_id
        with pytest.raises(NotAuthenticated, match="nobody here"):
            await foreign.caller_of(rival.token())
        # Signed with the key of the one, in the name of the other: both are trusted, and both call their key "first".
        with pytest.raises(NotAuthenticated, match="signature"):
            await foreign.caller_of(house.issuer.signed(by=rival.keys["first"]))

    async def test_when_it_was_last_used_is_noted_by_the_hour(self, make: Make) -> None:
        house = await make()
        began = (await house.identity()).used_ms
        await house.clock.advance(USED_EVERY_MS / 1_000 - 1)
        await house.shown()
        assert (await house.identity()).used_ms == began
        await house.clock.advance(1)
        await house.shown()
        assert (await house.identity()).used_ms == began + USED_EVERY_MS


class TestProvisioning:
    async def test_makes_an_account_for_an_address_that_is_vouched_for(self, make: Make) -> None:
        house = await make("provision = true", linked=False)
        caller = await house.shown(**NEW)
        assert (caller.name, caller.roles) == ("Anna New", frozenset({"member"}))
        assert caller.scopes == frozenset({"profile:read"})
        assert await house.shown(**NEW) == caller
        assert AccountRegistered(caller.account_id) in await house.world.told()

    async def test_makes_one_account_when_two_nodes_see_somebody_at_once(self, make: Make) -> None:
        house = await make("provision = true", linked=False)
        nodes = [house.foreign, house.another_node(), house.another_node()]
        found = await asyncio.gather(*(node.caller_of(house.issuer.token(**NEW)) for node in nodes))
        assert len({(caller.account_id, caller.login_id) for caller in found}) == 1

    async def test_takes_no_account_that_is_there_and_believes_no_address_that_is_not_vouched_for(
        self, make: Make
    ) -> None:
        """ASVS 6.8.1."""
        house = await make("provision = true", linked=False)
        assert await house.why_not(email="somebody1@example.org", email_verified=True) == "address_taken"
        assert await house.why_not(email="new@example.org") == "address_not_vouched"
        assert await house.why_not() == "address_not_vouched"
        assert await house.count("SELECT count(*) FROM accounts") == 1

    async def test_lets_nobody_new_in_while_an_operator_has_stopped_that(self, make: Make) -> None:
        house = await make("provision = true", linked=False)
        house.switches.learn({"registering": False})
        assert await house.why_not(**NEW) == "registering_paused"
        assert await house.count("SELECT count(*) FROM accounts") == 1
        house.switches.learn({})
        assert (await house.shown(**NEW)).name == "Anna New"


class TestItsEnd:
    async def test_what_ends_the_logins_of_an_account_ends_the_tokens_that_were_issued_until_then(
        self, make: Make
    ) -> None:
        """ASVS 7.4.1, 7.4.3: and no clock that is a minute ahead brings one back."""
        house = await make()
        first = await house.shown()
        await house.end_logins()
        ended = [fact.login_id for fact in await house.world.told() if isinstance(fact, LoginEnded)]
        assert ended == [first.login_id]
        assert await house.why_not() == "ended"
        await house.clock.advance(SKEW_S)
        assert await house.why_not() == "ended"
        await house.clock.advance(1)
        assert await house.why_not(iat=house.issuer.now_s - 1) == "ended"
        second = await house.shown()
        assert second.login_id != first.login_id

    async def test_whoever_is_suspended_is_told_so_and_comes_back_when_it_is_lifted(self, make: Make) -> None:
        house = await make()
        await house.shown()
        await house.acts.suspend(SYSTEM, house.anna.account_id, "too loud", None)
        await house.clock.advance(2 * SKEW_S)
        assert await house.why_not() == "suspended"
        with pytest.raises(NotAuthenticated, match="too loud"):
            await house.shown()
        await house.acts.lift(SYSTEM, house.anna.account_id, "quiet again")
        assert (await house.shown()).account_id == house.anna.account_id

    async def test_a_provider_that_is_taken_away_takes_its_tokens_with_it(self, make: Make) -> None:
        """ASVS 7.4.1."""
        house = await make()
        caller = await house.shown()
        await house.issuer.link(house.world.transactions, house.world.ids, house.anna.account_id, "anna-2")
        async with house.world.transactions() as stores:
            await stores.accounts.save_password_hash(house.anna.account_id, "hash")
        fresh = msgspec.structs.replace(house.anna, fresh_at_ms=house.clock.wall_ms())
        await Identities(house.world.transactions, house.clock).unlink(fresh, (await house.identity()).id)
        assert await house.why_not() == "not_linked"
        assert LoginEnded(house.anna.account_id, caller.login_id, UNLINKED) in await house.world.told()
        async with house.world.transactions() as stores:
            assert await stores.logins.ended([caller.login_id]) == [caller.login_id]

    async def test_an_account_that_is_gone_has_no_tokens(self, make: Make) -> None:
        house = await make()
        await house.shown()
        async with house.world.transactions() as stores:
            await stores.tx.execute("DELETE FROM accounts")
        assert await house.why_not() == "not_linked"

    async def test_a_token_that_has_expired_says_where_the_next_one_is_from(self, make: Make) -> None:
        house = await make()
        with pytest.raises(TokenExpired, match="from the studio"):
            await house.shown(iat=house.issuer.now_s - 60, exp=house.issuer.now_s)


class TestKeys:
    async def test_a_new_key_is_found_where_workers_keep_it_and_an_old_one_is_forgotten_within_a_minute(
        self, make: Make
    ) -> None:
        house = await make()
        old = house.issuer.token()
        await house.foreign.caller_of(old)
        house.issuer.keys["second"] = house.issuer.keys.pop("first")
        await house.issuer.publish(house.world.transactions)
        await house.foreign.caller_of(old)
        await house.clock.advance(LOOK_AGAIN_S)
        new = house.issuer.signed(by=house.issuer.keys["second"], kid="second")
        await house.foreign.caller_of(new)
        with pytest.raises(NotAuthenticated, match="not published"):
            await house.foreign.caller_of(old)

    async def test_a_key_that_is_published_no_more_is_believed_for_a_minute_at_most(self, make: Make) -> None:
        house = await make()
        old = house.issuer.token()
        await house.foreign.caller_of(old)
        house.issuer.keys["second"] = house.issuer.keys.pop("first")
        await house.issuer.publish(house.world.transactions)
        await house.clock.advance(KEYS_KEPT_S)
        with pytest.raises(NotAuthenticated, match="not published"):
            await house.foreign.caller_of(old)

    async def test_names_that_somebody_makes_up_ask_for_the_keys_twice_a_minute_at_most(self, make: Make) -> None:
        house = await make()
        await house.shown()

        async def made_up(kid: str) -> int:
            with pytest.raises(NotAuthenticated, match="not published"):
                await house.foreign.caller_of(house.issuer.signed(kid=kid))
            return await house.wanted_ms()

        first = await made_up("a")
        await house.clock.advance(WANT_EVERY_S - 1)
        assert await made_up("b") == await made_up("c") == first
        await house.clock.advance(1)
        assert await made_up("d") == first + round(WANT_EVERY_S * 1_000)

    async def test_keys_that_were_never_read_are_asked_for(self, make: Make) -> None:
        house = await make(published=False)
        with pytest.raises(Unavailable, match="the studio"):
            await house.shown()
        assert await house.wanted_ms() == house.clock.wall_ms()
        await house.issuer.publish(house.world.transactions)
        assert await house.shown()

    async def test_keys_that_could_not_be_read_for_a_day_are_believed_no_longer(self, make: Make) -> None:
        house = await make()
        await house.shown()
        await house.clock.advance(KEYS_HOLD_S + 1)
        with pytest.raises(Unavailable, match="not been read lately"):
            await house.shown()


class TestAmongOtherTokens:
    async def test_it_is_asked_about_once_in_four_seconds_and_taking_it_away_holds_within_five(
        self, make: Make
    ) -> None:
        """ASVS 7.4.1."""
        house = await make()
        callers, token = house.callers(), house.issuer.token()
        assert callers.must_ask(token)
        assert callers.is_foreign(token)
        found = await asyncio.gather(*(callers.identify(token) for _ in range(20)))
        assert (len(set(map(id, found))), callers.asked) == (1, 1)
        await house.end_logins()
        await house.clock.advance(BELIEVED_S)
        with pytest.raises(NotAuthenticated):
            await callers.identify(token)

    async def test_asked_anew_it_is_refused_at_once(self, make: Make) -> None:
        house = await make()
        callers, token = house.callers(), house.issuer.token()
        await callers.identify(token)
        await house.end_logins()
        with pytest.raises(NotAuthenticated):
            await callers.identify(token, anew=True)

    async def test_it_is_not_believed_beyond_its_end_though_it_was_just_asked_about(self, make: Make) -> None:
        house = await make()
        callers, token = house.callers(), house.issuer.token(exp=house.issuer.now_s + 2)
        await callers.identify(token)
        await house.clock.advance(2)
        with pytest.raises(TokenExpired):
            await callers.identify(token)

    async def test_what_is_refused_fills_nothing(self, make: Make) -> None:
        house = await make()
        callers = house.callers()
        for number in range(5):
            with pytest.raises(NotAuthenticated):
                await callers.identify(house.issuer.signed(kid=f"made up {number}"))
        assert len(callers) == 0

    async def test_a_token_of_ours_asks_nobody(self, make: Make) -> None:
        house = await make()
        tokens = Tokens(load_key(make_key()))
        callers = Callers(identifier(tokens, house.clock), house.world.transactions, house.clock, house.foreign)
        live = await house.world.live_class(house.anna)
        ours = tokens.for_display(live.id, house.world.ids.next(), "wall", house.clock.wall_ms()).token
        assert not callers.must_ask(ours)
        assert (await callers.identify(ours)).class_id == live.id
        assert callers.asked == 0
