"""What becomes of a cue: who has got it, who has seen it, and how long that took. Pure.

Every node tells what its own members' clients have acknowledged, several times and in any order. Of what is told twice the earliest
counts, so adding up is idempotent and indifferent to order.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec


class Receipt(msgspec.Struct, frozen=True):
    """One member's receipt of the cue at the position `cue`. `delivered_ms` and `seen_ms` (None: not yet) are ms since it was
    said, by the server's clock when the receipt came: the way back is counted in. `noted_ms` when that was, wall ms."""

    cue: str
    delivered_ms: int
    noted_ms: int
    seen_ms: int | None = None


class Tally(msgspec.Struct, frozen=True):
    """How many have got a cue and seen it, and in which time (ms) half and 95 % of those had got it."""

    delivered: int
    seen: int
    p50_ms: int | None
    p95_ms: int | None


NOTHING_HEARD: Final = Tally(0, 0, None, None)


def merged(known: Receipt | None, told: Receipt) -> Receipt:
    """What two receipts of one member for one cue say together."""
    if known is None:
        return told
    seen = [each.seen_ms for each in (known, told) if each.seen_ms is not None]
    return Receipt(
        cue=told.cue,
        delivered_ms=min(known.delivered_ms, told.delivered_ms),
        noted_ms=min(known.noted_ms, told.noted_ms),
        seen_ms=min(seen, default=None),
    )


def with_receipt(receipts: tuple[Receipt, ...], told: Receipt, most: int) -> tuple[Receipt, ...]:
    """A member's receipts with one more; the `most` newest of them stay."""
    known = {receipt.cue: receipt for receipt in receipts}
    known[told.cue] = merged(known.pop(told.cue, None), told)
    return tuple(known.values())[-most:]


def tally_of(receipts: Mapping[int, Receipt]) -> Tally:
    """The tally of one cue, of receipts by member."""
    if not receipts:
        return NOTHING_HEARD
    took = sorted(receipt.delivered_ms for receipt in receipts.values())
    seen = sum(receipt.seen_ms is not None for receipt in receipts.values())
    return Tally(len(took), seen, percentile(took, 50), percentile(took, 95))


def percentile(values: Sequence[int], percent: int) -> int:
    """The nearest-rank percentile of sorted values: the least of them that so many percent do not exceed."""
    return values[max(-(-len(values) * percent // 100), 1) - 1]


def collected(told: Iterable[tuple[int, Receipt]]) -> dict[str, dict[int, Receipt]]:
    """Receipts of members, by number, put together by cue."""
    found: dict[str, dict[int, Receipt]] = {}
    for n, receipt in told:
        of_cue = found.setdefault(receipt.cue, {})
        of_cue[n] = merged(of_cue.get(n), receipt)
    return found
