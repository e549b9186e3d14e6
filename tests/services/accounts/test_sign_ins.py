"""Signing in with others, whole: a real provider on loopback, a real database, the loop that asks. Only browsers are missing; they
are in tests/journeys/test_sign_in.py."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from persistence.database import Database
from persistence.sign_ins import CHANNEL
from persistence.stores import Stores, Transactions
from services.accounts.accounts import Accounts, identifier
from services.accounts.attempts import AttemptRates, Attempts
from services.accounts.foreign_tokens import LOOK_AGAIN_S, ForeignTokens
from services.accounts.identities import Identities
from services.accounts.identity import MOST_IDENTITIES, Identity
from services.accounts.keyring import load_key, make_key
from services.accounts.opening import LoggedIn, Opening
from services.accounts.passwords import Cost, Passwords
from services.accounts.provider import AppleKey, Provider, read_providers
from services.accounts.sign_in import LEASE_MS, LIFETIME_MS, challenge
from services.accounts.sign_ins import Came, SignInBegun, SignInNow, SignIns
from services.accounts.suspension import Suspension
from services.accounts.tokens import Tokens
from services.accounts.totp import Totp
from services.flags.switches import Switches
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock, SystemClock, utc
from services.kernel.facts import AccountRegistered
from services.kernel.ids import AccountId, IdentityId, SignInId, SuspensionId, Uuid7Ids
from services.kernel.problems import (
    AccountSuspended,
    EmailNotVouched,
    Forbidden,
    IdentityTaken,
    LastWayIn,
    LinkNeeded,
    NotAuthenticated,
    NotFound,
    Problem,
    RegisteringPaused,
    SecondFactorNeeded,
    SignInRefused,
    SignInUnknown,
    StepUpNeeded,
    TooManyAttempts,
    TooManyIdentities,
    Unavailable,
    WrongCredentials,
)
from services.kernel.sealing import Seals
from services.limits.limit import Limit
from services.limits.limits import Limits
from services.schedule.jobs import Tick
from tests.support.identity_provider import CLIENT_ID, IdentityProvider, Person, open_identity_provider
from tests.support.providers import Fault
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.outbound.identity import IdentityCalls
from workers.signing_in import AT_MOST_EVERY_S, POLL_S, SigningIn, SignInUpkeep
from workers.wakeups import Wakeups

PASSWORD: Final = "violet anchor moss kettle"
WAIT_S: Final = 60.0
LOOPBACK: Final = (ip_network("127.0.0.0/8"),)
ANNA: Final = Person("anna-1", "anna@example.org", name="Anna")


@dataclass
class House:
    """An installation with providers. `answers` are the providers by their names here."""

    sign_ins: SignIns
    identities: Identities
    accounts: Accounts
    signing_in: SigningIn
    transactions: Transactions
    clock: ManualClock
    tokens: Tokens
    answers: dict[str, IdentityProvider]
    switches: Switches

    def caller(self, logged_in: LoggedIn) -> Caller:
        return identifier(self.tokens, self.clock)(logged_in.access_token)

    async def begin(self, provider: str = "studio", **more: Any) -> SignInBegun:
        return await self.sign_ins.begin(
            provider, role=more.get("role", "member"), device="phone", address=more.get("address")
        )

    def click(self, begun: SignInBegun, who: str = "anna-1", provider: str = "studio") -> Came:
        """What the browser takes back when this person clicks at the provider."""
        answer = self.answers[provider].say_yes(begun.url, who)
        return Came(secret=begun.secret, provider=provider, **answer)

    async def ended(self, begun: SignInBegun, came: Came) -> SignInNow:
        """Hand in the answer, and wait for what comes of it."""
        assert (await self.sign_ins.come_back(begun.id, came, address=None)).state == "waiting"
        return await self.outcome(begun)

    async def outcome(self, begun: SignInBegun) -> SignInNow:
        async with asyncio.timeout(WAIT_S):
            while (now := await self.sign_ins.finish(begun.id, begun.secret)).state == "waiting":
                await asyncio.sleep(0)
        return now

    async def looked_for(self, begun: SignInBegun) -> SignInNow:
        """As `outcome`, where a worker passed over the sign-in if somebody held it just then: it looks again by itself."""
        async with asyncio.timeout(WAIT_S):
            while (now := await self.sign_ins.finish(begun.id, begun.secret)).state == "waiting":
                await self.clock.advance(POLL_S)
                await asyncio.sleep(0.1)
        return now

    async def sign_in(self, who: str = "anna-1", provider: str = "studio", **more: Any) -> LoggedIn:
        begun = await self.begin(provider, **more)
        now = await self.ended(begun, self.click(begun, who, provider))
        assert now.login is not None
        return now.login

    async def link(self, caller: Caller, who: str = "anna-1", provider: str = "studio") -> SignInNow:
        begun = await self.sign_ins.begin_link(caller, provider, address=None)
        return await self.ended(begun, self.click(begun, who, provider))

    async def register(self, email: str = "anna@example.org") -> LoggedIn:
        return await self.accounts.register(
            email=email, password=PASSWORD, name="Anna", role="member", device="watch", address=None
        )

    async def left(self) -> int:
        async with self.transactions() as stores:
            found: int = await stores.tx.fetchval("SELECT count(*) FROM sign_ins")
        return found


MakeHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def make(database: Database) -> AsyncIterator[MakeHouse]:
    """Builds installations; their loops end with the test."""
    async with AsyncExitStack() as resources:

        async def build(
            *names: str,
            runs: bool = True,
            coaches: Literal["open", "closed"] = "open",
            tables: Callable[[dict[str, IdentityProvider]], str] | None = None,
            change: Callable[[Provider], Provider] = lambda one: one,
        ) -> House:
            clock = ManualClock()
            ids = Uuid7Ids(clock)
            transactions = Transactions(database, clock, ids)
            answers = {
                name: await resources.enter_async_context(open_identity_provider(now_s=lambda: clock.wall_ms() / 1_000))
                for name in names or ("studio",)
            }
            for one in answers.values():
                one.people.append(ANNA)
            text = tables(answers) if tables else "".join(one.toml(name) for name, one in answers.items())
            providers = tuple(map(change, read_providers(text)))
            passwords = Passwords(cost=Cost(rounds=1, memory_kib=8, lanes=1))
            resources.callback(passwords.close)
            tokens, seals = Tokens(load_key(make_key())), Seals((bytes(32),))
            opening, switches = Opening(tokens, clock, ids), Switches()
            attempts = Attempts(Limits(clock), AttemptRates(address=Limit("few", 4, 60_000, "test")))
            # Calls of the machine itself are timed by its own clock: a jump would cut them off.
            outbound = await resources.enter_async_context(open_outbound(SystemClock(), Egress(LOOPBACK)))
            wakeups = Wakeups(database, clock, (CHANNEL,))
            signing_in = SigningIn(transactions, providers, IdentityCalls(outbound), seals, clock, wakeups)
            house = House(
                SignIns(
                    transactions,
                    providers,
                    opening,
                    seals,
                    clock,
                    ids,
                    attempts,
                    base_url=lambda: "https://run.example",
                    coach_signup=coaches,
                    switches=switches,
                ),
                Identities(transactions, clock),
                Accounts(transactions, passwords, opening, clock, ids, attempts=attempts),
                signing_in,
                transactions,
                clock,
                tokens,
                answers,
                switches,
            )
            await signing_in.renew_due()
            if runs:
                await resources.enter_async_context(running(house, wakeups))
            return house

        yield build


@asynccontextmanager
async def running(house: House, wakeups: Wakeups) -> AsyncIterator[None]:
    """The loop that asks, woken by the database."""
    listening = asyncio.create_task(wakeups.run())
    loop = asyncio.create_task(house.signing_in.run())
    async with asyncio.timeout(WAIT_S):
        await wakeups.listening.wait()
    try:
        yield
    finally:
        house.signing_in.stop()
        await loop
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def refused(what: Awaitable[object]) -> Problem:
    with pytest.raises(Problem) as raised:
        await what
    return raised.value


# -- getting in ---------------------------------------------------------------------------------------------------


async def test_a_first_sign_in_makes_an_account_and_the_next_one_finds_it(make: MakeHouse) -> None:
    house = await make()
    first = await house.sign_in()
    assert (first.account.email, first.account.name) == ("anna@example.org", "Anna")
    assert first.account.roles == ("member",)
    again = await house.sign_in()
    assert again.account.id == first.account.id
    assert again.refresh_token != first.refresh_token
    async with house.transactions() as stores:
        facts = [envelope.fact for envelope in await stores.outbox.peek(100)]
    assert [fact for fact in facts if isinstance(fact, AccountRegistered)] == [AccountRegistered(first.account.id)]
    assert await house.left() == 0, "nothing is kept of a sign-in that is over"


async def test_an_account_made_so_has_no_password_that_fits(make: MakeHouse) -> None:
    house = await make()
    await house.sign_in()
    for password in (PASSWORD, "!" * 12):
        problem = await refused(
            house.accounts.log_in(email="anna@example.org", password=password, device="", address=None)
        )
        assert isinstance(problem, WrongCredentials)


async def test_who_changes_the_address_at_the_provider_stays_who_they_are(make: MakeHouse) -> None:
    """ASVS 6.8.1, 10.5.2: an identity is (issuer, subject)."""
    house = await make()
    first = await house.sign_in()
    house.answers["studio"].people[:] = [
        Person("anna-1", "married@example.org", name="Anna"),
        Person("eve-2", "anna@example.org", name="Eve"),
    ]
    assert (await house.sign_in()).account.id == first.account.id
    # And whoever was given the address that she gave up is somebody else, who is not let in to her account.
    assert isinstance(await refused(house.sign_in("eve-2")), LinkNeeded)


async def test_two_providers_with_the_same_address_stay_two_people(make: MakeHouse) -> None:
    """ASVS 6.8.1, 10.3.3."""
    house = await make("studio", "gym")
    await house.sign_in()
    problem = await refused(house.sign_in(provider="gym"))
    assert isinstance(problem, LinkNeeded)
    assert problem.data == {"provider": "gym"}
    # The same subject at another issuer, with another address: another account.
    house.answers["gym"].people[:] = [Person("anna-1", "other@example.org")]
    other = await house.sign_in(provider="gym")
    assert (other.account.email, other.account.name) == ("other@example.org", "other")


async def test_an_address_that_has_an_account_is_never_linked_silently(make: MakeHouse) -> None:
    """ASVS 6.8.1: not even a verified one; the account is not touched."""
    house = await make()
    mine = await house.register()
    assert isinstance(await refused(house.sign_in()), LinkNeeded)
    assert await house.identities.own(house.caller(mine)) == ()
    assert await house.left() == 0


async def proven(stores: Stores, house: House, begun: SignInBegun) -> None:
    """Hand in the answer, and return when the provider has said who it is."""
    await house.sign_ins.come_back(begun.id, house.click(begun), address=None)
    async with asyncio.timeout(WAIT_S):
        while await stores.tx.fetchval("SELECT state FROM sign_ins WHERE id = $1", begun.id) != "proven":
            await asyncio.sleep(0)


async def somebody_waits(stores: Stores) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await stores.tx.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            await asyncio.sleep(0)


async def test_a_sign_in_waits_for_whoever_takes_the_provider_away_and_opens_nothing(make: MakeHouse) -> None:
    """Both lock the account first: neither waits for what the other holds."""
    house = await make()
    anna = (await house.sign_in()).account.id
    begun = await house.begin()
    async with house.transactions() as stores:
        await proven(stores, house, begun)
        await stores.accounts.locked(anna)
        finishing = asyncio.create_task(house.sign_ins.finish(begun.id, begun.secret))
        await somebody_waits(stores)
        (identity,) = await stores.identities.of_account(anna)
        await stores.identities.remove(identity.id)
    assert isinstance(await refused(finishing), LinkNeeded)


async def test_who_is_logged_out_while_they_link_has_linked_nothing(make: MakeHouse) -> None:
    house = await make()
    anna = house.caller(await house.register())
    begun = await house.sign_ins.begin_link(anna, "studio", address=None)
    async with house.transactions() as stores:
        await proven(stores, house, begun)
        await stores.accounts.locked(anna.account_id)
        finishing = asyncio.create_task(house.sign_ins.finish(begun.id, begun.secret))
        await somebody_waits(stores)
        await stores.logins.end_all(anna.account_id, utc(house.clock.wall_ms()), "")
    assert isinstance(await refused(finishing), SignInUnknown)
    assert await house.identities.own(anna) == ()


@pytest.mark.parametrize(
    "person",
    [
        Person("eve-1", "boss@example.org", email_verified=False),
        Person("eve-1"),
        Person("eve-1", "bö@example.org"),
        Person("eve-1", "no address"),
    ],
    ids=["not verified", "none", "not ASCII", "no address"],
)
async def test_without_a_proven_address_there_is_no_new_account(make: MakeHouse, person: Person) -> None:
    """ASVS 6.8.1."""
    house = await make()
    house.answers["studio"].people.append(person)
    assert isinstance(await refused(house.sign_in("eve-1")), EmailNotVouched)


async def test_a_name_that_cannot_be_one_here_is_the_front_of_the_address(make: MakeHouse) -> None:
    house = await make()
    house.answers["studio"].people.append(Person("b", "ben@example.org", name="\u202eneB"))
    assert (await house.sign_in("b")).account.name == "ben"


async def test_address_and_name_may_be_told_by_the_userinfo_alone(make: MakeHouse) -> None:
    house = await make()
    house.answers["studio"].in_userinfo = True
    assert (await house.sign_in()).account.name == "Anna"
    assert house.answers["studio"].asked_for["userinfo"] == 1


async def test_a_coach_is_made_one_only_where_coaches_may_sign_up(make: MakeHouse) -> None:
    house = await make()
    assert (await house.sign_in(role="coach")).account.roles == ("coach", "member")
    closed = await make("gym", coaches="closed")
    assert isinstance(await refused(closed.begin("gym", role="coach")), Forbidden)


async def test_while_nobody_registers_who_comes_anew_is_refused_and_who_has_an_account_gets_in(make: MakeHouse) -> None:
    house = await make()
    first = await house.sign_in()
    house.answers["studio"].people.append(Person("b", "ben@example.org", name="Ben"))
    house.switches.learn({"registering": False})
    assert isinstance(await refused(house.sign_in("b")), RegisteringPaused)
    assert await house.left() == 0, "the sign-in is over"
    assert (await house.sign_in()).account.id == first.account.id
    house.switches.learn({})
    assert (await house.sign_in("b")).account.name == "Ben"


async def test_a_second_factor_is_asked_for_whatever_the_provider_says(make: MakeHouse) -> None:
    """ASVS 6.3.3: a provider's word is one proof; how to go on survives the end of the sign-in."""
    house = await make()
    account_id = (await house.sign_in()).account.id
    now_ms = house.clock.wall_ms()
    async with house.transactions() as stores:
        await stores.second_factors.save_totp(account_id, Totp(b"sealed", now_ms, now_ms, None, 0.0, now_ms))
    problem = await refused(house.sign_in())
    assert isinstance(problem, SecondFactorNeeded)
    assert problem.data["token"]
    async with house.transactions() as stores:
        assert await stores.tx.fetchval("SELECT count(*) FROM waiting_logins") == 1
        assert await stores.tx.fetchval("SELECT count(*) FROM logins") == 1, "the one from before"
    assert await house.left() == 0


