"""An app on a socket: it sends and hears what its scopes name, and nothing else."""

import uuid

import msgspec
import pytest

from gateway.http.examples import example_of
from realtime.codec import event_frame
from realtime.node import channel_of_account
from realtime.wire import MemberRemove, NotificationsRead, StreamTaken
from services.kernel.caller import Caller, Scope
from services.kernel.ids import AccountId, AppId, LoginId, StreamId
from tests.gateway.sockets.build import ROOM, Gateway, identify, open_client, open_gateway

STREAM = StreamId(uuid.UUID(int=3))
BATCH = {"stream": str(STREAM), "seq": 0, "samples": [[0, 140]]}
APP = AppId(uuid.UUID(int=9))
ACCOUNT = AccountId(uuid.UUID(int=1))


def lent(*scopes: Scope) -> Caller:
    """An app of account 1, with a login of its own."""
    return Caller(ACCOUNT, LoginId(APP), "Ada", frozenset({"member"}), 0, scopes=frozenset(scopes), app_id=APP)


def callers(token: str) -> Caller:
    """Tokens are numbers of people, or the scopes of an app."""
    return identify(token) if token.isdigit() else lent(*token.split())  # type: ignore[arg-type]


async def test_an_app_that_may_stream_may_not_chat() -> None:
    """ASVS 10.3.2, OWASP API5."""
    async with open_gateway(identify=callers) as gateway, open_client(gateway) as client:
        await client.connect("live:stream")
        await client.event("stream.samples", BATCH)
        await gateway.wait_until(lambda: len(gateway.calls.seen) == 1)
        refused = await client.call("chat.send", {"class_id": str(ROOM), "text": "hello", "key": "k"})
        assert refused["problem"]["code"] == "forbidden"
        assert refused["problem"]["data"] == {"scope": "classes:chat"}
        nobody = await client.call("member.remove", msgspec.to_builtins(example_of(MemberRemove)))
        assert nobody["problem"]["code"] == "forbidden"
        assert "it takes the person" in nobody["problem"]["message"]
        assert len(gateway.calls.seen) == 1


async def test_an_app_hears_of_its_account_only_what_its_scopes_name() -> None:
    """ASVS 10.3.2, OWASP API3: what is told to the account is not told to every app of it."""
    async with open_gateway(identify=callers) as gateway, open_client(gateway) as app, open_client(gateway) as person:
        await app.connect("live:stream")
        await person.connect("1")
        tell(gateway)
        assert [(await person.received())[0] for _ in range(2)] == ["notifications.read", "stream.taken"]
        assert (await app.received())[0] == "stream.taken"


async def test_an_app_hears_as_little_when_it_is_told_alone() -> None:
    """The same by the other way out, `Connection.push`."""
    async with open_gateway(identify=callers) as gateway, open_client(gateway) as app:
        await app.connect("live:stream")
        connection = gateway.connection()
        connection.push(event_frame("notifications.read", NotificationsRead(unread=0)))
        connection.push(event_frame("stream.taken", StreamTaken(stream=STREAM, epoch=1)))
        assert (await app.received())[0] == "stream.taken"


@pytest.mark.parametrize("scopes", ["profile:read", "app:read"])
async def test_an_app_with_nothing_to_do_on_a_socket_is_not_let_in(scopes: str) -> None:
    """ASVS 10.3.2: a service neither, which has no account."""
    async with open_gateway(identify=callers) as gateway, open_client(gateway) as client:
        await client.text(f'40/live,{{"token":"{scopes}"}}')
        answer = await client.packet()
        assert answer.startswith("44/live,"), answer
        assert '"code":"forbidden"' in answer


async def test_rooms_in_the_handshake_need_the_scope_of_joining() -> None:
    """ASVS 8.2.1: a side door of `room.join`."""
    async with open_gateway(identify=callers) as gateway, open_client(gateway) as client:
        await client.text('40/live,{"token":"live:stream","rooms":[{"code":"ABCD"}]}')
        assert '"scope":"classes:join"' in await client.packet()


def tell(gateway: Gateway) -> None:
    """Something about notifications, then something about a stream, to all sockets of the account."""
    channel = channel_of_account(ACCOUNT)
    gateway.node.tell(channel, event_frame("notifications.read", NotificationsRead(unread=0)))
    gateway.node.tell(channel, event_frame("stream.taken", StreamTaken(stream=STREAM, epoch=1)))
