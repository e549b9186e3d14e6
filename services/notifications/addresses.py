"""Where somebody can be reached beside the inbox: devices that take pushes, and a telephone number. Pure.

A push token belongs to an installation of the app, not to a person: when somebody else logs in on that phone, the token
moves to them, or the first one's messages would light up the second one's screen.
"""

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from services.kernel.ids import AccountId, DeviceId
from services.kernel.problems import BadShape
from services.notifications.deciding import Kind

MAX_DEVICES: Final = 20
"""Living devices of one account; the one that was seen longest ago gives way."""
MAX_ADDRESS: Final = 1_024
_APNS: Final = re.compile(r"[0-9a-f]{64,200}")
_FCM: Final = re.compile(r"[A-Za-z0-9_:\-]{32,1000}")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,100}=?=?")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")


class PushDevice(msgspec.Struct, frozen=True):
    """A device as stored. `name` is what it calls itself. `dead_at_ms`: when its provider said that nobody lives there."""

    id: DeviceId
    account_id: AccountId
    kind: Kind
    address: str
    p256dh: str
    auth: str
    name: str
    created_at_ms: int
    seen_at_ms: int
    dead_at_ms: int | None = None


class NewDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an app says of itself to be sent pushes. `address`: the token of APNs (hex) or FCM, the endpoint of Web Push;
    `p256dh` and `auth` the keys of a Web Push subscription."""

    kind: Kind
    address: str
    p256dh: str = ""
    auth: str = ""
    name: str = ""


def checked(device: NewDevice) -> NewDevice:
    """The device, fit to be stored. Raises BadShape with the path."""
    if len(device.address) > MAX_ADDRESS:
        raise BadShape(f"an address has at most {MAX_ADDRESS} characters", path="$.address")
    match device.kind:
        case "apns":
            address = device.address.lower()
            if not _APNS.fullmatch(address):
                raise BadShape("a token of APNs is written in hexadecimal digits", path="$.address")
            return msgspec.structs.replace(device, address=address, p256dh="", auth="")
        case "fcm":
            if not _FCM.fullmatch(device.address):
                raise BadShape("this is no registration token of FCM", path="$.address")
            return msgspec.structs.replace(device, p256dh="", auth="")
        case "webpush":
            # Whether the address may be called at all is for the client that calls it.
            try:
                parts = urlsplit(device.address)
            except ValueError as wrong:
                raise BadShape("this is no address", path="$.address") from wrong
            if parts.scheme != "https" or not parts.hostname or not device.address.isascii():
                raise BadShape("the endpoint of a Web Push subscription begins with https://", path="$.address")
            for name in ("p256dh", "auth"):
                if not _KEY.fullmatch(getattr(device, name)):
                    raise BadShape(f"{name} is the subscription's key in base64url", path=f"$.{name}")
            return device


def normal_phone(text: str) -> str:
    """The number in E.164 form. Raises BadShape at `$.phone`."""
    number = re.sub(r"[ ()./-]", "", text)
    if not _PHONE.fullmatch(number):
        raise BadShape("write the number with its country, like +49 151 12345678", path="$.phone")
    return number