async def test_a_suspended_account_is_not_opened_by_a_providers_word(make: MakeHouse) -> None:
    """ASVS 7.4.2."""
    house = await make()
    account_id = (await house.sign_in()).account.id
    suspension = Suspension(SuspensionId(Uuid7Ids(house.clock).next()), account_id, "spam", house.clock.wall_ms())
    async with house.transactions() as stores:
        await stores.suspensions.add(suspension)
    assert isinstance(await refused(house.sign_in()), AccountSuspended)
    assert await house.left() == 0


async def test_github_is_its_number_and_its_verified_primary_address(make: MakeHouse) -> None:
    house = await make("github", tables=lambda answers: answers["github"].github())
    provider = house.answers["github"]
    provider.people[:] = [Person("4711", "octo@example.org", name=None)]
    begun = await house.begin("github")
    assert "nonce" not in begun.url
    now = await house.ended(begun, house.click(begun, "4711", "github"))
    assert now.login is not None
    assert (now.login.account.email, now.login.account.name) == ("octo@example.org", "user4711")
    provider.people[:] = [Person("4712", "other@example.org", email_verified=False)]
    assert isinstance(await refused(house.sign_in("4712", "github")), EmailNotVouched)


async def test_apple_is_shown_a_secret_that_is_signed_for_this_exchange(make: MakeHouse) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()

    def as_apple(provider: Provider) -> Provider:
        return msgspec.structs.replace(
            provider, apple=AppleKey("TEAM", "KEY", pem), client_secret="", secret_in="form", response_mode="form_post"
        )

    house = await make(change=as_apple)
    house.answers["studio"].apple_key = key.public_key()
    begun = await house.begin()
    assert dict(parse_qsl(urlsplit(begun.url).query))["response_mode"] == "form_post"
    now = await house.ended(begun, house.click(begun))
    assert now.login is not None
    house.answers["studio"].apple_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    problem = await refused(house.sign_in())
    assert problem.data == {"reason": "refused"}


