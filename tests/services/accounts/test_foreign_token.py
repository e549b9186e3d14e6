"""What an access token of another issuer proves, and what it does not: the confusion set, told by somebody who has a good one."""

import pytest

from services.accounts.foreign_token import Ended, ForeignToken, accepted, claimed_issuer
from services.accounts.id_token import SKEW_S, Statement
from services.accounts.issuer_keys import TokenRefused, read_keys
from services.accounts.provider import Provider, read_providers
from services.kernel.clock import ManualClock
from tests.support.foreign import CLIENT_ID, ELSEWHERE, OURS, SET, WATCH, Issuer


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(ManualClock())


def judged(issuer: Issuer, token: str, *, later_s: float = 0, more: str = "") -> ForeignToken:
    now_ms = issuer.clock.wall_ms() + round(later_s * 1_000)
    return accepted(token, issuer.provider(more), read_keys(issuer.jwks()), now_ms)


def test_a_true_token_says_who_it_is_and_what_was_lent(issuer: Issuer) -> None:
    token = issuer.token(scope="openid studio.me studio.unknown studio.me", jti=None, aud=[OURS])
    assert claimed_issuer(token) == issuer.url
    assert judged(issuer, token) == ForeignToken(
        Statement(issuer.url, "anna-1"), frozenset({"profile:read"}), issuer.now_s * 1_000, (issuer.now_s + 600) * 1_000
    )


@pytest.mark.parametrize("name", SET)
def test_what_looks_like_one_is_refused_with_the_reason(issuer: Issuer, name: str) -> None:
    """OWASP API2; the ASVS number is in the name."""
    forge, why = SET[name]
    with pytest.raises(TokenRefused, match=why):
        judged(issuer, forge(issuer))


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_names_nobody_trusted_is_not_even_claimed_and_refused_if_it_were(issuer: Issuer, name: str) -> None:
    """ASVS 9.2.4."""
    token = ELSEWHERE[name](issuer)
    assert claimed_issuer(token) != issuer.url
    with pytest.raises(TokenRefused):
        judged(issuer, token)


@pytest.mark.parametrize("token", ["", "..", "a.b", "a.b.c.d", "é.é.é", "x.W10.y", "x.bnVsbA.y", "plk_" + "x" * 43])
def test_what_is_no_token_names_nobody(token: str) -> None:
    assert claimed_issuer(token) == ""


def test_a_token_of_one_issuer_with_the_key_of_another_is_refused(issuer: Issuer) -> None:
    """ASVS 9.1.3, 9.2.4: two that are trusted, and one of them lies; both call their keys by the same name."""
    other = Issuer(issuer.clock, "rival")
    lie = issuer.signed(by=other.keys["first"])
    assert claimed_issuer(lie) == issuer.url
    with pytest.raises(TokenRefused, match="signature"):
        judged(issuer, lie)
    with pytest.raises(TokenRefused, match="another issuer"):
        judged(other, lie)


def test_the_end_is_taken_at_its_word_and_the_beginning_within_a_minute(issuer: Issuer) -> None:
    """ASVS 9.2.1."""
    token = issuer.token()
    assert judged(issuer, token, later_s=-SKEW_S) == judged(issuer, token, later_s=599.9)
    with pytest.raises(TokenRefused, match="future"):
        judged(issuer, token, later_s=-SKEW_S - 1)
    with pytest.raises(Ended):
        judged(issuer, token, later_s=600)


def test_how_long_a_token_may_live_and_who_may_have_it_is_written_down(issuer: Issuer) -> None:
    with pytest.raises(TokenRefused, match="5 minutes"):
        judged(issuer, issuer.token(), more="longest_minutes = 5")
    assert judged(issuer, issuer.token(), more=f'clients = ["other", "{WATCH}"]')
    with pytest.raises(TokenRefused, match="not on the list"):
        judged(issuer, issuer.token(), more='clients = ["other"]')


