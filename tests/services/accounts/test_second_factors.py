"""Second factors: setting up, logging in, stepping up, losing them; with a real database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from persistence.database import Database
from services.accounts.native_apps import AndroidApp
from services.accounts.passwords import NO_PASSWORD
from services.accounts.proving import TypedCode, TypedRecoveryCode
from services.accounts.recovery_code import CODES
from services.accounts.second_factor import CONTINUATION_MS, MOST_WAITING, MOST_WRONG, continuation_hash
from services.accounts.second_factors import reset_factors
from services.accounts.step_up import FRESH_MS, require_fresh
from services.accounts.totp import ENROL_MS, GUESS_EVERY_MS, MOST_GUESSES
from services.audit.entry import command
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.problems import (
    AlreadySetUp,
    CodeExpired,
    FactorRefused,
    LastWayIn,
    LoginNotWaiting,
    NotFound,
    PasskeyRefused,
    Problem,
    SecondFactorNeeded,
    StepUpNeeded,
    TooManyAttempts,
    TooManyPasskeys,
    WrongCredentials,
)
from services.kernel.sealing import CannotOpen
from tests.services.accounts.factored import EMAIL, OUR_APP, PASSWORD, STEP_S, House, open_house
from tests.support.authenticator import Authenticator

NEW = "copper lantern orbit thistle"


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    async with open_house(database) as house:
        yield house


async def outcomes(*attempts: Awaitable[object]) -> list[str]:
    """The codes of the problems, "ok" for what went well, in order of the alphabet."""
    done = await asyncio.gather(*attempts, return_exceptions=True)
    return sorted(one.code if isinstance(one, Problem) else "ok" for one in done)


class TestAnApp:
    async def test_counts_once_a_code_has_confirmed_it(self, house: House) -> None:
        anna = await house.register()
        shown = await house.factors.begin_totp(anna)
        assert shown.secret in shown.uri
        assert not (await house.factors.now(anna)).any
        await house.log_in()  # without a second factor, still
        secret = await house.secret(anna.account_id)
        with pytest.raises(FactorRefused):
            await house.factors.confirm_totp(anna, house.wrong_code(secret))
        stepped = await house.factors.confirm_totp(anna, house.code(secret))
        assert (await house.factors.now(anna)).totp_since_ms == house.clock.wall_ms()
        require_fresh(house.caller(stepped.access_token), house.clock.wall_ms(), second_factor=True)
        with pytest.raises(SecondFactorNeeded):
            await house.log_in()
        assert await house.told() == ["totp_added"]

    async def test_waits_for_its_code_ten_minutes(self, house: House) -> None:
        anna = await house.register()
        await house.factors.begin_totp(anna)
        secret = await house.secret(anna.account_id)
        await house.clock.advance(ENROL_MS / 1_000)
        fresh = house.caller((await house.step_ups.with_password(anna, PASSWORD, address=None)).access_token)
        with pytest.raises(CodeExpired):
            await house.factors.confirm_totp(fresh, house.code(secret))

    async def test_that_is_there_is_not_replaced_by_another(self, house: House) -> None:
        secret, anna = await house.with_app(await house.register())
        with pytest.raises(AlreadySetUp):
            await house.factors.begin_totp(anna)
        assert await house.secret(anna.account_id) == secret

    async def test_is_sealed_and_about_its_account(self, house: House, database: Database) -> None:
        """ASVS 6.5.2, 14.2: no dump has the secret, and a row with somebody else's opens nothing."""
        anna, jonas = await house.register(), await house.register("jonas@example.org")
        secret, _ = await house.with_app(anna)
        await house.with_app(jonas)
        async with database.connection() as connection:
            rows = await connection.fetch("SELECT account_id, sealed FROM totps")
            assert all(secret not in row["sealed"] and secret.hex().encode() not in row["sealed"] for row in rows)
            theirs = next(row["sealed"] for row in rows if row["account_id"] == anna.account_id)
            await connection.execute("UPDATE totps SET sealed = $1 WHERE account_id = $2", theirs, jonas.account_id)
        with pytest.raises(CannotOpen):
            await house.secret(jonas.account_id)

    async def test_removed_is_asked_for_no_more_and_recovery_codes_go_with_it(self, house: House) -> None:
        _, anna = await house.with_app(await house.register())
        await house.factors.new_codes(anna)
        await house.factors.remove_totp(anna)
        await house.log_in()
        assert (await house.factors.now(anna)).recovery_codes == 0
        with pytest.raises(NotFound):
            await house.factors.remove_totp(anna)
        assert await house.told() == ["totp_added", "codes_made", "totp_removed"]