# -- bound to one browser, once -------------------------------------------------------------------------------------


async def test_what_goes_to_the_provider_is_a_challenge_and_never_a_secret(make: MakeHouse) -> None:
    """ASVS 10.1.2, 10.2.1; RFC 7636."""
    house = await make()
    begun = await house.begin()
    asked = dict(parse_qsl(urlsplit(begun.url).query))
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == "https://run.example/sign-in/return/studio"
    assert begun.secret not in begun.url
    async with house.transactions() as stores:
        row = await stores.tx.fetchrow("SELECT * FROM sign_ins")
    assert row is not None
    kept = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
    for secret in (begun.secret, asked["state"], asked["nonce"]):
        assert secret.encode() not in kept, "a dump of the database begins nobody's sign-in and ends none"
    await house.ended(begun, house.click(begun))
    verifier = house.answers["studio"].forms[-1]["code_verifier"]
    assert challenge(verifier) == asked["code_challenge"]


async def test_an_answer_is_taken_only_with_the_secret_of_who_began(make: MakeHouse) -> None:
    """ASVS 10.1.2, login CSRF: a victim's browser brings an attacker's answer, or an attacker brings a victim's."""
    house = await make()
    mine, theirs = await house.begin(), await house.begin()
    answer = house.click(mine)
    for wrong in (
        msgspec.structs.replace(answer, secret=theirs.secret),
        msgspec.structs.replace(answer, secret=""),
        msgspec.structs.replace(answer, state=house.click(theirs).state),
        msgspec.structs.replace(answer, state=""),
    ):
        assert isinstance(await refused(house.sign_ins.come_back(mine.id, wrong, address=None)), SignInUnknown)
    elsewhere = msgspec.structs.replace(answer, secret=theirs.secret)
    assert isinstance(await refused(house.sign_ins.come_back(theirs.id, elsewhere, address=None)), SignInUnknown)
    nobody = SignInId(Uuid7Ids(house.clock).next())
    assert isinstance(await refused(house.sign_ins.come_back(nobody, answer, address=None)), SignInUnknown)
    assert (await house.ended(mine, answer)).state == "done", "the one who began is not hindered by any of it"


