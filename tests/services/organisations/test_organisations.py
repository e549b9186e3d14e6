"""Who comes into an organisation, who goes, and what is held when two do it at once; against a real database."""

import asyncio

import msgspec
import pytest

from persistence.database import Database
from services.access.role import OrgRole
from services.accounts.account_mail import LIFE_MS, MailTokens
from services.accounts.account_mails import AccountMails
from services.accounts.attempts import Attempts
from services.audit.entry import SYSTEM
from services.kernel.caller import Caller
from services.kernel.ids import AccountMailId, OrganisationId
from services.kernel.problems import (
    BadShape,
    Forbidden,
    LastOwner,
    LinkOver,
    NotFound,
    OrganisationFull,
    StepUpNeeded,
    TooManyInvitations,
    TooManyOrganisations,
)
from services.limits.limits import Limits
from services.organisations.invitations import Invitations
from services.organisations.organisation import MAX_OWNED, SEATS
from services.organisations.organisations import OrganisationActs, Organisations
from tests.support.world import World

SECRET = b"of all nodes"


class Gym:
    """An organisation, its owner Mira, and whoever is invited."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tokens = MailTokens(SECRET)
        mails = AccountMails(world.clock, world.ids, self.tokens, offered=True)
        self.organisations = Organisations(world.transactions, world.clock, world.ids)
        self.invitations = Invitations(world.transactions, mails, world.clock, world.ids, Attempts(Limits(world.clock)))
        self.acts = OrganisationActs(world.transactions, world.clock, world.ids)
        self.mira: Caller
        self.id: OrganisationId

    async def opened(self) -> "Gym":
        self.mira = self.fresh(await self.world.account("Mira"))
        self.id = (await self.organisations.make(self.mira, "Harbour Gym")).organisation.id
        return self

    def fresh(self, caller: Caller) -> Caller:
        """Somebody who has proven themselves just now."""
        return msgspec.structs.replace(caller, fresh_at_ms=self.world.clock.wall_ms())

    async def email(self, caller: Caller) -> str:
        async with self.world.transactions() as stores:
            account = await stores.accounts.by_id(caller.account_id)
        assert account is not None
        return account.email

    async def link(self, email: str, role: OrgRole = "member", by: Caller | None = None) -> str:
        """The token in the mail of an invitation."""
        assert role != "owner"
        return self.token((await self.invitations.invite(by or self.mira, self.id, email, role)).id)

    def token(self, mail_id: AccountMailId) -> str:
        return self.tokens.token(mail_id, "invite")

    async def joined(self, name: str, role: OrgRole = "member") -> Caller:
        """Somebody who has accepted."""
        who = self.fresh(await self.world.account(name))
        await self.invitations.accept(who, await self.link(await self.email(who), role))
        return who

    async def roles(self) -> dict[str, OrgRole]:
        details = await self.organisations.by_id(self.mira, self.id)
        return {each.name: each.role for each in details.members}

    async def audited(self) -> list[str]:
        async with self.world.database.connection() as connection:
            rows = await connection.fetch("SELECT act, thing FROM audit_waiting ORDER BY id")
        assert {row["thing"] for row in rows} == {str(self.id)}
        return [str(row["act"]).removeprefix("organisation.") for row in rows]


@pytest.fixture
async def gym(database: Database) -> Gym:
    return await Gym(World(database)).opened()


async def test_whoever_makes_an_organisation_owns_it_and_only_three(gym: Gym) -> None:
    assert await gym.roles() == {"Mira": "owner"}
    for n in range(1, MAX_OWNED):
        await gym.organisations.make(gym.mira, f"Studio {n}")
    with pytest.raises(TooManyOrganisations):
        await gym.organisations.make(gym.mira, "One too many")
    assert [each.name for each in await gym.organisations.own(gym.mira)] == ["Harbour Gym", "Studio 1", "Studio 2"]


async def test_of_many_organisations_made_at_once_three_are_made(gym: Gym) -> None:
    made = await asyncio.gather(*(gym.organisations.make(gym.mira, "Studio") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, TooManyOrganisations) for each in made) == 3
    assert len(await gym.organisations.own(gym.mira)) == MAX_OWNED


async def test_an_organisation_is_there_for_those_in_it_and_for_nobody_else(gym: Gym) -> None:
    """OWASP API1:2023: for a stranger every act says that there is no such thing."""
    ana = gym.fresh(await gym.world.account("Ana"))
    org, who = gym.organisations, gym.mira.account_id
    for attempt in (
        org.by_id(ana, gym.id),
        org.rename(ana, gym.id, "Mine"),
        org.seat(ana, gym.id, who, "member"),
        org.remove(ana, gym.id, who),
        org.leave(ana, gym.id),
        org.hand_over(ana, gym.id, ana.account_id),
        org.dissolve(ana, gym.id),
        gym.invitations.invite(ana, gym.id, "a@example.org", "member"),
        gym.invitations.waiting(ana, gym.id),
    ):
        with pytest.raises(NotFound) as refused:
            await attempt
        assert refused.value.message == NotFound().message
    assert await gym.roles() == {"Mira": "owner"}


async def test_whoever_reads_the_mail_takes_the_seat_and_their_address_is_proved(gym: Gym) -> None:
    ana = await gym.world.account("Ana")
    token = await gym.link(await gym.email(ana), "coach")
    seen = await gym.invitations.look(token, address=None)
    assert (seen.organisation, seen.role) == ("Harbour Gym", "coach")
    seated = await gym.invitations.accept(ana, token)
    assert (seated.name, seated.role) == ("Harbour Gym", "coach")
    assert await gym.roles() == {"Mira": "owner", "Ana": "coach"}
    async with gym.world.transactions() as stores:
        account = await stores.accounts.by_id(ana.account_id)
    assert account is not None
    assert account.verified_at_ms == gym.world.clock.wall_ms()
    assert await gym.audited() == ["made", "invited", "joined"]


async def test_a_link_works_once_for_its_address_and_for_a_week(gym: Gym) -> None:
    """ASVS 6.5.1, 6.5.5: single use, bound to whom it was sent to, with an end."""
    ana, ben = await gym.world.account("Ana"), await gym.world.account("Ben")
    token = await gym.link(await gym.email(ana))
    with pytest.raises(Forbidden, match="another address"):
        await gym.invitations.accept(ben, token)
    await gym.invitations.accept(ana, token)
    for attempt in (
        gym.invitations.accept(ana, token),
        gym.invitations.decline(token, address=None),
    ):
        with pytest.raises(LinkOver):
            await attempt
    late = await gym.link(await gym.email(ben))
    await gym.world.clock.advance(LIFE_MS["invite"] / 1_000)
    with pytest.raises(LinkOver):
        await gym.invitations.accept(ben, late)
    assert await gym.roles() == {"Mira": "owner", "Ana": "member"}


async def test_the_link_of_another_kind_of_mail_lets_nobody_in(gym: Gym) -> None:
    """ASVS 9.2.3: a token made for one purpose is good for no other."""
    ana = await gym.world.account("Ana")
    asked = await gym.invitations.invite(gym.mira, gym.id, await gym.email(ana), "admin")
    for says in ("reset", "confirm", "register"):
        with pytest.raises(LinkOver):
            await gym.invitations.accept(ana, gym.tokens.token(asked.id, says))
    with pytest.raises(LinkOver):
        await gym.invitations.accept(ana, MailTokens(b"of somebody else").token(asked.id, "invite"))


async def test_a_no_frees_the_seat_and_so_does_withdrawing_and_asking_anew(gym: Gym) -> None:
    await gym.acts.set_seats(SYSTEM, gym.id, 2)
    first = await gym.link("ana@example.org")
    with pytest.raises(OrganisationFull):
        await gym.link("ben@example.org")
    await gym.invitations.decline(first, address=None)
    second = await gym.invitations.invite(gym.mira, gym.id, "ben@example.org", "member")
    await gym.invitations.withdraw(gym.mira, gym.id, second.id)
    with pytest.raises(LinkOver):
        await gym.invitations.look(gym.token(second.id), address=None)
    third = await gym.link("cleo@example.org")
    await gym.world.clock.advance(61)
    fourth = await gym.link("cleo@example.org")
    with pytest.raises(LinkOver):
        await gym.invitations.look(third, address=None)
    assert (await gym.invitations.look(fourth, address=None)).email == "cleo@example.org"
    assert len(await gym.invitations.waiting(gym.mira, gym.id)) == 1


async def test_one_address_is_not_flooded_with_invitations(gym: Gym) -> None:
    await gym.link("ana@example.org")
    with pytest.raises(TooManyInvitations):
        await gym.link("ana@example.org")
    assert len(await gym.invitations.waiting(gym.mira, gym.id)) == 1


async def test_whoever_invites_and_withdraws_in_turn_is_stopped_whatever_the_organisation(
    gym: Gym, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OWASP API6:2023: mails to strangers are counted by who sends them."""
    monkeypatch.setattr("services.organisations.invitations.MAX_INVITED_A_DAY", 3)
    for n in range(3):
        asked = await gym.invitations.invite(gym.mira, gym.id, f"ana{n}@example.org", "member")
        await gym.invitations.withdraw(gym.mira, gym.id, asked.id)
    other = (await gym.organisations.make(gym.mira, "Pier Studio")).organisation.id
    with pytest.raises(TooManyInvitations, match="a day"):
        await gym.invitations.invite(gym.mira, other, "ben@example.org", "member")
    await gym.world.clock.advance(24 * 3_600)
    await gym.invitations.invite(gym.mira, other, "ben@example.org", "member")


