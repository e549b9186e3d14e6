"""Everything that shows a body is known to the audit, by the shapes of the routes and of the events."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.http.routes import ROUTES
from realtime.wire import EVENTS
from services.accounts.opening import LoggedIn
from services.audit import looks
from services.audit.entry import ACTS
from services.audit.looks import HEALTH, OWN, PLAN, ROOM

WHAT_TO_DO: Final = "say in services/audit/looks.py who may see it, and tell the audit where it shows somebody else's"


def fields_of(shape: type) -> set[str]:
    """The names of all fields in a shape, however deep."""
    return set(_names(msgspec.inspect.type_info(shape), {LoggedIn}))  # what one is told of oneself who gets in


def _names(kind: Any, seen: set[type]) -> Iterator[str]:
    match kind:
        case msgspec.inspect.StructType(cls=cls, fields=fields) if cls not in seen:
            seen.add(cls)
            for field in fields:
                yield field.encode_name
                yield from _names(field.type, seen)
        case msgspec.inspect.UnionType(types=parts) | msgspec.inspect.TupleType(item_types=parts):
            for part in parts:
                yield from _names(part, seen)
        case (
            msgspec.inspect.ListType(item_type=item)
            | msgspec.inspect.VarTupleType(item_type=item)
            | msgspec.inspect.SetType(item_type=item)
            | msgspec.inspect.FrozenSetType(item_type=item)
            | msgspec.inspect.DictType(value_type=item)
        ):
            yield from _names(item, seen)


def test_every_route_that_answers_with_health_is_in_the_table() -> None:
    """ASVS 16.3.2: access to what is sensitive is logged."""
    show = {route.name for route in ROUTES if route.reply is not None and fields_of(route.reply) & HEALTH}
    # What is played again has no such name in it: its events are raw.
    assert show | {"class_replay"} == set(looks.ROUTES), WHAT_TO_DO


def test_every_event_with_health_in_it_is_in_the_table() -> None:
    """ASVS 16.3.2."""
    show = {
        event.name
        for event in EVENTS
        if any(fields_of(shape) & HEALTH for shape in (event.shape, event.reply) if shape is not None)
    }
    assert show == set(looks.EVENTS), WHAT_TO_DO


def test_what_is_neither_ones_own_nor_the_rooms_is_an_act_of_the_audit() -> None:
    named = {*looks.ROUTES.values(), *looks.EVENTS.values()} - {OWN, ROOM, PLAN}
    assert named <= set(ACTS)
    views = {act for act, row in ACTS.items() if row.kind == "view"}
    views -= {"audit.read", "account.looked_up", "connections.looked_up", "room.looked_up", "rooms.looked_up"}
    assert views <= named, "a look that nothing shows"