async def test_an_answer_is_taken_once(make: MakeHouse) -> None:
    """ASVS 10.2.1: also when it is handed in many times at once."""
    house = await make()
    begun = await house.begin()
    came = house.click(begun)
    several = await asyncio.gather(
        *(house.sign_ins.come_back(begun.id, came, address=None) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(one, SignInNow) for one in several) == 1
    assert (await house.looked_for(begun)).state == "done"
    assert house.answers["studio"].asked_for["token"] == 1
    assert isinstance(await refused(house.sign_ins.come_back(begun.id, came, address=None)), SignInUnknown)
    assert isinstance(await refused(house.sign_ins.finish(begun.id, begun.secret)), SignInUnknown)


async def test_a_code_of_another_sign_in_is_worth_nothing(make: MakeHouse) -> None:
    """ASVS 10.2.1, code injection: PKCE binds the code to the sign-in that asked for it."""
    house = await make()
    mine, theirs = await house.begin(), await house.begin()
    injected = msgspec.structs.replace(house.click(mine), code=house.click(theirs).code)
    problem = await refused(house.ended(mine, injected))
    assert problem.data == {"reason": "refused"}


async def test_a_code_that_was_used_is_worth_nothing(make: MakeHouse) -> None:
    """ASVS 10.4.2, seen from the relying party: a replayed answer opens nothing."""
    house = await make()
    mine = await house.begin()
    came = house.click(mine)
    await house.ended(mine, came)
    again = await house.begin()
    state = dict(parse_qsl(urlsplit(again.url).query))["state"]
    replayed = msgspec.structs.replace(came, secret=again.secret, state=state)
    assert isinstance(await refused(house.ended(again, replayed)), SignInRefused)


async def test_nobody_but_who_began_asks_how_it_is(make: MakeHouse) -> None:
    """ASVS 10.1.2."""
    house = await make(runs=False)
    begun = await house.begin()
    await house.sign_ins.come_back(begun.id, house.click(begun), address=None)
    assert isinstance(await refused(house.sign_ins.finish(begun.id, "pls_wrong")), SignInUnknown)
    assert (await house.sign_ins.finish(begun.id, begun.secret)).state == "waiting"


@pytest.mark.parametrize("lie", ["iss", "no_iss"])
async def test_an_answer_from_another_issuer_ends_the_sign_in(make: MakeHouse, lie: str) -> None:
    """ASVS 10.2.2, RFC 9207: mix-up. The code is given to nobody."""
    house = await make()
    house.answers["studio"].lie = lie
    begun = await house.begin()
    came = house.click(begun)
    problem = await refused(house.sign_ins.come_back(begun.id, came, address=None))
    assert problem.data == {"reason": "unproven"}
    assert "token" not in house.answers["studio"].asked_for
    assert isinstance(await refused(house.sign_ins.finish(begun.id, begun.secret)), SignInUnknown)


async def test_an_answer_at_the_return_address_of_another_provider_ends_the_sign_in(make: MakeHouse) -> None:
    """ASVS 10.2.2: mix-up with two providers that send no iss."""
    house = await make("studio", "gym")
    begun = await house.begin()
    came = msgspec.structs.replace(house.click(begun), provider="gym", iss=None)
    assert isinstance(await refused(house.sign_ins.come_back(begun.id, came, address=None)), SignInRefused)
    assert all("token" not in one.asked_for for one in house.answers.values())


async def test_a_sign_in_is_over_after_ten_minutes(make: MakeHouse) -> None:
    house = await make(runs=False)
    begun, returned = await house.begin(), await house.begin()
    came = house.click(begun)
    await house.sign_ins.come_back(returned.id, house.click(returned), address=None)
    await house.clock.advance(LIFETIME_MS / 1_000)
    assert isinstance(await refused(house.sign_ins.come_back(begun.id, came, address=None)), SignInUnknown)
    assert isinstance(await refused(house.sign_ins.finish(returned.id, returned.secret)), SignInUnknown)
    await house.clock.advance(1)
    async with house.transactions() as stores:
        assert await SignInUpkeep(house.clock, 100).prune(stores, Tick("prune-sign-ins", 1)) == 2


async def test_begun_sign_ins_are_counted_per_address(make: MakeHouse) -> None:
    """OWASP API4."""
    house = await make()
    for _ in range(4):
        await house.begin(address="192.0.2.7")
    assert isinstance(await refused(house.begin(address="192.0.2.7")), TooManyAttempts)
    await house.begin(address="192.0.2.8")


# -- what providers do wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lie", ["nonce", "audience", "issuer", "none", "hs256", "jwk", "stranger", "access", "expired", "at_hash"]
)
async def test_a_token_that_lies_logs_nobody_in(make: MakeHouse, lie: str) -> None:
    """ASVS 9.1.2, 9.1.3, 9.2.x, 10.5.1 to 10.5.4; test_id_token.py has each of them by itself."""
    house = await make()
    house.answers["studio"].lie = lie
    problem = await refused(house.sign_in())
    assert (problem.code, problem.data) == ("sign_in_refused", {"reason": "unproven"})
    async with house.transactions() as stores:
        assert await stores.tx.fetchval("SELECT count(*) FROM accounts") == 0


