"""The AsyncAPI 3.0 document, made from the catalogue that the sockets decode with (`realtime/wire.py`).

How Socket.IO is mapped: the namespace `/live` is one channel; each event is a message; an event from a client is an
operation that this server *receives*, with the acknowledgement as its reply; an event from the server is an operation
that it *sends*. Schemas are JSON Schema 2020-12, said so with each, because AsyncAPI's own dialect is older.

Print it with `python -m gateway.http.asyncapi`.
"""

import sys
from typing import Any, Final

import msgspec

from gateway.http.examples import example_of
from gateway.http.openapi import API_VERSION, Json, text
from gateway.sockets.renewal import WARN_S
from realtime.disconnect import ENDINGS
from realtime.limits import (
    ACCOUNT_FACTOR,
    BYTES_PER_TOKEN,
    CHAT_BURST,
    CHAT_PER_SECOND,
    EVENTS_BURST,
    EVENTS_PER_SECOND,
    MAX_ROOMS,
    ROOM_CHAT_BURST,
    ROOM_CHAT_PER_SECOND,
    STRIKES,
    STRIKES_WINDOW_S,
)
from realtime.room_log import KEEP_S, READ_BYTES, READ_EVENTS
from realtime.wire import (
    BY_NAME,
    CLIENT_EVENTS,
    EVENTS,
    MAX_BATCH_SAMPLES,
    MAX_PAYLOAD_BYTES,
    MAX_UNACKED_SAMPLES,
    NAMESPACE,
    SERVER_EVENTS,
    Event,
)
from services.kernel.problems import ProblemView

SCHEMA_FORMAT: Final = "application/schema+json;version=draft-2020-12"
CHANNEL: Final = "live"
_REF: Final = "#/components/schemas/{name}/schema"

_ABOUT: Final = f"""\
Connect with any Socket.IO 5 client (Engine.IO 4; WebSocket, or long-polling first) to the path `/socket.io/` and open
the namespace `{NAMESPACE}` with `auth: {{"token": "<access token>"}}`. A refused CONNECT carries the problem as the
error's `data`. A client that uses the JavaScript client's `retries` without `ackTimeout` adds `"acks": "error-first"`: every
acknowledgement then has a null before its object, because that client takes the first argument for an error.

Every event from a client carries one object and is acknowledged with one object: `{{"ok": <reply>}}` or
`{{"problem": {{"code", "message", "retry", …}}}}`. An event sent without an acknowledgement id gets its problem, if there is
one, as the event `problem`. Unknown fields are refused. There is no binary.

The acknowledgement of `stream.samples` is given after the samples are committed, and not before: keep them until then, send
them again after a reconnect, in any overlap. A batch has at most {MAX_BATCH_SAMPLES} samples, a stream at most
{MAX_UNACKED_SAMPLES} that are not acknowledged, a message at most {MAX_PAYLOAD_BYTES} bytes.

What must arrive in a room (`cue`, `chat.said`, `class.ended`, `class.summary` and others marked so) carries the `position` it has
in the room's log, as the last field of the payload and again as a second argument of the event: a handler gets two. Keep the
last position of each room. To come back, give it as `since` to `room.join`, or for all rooms at once as
`"rooms": [{{"code", "role", "since"}}]` beside the token, which is answered with one `room.recovered` per room.
`recovered: true` is said only with proof: `missed` is then everything since, in order, at most {READ_EVENTS} events of
{READ_BYTES // 1024} KiB together, kept for {KEEP_S / 60:.0f} minutes. Otherwise, and when `room.reset` comes, start from the board
that comes with it. The JavaScript client's own connection state recovery works too.

A connection may send {EVENTS_PER_SECOND:.0f} events per second on average and {EVENTS_BURST:.0f} at once; an event counts once, and
once more for every {BYTES_PER_TOKEN} bytes of it. All connections of an account together may send {ACCOUNT_FACTOR} times as much to
one node. Over that the answer is `rate_limited` with `retry_after_ms`. A connection may be in {MAX_ROOMS} rooms. In
chats an account may say {CHAT_BURST:.0f} things at once and then one every {1 / CHAT_PER_SECOND:.0f} seconds, and
all members of a room together {ROOM_CHAT_BURST:.0f} and {ROOM_CHAT_PER_SECOND:.0f} a second. {STRIKES} refused
messages within {STRIKES_WINDOW_S:.0f} seconds end it.

A connection lasts as long as its access token. {WARN_S:.0f} seconds before that ends comes `token.expiring`: get a new token over
HTTP and send it with `token.renew`, and nothing else changes. Otherwise the connection closes with code 3200.

Before the server closes a connection it sends `bye` with a code. Codes from 3000 to 3499 mean: come back after
`come_back_ms`. Codes from 3500 to 3999 mean: do not, until something has changed.
"""


