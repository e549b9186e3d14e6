"""Our own apps on phones, which use the same passkeys as our pages. Pure.

A passkey is for a domain, and its owner's phone shows it to an app only where that domain says whose the app is: Android
reads `/.well-known/assetlinks.json`, Apple `/.well-known/apple-app-site-association`. What it then signs names where it was
shown. From an iPhone that is our https origin, as in a browser. From Android it is the certificate that the app was signed
with (`android:apk-key-hash:…`), which no page of the web can be; so an app that is not named here gets no signature that we
would take, whatever it is called.
"""

import base64
import re
from collections.abc import Iterable
from typing import Final

import msgspec

CREDENTIALS: Final = "delegate_permission/common.get_login_creds"
_PACKAGE: Final = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)+", re.ASCII)
_FINGERPRINT: Final = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){31}")
_APPLE: Final = re.compile(r"[A-Z0-9]{10}\.[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
MAX_NAME: Final = 255


class AndroidApp(msgspec.Struct, frozen=True):
    """A package, and the SHA-256 of a certificate that it is signed with, as `keytool` and the Play Console print it."""

    package: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.package}={self.fingerprint}"

    @property
    def origin(self) -> str:
        """What stands in place of a web page's origin in what its passkeys sign."""
        digest = bytes.fromhex(self.fingerprint.replace(":", ""))
        return f"android:apk-key-hash:{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


class AndroidTarget(msgspec.Struct, frozen=True):
    """An app, as the Digital Asset Links of Google have it."""

    package_name: str
    sha256_cert_fingerprints: tuple[str, ...]
    namespace: str = "android_app"


class AssetLink(msgspec.Struct, frozen=True):
    """That an app may have the passkeys of this domain."""

    target: AndroidTarget
    relation: tuple[str, ...] = (CREDENTIALS,)


class WebCredentials(msgspec.Struct, frozen=True):
    """The apps that may have the passkeys of this domain, each as `<team>.<bundle>`."""

    apps: tuple[str, ...] = ()


class AppleAssociation(msgspec.Struct, frozen=True):
    """What Apple's phones ask a domain about apps."""

    webcredentials: WebCredentials = WebCredentials()


def android_app(text: str) -> AndroidApp:
    """Read `org.example.app=AA:BB:…`. Raises ValueError."""
    package, _, fingerprint = text.partition("=")
    fingerprint = fingerprint.strip().upper()
    if len(package) > MAX_NAME or not _PACKAGE.fullmatch(package.strip()) or not _FINGERPRINT.fullmatch(fingerprint):
        raise ValueError(f"{text[:80]!r} is not a package and the SHA-256 of its certificate")
    return AndroidApp(package.strip(), fingerprint)


def apple_app(text: str) -> str:
    """Read `ABCDE12345.org.example.app`. Raises ValueError."""
    if len(text) > MAX_NAME or not _APPLE.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a team and a bundle")
    return text


def asset_links(apps: Iterable[AndroidApp]) -> tuple[AssetLink, ...]:
    """What is said of Android's apps: each package once, with all of its certificates."""
    certificates: dict[str, dict[str, None]] = {}
    for app in apps:
        certificates.setdefault(app.package, {})[app.fingerprint] = None
    return tuple(AssetLink(AndroidTarget(package, tuple(known))) for package, known in certificates.items())


def apple_association(apps: Iterable[str]) -> AppleAssociation:
    """What is said of Apple's apps."""
    return AppleAssociation(WebCredentials(tuple(apps)))