async def test_userinfo_about_somebody_else_log_nobody_in(make: MakeHouse) -> None:
    """ASVS 10.5.2."""
    house = await make()
    house.answers["studio"].in_userinfo, house.answers["studio"].lie = True, "userinfo"
    assert (await refused(house.sign_in())).data == {"reason": "unproven"}


@pytest.mark.parametrize("fault", ["broken", "hang_up", "cut"])
async def test_a_provider_that_is_away_is_told_as_such(make: MakeHouse, fault: Any) -> None:
    house = await make()
    house.answers["studio"].faults.next(Fault(fault))
    assert (await refused(house.sign_in())).data == {"reason": "unreachable"}
    assert (await house.sign_in()).account.name == "Anna"


async def test_who_says_no_at_the_provider_is_told_so(make: MakeHouse) -> None:
    house = await make()
    begun = await house.begin()
    came = msgspec.structs.replace(house.click(begun), code="", error="access_denied")
    assert (await refused(house.sign_ins.come_back(begun.id, came, address=None))).data == {"reason": "denied"}


async def test_a_worker_that_died_over_it_is_noticed(make: MakeHouse) -> None:
    house = await make(runs=False)
    begun = await house.begin()
    await house.sign_ins.come_back(begun.id, house.click(begun), address=None)
    await house.signing_in.take()
    assert (await house.sign_ins.finish(begun.id, begun.secret)).state == "waiting"
    assert await house.signing_in.take() == [], "a code is asked with once"
    await house.clock.advance(LEASE_MS / 1_000)
    assert (await refused(house.sign_ins.finish(begun.id, begun.secret))).data == {"reason": "abandoned"}


