"""Which addresses may be called: sixty ways to ask for the wrong one, and IANA's registries."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.outbound.egress import MAX_URL, Address, Egress, EgressRefused, Network

PUBLIC = Egress()
LOCAL = Egress((ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))

# IANA IPv4 and IPv6 Special-Purpose Address Registries, and multicast and reserved space: everything that is not
# "globally reachable", and what is but leads nowhere of use.
SPECIAL = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24"),
    *("::/128", "::1/128", "::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32"),
    *("2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
    *("5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
]
NETWORKS: list[Network] = [ipaddress.ip_network(text) for text in SPECIAL]

REFUSED_URLS = [
    # Other schemes, and what is none.
    *(
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "data:,x",
        "//example.org/",
    ),
    *(
        "javascript:alert(1)",
        "example.org",
        "",
        "https:",
        "https://",
        "https:///path",
        "https:/example.org",
        "unix:/run/x",
    ),
    # Addresses of this machine, of its network and of its cloud.
    *("https://127.0.0.1/", "https://127.8.9.1/", "https://0.0.0.0/", "https://10.0.0.8/", "https://172.20.0.1/"),
    *(
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.100.100.200/",
        "https://[::1]/",
    ),
    *(
        "https://[::]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[fd00:ec2::254]/",
        "https://255.255.255.255/",
    ),
    # The same in other clothes.
    *(
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[::127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
    ),
    *(
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/",
        "https://[2001:0:7f00:1::1]/",
        "https://[fe80::1%25lo]/",
    ),
    *("https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://127.1/", "https://0177.0.0.1/"),
    *("https://127.000.000.001/", "https://127.0.0.1./", "https://0/", "https://127.0.0.0x1/", "https://017700000001/"),
    "https://①②⑦.0.0.1/",
    # Where two parsers see two hosts.
    *("https://example.org@127.0.0.1/", "https://user:word@example.org/", "https://127.0.0.1\\@example.org/"),
    *("https://example.org\\.evil.test/", "https://example.org:443@10.0.0.1/", "https://exam ple.org/", "https://[::1"),
    *(
        "https://example.org#@127.0.0.1/",
        "https://exa\tmple.org/",
        "https://example.org/\r\nHost: x",
        "https://[::1]x/",
    ),
    *(
        "https://[example.org]/",
        "https://example..org/",
        "https://-example.org/",
        "https://%31%32%37.0.0.1/",
        "https://é.org/",
    ),
    # Ports of other services.
    *("https://example.org:22/", "https://example.org:25/", "https://example.org:6379/", "https://example.org:11211/"),
    *("https://example.org:0/", "https://example.org:65536/", "https://example.org:x/", "https://example.org:80/"),
    "https://example.org/" + "a" * MAX_URL,
]


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_a_url_that_leads_elsewhere_than_to_a_public_web_server_is_refused(url: str) -> None:
    with pytest.raises(EgressRefused):
        PUBLIC.judge_url(url)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://example.org/hook?a=1&b=%20", "example.org", 443),
        ("HTTPS://Example.ORG", "example.org", 443),
        ("https://example.org.:8443/", "example.org.", 8443),
        ("https://xn--caf-dma.example:443/", "xn--caf-dma.example", 443),
        ("https://under_score.example.org/", "under_score.example.org", 443),
        ("https://93.184.215.14:4443/", "93.184.215.14", 4443),
        ("https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", 443),
        ("https://[64:ff9b::5db8:d70e]/", "64:ff9b::5db8:d70e", 443),
    ],
)
def test_a_public_web_server_may_be_called(url: str, host: str, port: int) -> None:
    target = PUBLIC.judge_url(url)
    assert (target.host, target.port, target.plain) == (host, port, False)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_both_ends_of_every_special_range_are_refused(network: Network) -> None:
    for address in (network[0], network[-1]):
        with pytest.raises(EgressRefused, match="not public"):
            PUBLIC.judge_address(address, 443, plain=False)


special_addresses = st.sampled_from(NETWORKS).flatmap(
    lambda network: st.integers(int(network[0]), int(network[-1])).map(
        ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
    )
)
any_address = st.ip_addresses(v=4) | st.ip_addresses(v=6) | special_addresses


def passes(address: Address) -> bool:
    """Whether a connection to it, by TLS and on the usual port, is allowed."""
    try:
        PUBLIC.judge_address(address, 443, plain=False)
    except EgressRefused:
        return False
    return True


@given(special_addresses)
def test_no_address_of_a_special_range_is_called(address: Address) -> None:
    assert not passes(address)


@given(any_address)
def test_what_may_be_called_is_global_unicast_for_the_standard_library_too(address: Address) -> None:
    if not passes(address):
        return
    inner: Address = address
    if isinstance(address, ipaddress.IPv6Address) and address in ipaddress.ip_network("64:ff9b::/96"):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if isinstance(inner, ipaddress.IPv6Address) and inner.ipv4_mapped is not None:
        inner = inner.ipv4_mapped
    assert inner.is_global
    assert not any((inner.is_multicast, inner.is_private, inner.is_reserved, inner.is_loopback, inner.is_link_local))


@given(st.ip_addresses(v=4) | special_addresses.filter(lambda address: address.version == 4))
def test_an_ipv4_address_is_judged_alike_in_all_its_clothes(address: Address) -> None:
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        dressed = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(address))
        assert passes(dressed) == passes(address)
    assert not passes(ipaddress.IPv6Address(int(ipaddress.IPv6Address("2002::")) | int(address) << 80))


@given(st.text(max_size=60) | st.from_regex(r"https://[\w.:@\[\]%/\\?#-]{1,50}", fullmatch=True))
def test_any_text_is_judged_and_what_passes_has_a_host_of_the_usual_form(url: str) -> None:
    try:
        target = PUBLIC.judge_url(url)
    except EgressRefused:
        return
    assert target.scheme == "https"
    assert target.address is not None or all(letter.isalnum() or letter in "-_." for letter in target.host)


def test_a_network_that_is_allowed_may_be_called_by_http_and_at_any_port() -> None:
    assert LOCAL.judge_url("http://127.0.0.1:22/").plain
    assert LOCAL.judge_url("http://localhost:9000/hook").host == "localhost"
    LOCAL.judge_address(ipaddress.ip_address("127.0.0.1"), 80, plain=True)
    LOCAL.judge_address(ipaddress.ip_address("::ffff:127.0.0.1"), 80, plain=True)
    for address in ("10.0.0.1", "169.254.169.254", "fd00::1"):
        with pytest.raises(EgressRefused, match="not public"):
            LOCAL.judge_address(ipaddress.ip_address(address), 443, plain=False)


def test_an_allowed_network_opens_nothing_else() -> None:
    public = ipaddress.ip_address("93.184.215.14")
    LOCAL.judge_address(public, 443, plain=False)
    with pytest.raises(EgressRefused, match="https"):
        LOCAL.judge_address(public, 80, plain=True)
    with pytest.raises(EgressRefused, match="port 6379"):
        LOCAL.judge_address(public, 6379, plain=False)


def test_a_refusal_says_nothing_about_the_inside_of_the_house() -> None:
    with pytest.raises(EgressRefused) as refused:
        PUBLIC.judge_address(ipaddress.ip_address("10.1.2.3"), 443, plain=False)
    assert "10.1" not in str(refused.value)
