"""The clockwork of a link: pings, and every other deadline.

All deadlines of a link together are one entry in the engine's timer wheel. When it comes due, `check` looks at
each of them once and says when to look again. So an open link costs one visit per ping interval, two where the
timeout is the shorter of both, and nothing in between; a pong that comes in leaves the wheel alone. All times are
monotonic: a corrected wall clock drops nobody.

The server pings, the client answers (Engine.IO 4). Only the answer counts: a client that talks on without ever
answering a ping does not read what it is sent.
"""

import math
from typing import TYPE_CHECKING, Final

from gateway.sockets.engine.frames import TEXT, server_frame
from realtime.disconnect import NOT_AUTHENTICATED, SILENT, SLOW_READER

if TYPE_CHECKING:
    from gateway.sockets.engine.link import Link

GRACE_S: Final = 2.0
"""How long a line may take to close once it was asked to; then it is cut. A poller's last requests, already under way
when it is told goodbye, are still answered so long: a refused one would make it forget the goodbye."""
POLL_GRACE_S: Final = 5.0
"""How long a poller may take to come for its goodbye. Between two polls it is only a slow round trip away."""
STALL_S: Final = 10.0
"""A line on which something has waited this long without moving a byte is cut."""
UPGRADE_S: Final = 10.0
"""How long a WebSocket may probe before it takes over or is closed."""
LOOK_S: Final = 1.0
"""How often a line that is blocked, or a poll that is pending, is looked at."""

_ROUNDING_S: Final = 0.001
"""Sums of floats are not exact, and clients count in milliseconds."""
_PING: Final = server_frame(TEXT, b"2")
WAITING_PING: Final = (TEXT, b"2")
"""A ping that stands in a link's line, at its head: nothing else is put in front."""


def check(link: "Link", now: float) -> None:
    """Look at every deadline once; ask to be called again."""
    due = _check_open(link, now) if link.ended_at is None else _check_ended(link, now, link.ended_at)
    if due is not None:
        link.engine.wheel.put(link, due)


def check_answer(link: "Link", now: float) -> None:
    """Only the answer to the last ping: asked when a poller comes, who should not be let in a moment too late."""
    if link.ended_at is None and now + _ROUNDING_S >= link.answer_due:
        link.end(SILENT)


def answered(link: "Link", pinged_at: float, now: float) -> None:
    """The ping of `pinged_at` was answered. The next one comes when it would have come anyway."""
    link.rtt_s = rtt_s = now - pinged_at
    link.engine.note_rtt(rtt_s)
    link.pinged_at = None
    link.answer_due = math.inf
    if link.ping_due <= now:
        # The answer took longer than the interval: the wheel waits for its deadline, which is off.
        link.look_at(now)


def _check_ended(link: "Link", now: float, ended_at: float) -> float | None:
    if link.line is not None:
        if now < ended_at + GRACE_S:
            return ended_at + GRACE_S
        link.engine.cut["grace"] += 1
        link.abort()
    elif not link.closed:
        until = ended_at + (GRACE_S if link.goodbye_taken else POLL_GRACE_S)
        if now < until:
            return until
        link.close("transport")
    return None


def _check_open(link: "Link", now: float) -> float | None:
    """When to look again; None when the link has ended."""
    due = math.inf
    if link.blocked_since is not None:
        if _stalled(link, now, link.blocked_since):
            link.end(SLOW_READER)
            link.engine.cut["stalled"] += 1
            link.abort()
            return None
        due = now + LOOK_S
    if link.waiting_since is not None:
        late_at = link.waiting_since + link.engine.auth_deadline_s
        if now >= late_at:
            link.end(NOT_AUTHENTICATED)
            return None
        due = min(due, late_at)
    if link.probe is not None:
        if now >= link.probing_since + UPGRADE_S:
            link.probe.abort()
        due = min(due, link.probing_since + UPGRADE_S)
    if link.poll is not None:
        if link.poll.given_up:
            link.close("transport")
            return None
        due = min(due, now + LOOK_S)
    if (ping := _beat(link, now)) is None:
        return None
    return min(due, ping)


def _stalled(link: "Link", now: float, blocked_since: float) -> bool:
    unwritten = link.unwritten
    if unwritten != link.mark:
        link.mark, link.blocked_since = unwritten, now
        return False
    return now - blocked_since >= STALL_S


def _beat(link: "Link", now: float) -> float | None:
    """Ping when it is time; give the peer up when it has not answered."""
    engine = link.engine
    if link.pinged_at is not None:
        if now < link.answer_due:
            return link.answer_due
        if link.line is None or not link.line.reading_paused:
            link.end(SILENT)
            return None
        # It is we who do not read: the answer may stand in the kernel.
        link.answer_due = now + engine.ping_timeout_s
        return link.answer_due
    if now < link.ping_due:
        return link.ping_due
    # The wheel is a tick late at most, which the peer is not given on top. More than that is our fault, and it is.
    pinged = max(link.ping_due, now - 2 * engine.tick_s)
    link.answer_due = pinged + engine.ping_timeout_s
    link.ping_due = pinged + engine.ping_interval_s
    link.pinged_at = now
    engine.pings += 1
    connection = link.connection
    if connection is not None and connection.write_now is not None:
        # With those of all others whose time has come.
        connection.say(_PING)
    elif link.line is not None and not link.line.blocked and not link.line.closing:
        link.line.write(_PING)
    else:
        link.put(*WAITING_PING, first=True)
    return min(link.answer_due, link.ping_due)