async def test_a_new_key_is_fetched_when_a_token_names_it(make: MakeHouse) -> None:
    house = await make()
    await house.sign_in()
    house.answers["studio"].rotate()
    asked = house.answers["studio"].asked_for["keys"]
    await house.clock.advance(AT_MOST_EVERY_S)
    await house.sign_in()
    assert house.answers["studio"].asked_for["keys"] == asked + 1


async def test_made_up_names_of_keys_do_not_send_us_to_the_provider_each_time(make: MakeHouse) -> None:
    """OWASP API4, ASVS 9.1.3."""
    house = await make(runs=False)
    provider = house.answers["studio"]
    provider.lie = "kid"
    await house.clock.advance(AT_MOST_EVERY_S)
    asked = provider.asked_for["keys"]
    for _ in range(3):
        begun = await house.begin()
        await house.sign_ins.come_back(begun.id, house.click(begun), address=None)
        for one in await house.signing_in.take():
            await house.signing_in.play(one)
        assert (await refused(house.sign_ins.finish(begun.id, begun.secret))).data == {"reason": "unproven"}
    assert provider.asked_for["keys"] == asked + 1


async def test_metadata_of_another_issuer_are_not_kept(make: MakeHouse) -> None:
    """ASVS 10.5.3: what was known stays, and is used."""
    house = await make()
    house.answers["studio"].lie = "metadata"
    async with house.transactions() as stores:
        await stores.issuers.want(house.answers["studio"].issuer, house.clock.wall_ms() + 1)
    await house.clock.advance(AT_MOST_EVERY_S)
    await house.signing_in.renew_due()
    async with asyncio.timeout(WAIT_S):  # the loop may have been quicker, and be at it still
        while not house.signing_in.statistics.not_renewed:
            await asyncio.sleep(0)
    house.answers["studio"].lie = ""
    assert (await house.sign_in()).account.name == "Anna"


