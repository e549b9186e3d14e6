"""`paceline keys`: the keys that sign access tokens, and those that seal."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import datetime

from paceline.kept import tell
from paceline.keys import known_sealing_keys, known_signing_key, longest_token_ms
from paceline.operating_user import this_user
from paceline.settings import Settings
from persistence.stores import Transactions
from services.accounts.keyring import LEAD_MS, READ_EVERY_MS, STOLEN_LEAD_MS, load_key
from services.accounts.keys import Keys, KeyView
from services.kernel.clock import Clock, utc
from services.kernel.sealing import Seals, number_of

MINUTE_MS = 60_000
DESCRIPTION = f"""
Shows the keys that sign access tokens, and replaces the one that does. Every node reads them each {READ_EVERY_MS // 1_000} s,
so nothing has to be restarted, and nobody notices: a new key is published, takes over after {LEAD_MS // MINUTE_MS} minutes, and
the old one is believed until its last token has expired.

When a key was stolen, say so: the new one takes over after {STOLEN_LEAD_MS // MINUTE_MS} minutes, and everything that other keys
have signed is refused from then on. Apps get new tokens by their refresh tokens; big screens open anew with the code of
their class. If it was PACELINE_TOKEN_KEY, replace that on all nodes once the new one signs: the links in mails and text
messages are made with it.

The keys that seal (PACELINE_SEALING_KEYS) are changed in the configuration, without anything that stops: give all nodes
the new key second, then first. A job brings everything under the first one; `sealing` says when nothing is under the others.

With the local PostgreSQL, stop `paceline run` first: it serves one process at a time. Give this command the database
and the keys of the nodes: DATABASE_URL, PACELINE_TOKEN_KEY and PACELINE_SEALING_KEYS, or their data folder. It makes
none, and changes nothing when its keys are not those that the nodes use.
"""
EPILOG = """
examples:
  paceline keys list
  paceline keys sealing
  paceline keys rotate
  paceline keys rotate --stolen
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "keys",
        help="show or replace the keys that sign access tokens",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acts = command.add_subparsers(dest="act", metavar="ACT", required=True)
    acts.add_parser("sealing", help="show which of PACELINE_SEALING_KEYS is still needed, and what is sealed by now")
    acts.add_parser("list", help="show them in the order in which they sign")
    rotate = acts.add_parser("rotate", help="make a key that takes over")
    rotate.add_argument("--stolen", action="store_true", help="soon, and refuse all others from then on")


def run(args: argparse.Namespace) -> int:
    """Do it and say how it is then; 0 when that worked."""

    async def work(settings: Settings, transactions: Transactions, clock: Clock) -> str:
        sealing = known_sealing_keys(settings)
        if args.act == "sealing":
            async with transactions() as stores:
                return _sealing(sealing, await stores.sealing_keys.counts(), await stores.sealing_passes.all())
        key = load_key(known_signing_key(settings))
        keys = Keys(transactions, Seals(sealing), key, clock, token_ms=longest_token_ms(settings))
        if args.act == "rotate":
            await keys.rotate(stolen=args.stolen, by=this_user())
        return _told(await keys.all())

    return tell(work)


def _told(keys: Sequence[KeyView]) -> str:
    rows = [("", "key", "signs from", "believed until")]
    for key in keys:
        begins = "the beginning" if key.signs_from_ms == 0 else _when(key.signs_from_ms)
        ends = "no end" if key.retires_ms is None else _when(key.retires_ms)
        state = "signs" if key.signs else "retired" if key.retired else ""
        rows.append((state, key.kid, begins, ends))
    return "\n".join(f"{state:<8} {kid:<44} {begins:<22} {ends}".rstrip() for state, kid, begins, ends in rows)


def _sealing(
    keys: Sequence[bytes], counts: Mapping[bytes, int], passes: Sequence[tuple[str, int, datetime | None]]
) -> str:
    known = {number_of(key): n for n, key in enumerate(keys, 1)}
    lines = [
        f"key {n} of {len(keys)}: seals {counts.get(number, 0)}"
        + (", the newest" if n == 1 else "" if counts.get(number) else ", may be taken away")
        for number, n in known.items()
    ]
    lines += [
        f"a key that is not among PACELINE_SEALING_KEYS: seals {n}; put it back"
        for number, n in sorted(counts.items())
        if number not in known
    ]
    lines += [
        f"{table}: {rows} rows sealed, {'being gone through' if ended_at is None else 'done'}"
        for table, rows, ended_at in passes
    ]
    return "\n".join(lines)


def _when(wall_ms: int) -> str:
    return f"{utc(wall_ms):%Y-%m-%d %H:%M:%S} UTC"