def document() -> Json:
    """The whole document as plain JSON values."""
    shapes = list(dict.fromkeys([event.shape for event in EVENTS] + [e.reply for e in CLIENT_EVENTS] + [ProblemView]))
    refs, components = msgspec.json.schema_components(shapes, ref_template=_REF)
    ref_of: dict[Any, Json] = dict(zip(shapes, refs, strict=True))
    operations: Json = {}
    for event in CLIENT_EVENTS:
        operations[event.name] = _receives(event)
    for event in SERVER_EVENTS:
        operations[event.name] = _sends(event)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Paceline live",
            "version": API_VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
            "externalDocs": {"description": "The HTTP side door", "url": "/openapi.json"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "here": {
                "host": "{host}",
                "pathname": "/socket.io/",
                "protocol": "ws",
                "protocolVersion": "Socket.IO 5, Engine.IO 4",
                "description": "The server that this document came from; wss where TLS ends in front of it.",
                "variables": {"host": {"default": "localhost:8080", "description": "host and port of the server"}},
                "security": [{"$ref": "#/components/securitySchemes/access_token"}],
            }
        },
        "channels": {
            CHANNEL: {
                "address": NAMESPACE,
                "title": f"The namespace {NAMESPACE}",
                "servers": [{"$ref": "#/servers/here"}],
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(ref_of)},
            }
        },
        "operations": operations,
        "components": {
            "schemas": {name: {"schemaFormat": SCHEMA_FORMAT, "schema": schema} for name, schema in components.items()},
            "messages": _messages(ref_of),
            "securitySchemes": {
                "access_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": 'Not a header: the CONNECT packet\'s payload is {"token": "<access token>"}, with '
                    '"acks": "error-first" where a null is wanted before the object of every acknowledgement.',
                }
            },
        },
        "x-endings": [
            {
                "code": ending.code,
                "name": ending.name,
                "reason": ending.reason,
                "come_back": ending.come_back_ms is not None,
            }
            for ending in ENDINGS
        ],
    }


def _receives(event: Event) -> Json:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{CHANNEL}"},
        "summary": event.doc,
        "messages": [{"$ref": f"#/channels/{CHANNEL}/messages/{event.name}"}],
        "reply": {
            "channel": {"$ref": f"#/channels/{CHANNEL}"},
            "messages": [{"$ref": f"#/channels/{CHANNEL}/messages/{ack_of(event)}"}],
        },
        "x-scopes": list(event.scopes),
    }


def _sends(event: Event) -> Json:
    delivery = event.delivery
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{CHANNEL}"},
        "summary": event.doc,
        "messages": [{"$ref": f"#/channels/{CHANNEL}/messages/{event.name}"}],
        **({} if delivery is None else {"x-delivery": {"class": delivery.name.lower(), "means": delivery.value}}),
        **({"x-second-argument": "the position once more"} if event.positioned else {}),
        "x-scopes": list(event.scopes),
    }


def _messages(ref_of: dict[Any, Json]) -> Json:
    messages: Json = {}
    for event in EVENTS:
        messages[event.name] = {
            "name": event.name,
            "title": event.doc,
            "summary": (event.shape.__doc__ or "").strip().split("\n\n")[0],
            "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": ref_of[event.shape]},
            "examples": [{"name": "example", "payload": example_of(event.shape)}],
        }
    for event in CLIENT_EVENTS:
        messages[ack_of(event)] = {
            "name": ack_of(event),
            "title": f"The acknowledgement of {event.name}.",
            "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": _ack(ref_of[event.reply], ref_of[ProblemView])},
            "examples": [{"name": "done", "payload": {"ok": example_of(_reply(event))}}],
        }
    return messages


def _ack(ok: Json, problem: Json) -> Json:
    """Exactly one of the two."""
    return {
        "oneOf": [
            {"type": "object", "properties": {"ok": ok}, "required": ["ok"], "additionalProperties": False},
            {
                "type": "object",
                "properties": {"problem": problem},
                "required": ["problem"],
                "additionalProperties": False,
            },
        ]
    }


def ack_of(event: Event) -> str:
    """The name of the message that acknowledges `event`."""
    return f"{BY_NAME[event.name].name}.ack"


def _reply(event: Event) -> type:
    if event.reply is None:
        raise TypeError(f"{event.name} is not an event of a client")
    return event.reply


if __name__ == "__main__":
    sys.stdout.write(text(document()))