async def test_a_provider_that_was_never_reached_is_tried_later(make: MakeHouse, database: Database) -> None:
    def nowhere(answers: dict[str, IdentityProvider]) -> str:
        return answers["studio"].toml("studio", issuer="http://127.0.0.1:9")

    house = await make(tables=nowhere)
    problem = await refused(house.begin())
    assert isinstance(problem, Unavailable)
    assert problem.retry
    assert isinstance(await refused(house.begin("nobody")), NotFound)


# -- linking --------------------------------------------------------------------------------------------------------


async def test_a_provider_is_linked_by_whoever_is_logged_in_and_signs_in_from_then_on(make: MakeHouse) -> None:
    house = await make()
    mine = await house.register()
    assert (await house.link(house.caller(mine))).state == "linked"
    (linked,) = await house.identities.own(house.caller(mine))
    assert (linked.provider, linked.email) == ("studio", "anna@example.org")
    assert (await house.sign_in()).account.id == mine.account.id
    assert (await house.link(house.caller(mine))).state == "linked", "again is fine"
    assert len(await house.identities.own(house.caller(mine))) == 1


async def test_an_identity_belongs_to_one_account(make: MakeHouse) -> None:
    """ASVS 6.8.1."""
    house = await make()
    first = await house.sign_in()
    other = await house.register("ben@example.org")
    assert isinstance(await refused(house.link(house.caller(other))), IdentityTaken)
    assert (await house.sign_in()).account.id == first.account.id


async def test_linking_and_unlinking_ask_for_a_login_that_is_fresh(make: MakeHouse) -> None:
    """ASVS 7.5.1."""
    house = await make()
    mine = await house.register()
    await house.link(house.caller(mine))
    (linked,) = await house.identities.own(house.caller(mine))
    stale = msgspec.structs.replace(house.caller(mine), fresh_at_ms=None)
    assert isinstance(await refused(house.sign_ins.begin_link(stale, "studio", address=None)), StepUpNeeded)
    assert isinstance(await refused(house.identities.unlink(stale, linked.id)), StepUpNeeded)
    await house.identities.unlink(house.caller(mine), linked.id)
    assert isinstance(await refused(house.sign_in()), LinkNeeded)