class TestLoggingIn:
    async def test_goes_on_with_the_code(self, house: House) -> None:
        secret, _ = await house.with_app(await house.register())
        with pytest.raises(SecondFactorNeeded) as needed:
            await house.log_in()
        assert needed.value.data["factors"] == "totp"
        caller = await house.finish(str(needed.value.data["token"]), house.code(secret))
        require_fresh(caller, house.clock.wall_ms(), second_factor=True)
        assert [one.device for one in await house.logins.all(caller)] == ["phone", "laptop"]

    async def test_a_wrong_password_says_nothing_of_a_second_factor(self, house: House) -> None:
        """ASVS 6.3.8."""
        await house.with_app(await house.register())
        with pytest.raises(WrongCredentials):
            await house.log_in("no idea at all")

    async def test_a_code_works_once_also_when_two_arrive_at_once(self, house: House) -> None:
        """ASVS 6.5.1."""
        secret, _ = await house.with_app(await house.register())
        tokens = [await house.continuation() for _ in range(4)]
        code = house.code(secret)
        assert await outcomes(*(house.finish(token, code) for token in tokens)) == ["factor_refused"] * 3 + ["ok"]
        with pytest.raises(FactorRefused):
            await house.finish(await house.continuation(), code)
        await house.clock.advance(STEP_S)
        await house.finish(await house.continuation(), house.code(secret))

    async def test_the_code_that_set_the_app_up_opens_nothing(self, house: House) -> None:
        """ASVS 6.5.1."""
        anna = await house.register()
        await house.factors.begin_totp(anna)
        code = house.code(await house.secret(anna.account_id))
        await house.factors.confirm_totp(anna, code)
        with pytest.raises(FactorRefused):
            await house.finish(await house.continuation(), code)

    async def test_a_continuation_opens_one_login(self, house: House) -> None:
        secret, _ = await house.with_app(await house.register())
        token = await house.continuation()
        codes = [house.code(secret, step) for step in (0, 1)]
        assert "ok" in await outcomes(*(house.finish(token, code) for code in codes))
        await house.clock.advance(2 * STEP_S)
        with pytest.raises(LoginNotWaiting):
            await house.finish(token, house.code(secret))
        assert len(await house.logins.all(await house.finish(await house.continuation(), house.code(secret)))) == 3

    async def test_a_continuation_is_guessed_at_five_times_and_then_its_owner_is_told(self, house: House) -> None:
        """ASVS 6.3.1."""
        secret, _ = await house.with_app(await house.register())
        token = await house.continuation()
        left = []
        for _ in range(MOST_WRONG):
            with pytest.raises(FactorRefused) as refused:
                await house.finish(token, house.wrong_code(secret))
            left.append(refused.value.data["guesses_left"])
        assert left == [4, 3, 2, 1, 0]
        with pytest.raises(LoginNotWaiting):
            await house.finish(token, house.code(secret))
        assert await house.told() == ["totp_added", "guessed"]

    async def test_guesses_at_once_are_no_more_than_one_after_another(self, house: House) -> None:
        """ASVS 6.3.1, OWASP API6."""
        secret, _ = await house.with_app(await house.register())
        token, wrong = await house.continuation(), house.wrong_code(secret)
        told = await outcomes(*(house.finish(token, wrong) for _ in range(9)))
        assert told == ["factor_refused"] * MOST_WRONG + ["login_not_waiting"] * (9 - MOST_WRONG)

    async def test_who_knows_the_password_gets_no_more_guesses_by_logging_in_again(self, house: House) -> None:
        """ASVS 6.3.1: the allowance is the account's, and the next node's, too."""
        secret, _ = await house.with_app(await house.register())
        for _ in range(MOST_GUESSES // MOST_WRONG):
            token = await house.continuation()
            for _ in range(MOST_WRONG):
                with pytest.raises(FactorRefused):
                    await house.finish(token, house.wrong_code(secret))
        await house.clock.advance(31)  # the node itself allows one more
        with pytest.raises(TooManyAttempts) as refused:
            await house.finish(await house.continuation(), house.code(secret))
        assert 0 < (refused.value.retry_after_ms or 0) <= GUESS_EVERY_MS
        await house.clock.advance(GUESS_EVERY_MS / 1_000)
        await house.finish(await house.continuation(), house.code(secret))

    async def test_a_guess_waits_for_whoever_finishes_and_holds_nothing_up(self, house: House) -> None:
        """Both lock the account first: neither waits for what the other holds."""
        secret, anna = await house.with_app(await house.register())
        token = await house.continuation()
        async with house.transactions() as stores:
            await stores.second_factors.lock(anna.account_id)
            guessing = asyncio.create_task(house.finish(token, house.code(secret)))
            while not await stores.tx.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                await asyncio.sleep(0)
            assert await stores.second_factors.take(continuation_hash(token), utc(house.clock.wall_ms()))
        with pytest.raises(LoginNotWaiting):
            await guessing

    async def test_a_continuation_dies_of_age(self, house: House) -> None:
        secret, _ = await house.with_app(await house.register())
        token = await house.continuation()
        await house.clock.advance(CONTINUATION_MS / 1_000)
        with pytest.raises(LoginNotWaiting):
            await house.finish(token, house.code(secret))

    async def test_a_continuation_dies_with_the_password(self, house: House) -> None:
        """ASVS 7.4.3; and a code that comes too late is not used up."""
        secret, anna = await house.with_app(await house.register())
        token = await house.continuation()
        await house.logins.change_password(anna, old=PASSWORD, new=NEW, address=None)
        with pytest.raises(LoginNotWaiting):
            await house.finish(token, house.code(secret))
        with pytest.raises(SecondFactorNeeded) as needed:
            await house.log_in(NEW)
        await house.finish(str(needed.value.data["token"]), house.code(secret))

    @pytest.mark.parametrize("token", ["", "plc_", "plc_" + "A" * 43, "plr_" + "A" * 43, "?"])
    async def test_with_what_is_no_continuation_nothing_goes_on(self, house: House, token: str) -> None:
        with pytest.raises(LoginNotWaiting):
            await house.factor_logins.finish(token, TypedCode("123456"), address=None)

    async def test_no_more_log_ins_wait_than_may(self, house: House, database: Database) -> None:
        """OWASP API4."""
        secret, _ = await house.with_app(await house.register())
        tokens = []
        for _ in range(MOST_WAITING + 2):
            tokens.append(await house.continuation())
            await house.clock.advance(1)
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM waiting_logins") == MOST_WAITING
        with pytest.raises(LoginNotWaiting):
            await house.finish(tokens[0], house.code(secret))
        await house.finish(tokens[-1], house.code(secret))


class TestRecoveryCodes:
    async def test_each_opens_one_login_and_its_owner_is_told(self, house: House) -> None:
        """ASVS 6.5.1."""
        _, anna = await house.with_app(await house.register())
        codes = await house.factors.new_codes(anna)
        assert len(set(codes)) == CODES
        shown = TypedRecoveryCode(codes[3].lower())
        await house.factor_logins.finish(await house.continuation(), shown, address=None)
        assert (await house.factors.now(anna)).recovery_codes == CODES - 1
        with pytest.raises(FactorRefused):
            await house.factor_logins.finish(await house.continuation(), shown, address=None)
        assert await house.told() == ["totp_added", "codes_made", "code_used"]

    async def test_one_that_comes_twice_at_once_opens_one_login(self, house: House) -> None:
        """ASVS 6.5.1."""
        _, anna = await house.with_app(await house.register())
        shown = TypedRecoveryCode((await house.factors.new_codes(anna))[0])
        tokens = [await house.continuation() for _ in range(3)]
        told = await outcomes(*(house.factor_logins.finish(token, shown, address=None) for token in tokens))
        assert told == ["factor_refused", "factor_refused", "ok"]

    async def test_new_ones_make_the_old_ones_worth_nothing(self, house: House) -> None:
        _, anna = await house.with_app(await house.register())
        old = await house.factors.new_codes(anna)
        await house.factors.new_codes(anna)
        with pytest.raises(FactorRefused):
            await house.factor_logins.finish(await house.continuation(), TypedRecoveryCode(old[0]), address=None)

    async def test_no_dump_has_one(self, house: House, database: Database) -> None:
        """ASVS 6.5.2."""
        _, anna = await house.with_app(await house.register())
        codes = await house.factors.new_codes(anna)
        async with database.connection() as connection:
            hashes = [row["code_hash"] for row in await connection.fetch("SELECT code_hash FROM recovery_codes")]
        assert all(hashed.startswith("$argon2id$") for hashed in hashes)
        assert not any(code.replace("-", "")[2:] in "".join(hashes) for code in codes)

    async def test_somebody_elses_opens_nothing(self, house: House) -> None:
        """OWASP API1."""
        _, anna = await house.with_app(await house.register())
        _, jonas = await house.with_app(await house.register("jonas@example.org"))
        await house.factors.new_codes(anna)
        theirs = await house.factors.new_codes(jonas)
        with pytest.raises(FactorRefused):
            await house.factor_logins.finish(await house.continuation(), TypedRecoveryCode(theirs[0]), address=None)

    async def test_without_a_factor_there_are_none(self, house: House) -> None:
        with pytest.raises(NotFound):
            await house.factors.new_codes(await house.register())


class TestAPasskey:
    async def test_opens_a_login_by_itself(self, house: House) -> None:
        phone, anna = await house.with_passkey(await house.register())
        await house.clock.advance(60)
        options = await house.factor_logins.options(address=None)
        assert options.allow_credentials == ()
        logged_in = await house.factor_logins.with_passkey(phone.show(options), device="phone", address=None)
        assert logged_in.account.email == EMAIL
        require_fresh(house.caller(logged_in.access_token), house.clock.wall_ms(), second_factor=True)
        (shown,) = (await house.factors.now(anna)).passkeys
        assert (shown.name, shown.used_at_ms) == ("Phone", house.clock.wall_ms())

    async def test_is_the_second_factor_of_a_password(self, house: House) -> None:
        phone, _ = await house.with_passkey(await house.register())
        with pytest.raises(SecondFactorNeeded) as needed:
            await house.log_in()
        assert needed.value.data["factors"] == "passkey"
        shown = phone.show(await house.factor_logins.options(address=None))
        await house.factor_logins.finish(str(needed.value.data["token"]), shown, address=None)

    async def test_of_somebody_else_is_no_second_factor_of_mine(self, house: House) -> None:
        """OWASP API1."""
        theirs, _ = await house.with_passkey(await house.register("jonas@example.org"))
        await house.with_passkey(await house.register())
        shown = theirs.show(await house.factor_logins.options(address=None))
        with pytest.raises(FactorRefused):
            await house.factor_logins.finish(await house.continuation(), shown, address=None)

    async def test_answers_a_challenge_once_also_when_two_arrive_at_once(self, house: House) -> None:
        """ASVS 6.5.1."""
        phone, _ = await house.with_passkey(await house.register(), counts=False)
        shown = phone.show(await house.factor_logins.options(address=None))

        async def open_one() -> object:
            return await house.factor_logins.with_passkey(shown, device="", address=None)

        assert await outcomes(*(open_one() for _ in range(4))) == ["ok"] + ["passkey_refused"] * 3

    async def test_that_was_copied_opens_nothing_and_its_owner_is_told(self, house: House) -> None:
        phone, _ = await house.with_passkey(await house.register())
        copy = phone.copied()

        async def show(held: Authenticator) -> None:
            shown = held.show(await house.factor_logins.options(address=None))
            await house.factor_logins.with_passkey(shown, device="", address=None)

        await show(phone)
        with pytest.raises(PasskeyRefused, match="backwards"):
            await show(copy)
        assert await house.told() == ["passkey_added", "passkey_copied"]
        await show(phone)

    async def test_that_is_the_last_way_in_stays(self, house: House) -> None:
        """Of an account without a password; with a second passkey, or a provider, it goes."""
        _, anna = await house.with_passkey(await house.register())
        async with house.transactions() as stores:
            await stores.accounts.save_password_hash(anna.account_id, NO_PASSWORD)
        (first,) = (await house.factors.now(anna)).passkeys
        with pytest.raises(LastWayIn):
            await house.factors.remove_passkey(anna, first.id)
        await house.with_passkey(anna, "Key")
        await house.factors.remove_passkey(anna, first.id)
        assert [one.name for one in (await house.factors.now(anna)).passkeys] == ["Key"]

    async def test_that_is_removed_while_it_is_shown_opens_nothing(self, house: House) -> None:
        phone, anna = await house.with_passkey(await house.register())
        shown = phone.show(await house.factor_logins.options(address=None))
        async with house.transactions() as stores:
            await stores.second_factors.lock(anna.account_id)
            opening = asyncio.create_task(house.factor_logins.with_passkey(shown, device="", address=None))
            while not await stores.tx.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                await asyncio.sleep(0)
            assert await stores.second_factors.forget_passkeys(anna.account_id) == 1
        with pytest.raises(PasskeyRefused):
            await opening

    async def test_that_does_not_count_opens_again_and_again(self, house: House) -> None:
        phone, _ = await house.with_passkey(await house.register(), counts=False)
        for _ in range(3):
            shown = phone.show(await house.factor_logins.options(address=None))
            await house.factor_logins.with_passkey(shown, device="", address=None)

    async def test_is_not_made_with_the_challenge_of_another_login_or_twice(self, house: House) -> None:
        """OWASP API2."""
        anna, jonas = await house.register(), await house.register("jonas@example.org")
        phone, tablet = (await house.with_passkey(jonas))[0], (await house.with_passkey(anna))[0]
        made = tablet.make(await house.factors.passkey_options(await self.fresh(house, anna)))
        with pytest.raises(PasskeyRefused):
            await house.factors.add_passkey(await self.fresh(house, jonas), "stolen", made)
        with pytest.raises(PasskeyRefused, match="already"):
            await house.factors.add_passkey(await self.fresh(house, anna), "again", made)
        assert phone.id != tablet.id

    async def test_that_is_asked_for_to_log_in_does_not_step_up(self, house: House) -> None:
        """A signature is for one purpose: what somebody shows at the door opens no safe."""
        phone, anna = await house.with_passkey(await house.register())
        for_the_door = phone.show(await house.factor_logins.options(address=None))
        with pytest.raises(PasskeyRefused):
            await house.step_ups.with_factor(anna, for_the_door, address=None)
        for_the_safe = phone.show(await house.step_ups.options(anna))
        with pytest.raises(PasskeyRefused):
            await house.factor_logins.with_passkey(for_the_safe, device="", address=None)
        await house.step_ups.with_factor(anna, for_the_safe, address=None)

    async def test_of_our_page_is_shown_by_our_app_on_a_phone_and_by_no_other_app(self, house: House) -> None:
        """OWASP API2: Android says by which certificate an app was signed, and only ours is believed."""
        phone, _ = await house.with_passkey(await house.register())
        phone.origin = AndroidApp(OUR_APP.package, ":".join(["A8"] * 32)).origin
        shown = phone.show(await house.factor_logins.options(address=None))
        with pytest.raises(PasskeyRefused):
            await house.factor_logins.with_passkey(shown, device="", address=None)
        phone.origin = OUR_APP.origin
        shown = phone.show(await house.factor_logins.options(address=None))
        logged_in = await house.factor_logins.with_passkey(shown, device="phone", address=None)
        assert house.caller(logged_in.access_token).second_factor_at_ms is not None

    async def test_made_by_our_app_opens_our_page(self, house: House) -> None:
        anna = await house.register()
        phone = Authenticator(origin=OUR_APP.origin)
        await house.factors.add_passkey(anna, "Phone", phone.make(await house.factors.passkey_options(anna)))
        phone.origin = "https://paceline.example.org"
        shown = phone.show(await house.factor_logins.options(address=None))
        await house.factor_logins.with_passkey(shown, device="laptop", address=None)

    async def test_has_a_name_and_goes_when_it_is_told_to(self, house: House) -> None:
        phone, anna = await house.with_passkey(await house.register(), "  My\tphone ")
        (one,) = (await house.factors.now(anna)).passkeys
        assert one.name == "My phone"
        assert (await house.factors.rename_passkey(anna, one.id, "Red phone")).name == "Red phone"
        jonas = await house.register("jonas@example.org")
        for act in (house.factors.remove_passkey(jonas, one.id), house.factors.rename_passkey(jonas, one.id, "mine")):
            with pytest.raises(NotFound):
                await act
        await house.factors.remove_passkey(anna, one.id)
        shown = phone.show(await house.factor_logins.options(address=None))
        with pytest.raises(PasskeyRefused):
            await house.factor_logins.with_passkey(shown, device="", address=None)
        await house.log_in()

    async def test_there_are_twenty_of_at_most(self, house: House) -> None:
        """OWASP API4."""
        anna = await house.register()
        for _ in range(20):
            _, anna = await house.with_passkey(anna)
        with pytest.raises(TooManyPasskeys):
            await house.factors.passkey_options(anna)

    async def test_its_options_name_those_that_are_there(self, house: House) -> None:
        _, anna = await house.with_passkey(await house.register())
        options = await house.factors.passkey_options(anna)
        assert len(options.exclude_credentials) == 1
        assert (options.attestation, options.authenticator_selection.user_verification) == ("none", "required")

    async def test_used_challenges_are_forgotten_once_they_are_too_old(self, house: House, database: Database) -> None:
        phone, _ = await house.with_passkey(await house.register())
        await house.clock.advance(600)
        shown = phone.show(await house.factor_logins.options(address=None))
        await house.factor_logins.with_passkey(shown, device="", address=None)
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM used_challenges") == 1

    @staticmethod
    async def fresh(house: House, caller: Caller) -> Caller:
        """The caller with a second factor that was shown just now."""
        async with house.transactions() as stores:
            account = await stores.accounts.by_id(caller.account_id)
        assert account is not None
        now_ms = house.clock.wall_ms()
        issued = house.tokens.for_account(
            account, caller.login_id, now_ms, fresh_at_ms=now_ms, second_factor_at_ms=now_ms
        )
        return house.caller(issued.token)


class TestSteppingUp:
    async def test_takes_the_second_factor_where_there_is_one(self, house: House) -> None:
        """ASVS 7.5.1: whoever has only the password is who the second factor is there for."""
        secret, anna = await house.with_app(await house.register())
        with pytest.raises(FactorRefused) as refused:
            await house.step_ups.with_password(anna, PASSWORD, address=None)
        assert refused.value.data["factors"] == "totp"
        stepped = await house.step_ups.with_factor(anna, TypedCode(house.code(secret)), address=None)
        require_fresh(house.caller(stepped.access_token), house.clock.wall_ms(), second_factor=True)

    async def test_a_code_that_has_stepped_up_opens_nothing(self, house: House) -> None:
        """ASVS 6.5.1."""
        secret, anna = await house.with_app(await house.register())
        code = house.code(secret)
        await house.step_ups.with_factor(anna, TypedCode(code), address=None)
        with pytest.raises(FactorRefused):
            await house.finish(await house.continuation(), code)

    async def test_is_needed_for_whatever_changes_the_account_for_good(self, house: House) -> None:
        """ASVS 7.5.1."""
        secret, anna = await house.with_app(await house.register())
        await house.factors.new_codes(anna)
        await house.clock.advance(FRESH_MS / 1_000)
        for act in (
            house.factors.remove_totp(anna),
            house.factors.begin_totp(anna),
            house.factors.new_codes(anna),
            house.factors.passkey_options(anna),
            house.logins.change_password(anna, old=PASSWORD, new=NEW, address=None),
        ):
            with pytest.raises(StepUpNeeded):
                await act
        stepped = await house.step_ups.with_factor(anna, TypedCode(house.code(secret)), address=None)
        fresh = house.caller(stepped.access_token)
        await house.logins.change_password(fresh, old=PASSWORD, new=NEW, address=None)
        await house.factors.remove_totp(fresh)

    async def test_a_login_that_showed_only_the_password_removes_no_factor(self, house: House) -> None:
        """ASVS 7.5.1: the password was typed a moment ago, before there was a second factor."""
        await house.register()
        thief = house.caller((await house.log_in()).access_token)
        await house.with_app(house.caller((await house.log_in()).access_token))
        with pytest.raises(StepUpNeeded):
            await house.factors.remove_totp(thief)


class TestAnOperator:
    async def test_takes_all_factors_away_which_is_told_to_their_owner_and_the_audit(
        self, house: House, database: Database
    ) -> None:
        _, anna = await house.with_app(await house.register())
        await house.factors.new_codes(anna)
        await house.with_passkey(anna)
        had = await reset_factors(house.transactions, "Anna@Example.org", house.clock, actor=command("root"))
        assert (had.kinds(), had.recovery_codes) == (("totp", "passkey", "recovery_code"), CODES)
        assert not (await house.factors.now(anna)).any
        await house.log_in()
        assert (await house.told())[-1] == "reset"
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT account_id FROM audit_waiting WHERE act = 'factors.reset'") == (
                anna.account_id
            )

    async def test_is_told_of_whom_there_is_not(self, house: House) -> None:
        with pytest.raises(NotFound):
            await reset_factors(house.transactions, "nobody@example.org", house.clock, actor=command("root"))
