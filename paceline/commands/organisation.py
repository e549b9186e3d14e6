"""`paceline organisation`: what an operator decides about organisations."""

import argparse
import uuid

from paceline.kept import tell
from paceline.operating_user import this_user
from paceline.settings import Settings
from persistence.stores import Transactions
from services.kernel.clock import Clock
from services.kernel.ids import OrganisationId, Uuid7Ids
from services.organisations.organisation import MOST_SEATS, SEATS
from services.organisations.organisations import OrganisationActs, SeatsView

DESCRIPTION = f"""
Says how many seats an organisation has: {SEATS} until you say otherwise. With fewer than are taken, whoever sits stays, and nobody
comes in until there is room. Its owners find its id on the page /organisation.

`owner` makes a member an owner, for an organisation without admins whose last owner has had their account erased.

With the local PostgreSQL, stop `paceline run` first: it serves one process at a time. Seats can be set over HTTP meanwhile
(PUT /v1/operations/organisations/{{id}}/seats).
"""
EPILOG = """
examples:
  paceline organisation show 01998c2e-7c00-7000-8000-000000000001
  paceline organisation seats 01998c2e-7c00-7000-8000-000000000001 25
  paceline organisation owner 01998c2e-7c00-7000-8000-000000000001 mira@example.org
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "organisation",
        help="say how many seats an organisation has",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acts = command.add_subparsers(dest="act", metavar="ACT", required=True)
    show = acts.add_parser("show", help="how many of its seats are taken")
    _id(show)
    seats = acts.add_parser("seats", help="give it so many")
    _id(seats)
    seats.add_argument("seats", type=int, choices=range(1, MOST_SEATS + 1), metavar=f"1-{MOST_SEATS}", help="how many")
    owner = acts.add_parser("owner", help="make a member an owner")
    _id(owner)
    owner.add_argument("email", help="the address of the member's account")


def _id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=uuid.UUID, help="the organisation's id")


def run(args: argparse.Namespace) -> int:
    """Do it and say how it is then; 0 when that worked."""

    async def work(_: Settings, transactions: Transactions, clock: Clock) -> str:
        acts = OrganisationActs(transactions, clock, Uuid7Ids(clock))
        return _told(await _do(acts, OrganisationId(args.id), args))

    return tell(work)


async def _do(acts: OrganisationActs, organisation_id: OrganisationId, args: argparse.Namespace) -> SeatsView:
    match args.act:
        case "seats":
            return await acts.set_seats(this_user(), organisation_id, args.seats)
        case "owner":
            return await acts.make_owner(this_user(), organisation_id, args.email)
        case _:
            return await acts.look(organisation_id)


def _told(view: SeatsView) -> str:
    owners = "an owner" if view.owners == 1 else f"{view.owners} owners"
    return f"{view.name}: {view.taken} of {view.seats} seats taken, with {owners} among them"
