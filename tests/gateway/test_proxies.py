"""Who a client is, seen through proxies: what our own say is believed, what anybody else says is not."""

import ipaddress

import pytest

from gateway.proxies import TrustedProxies, household

OURS = TrustedProxies([ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7", "10.2.2.2"], "198.51.100.7"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7:52001"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::7]:52001"], "2001:db8::7"),
    ],
)
def test_our_proxies_are_believed(peer: str, forwarded: list[str], client: str) -> None:
    assert OURS.client(peer, forwarded) == client


@pytest.mark.parametrize("peer", ["198.51.100.9", "192.168.0.1", "", "not an address"])
def test_nobody_else_is(peer: str) -> None:
    assert OURS.client(peer, ["203.0.113.1"]) == peer
    assert TrustedProxies().client(peer, ["203.0.113.1"]) == peer


def test_what_a_client_wrote_itself_stands_left_of_what_our_proxy_added_and_is_not_reached() -> None:
    assert OURS.client("10.0.0.1", ["203.0.113.1, 10.0.0.9, 198.51.100.7"]) == "198.51.100.7"


@pytest.mark.parametrize("forwarded", [[], [""], ["unknown"], ["_hidden, "], ["198.51.100.7, garbage"]])
def test_a_proxy_that_does_not_say_is_the_end_of_the_search(forwarded: list[str]) -> None:
    assert OURS.client("10.0.0.1", forwarded) == "10.0.0.1"
    assert OURS.trust("10.0.0.1")


def test_a_request_of_our_own_machines_comes_from_the_first_of_them() -> None:
    assert OURS.client("10.0.0.1", ["10.0.0.3, 10.0.0.2"]) == "10.0.0.3"


def test_an_ipv6_line_is_one_address_with_all_that_it_may_choose_from() -> None:
    assert household("2001:db8:1:2::7") == household("2001:db8:1:2:ffff::1") != household("2001:db8:1:3::7")
    assert household("::ffff:198.51.100.7") == household("198.51.100.7") == "198.51.100.7"
