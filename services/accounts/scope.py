"""What an app or a script may of what its person may: the closed table of scopes.

Deny by default. Whoever comes with scopes opens only the routes and events whose rows name one of theirs (`scope` in gateway/http,
`scopes` in realtime/wire.py); everything else answers `forbidden`, with the scope that is missing, or without one where no app can
do it at all: what somebody agrees to, how they are shown, leading a class, logins and passwords. A scope never adds anything: what
it opens is then judged as if the person had asked.

A scope is for people, who lend it on the page that asks them, or for services: apps that speak for themselves, and have no account
behind them whose rights could be lent.

Adding a scope: its name in services/kernel/caller.py, its sentence here, and the rows that it opens.
"""

from collections.abc import Iterable
from typing import Final, get_args

from services.kernel.caller import Caller, Scope
from services.kernel.problems import Forbidden

SENTENCES: Final[dict[Scope, str]] = {
    "profile:read": "See your name, e-mail address, roles, body data and what your account may have.",
    "profile:write": "Change your name and body data.",
    "workouts:read": "Read your workouts with every heart rate in them, and be told when one is finished.",
    "classes:read": "Look at classes that you were in or may book, and at your bookings.",
    "classes:book": "Book classes in your name, and cancel bookings.",
    "classes:join": "Join live classes in your name, as athlete or spectator, and see their boards.",
    "classes:chat": "Read and write in the chat of classes in your name.",
    "classes:manage": "Make, offer, change and end classes in your name, if you are a coach.",
    "live:stream": "Send heart rates and movement as your workouts.",
    "challenges:read": "Look at the challenges that you are in.",
    "notifications:read": "Read what you are notified of.",
    "webhooks:manage": "Have other servers told of your workouts, heart rates included, and of classes that you coach.",
    "app:read": "For the app itself: its own registration, and how many people use it.",
}
"""What each allows, as it is said to the person who is asked. The order is that of the page."""
FOR_SERVICES: Final[frozenset[Scope]] = frozenset({"app:read"})
FOR_PEOPLE: Final[frozenset[Scope]] = frozenset(SENTENCES) - FOR_SERVICES
_KNOWN: Final[dict[str, Scope]] = {name: name for name in get_args(Scope)}


def scopes_of(text: str) -> frozenset[Scope] | None:
    """The scopes of a text as RFC 6749 writes them, with a space between; None when one of them does not exist."""
    names = text.split(" ") if text else []
    if any(name not in _KNOWN for name in names):
        return None
    return frozenset(_KNOWN[name] for name in names)


def known(names: Iterable[str]) -> frozenset[Scope]:
    """Those of `names` that are scopes; what was lent of a scope that is no more opens nothing."""
    return frozenset(_KNOWN[name] for name in names if name in _KNOWN)


def written(scopes: Iterable[Scope]) -> str:
    """The same text for the same scopes, as RFC 6749 writes it."""
    return " ".join(in_order(scopes))


def in_order(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """In the order of the table."""
    given = frozenset(scopes)
    return tuple(scope for scope in SENTENCES if scope in given)


def require_scope(caller: Caller, opened_by: Iterable[Scope]) -> None:
    """Raise `Forbidden` when the caller comes with scopes and none of them is among those that open something."""
    if caller.scopes is None:
        return
    names = in_order(opened_by)
    if not caller.scopes.isdisjoint(names):
        return
    if not names:
        raise Forbidden("no app and no key may do this: it takes the person, with a login of their own")
    raise Forbidden(f"this needs the scope {' or '.join(names)}, which was not granted", scope=" ".join(names))
