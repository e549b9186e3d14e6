"""What an operator writes down about providers, and what issuers say of themselves."""

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.accounts.provider import BadDocument, Provider, read_metadata, read_providers

IDS = 'client_id = "id"\nclient_secret = "not to be seen"\n'
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


def apple_key(curve: ec.EllipticCurve | None = None) -> str:
    return (
        ec.generate_private_key(curve or ec.SECP256R1())
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def one(text: str) -> Provider:
    (provider,) = read_providers(text)
    return provider


def metadata(**changes: str) -> bytes:
    told = {
        "issuer": "https://login.example.org",
        "authorization_endpoint": "https://login.example.org/a",
        "token_endpoint": "https://login.example.org/t",
        "jwks_uri": "https://login.example.org/k",
    }
    return json.dumps(told | changes).encode()


def test_google_microsoft_and_github_need_ids_and_secrets_only() -> None:
    google, microsoft, github = read_providers(f"[google]\n{IDS}[microsoft]\n{IDS}[github]\n{IDS}")
    assert (google.issuer, google.button) == ("https://accounts.google.com", "Continue with Google")
    assert google.discovery == "https://accounts.google.com/.well-known/openid-configuration"
    assert microsoft.discovery == "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration"
    assert github.fixed is not None
    assert github.fixed.token_endpoint == "https://github.com/login/oauth/access_token"
    assert github.user_url == "https://api.github.com/user"


def test_apple_signs_its_secret_and_posts_its_answer() -> None:
    key = apple_key().replace("\n", "\\n")
    apple = one(f'[apple]\nclient_id = "org.example"\nteam_id = "T"\nkey_id = "K"\nkey = "{key}"')
    assert apple.response_mode == "form_post"
    assert apple.apple is not None
    assert apple.client_secret == ""
    assert "PRIVATE" not in repr(apple) + repr(apple.apple)


def test_any_issuer_of_openid_connect_can_be_written_down_and_made_ones_own() -> None:
    studio = one(f'[studio]\nissuer = "https://login.example.org/"\nname = "Studio"\nalgorithms = ["ES256"]\n{IDS}')
    assert (studio.issuer, studio.algorithms) == ("https://login.example.org/", ("ES256",))
    assert studio.discovery == "https://login.example.org/.well-known/openid-configuration"
    assert studio.button == "Continue with Studio"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[google\n", "not TOML"),
        (f"[Google]\n{IDS}", "small letters"),
        ('[google]\nclient_id = "id"', "needs client_secret"),
        (f"[studio]\n{IDS}", "needs issuer"),
        (f'[studio]\nissuer = "http://login.example.org"\n{IDS}', "https://"),
        (f'[studio]\nissuer = "https://a@b.example"\n{IDS}', "https://"),
        (f'[google]\nissuer = "https://evil.example"\n{IDS}', "kind"),
        (f'[studio]\nissuer = "https://x.example"\nscopes = ["email"]\n{IDS}', "openid"),
        (f'[studio]\nissuer = "https://x.example"\nalgorithms = ["HS256"]\n{IDS}', "HS256"),
        (f'[studio]\nissuer = "https://x.example"\nalgorithms = ["none"]\n{IDS}', "none"),
        (f'[google]\nclient_secrets = "x"\n{IDS}', "client_secrets"),
        (f'[microsoft]\ntenant = "contoso"\n{IDS}', "tenant"),
        ('[apple]\nclient_id = "a"', "team_id"),
        ('[apple]\nclient_id = "a"\nteam_id = "t"\nkey_id = "k"\nkey = "x"', ".p8"),
    ],
)
def test_a_fault_says_its_table_and_its_cure_and_no_secret(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as fault:
        read_providers(text)
    assert says in str(fault.value)
    assert "not to be seen" not in str(fault.value)


def test_a_key_of_another_curve_is_not_apples() -> None:
    key = apple_key(ec.SECP384R1()).replace("\n", "\\n")
    with pytest.raises(ValueError, match="another kind"):
        read_providers(f'[apple]\nclient_id = "a"\nteam_id = "t"\nkey_id = "k"\nkey = "{key}"')


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"\[google\].*; \[studio\]"):
        read_providers(f'[google]\nclient_id = "id"\n[studio]\n{IDS}')


def test_metadata_must_name_the_issuer_that_was_asked() -> None:
    """ASVS 10.5.3."""
    studio = one(f'[studio]\nissuer = "https://login.example.org"\n{IDS}')
    assert read_metadata(studio, metadata()).token_endpoint == "https://login.example.org/t"
    with pytest.raises(BadDocument, match="another issuer"):
        read_metadata(studio, metadata(issuer="https://evil.example"))


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
@pytest.mark.parametrize(
    "url", ["http://login.example.org/x", "http://127.0.0.1/x", "file:///etc/passwd", "javascript:alert(1)", "//x"]
)
def test_metadata_cannot_lead_to_somewhere_in_the_clear(name: str, url: str) -> None:
    """OWASP API7, API10."""
    studio = one(f'[studio]\nissuer = "https://login.example.org"\n{IDS}')
    with pytest.raises(BadDocument, match="https"):
        read_metadata(studio, metadata(**{name: url}))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", metadata(jwks_uri="")])
def test_what_is_no_metadata_is_not_believed(body: bytes) -> None:
    with pytest.raises(BadDocument):
        read_metadata(one(f'[studio]\nissuer = "https://login.example.org"\n{IDS}'), body)


def test_microsofts_issuer_has_the_tenant_of_each_token_in_it() -> None:
    """ASVS 10.5.3: tenants stay apart, and nothing but a tenant fits into the place of one."""
    every = one(f"[microsoft]\n{IDS}")
    assert every.issuer_for(TENANT) == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    assert every.is_issuer(f"https://login.microsoftonline.com/{TENANT}/v2.0")
    for wrong in ("common", "", f"{TENANT}/evil", f"{TENANT}\n"):
        assert not every.is_issuer(f"https://login.microsoftonline.com/{wrong}/v2.0")
        with pytest.raises(BadDocument):
            every.issuer_for(wrong)
    with pytest.raises(BadDocument):
        every.issuer_for(None)
    single = one(f'[microsoft]\ntenant = "{TENANT}"\n{IDS}')
    assert single.issuer_for("whatever") == f"https://login.microsoftonline.com/{TENANT}/v2.0"
