"""Whether this node hears the others, decided from what it has heard.

A node that has gone deaf notices nothing: no error comes, boards of other nodes simply stop moving. So every node says
a heartbeat on the channel that all follow, and must hear it itself. Hearing oneself proves the carrier. It does not prove that
one hears everybody, so a heartbeat also says whom its sender hears: a peer that others hear and we do not is deafness too.

Silence is counted in time that this node was awake. A loop that stood still for 12 s finds a dozen seconds of other people's
messages unread; had it looked at the wall first, it would declare everybody dead. So time passes here only while somebody
looks, two rounds at most from one look to the next. And a deaf node judges nobody: as long as it does not hear itself, no
peer's silence grows.

Pure: no clock, no I/O. `now` is monotonic seconds.
"""

from dataclasses import dataclass
from typing import Final

HEARTBEAT_EVERY_S: Final = 1.5
"""How often a node tells the others that it is there, and looks whether it hears."""
DEAF_AFTER_S: Final = 6.0
"""Without one's own heartbeat. Four of them; with a round on top it is noticed within 8 s."""
GONE_AFTER_S: Final = 14.0
"""A peer that was not heard this long is dead to us. A loop that stops for 12 s right before its heartbeat is not."""
LISTED_S: Final = 10.0
"""After this long without a word a peer is no longer listed."""
NAMED_S: Final = 2.5
"""Heard this lately, a peer may be named to others as one that speaks."""
BELIEVED_S: Final = 2.0
"""So long it is believed. Together they must stay below `DEAF_AFTER_S`: whoever dies is named for a while by the living."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a node hears the others: since when it is so (monotonic seconds), and why not, in a sentence."""

    fresh: bool
    since: float
    reason: str = ""


@dataclass(slots=True)
class _Peer:
    """`heard_at` monotonic, None never; `silent_from` on the hand of awake time; `named_at` when others said that it speaks."""

    heard_at: float | None
    silent_from: float
    named_at: float = float("-inf")


class Watchdog:
    """See the module. Looked at once per heartbeat."""

    def __init__(self, now: float) -> None:
        self._looked_at = now
        self._awake = 0.0
        self._hearing = 0.0
        self._own_heard = 0.0
        self._own_heard_at: float | None = None
        self._peers: dict[str, _Peer] = {}
        self.standing = Standing(True, now)

    def begin(self, now: float) -> None:
        """The node starts: the time before does not count."""
        self._looked_at = now
        self._own_heard = self._awake

    # -- what is heard ----------------------------------------------------------------------------------------------

    def heard_own(self, now: float) -> None:
        """The node's own heartbeat came back."""
        self._pass_time(now)
        self._own_heard, self._own_heard_at = self._awake, now

    def heard(self, peer: str, now: float) -> None:
        """A peer has said something, whatever it is."""
        self._pass_time(now)
        known = self._peers.get(peer)
        if known is None:
            self._peers[peer] = _Peer(now, self._hearing)
        else:
            known.heard_at, known.silent_from = now, self._hearing

    def named(self, peer: str, now: float) -> None:
        """Another node says that it hears this peer."""
        known = self._peers.setdefault(peer, _Peer(None, self._hearing))
        known.named_at = now

    # -- what follows from it ---------------------------------------------------------------------------------------

    def look(self, now: float, *, carried: bool) -> Standing:
        """Whether this node hears. `carried`: whether the carrier says of itself that it is well. Whom nobody has heard for
        long is forgotten."""
        self._pass_time(now)
        self._peers = {
            peer: known
            for peer, known in self._peers.items()
            if self._silence(known) < GONE_AFTER_S or now - known.named_at < GONE_AFTER_S
        }
        reason = self._reason(now, carried=carried)
        if (not reason) != self.standing.fresh or reason != self.standing.reason:
            since = self.standing.since if (not reason) == self.standing.fresh else now
            self.standing = Standing(not reason, since, reason)
        return self.standing

    def gone(self, peer: str, now: float) -> bool:
        """Whether a peer has been silent so long that nobody can be there through it."""
        self._pass_time(now)
        known = self._peers.get(peer)
        return known is None or self._silence(known) >= GONE_AFTER_S

    def hears(self, now: float) -> tuple[str, ...]:
        """The peers that this node may name to others as speaking."""
        return tuple(
            peer for peer, known in self._peers.items() if known.heard_at is not None and now - known.heard_at < NAMED_S
        )

    def peers(self, now: float) -> dict[str, float]:
        """Other nodes that were heard lately, with the seconds since."""
        return {
            peer: now - known.heard_at
            for peer, known in self._peers.items()
            if known.heard_at is not None and now - known.heard_at < LISTED_S
        }

    def own_age(self, now: float) -> float:
        """Seconds since the node's own heartbeat was heard, or since it is looked for."""
        return self._own_silence() if self._own_heard_at is None else now - self._own_heard_at

    def _pass_time(self, now: float) -> None:
        passed = min(max(now - self._looked_at, 0.0), 2 * HEARTBEAT_EVERY_S)
        self._looked_at = now
        self._awake += passed
        if self._own_silence() < 2 * HEARTBEAT_EVERY_S:
            self._hearing += passed

    def _own_silence(self) -> float:
        return self._awake - self._own_heard

    def _silence(self, known: _Peer) -> float:
        return self._hearing - known.silent_from

    def _reason(self, now: float, *, carried: bool) -> str:
        if self._own_silence() >= DEAF_AFTER_S:
            return f"this node has not heard its own heartbeat for {DEAF_AFTER_S:g} s"
        if not carried and self._awake >= DEAF_AFTER_S:
            return "the carrier between nodes does not work right now"
        unheard = [
            peer
            for peer, known in self._peers.items()
            if now - known.named_at < BELIEVED_S and self._silence(known) >= DEAF_AFTER_S
        ]
        if unheard:
            return f"other nodes hear {', '.join(sorted(unheard))}, and this one does not"
        return ""
