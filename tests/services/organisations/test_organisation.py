"""What policy and the idea of an organisation decide, before any database."""

import uuid
from typing import get_args

import pytest

from services.access import permission as may
from services.access.decision import Thing
from services.access.permission import ALL, Permission
from services.access.policy import decide, require
from services.access.role import ORG_ROLES, OrgRole
from services.kernel.caller import AccountRole, Caller
from services.kernel.ids import AccountId, ClassId, LoginId, OrganisationId
from services.kernel.problems import LastOwner, NotFound, OrganisationFull
from services.organisations.organisation import (
    Member,
    Organisation,
    heir_of,
    require_owner_left,
    require_room,
    seated,
    to_seat,
)

MIRA, JONAS = AccountId(uuid.UUID(int=1)), AccountId(uuid.UUID(int=2))
ROLES: tuple[OrgRole, ...] = get_args(OrgRole)
GYM = Organisation(OrganisationId(uuid.UUID(int=3)), "Harbour Gym", 2, 0)
OWNER_ONLY = frozenset({"owner"})
ADMINS = frozenset({"owner", "admin"})


def caller(*roles: AccountRole, shows: ClassId | None = None) -> Caller:
    return Caller(MIRA, LoginId(uuid.UUID(int=5)), "Mira", frozenset(roles or ("member",)), 2**53, shows)


def member(account_id: AccountId, role: OrgRole) -> Member:
    return Member(account_id, "Somebody", role, 0)


def test_every_role_of_an_organisation_says_what_it_is() -> None:
    assert set(ORG_ROLES) == set(ROLES)


@pytest.mark.parametrize(
    ("permission", "holders"),
    [
        (may.READ_ORGANISATION, frozenset(ROLES)),
        (may.LEAVE_ORGANISATION, frozenset(ROLES)),
        (may.RENAME_ORGANISATION, ADMINS),
        (may.SEAT_MEMBERS, ADMINS),
        (may.SEAT_ADMINS, OWNER_ONLY),
        (may.HAND_OVER, OWNER_ONLY),
        (may.DISSOLVE, OWNER_ONLY),
    ],
    ids=lambda each: each.name if isinstance(each, Permission) else "",
)
def test_a_seat_allows_what_its_role_may_and_nothing_more_asvs_8_2_2(
    permission: Permission, holders: frozenset[OrgRole]
) -> None:
    assert {role for role in ROLES if decide(caller(), permission, seated(role)).allowed} == holders
    assert not decide(caller(), permission, seated(None)).allowed


def test_no_role_of_an_account_stands_in_for_a_seat_asvs_8_2_1() -> None:
    everything = caller("member", "coach", "author", "support", "admin")
    screen = caller("display", shows=ClassId(uuid.UUID(int=9)))
    for permission in (may.READ_ORGANISATION, may.SEAT_MEMBERS, may.DISSOLVE):
        assert not decide(everything, permission, seated(None)).allowed
        assert not decide(screen, permission, seated("owner")).allowed


def test_a_seat_opens_nothing_that_asks_for_another_standing() -> None:
    """ASVS 8.2.2: who owns an organisation neither leads somebody's class nor reads their workouts."""
    for permission in ALL.values():
        if permission.to and not any(standing.startswith("org_") for standing in permission.to):
            assert not decide(
                caller("member", "coach"), permission, Thing(seat="owner", consent=True, plan=True)
            ).allowed


def test_to_a_stranger_an_organisation_does_not_exist() -> None:
    with pytest.raises(NotFound):
        require(caller(), may.READ_ORGANISATION, seated(None))


def test_whoever_only_administers_neither_makes_nor_unmakes_those_above() -> None:
    """OWASP API5:2023: an admin does not promote themselves through a member."""
    for before in ROLES:
        for after in ROLES:
            needed = to_seat(before, after)
            allowed = decide(caller(), needed, seated("admin")).allowed
            assert allowed is ADMINS.isdisjoint({before, after})
            assert decide(caller(), needed, seated("owner")).allowed


def test_an_organisation_always_has_an_owner() -> None:
    alone = [member(MIRA, "owner"), member(JONAS, "admin")]
    with pytest.raises(LastOwner):
        require_owner_left(alone, without=MIRA)
    require_owner_left(alone, without=JONAS)
    require_owner_left([member(MIRA, "owner"), member(JONAS, "owner")], without=MIRA)


def test_who_is_not_owned_by_anybody_can_still_be_left() -> None:
    require_owner_left([member(MIRA, "admin")], without=MIRA)


def test_no_more_sit_than_there_are_seats() -> None:
    require_room(GYM, 1)
    for taken in (2, 3):
        with pytest.raises(OrganisationFull) as refused:
            require_room(GYM, taken)
        assert refused.value.data == {"seats": 2}


ADA, BOB, CLEO = (AccountId(uuid.UUID(int=n)) for n in (11, 12, 13))


@pytest.mark.parametrize(
    ("others", "heir"),
    [
        ((member(ADA, "member"), member(BOB, "admin"), member(CLEO, "admin")), BOB),
        ((member(ADA, "admin"), member(BOB, "owner")), None),
        ((member(ADA, "member"), member(BOB, "coach")), None),
        ((), None),
    ],
    ids=["the admin of longest", "another owner is left", "nobody is an admin", "nobody is left"],
)
def test_who_owns_what_the_last_owner_leaves_behind(others: tuple[Member, ...], heir: AccountId | None) -> None:
    found = heir_of((member(MIRA, "owner"), *others), MIRA)
    assert (found and found.account_id) == heir