async def test_inviting_a_member_tells_nothing_and_changes_nothing(gym: Gym) -> None:
    """OWASP API3:2023: the answer is that for any address, and a seat is not moved by a link."""
    ana = await gym.joined("Ana", "admin")
    await gym.world.clock.advance(61)
    again = await gym.link(await gym.email(ana), "member")
    assert (await gym.invitations.accept(ana, again)).role == "admin"


async def test_two_who_take_the_last_seat_at_once_do_not_both_get_it(gym: Gym) -> None:
    """ASVS 15.4.2: the count and the seat are one step."""
    people = [await gym.world.account(name) for name in ("Ana", "Ben")]
    links = [await gym.link(await gym.email(each)) for each in people]
    await gym.acts.set_seats(SYSTEM, gym.id, 2)
    answers = await asyncio.gather(
        *(gym.invitations.accept(who, link) for who, link in zip(people, links, strict=True)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in answers) == ["OrganisationFull", "Seated"]
    assert len(await gym.roles()) == 2


async def test_two_invitations_at_once_do_not_both_keep_the_last_seat(gym: Gym) -> None:
    await gym.acts.set_seats(SYSTEM, gym.id, 2)
    answers = await asyncio.gather(gym.link("ana@example.org"), gym.link("ben@example.org"), return_exceptions=True)
    assert sum(isinstance(each, OrganisationFull) for each in answers) == 1
    assert len(await gym.invitations.waiting(gym.mira, gym.id)) == 1


async def test_one_link_followed_twice_at_once_seats_once(gym: Gym) -> None:
    ana = await gym.world.account("Ana")
    link = await gym.link(await gym.email(ana))
    answers = await asyncio.gather(*(gym.invitations.accept(ana, link) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(each, LinkOver) for each in answers) == 2
    assert await gym.roles() == {"Mira": "owner", "Ana": "member"}


async def test_an_admin_seats_members_and_coaches_and_touches_nobody_above(gym: Gym) -> None:
    """OWASP API5:2023."""
    ben, ana = await gym.joined("Ben", "admin"), await gym.joined("Ana")
    await gym.organisations.seat(ben, gym.id, ana.account_id, "coach")
    email = await gym.email(ana)
    for attempt in (
        gym.organisations.seat(ben, gym.id, ana.account_id, "admin"),
        gym.organisations.seat(ben, gym.id, ben.account_id, "owner"),
        gym.organisations.seat(ben, gym.id, gym.mira.account_id, "member"),
        gym.organisations.remove(ben, gym.id, gym.mira.account_id),
        gym.organisations.hand_over(ben, gym.id, ben.account_id),
        gym.organisations.dissolve(ben, gym.id),
        gym.invitations.invite(ben, gym.id, email, "admin"),
        gym.organisations.rename(ana, gym.id, "Mine"),
        gym.invitations.waiting(ana, gym.id),
    ):
        with pytest.raises(Forbidden):
            await attempt
    await gym.organisations.remove(ben, gym.id, ana.account_id)
    assert await gym.roles() == {"Mira": "owner", "Ben": "admin"}


async def test_an_admins_invitation_is_not_replaced_or_withdrawn_by_whoever_may_not_give_it(gym: Gym) -> None:
    ben = await gym.joined("Ben", "admin")
    asked = await gym.invitations.invite(gym.mira, gym.id, "cleo@example.org", "admin")
    await gym.world.clock.advance(61)
    with pytest.raises(Forbidden):
        await gym.invitations.invite(ben, gym.id, "cleo@example.org", "member")
    with pytest.raises(Forbidden):
        await gym.invitations.withdraw(ben, gym.id, asked.id)
    assert [each.role for each in await gym.invitations.waiting(gym.mira, gym.id)] == ["admin"]


async def test_whoever_was_removed_is_nobody_at_the_very_next_question(gym: Gym) -> None:
    """ASVS 8.3.2: with the token from before, and whichever node is asked."""
    ben = await gym.joined("Ben", "admin")
    await gym.organisations.rename(ben, gym.id, "Harbour Sports")
    await gym.organisations.remove(gym.mira, gym.id, ben.account_id)
    with pytest.raises(NotFound):
        await gym.organisations.rename(ben, gym.id, "Harbour Gym")
    assert await gym.organisations.own(ben) == ()


async def test_the_last_owner_neither_leaves_nor_steps_down(gym: Gym) -> None:
    ben = await gym.joined("Ben")
    for attempt in (
        gym.organisations.leave(gym.mira, gym.id),
        gym.organisations.remove(gym.mira, gym.id, gym.mira.account_id),
        gym.organisations.seat(gym.mira, gym.id, gym.mira.account_id, "admin"),
    ):
        with pytest.raises(LastOwner):
            await attempt
    await gym.organisations.seat(gym.mira, gym.id, ben.account_id, "owner")
    await gym.organisations.leave(gym.mira, gym.id)
    assert [each.role for each in await gym.organisations.own(ben)] == ["owner"]


async def test_of_two_owners_who_leave_at_once_one_stays(gym: Gym) -> None:
    ben = await gym.joined("Ben")
    await gym.organisations.seat(gym.mira, gym.id, ben.account_id, "owner")
    answers = await asyncio.gather(
        gym.organisations.leave(gym.mira, gym.id), gym.organisations.leave(ben, gym.id), return_exceptions=True
    )
    assert sum(isinstance(each, LastOwner) for each in answers) == 1
    assert (await gym.acts.look(gym.id)).owners == 1


async def test_handing_over_makes_another_the_owner_and_needs_a_fresh_proof(gym: Gym) -> None:
    """ASVS 7.5.3: a sensitive act asks for a login that has just proved itself."""
    ben = await gym.joined("Ben")
    stale = msgspec.structs.replace(gym.mira, fresh_at_ms=None)
    for attempt in (
        gym.organisations.hand_over(stale, gym.id, ben.account_id),
        gym.organisations.dissolve(stale, gym.id),
    ):
        with pytest.raises(StepUpNeeded):
            await attempt
    with pytest.raises(BadShape):
        await gym.organisations.hand_over(gym.mira, gym.id, gym.mira.account_id)
    await gym.organisations.hand_over(gym.mira, gym.id, ben.account_id)
    assert await gym.roles() == {"Mira": "admin", "Ben": "owner"}


async def test_nobody_is_handed_more_than_they_may_own(gym: Gym) -> None:
    ben = await gym.joined("Ben")
    for n in range(MAX_OWNED):
        await gym.organisations.make(ben, f"Studio {n}")
    for attempt in (
        gym.organisations.hand_over(gym.mira, gym.id, ben.account_id),
        gym.organisations.seat(gym.mira, gym.id, ben.account_id, "owner"),
    ):
        with pytest.raises(TooManyOrganisations):
            await attempt
    assert await gym.roles() == {"Mira": "owner", "Ben": "member"}


async def test_what_was_dissolved_is_there_for_nobody_and_its_links_are_over(gym: Gym) -> None:
    ben = await gym.joined("Ben")
    link = await gym.link("ana@example.org")
    await gym.organisations.dissolve(gym.mira, gym.id)
    assert await gym.organisations.own(ben) == ()
    with pytest.raises(NotFound):
        await gym.organisations.by_id(gym.mira, gym.id)
    with pytest.raises(NotFound):
        await gym.acts.look(gym.id)
    with pytest.raises(LinkOver):
        await gym.invitations.look(link, address=None)
    assert (await gym.audited())[-1] == "dissolved"


async def test_with_fewer_seats_whoever_sits_stays_and_nobody_comes_in(gym: Gym) -> None:
    assert (await gym.acts.look(gym.id)).seats == SEATS
    ana = await gym.world.account("Ana")
    link = await gym.link(await gym.email(ana))
    await gym.joined("Ben")
    view = await gym.acts.set_seats(SYSTEM, gym.id, 1)
    assert (view.seats, view.taken) == (1, 2)
    with pytest.raises(OrganisationFull):
        await gym.invitations.accept(ana, link)
    await gym.acts.set_seats(SYSTEM, gym.id, 3)
    await gym.invitations.accept(ana, link)
    assert set(await gym.roles()) == {"Mira", "Ben", "Ana"}


async def test_an_operator_gives_an_organisation_without_an_owner_a_new_one(gym: Gym) -> None:
    ben, stranger = await gym.joined("Ben"), await gym.world.account("Ana")
    async with gym.world.database.connection() as connection:
        await connection.execute("DELETE FROM organisation_members WHERE role = 'owner'")
    view = await gym.acts.make_owner(SYSTEM, gym.id, await gym.email(ben))
    assert (view.taken, view.owners) == (1, 1)
    with pytest.raises(NotFound):
        await gym.acts.make_owner(SYSTEM, gym.id, await gym.email(stranger))


async def test_every_change_is_in_the_audit_and_no_word_that_somebody_typed(gym: Gym) -> None:
    """ASVS 16.3.2."""
    ben = await gym.joined("Ben", "coach")
    await gym.organisations.rename(gym.mira, gym.id, "Harbour Sports")
    await gym.organisations.seat(gym.mira, gym.id, ben.account_id, "member")
    await gym.organisations.leave(ben, gym.id)
    asked = await gym.invitations.invite(gym.mira, gym.id, "ana@example.org", "member")
    await gym.invitations.withdraw(gym.mira, gym.id, asked.id)
    assert await gym.audited() == [
        "made", "invited", "joined", "renamed", "role_changed", "left", "invited", "invitation_ended",
    ]  # fmt: skip
    async with gym.world.database.connection() as connection:
        data = await connection.fetchval("SELECT string_agg(data::text, ' ') FROM audit_waiting")
    assert "Harbour" not in data
    assert "ana@" not in data


async def test_nobody_is_invited_where_no_mail_is_sent(gym: Gym) -> None:
    silent = AccountMails(gym.world.clock, gym.world.ids, gym.tokens, offered=False)
    invitations = Invitations(
        gym.world.transactions, silent, gym.world.clock, gym.world.ids, Attempts(Limits(gym.world.clock))
    )
    with pytest.raises(NotFound, match="sends no mail"):
        await invitations.invite(gym.mira, gym.id, "ana@example.org", "member")
