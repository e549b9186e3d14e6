"""`paceline notify`: trying out what is set up for mail, push and SMS."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import msgspec

from paceline.settings import Settings, SettingsError, load_settings
from paceline.third_parties import open_third_parties
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids
from services.notifications.outgoing import Device, Mail, NotTaken, Outgoing, PushMessage, Sms
from workers.outbound.signing_keys import BadKey

DESCRIPTION = """
Sends one message with the settings of this environment, by the same adapters as the workers, and prints the provider's receipt or
its reason. Needs no database and no running gateway.
"""
SUBJECT = "Paceline can reach you"
TEXT = "This is a test from Paceline. It was sent with `paceline notify test`; nothing has to be done."
TTL_S = 3_600


class _Subscription(msgspec.Struct):
    """A browser's push subscription, as `JSON.stringify` gives it."""

    endpoint: str
    keys: dict[str, str]


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser("notify", help="try out mail, push and SMS", description=DESCRIPTION)
    acts = command.add_subparsers(dest="act", metavar="ACT", required=True)
    test = acts.add_parser("test", help="send one message", description=DESCRIPTION)
    to = test.add_mutually_exclusive_group(required=True)
    to.add_argument("--email", metavar="ADDRESS", help="a mail to this address")
    to.add_argument("--sms", metavar="NUMBER", help="a text message to this number (+4915112345678)")
    to.add_argument("--apns", metavar="TOKEN", help="a push to this device of Apple's")
    to.add_argument("--fcm", metavar="TOKEN", help="a push to this Android device")
    to.add_argument(
        "--webpush", metavar="FILE", type=Path, help="a push to the browser whose subscription (JSON) is in FILE"
    )


def run(args: argparse.Namespace) -> int:
    """Send; 0 when the provider has taken it."""
    try:
        settings = load_settings(os.environ)
        print(asyncio.run(_send(settings, args)))
    except (SettingsError, BadKey, msgspec.MsgspecError) as wrong:
        print(wrong, file=sys.stderr)
        return 2
    except NotTaken as end:
        print(f"not taken ({type(end).__name__}): {end}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


async def _send(settings: Settings, args: argparse.Namespace) -> str:
    clock = SystemClock()
    message = _message(args, Uuid7Ids(clock))
    async with open_third_parties(settings, clock, makes_key=False) as ways:
        receipt = await ways.send(message)
    return f"taken by {receipt.provider} as {receipt.provider_id or '(it gave no name)'}"


def _message(args: argparse.Namespace, ids: Uuid7Ids) -> Outgoing:
    message_id = ids.next()
    if args.email:
        return Mail(message_id, args.email, SUBJECT, f"{TEXT}\n", f"<p>{TEXT.replace('`', '')}</p>")
    if args.sms:
        return Sms(message_id, args.sms, TEXT)
    return PushMessage(message_id, _device(args), SUBJECT, TEXT, collapse_key="paceline-test", ttl_s=TTL_S)


def _device(args: argparse.Namespace) -> Device:
    if args.apns:
        return Device("apns", args.apns)
    if args.fcm:
        return Device("fcm", args.fcm)
    given = msgspec.json.decode(args.webpush.read_bytes(), type=_Subscription)
    return Device("webpush", given.endpoint, given.keys.get("p256dh", ""), given.keys.get("auth", ""))
