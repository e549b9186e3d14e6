"""Whether an address has an account cannot be told by an answer, nor by its time (ASVS 6.3.8).

Time is not measured here: what takes time is counted. The same statements in the same order, the same number of hashes, and the
same answer make the same time. `python -m tests.benchmarks.logins` measures it, for whoever wants to see.
"""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from persistence.database import Database
from services.kernel.problems import Problem, TooManyAttempts, WeakPassword
from tests.support.doors import ANNA, NEW, OLD, Doors, open_doors

Act = Callable[[Doors, str], Awaitable[object]]
NOBODY = "nobody@example.org"


async def log_in(doors: Doors, email: str) -> object:
    return await doors.log_in(NEW, email)


async def register(doors: Doors, email: str) -> object:
    begun = await doors.begin(email, NEW)
    return begun.until_ms - doors.clock.wall_ms(), begun.email == email


async def register_and_send_again(doors: Doors, email: str) -> object:
    begun = await doors.begin(email, NEW)
    await doors.clock.advance(60)
    await doors.registrations.send_again(begun.id, address=None)
    return None


async def reset(doors: Doors, email: str) -> object:
    await doors.resets.ask(email, address=None)
    return None


async def move_to(doors: Doors, email: str) -> object:
    caller = doors.caller(await doors.log_in(OLD, "bob@example.org"))
    await doors.email_changes.ask(caller, email, address=None)
    return None


async def answer_of(work: Awaitable[object]) -> bytes:
    """What is answered, as bytes; a refusal with all that is said in it."""
    try:
        return msgspec.json.encode(await work)
    except Problem as refusal:
        return msgspec.json.encode((type(refusal).__name__, refusal.view()))


@pytest.mark.parametrize(
    "act", [log_in, register, register_and_send_again, reset, move_to], ids=lambda act: act.__name__
)
async def test_asvs_6_3_8_with_and_without_an_account_the_work_and_the_answer_are_the_same(
    database: Database, act: Act
) -> None:
    """ASVS 6.3.8: log in, sign up, send again, reset, move."""
    said: list[str] = []
    async with open_doors(database, said=said) as doors:
        await doors.account()
        await doors.account("bob@example.org")
        seen = []
        for email in (ANNA, NOBODY):
            await doors.clock.advance(3_600)  # what was written before counts for nothing any more
            said.clear()
            before = doors.passwords.statistics().hashed
            answer = await answer_of(act(doors, email))
            seen.append((answer, list(said), doors.passwords.statistics().hashed - before))
    known, unknown = seen
    assert known[1], "nothing was overheard"
    assert known == unknown


async def test_asvs_6_3_1_guesses_are_counted_before_a_password_is_hashed(database: Database) -> None:
    """ASVS 6.3.1: who has guessed too often costs no hash, with and without an account."""
    async with open_doors(database) as doors:
        await doors.account()
        for email in (ANNA, NOBODY):
            ends = [await answer_of(log_in(doors, email)) for _ in range(30)]
            assert TooManyAttempts.__name__.encode() in ends[-1]
            before = doors.passwords.statistics().hashed
            await answer_of(log_in(doors, email))
            assert doors.passwords.statistics().hashed == before


async def test_asvs_6_2_9_a_megabyte_of_a_password_is_refused_before_anything_is_done_with_it(
    database: Database,
) -> None:
    """ASVS 6.2.9, OWASP API4: nothing is composed, hashed, or asked of the database."""
    said: list[str] = []
    async with open_doors(database, said=said) as doors:
        caller = doors.caller(await doors.account())
        await reset(doors, ANNA)
        link = await doors.link("reset")
        said.clear()
        before = doors.passwords.statistics().hashed
        megabyte = "é" * 1_048_576
        for work in (
            doors.account(NOBODY, megabyte),
            doors.begin(NOBODY, megabyte),
            doors.log_in(megabyte),
            doors.finish(link, megabyte),
            doors.reset(link, megabyte),
            doors.logins.change_password(caller, old=megabyte, new=NEW, address=None),
            doors.logins.change_password(caller, old=OLD, new=megabyte, address=None),
        ):
            with pytest.raises(WeakPassword):
                await work
        assert (said, doors.passwords.statistics().hashed) == ([], before)
