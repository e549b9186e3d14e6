"""Our own apps on phones: how they are named, and what a domain says of them. Pure."""

import base64

import msgspec
import pytest

from services.accounts.native_apps import (
    AndroidApp,
    AppleAssociation,
    android_app,
    apple_app,
    apple_association,
    asset_links,
)
from services.accounts.passkey import site_of

PRINTED = "14:6D:E9:83:C5:73:06:50:D8:EE:B9:95:2F:34:FC:64:16:A0:83:42:E6:1D:BE:A8:8A:04:96:B2:3F:CF:44:E5"
OTHER = ":".join(["0A"] * 32)


def test_an_app_on_android_is_its_package_and_certificate() -> None:
    app = android_app(f"org.example.paceline={PRINTED}")
    assert app == AndroidApp("org.example.paceline", PRINTED)
    assert android_app(f"org.example.paceline = {PRINTED.lower()}") == app
    assert android_app(str(app)) == app


def test_its_origin_is_the_digest_in_base64url_without_padding() -> None:
    """As `CollectedClientData` of Android's Credential Manager has it."""
    kind, name, digest = android_app(f"org.example.paceline={PRINTED}").origin.split(":")
    assert (kind, name, len(digest)) == ("android", "apk-key-hash", 43)
    assert base64.urlsafe_b64decode(digest + "=").hex(":").upper() == PRINTED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "org.example.paceline",
        f"={PRINTED}",
        f"paceline={PRINTED}",
        f"org.example.1app={PRINTED}",
        f"org.example.paceline={PRINTED[:-3]}",
        f"org.example.paceline={PRINTED}:00",
        f"org.example.paceline={PRINTED.replace(':', '')}",
        f"org.example.paceline={'G' + PRINTED[1:]}",
        f"{'a.' * 200}b={PRINTED}",
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a package"):
        android_app(text)


def test_an_app_on_an_iphone_is_its_team_and_bundle() -> None:
    assert apple_app("ABCDE12345.org.example.paceline") == "ABCDE12345.org.example.paceline"
    for text in (
        "",
        "org.example.paceline",
        "abcde12345.org.example",
        "ABCDE12345",
        "ABCDE12345.org",
        "ABCDE12345.*.a",
    ):
        with pytest.raises(ValueError, match="is not a team"):
            apple_app(text)


def test_a_domain_names_each_package_once_with_all_its_certificates() -> None:
    apps = [
        AndroidApp("org.example.one", PRINTED),
        AndroidApp("org.example.two", OTHER),
        AndroidApp("org.example.one", OTHER),
    ]
    assert msgspec.json.decode(msgspec.json.encode(asset_links(apps))) == [
        {
            "relation": ["delegate_permission/common.get_login_creds"],
            "target": {
                "namespace": "android_app",
                "package_name": package,
                "sha256_cert_fingerprints": certificates,
            },
        }
        for package, certificates in (("org.example.one", [PRINTED, OTHER]), ("org.example.two", [OTHER]))
    ]
    assert asset_links([]) == ()


def test_and_each_bundle() -> None:
    assert msgspec.json.encode(apple_association(["A.b"])) == b'{"webcredentials":{"apps":["A.b"]}}'
    assert apple_association([]) == AppleAssociation()


def test_an_app_is_an_origin_of_its_own_and_none_of_the_web() -> None:
    """OWASP API2: it does not widen which pages are believed."""
    app = AndroidApp("org.example.one", PRINTED)
    plain, with_app = (
        site_of("https://paceline.example.org"),
        site_of("https://paceline.example.org", apps=[app.origin]),
    )
    assert with_app.origins - plain.origins == {app.origin}
    assert with_app.domain == plain.domain
