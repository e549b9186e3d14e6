"""What staff do to accounts: the right is asked for, the act is in the audit, and the account has lost what it should."""

import uuid
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from persistence.database import Database
from services.accounts.connection import ConnectionSeen, Found
from services.accounts.keyring import load_key, make_key
from services.accounts.opening import LoggedIn, Opening
from services.accounts.staff import AccountActs, AccountLook, Staff
from services.accounts.tokens import Tokens
from services.audit.entry import SYSTEM
from services.kernel.caller import AccountRole, Caller
from services.kernel.ids import AccountId, LoginId
from services.kernel.problems import (
    AccountSuspended,
    BadShape,
    Forbidden,
    NotFound,
    Problem,
    StepUpNeeded,
)
from tests.support.world import World

WHY = "they share their account"


class Office:
    """People of the staff, and accounts they have to do with."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.acts = AccountActs(world.transactions, world.clock, world.ids)
        self.staff = Staff(self.acts, world.clock)
        self.tokens = Tokens(load_key(make_key()))
        self.opening = Opening(self.tokens, world.clock, world.ids)

    async def person(self, *roles: AccountRole, proven: bool = True) -> Caller:
        """Somebody with these roles, who has just shown a second factor."""
        caller = await self.world.account("Kim", "member", *roles)
        at_ms = self.world.clock.wall_ms() if proven else None
        return msgspec.structs.replace(caller, second_factor_at_ms=at_ms)

    async def log_in(self, account_id: AccountId) -> LoggedIn:
        async with self.world.transactions() as stores:
            account = await stores.accounts.by_id(account_id)
            assert account is not None
            opened = await self.opening.open(stores, account, "phone", "password")
        assert isinstance(opened, LoggedIn)
        return opened

    async def audited(self) -> list[tuple[str, str]]:
        async with self.world.database.connection() as connection:
            rows = await connection.fetch("SELECT act, reason FROM audit_waiting ORDER BY id")
        return [(row["act"], row["reason"]) for row in rows]


@pytest.fixture
def office(database: Database) -> Office:
    return Office(World(database))


async def test_a_suspended_account_has_no_login_left_and_opens_none(office: Office) -> None:
    """ASVS 7.4.2: all logins end when an account is disabled."""
    admin, ana = await office.person("admin"), await office.person()
    await office.log_in(ana.account_id)
    look = await office.staff.suspend(admin, ana.account_id, WHY, None, "192.0.2.7")
    assert look.logins == ()
    assert look.suspension is not None
    assert look.suspension.reason == WHY
    with pytest.raises(AccountSuspended) as refused:
        await office.log_in(ana.account_id)
    assert refused.value.data == {"reason": WHY, "until_ms": None}
    assert await office.audited() == [("account.suspended", WHY)]


async def test_a_suspension_that_has_run_out_or_was_lifted_lets_in_again(office: Office) -> None:
    admin, ana, ben = await office.person("admin"), await office.person(), await office.person()
    until_ms = office.world.clock.wall_ms() + 60_000
    await office.staff.suspend(admin, ana.account_id, WHY, until_ms, None)
    await office.staff.suspend(admin, ben.account_id, WHY, None, None)
    await office.staff.lift(admin, ben.account_id, "settled", None)
    await office.log_in(ben.account_id)
    with pytest.raises(AccountSuspended):
        await office.log_in(ana.account_id)
    await office.world.clock.advance(60)
    await office.log_in(ana.account_id)


async def test_the_same_suspension_again_is_one_and_another_takes_its_place(office: Office) -> None:
    admin, ana = await office.person("admin"), await office.person()
    for reason in (WHY, WHY, "and lied about it"):
        look = await office.staff.suspend(admin, ana.account_id, reason, None, None)
    assert look.suspension is not None
    assert look.suspension.reason == "and lied about it"
    assert await office.audited() == [("account.suspended", WHY), ("account.suspended", "and lied about it")]


async def test_whoever_loses_a_role_loses_every_login_with_it(office: Office) -> None:
    """ASVS 7.4.5, 8.3.2: a change of rights takes effect at once, not when the token has expired."""
    admin, coach = await office.person("admin"), await office.person("coach")
    await office.log_in(coach.account_id)
    look = await office.staff.withdraw(admin, coach.account_id, "coach", None)
    assert (look.roles, look.logins) == (("member",), ())
    again = await office.log_in(coach.account_id)
    assert again.account.roles == ("member",)
    await office.staff.grant(admin, coach.account_id, "author", None)
    assert "author" in (await office.log_in(coach.account_id)).account.roles
    assert await office.audited() == [("role.withdrawn", ""), ("role.granted", "")]


async def test_support_looks_and_ends_logins_and_both_are_in_the_audit(office: Office) -> None:
    support, ana = await office.person("support"), await office.person()
    await office.log_in(ana.account_id)
    async with office.world.transactions() as stores:
        account = await stores.accounts.by_id(ana.account_id)
    assert account is not None
    look = await office.staff.find(support, account.email, None)
    assert [login.device for login in look.logins] == ["phone"]
    assert await office.staff.end_logins(support, ana.account_id, "their phone was stolen", None) == 1
    assert (await office.staff.look(support, ana.account_id, None)).logins == ()
    assert [act for act, _ in await office.audited()] == ["account.looked_up", "logins.ended", "account.looked_up"]


def test_what_staff_see_of_an_account_tells_nothing_of_the_body() -> None:
    """OWASP API3:2023: no field about health is in the answer."""
    assert set(AccountLook.__struct_fields__) == {
        "id", "email", "name", "roles", "created_at_ms", "suspension", "logins",
    }  # fmt: skip


ACTS: tuple[tuple[str, Callable[[Staff, Caller, AccountId], Awaitable[object]], bool], ...] = (
    ("look", lambda staff, who, whom: staff.look(who, whom, None), True),
    ("end logins", lambda staff, who, whom: staff.end_logins(who, whom, WHY, None), True),
    ("suspend", lambda staff, who, whom: staff.suspend(who, whom, WHY, None, None), False),
    ("lift", lambda staff, who, whom: staff.lift(who, whom, WHY, None), False),
    ("grant", lambda staff, who, whom: staff.grant(who, whom, "admin", None), False),
    ("withdraw", lambda staff, who, whom: staff.withdraw(who, whom, "coach", None), False),
)


@pytest.mark.parametrize(("act", "support_may"), [(act, may) for _, act, may in ACTS], ids=[name for name, *_ in ACTS])
async def test_each_act_needs_the_role_and_a_second_factor_shown_just_now(
    office: Office, act: Callable[[Staff, Caller, AccountId], Awaitable[object]], support_may: bool
) -> None:
    """OWASP API5:2023, ASVS 8.2.1, 7.5.3."""

    async def refusal(who: Caller, whom: AccountId) -> type[Problem] | None:
        try:
            await act(office.staff, who, whom)
        except Problem as problem:
            return type(problem)
        return None

    ana = await office.person()
    assert await refusal(await office.person("coach", "author"), ana.account_id) is Forbidden
    assert await refusal(await office.person("admin", proven=False), ana.account_id) is StepUpNeeded
    assert await refusal(await office.person("support"), ana.account_id) is (None if support_may else Forbidden)
    assert await refusal(await office.person("admin"), ana.account_id) is None
    assert await refusal(await office.person("admin"), AccountId(uuid.UUID(int=9))) is NotFound


async def test_no_admin_shuts_themselves_out(office: Office) -> None:
    admin = await office.person("admin")
    with pytest.raises(Forbidden, match="another admin"):
        await office.staff.suspend(admin, admin.account_id, WHY, None, None)
    with pytest.raises(Forbidden, match="another admin"):
        await office.staff.withdraw(admin, admin.account_id, "admin", None)


async def test_a_suspension_that_would_be_over_already_is_refused(office: Office) -> None:
    admin, ana = await office.person("admin"), await office.person()
    with pytest.raises(BadShape):
        await office.staff.suspend(admin, ana.account_id, WHY, office.world.clock.wall_ms(), None)


class Somewhere:
    """What all nodes together would answer."""

    def __init__(self, *seen: ConnectionSeen) -> None:
        self.found = Found(seen, ("node-3",))

    async def of(self, account_id: AccountId) -> Found:
        return self.found


async def test_staff_sees_where_somebody_is_connected_by_the_names_of_their_logins(office: Office) -> None:
    world, support, ana = office.world, await office.person("support"), await office.person()
    await office.log_in(ana.account_id)
    (use,) = (await office.acts.look(SYSTEM, ana.account_id)).logins
    gone = ConnectionSeen("node-2", LoginId(uuid.uuid4()), 7, (), None)
    staff = Staff(office.acts, world.clock, Somewhere(ConnectionSeen("node-1", use.id, 9, (), None), gone))
    look = await staff.connections(support, ana.account_id, None)
    assert [(each.node, each.device, each.opened_at_ms) for each in look.connections] == [
        ("node-1", "phone", 9),
        ("node-2", "", 7),
    ]
    assert look.silent == ("node-3",)
    assert (await office.audited())[-1] == ("connections.looked_up", "")
    with pytest.raises(NotFound):
        await staff.connections(support, AccountId(uuid.uuid4()), None)
    with pytest.raises(Forbidden):
        await staff.connections(ana, ana.account_id, None)
    with pytest.raises(StepUpNeeded):
        await staff.connections(await office.person("admin", proven=False), ana.account_id, None)
