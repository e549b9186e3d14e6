"""Kinds of options that providers of mail and push, and our own apps, need: see option.py for what a kind is."""

import json
from typing import Final

from paceline.option import MASK, Kind, mask_url, pkcs8
from services.accounts.native_apps import AndroidApp, android_app, apple_app
from services.accounts.provider import Provider, read_providers
from workers.outbound.mail_server import way_of
from workers.outbound.mime import mailbox

_P256_ALGORITHM: Final = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
"""In PKCS#8, what says "an EC key on P-256" (RFC 5480)."""
_SERVICE_ACCOUNT: Final = ("project_id", "private_key_id", "private_key", "client_email", "token_uri")


def mail_url() -> Kind[str]:
    """Where mail is handed in: a server or a folder; the empty text is none."""

    def parse(value: str) -> str:
        if value:
            way_of(value)
        return value

    expects = "a URL such as smtps://user:password@mail.example.org or file:///var/mail/paceline"
    return Kind(expects, parse, show=mask_url, secret=True)


def mail_sender() -> Kind[str]:
    """A mail address, with a name before it or without; the empty text is none."""

    def parse(value: str) -> str:
        if value:
            mailbox(value)
        return value

    return Kind("an address such as Paceline <no-reply@example.org>", parse)


def p256_key(cure: str) -> Kind[str]:
    """A private EC key on P-256, unencrypted PKCS#8 in PEM; the empty text is none. `\\n` may stand for a line break."""

    def parse(value: str) -> str:
        pem, der = pkcs8(value)
        if pem and _P256_ALGORITHM not in der[:32]:
            raise ValueError("it is a key of another kind")
        return pem

    return Kind(f"an EC private key on P-256: {cure}", parse, show=lambda _: MASK, secret=True)


def android_apps() -> Kind[tuple[AndroidApp, ...]]:
    """Apps on Android with commas between; the empty text is none."""

    def parse(value: str) -> tuple[AndroidApp, ...]:
        return tuple(dict.fromkeys(android_app(one.strip()) for one in value.split(",") if one.strip()))

    return Kind(
        "apps with commas between: org.example.app=AA:BB:… with the 32 bytes that keytool shows as SHA256", parse
    )


def apple_apps() -> Kind[tuple[str, ...]]:
    """Apps on iPhones with commas between; the empty text is none."""

    def parse(value: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(apple_app(one.strip()) for one in value.split(",") if one.strip()))

    return Kind("apps with commas between, each with its team: ABCDE12345.org.example.app", parse)


def sign_in_providers() -> Kind[tuple[Provider, ...]]:
    """Providers that people sign in with, as TOML; the empty text is none."""

    expects = "TOML with a table for each provider, as docs/howto/sign-in.md shows"
    return Kind(expects, read_providers, show=lambda _: MASK, secret=True)


def service_account() -> Kind[str]:
    """The JSON file of a service account of Google; the empty text is none."""

    def parse(value: str) -> str:
        if not value:
            return value
        try:
            held = json.loads(value)
        except ValueError as error:
            raise ValueError("it is not JSON") from error
        fields = held if isinstance(held, dict) else {}
        if missing := [name for name in _SERVICE_ACCOUNT if not isinstance(fields.get(name), str)]:
            raise ValueError(f"it has no {', '.join(missing)}")
        return value

    expects = "the JSON file that the console of Google gives for a service account"
    return Kind(expects, parse, show=lambda _: MASK, secret=True)