async def test_who_was_logged_out_meanwhile_links_nothing(make: MakeHouse) -> None:
    house = await make()
    mine = await house.register()
    begun = await house.sign_ins.begin_link(house.caller(mine), "studio", address=None)
    await house.accounts.log_out(house.caller(mine))
    assert isinstance(await refused(house.ended(begun, house.click(begun))), SignInUnknown)


async def test_the_last_way_into_an_account_stays(make: MakeHouse) -> None:
    house = await make("studio", "gym")
    mine = await house.sign_in()
    caller = house.caller(mine)
    (studio,) = await house.identities.own(caller)
    assert isinstance(await refused(house.identities.unlink(caller, studio.id)), LastWayIn)
    house.answers["gym"].people[:] = [Person("g", "other@example.org")]
    await house.link(caller, "g", "gym")
    _, gym = await house.identities.own(caller)
    # Both at once: one of them stays.
    both = await asyncio.gather(
        house.identities.unlink(caller, studio.id), house.identities.unlink(caller, gym.id), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["LastWayIn", "NoneType"]
    assert len(await house.identities.own(caller)) == 1


async def test_somebody_elses_identity_is_as_one_that_never_was(make: MakeHouse) -> None:
    """ASVS 8.2.2."""
    house = await make()
    mine, other = await house.sign_in(), await house.register("ben@example.org")
    (linked,) = await house.identities.own(house.caller(mine))
    for nothing in (linked.id, IdentityId(Uuid7Ids(house.clock).next())):
        assert isinstance(await refused(house.identities.unlink(house.caller(other), nothing)), NotFound)


async def test_an_account_has_so_many_identities_and_no_more(make: MakeHouse) -> None:
    house = await make()
    mine = await house.register()
    async with house.transactions() as stores:
        for n in range(MOST_IDENTITIES):
            await stores.identities.add(identity(house, mine.account.id, str(n)))
    assert isinstance(
        await refused(house.sign_ins.begin_link(house.caller(mine), "studio", address=None)), TooManyIdentities
    )


async def test_who_has_signed_in_once_comes_with_the_providers_own_access_tokens_also_after_it_changed_its_keys(
    make: MakeHouse,
) -> None:
    """The whole way: a worker reads the keys of a provider that is really there, and nobody else calls it."""
    table = '[studio.tokens]\naudience = "https://run.example"\nscopes = {"ride" = ["live:stream"]}\n'
    house = await make("studio", tables=lambda answers: answers["studio"].toml("studio") + table, runs=False)
    provider, clock = house.answers["studio"], house.clock
    trusting = read_providers(provider.toml("studio") + table)
    foreign = ForeignTokens(house.transactions, trusting, clock, Uuid7Ids(clock))

    def token() -> str:
        return provider.access_token(ANNA, "https://run.example", "ride")

    assert isinstance(await refused(foreign.caller_of(token())), NotAuthenticated)
    begun = await house.begin()
    await house.sign_ins.come_back(begun.id, house.click(begun), address=None)
    for taken in await house.signing_in.take():
        await house.signing_in.play(taken)
    login = (await house.sign_ins.finish(begun.id, begun.secret)).login
    assert login is not None
    caller = await foreign.caller_of(token())
    assert (caller.account_id, caller.scopes) == (login.account.id, frozenset({"live:stream"}))

    provider.rotate()
    await clock.advance(AT_MOST_EVERY_S)
    asked = provider.asked_for["keys"]
    assert isinstance(await refused(foreign.caller_of(token())), NotAuthenticated)
    assert provider.asked_for["keys"] == asked
    await house.signing_in.renew_due()
    await clock.advance(LOOK_AGAIN_S)
    assert (await foreign.caller_of(token())).login_id == caller.login_id


def identity(house: House, account_id: AccountId, subject: str) -> Identity:
    return Identity(
        id=IdentityId(Uuid7Ids(house.clock).next()), issuer="x", subject=subject, account_id=account_id,
        provider="x", email=None, linked_ms=0, used_ms=0,
    )  # fmt: skip


def test_nothing_secret_is_in_what_is_printed() -> None:
    """ASVS 14.2.x, 16.2.5."""
    came = Came(secret="pls_x", provider="studio", state="the state", code="the code")
    begun = SignInBegun(SignInId(Uuid7Ids(ManualClock()).next()), "pls_x", f"https://x/?client_id={CLIENT_ID}", 600)
    assert "pls_x" not in repr(came) + repr(begun)
    assert "code" not in repr(came)