def test_nothing_is_lent_that_no_row_maps(issuer: Issuer) -> None:
    """ASVS 8.2.1: deny by default, also for a scope that is called as one of ours."""
    for scope in (None, "", "openid", "profile:read webhooks:manage", "Studio.Me"):
        assert judged(issuer, issuer.token(scope=scope)).scopes == frozenset()
    assert judged(issuer, issuer.token(scope="studio.ride")).scopes == {"live:stream", "classes:join", "classes:read"}


def test_an_address_counts_as_proven_only_where_the_issuer_says_so(issuer: Issuer) -> None:
    """ASVS 6.8.1."""
    for said, proven in ((True, True), ("true", True), (False, False), (None, False), ("yes", False)):
        told = judged(issuer, issuer.token(email="anna@example.org", email_verified=said)).statement
        assert (told.email, told.email_verified) == ("anna@example.org", proven)


def test_an_issuer_without_such_a_table_is_trusted_with_nothing(issuer: Issuer) -> None:
    (plain,) = read_providers(issuer.toml().partition("[studio.tokens]")[0])
    assert plain.trust is None
    with pytest.raises(TokenRefused, match="no access tokens"):
        accepted(issuer.token(), plain, read_keys(issuer.jwks()), issuer.clock.wall_ms())


class TestTheOperatorsTable:
    def test_is_read_whole(self, issuer: Issuer) -> None:
        trust = issuer.provider('longest_minutes = 5\nclients = ["a"]\nprovision = true').trust
        assert trust is not None
        assert (trust.audience, trust.longest_minutes, trust.clients, trust.provision) == (OURS, 5, ("a",), True)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ('scopes = {"a" = ["profile:read"]}', "audience"),
            ('audience = "x"', "scopes"),
            ('audience = "x"\nscopes = {}', "scopes"),
            ('audience = ""\nscopes = {"a" = ["profile:read"]}', "audience"),
            (f'audience = "{CLIENT_ID}"\nscopes = {{"a" = ["profile:read"]}}', "ID tokens"),
            ('audience = "x"\nscopes = {"a" = ["admin"]}', "admin"),
            ('audience = "x"\nscopes = {"a" = ["app:read"]}', "app:read"),
            ('audience = "x"\nscopes = {"a b" = ["profile:read"]}', "no spaces"),
            ('audience = "x"\nscopes = {"a" = ["profile:read"]}\nlongest_minutes = 0', "longest_minutes"),
            ('audience = "x"\nscopes = {"a" = ["profile:read"]}\nlongest_minutes = 1441', "longest_minutes"),
            ('audience = "x"\nscopes = {"a" = ["profile:read"]}\nprovisions = true', "provisions"),
            ('audience = "x"\nscopes = {"a" = ["profile:read"]}\nissuer = "https://x.example"', "issuer"),
        ],
    )
    def test_says_its_fault(self, issuer: Issuer, text: str, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            read_providers(f"{issuer.toml().partition('[studio.tokens]')[0]}[studio.tokens]\n{text}")

    def test_is_for_issuers_whose_tokens_can_be_made_for_us(self) -> None:
        table = (
            'client_id = "a"\nclient_secret = "b"\n[{0}.tokens]\naudience = "x"\nscopes = {{"a" = ["profile:read"]}}\n'
        )
        for name in ("google", "microsoft", "github"):
            with pytest.raises(ValueError, match="its own servers"):
                read_providers(f"[{name}]\n{table.format(name)}")

    def test_stands_once_for_an_issuer(self, issuer: Issuer) -> None:
        with pytest.raises(ValueError, match="leave one"):
            read_providers(issuer.toml() + issuer.toml().replace("[studio", "[second"))

    def test_trusts_two_issuers_apart(self, issuer: Issuer) -> None:
        both: tuple[Provider, ...] = read_providers(issuer.toml() + Issuer(issuer.clock, "rival").toml())
        assert [one.issuer for one in both] == ["https://login.studio.example", "https://login.rival.example"]
