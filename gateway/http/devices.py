"""Devices that pushes go to, and the key that a browser subscribes with."""

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.kernel.ids import DeviceId
from services.kernel.problems import Forbidden, NotFound
from services.notifications.addresses import MAX_DEVICES, NewDevice, PushDevice
from services.notifications.deciding import Kind


class DeviceView(msgspec.Struct, frozen=True):
    """A device that takes your pushes. Its token is not told to anybody. `seen_at_ms`: when it last said that it lives."""

    id: DeviceId
    kind: Kind
    name: str
    created_at_ms: int
    seen_at_ms: int


class DeviceList(msgspec.Struct, frozen=True):
    """Your devices, last seen first."""

    devices: tuple[DeviceView, ...]


class DevicePath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which device."""

    id: DeviceId


class WebPushKey(msgspec.Struct, frozen=True):
    """The `applicationServerKey` for a browser's subscription, base64url."""

    key: str


async def add_device(deps: GatewayDeps, call: Call[NewDevice, Nothing, Nothing]) -> DeviceView:
    return view_of(await deps.notifications.add_device(call.caller, call.body))


async def own_devices(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> DeviceList:
    return DeviceList(tuple(map(view_of, await deps.notifications.devices(call.caller))))


async def forget_device(deps: GatewayDeps, call: Call[Nothing, Nothing, DevicePath]) -> None:
    await deps.notifications.forget_device(call.caller, call.path.id)


async def web_push_key(deps: GatewayDeps, _: Call[Nothing, Nothing, Nothing]) -> WebPushKey:
    if deps.web_push_key is None:
        raise NotFound("this server sends no pushes to browsers")
    return WebPushKey(deps.web_push_key)


def view_of(device: PushDevice) -> DeviceView:
    """A device as its owner sees it."""
    return DeviceView(device.id, device.kind, device.name, device.created_at_ms, device.seen_at_ms)


ADD_DEVICE = Route(
    "POST",
    "/v1/devices",
    name="add_device",
    permission=may.USE_DEVICES,
    tag="notifications",
    does="Send your pushes to this device, too.",
    more=(
        "Say it at every start of the app: a token that is known is renewed, and moves to you when somebody else had it."
        f" An account has {MAX_DEVICES} devices; the one that was seen longest ago gives way. A token whose provider says that"
        " nobody lives there is forgotten until the device says it again. Logging out forgets the devices of that login."
    ),
    handler=add_device,
    body=NewDevice,
    query=Nothing,
    path=Nothing,
    reply=DeviceView,
    problems=(Forbidden,),
)
OWN_DEVICES = Route(
    "GET",
    "/v1/devices",
    name="own_devices",
    permission=may.USE_DEVICES,
    tag="notifications",
    does="The devices that your pushes go to.",
    handler=own_devices,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=DeviceList,
    problems=(Forbidden,),
)
FORGET_DEVICE = Route(
    "DELETE",
    "/v1/devices/{id}",
    name="forget_device",
    permission=may.USE_DEVICES,
    tag="notifications",
    does="Send nothing to this device any more.",
    handler=forget_device,
    body=Nothing,
    query=Nothing,
    path=DevicePath,
    reply=None,
    status=204,
    problems=(Forbidden, NotFound),
)
WEB_PUSH_KEY = Route(
    "GET",
    "/v1/web-push-key",
    name="web_push_key",
    permission=may.PUBLIC,
    tag="notifications",
    does="The public key that a browser subscribes to pushes with.",
    handler=web_push_key,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=WebPushKey,
    auth="none",
    problems=(NotFound,),
)
