"""Where a webhook may lead, against everything that would make it lead inside."""

from ipaddress import ip_address, ip_network

import pytest

from audit.errors import Invalid, Unavailable
from registry import addresses

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2001:4860:4860::8888"]
# Each for a reason: loopback, private, shared, link-local, documentation, benchmark, multicast, reserved, unspecified,
# and each way of writing or carrying one of them in IPv6.
INSIDE = [
    *("127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "169.254.170.2", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "0.0.0.0", "0.1.2.3", "192.88.99.1"),
    *("168.63.129.16", "100.100.100.200", "192.0.0.192"),
    *("::1", "::", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd12::1", "fd00:ec2::254", "ff02::1", "100::1"),
    *("2001:db8::1", "3fff::1", "2001::1", "2001:0:7f00:1::", "64:ff9b:1::1", "5f00::1", "4000::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::a00:1", "::ffff:0:7f00:1"),
    *("2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1"),
]


@pytest.mark.parametrize("text", [*PUBLIC, "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"])
def test_what_is_public_may_be_called(text: str) -> None:
    assert addresses.may_be_called(ip_address(text))


@pytest.mark.parametrize("text", INSIDE)
def test_what_is_inside_may_not(text: str) -> None:
    assert not addresses.may_be_called(ip_address(text))


def test_an_operator_opens_a_network_and_nothing_else(settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_WEBHOOK_NETWORKS = (ip_network("10.1.0.0/16"), ip_network("fd12::/32"))
    for text, allowed in {
        "10.1.2.3": True, "::ffff:10.1.2.3": True, "fd12::9": True, "8.8.8.8": True,
        "10.2.0.1": False, "127.0.0.1": False, "fd13::1": False, "::ffff:10.2.0.1": False,
    }.items():  # fmt: skip
        assert addresses.may_be_called(ip_address(text)) is allowed, text


@pytest.mark.parametrize(
    "text", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254", "168.63.129.16", "0.0.0.0", "::"]
)
def test_nothing_opens_what_hands_out_credentials(text: str, settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_WEBHOOK_NETWORKS = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert addresses.may_be_called(ip_address("10.0.0.1"))
    assert not addresses.may_be_called(ip_address(text))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org", ("https", "example.org", 443, "/")),
        ("https://Example.ORG:8443/a/b?c=d", ("https", "example.org", 8443, "/a/b?c=d")),
        ("https://[2606:4700::1111]/x", ("https", "2606:4700::1111", 443, "/x")),
        ("https://example.org?q", ("https", "example.org", 443, "/?q")),
    ],
)
def test_an_address_is_taken_apart(url: str, expected: tuple[str, str, int, str]) -> None:
    target = addresses.parsed(url)
    assert (target.scheme, target.host, target.port, target.path) == expected


@pytest.mark.parametrize(
    "url",
    [
        *("", " ", "example.org", "//example.org/", "https://", "https:///x", "https://:443/", "http://example.org/"),
        *("ftp://example.org/", "file:///etc/passwd", "gopher://example.org:70/", "javascript:alert(1)", "HTTPS"),
        *("https://user@example.org/", "https://user:pass@example.org/", "https://example.org@127.0.0.1/"),
        *(
            "https://example.org/#x",
            "https://example.org/a b",
            "https://example.org/\r\nX-Evil: 1",
            "https://ex\x00.org",
        ),
        *("https://example.org:0/", "https://example.org:99999/", "https://example.org:x/", "https://[::1/"),
        *("https://example.org\\@127.0.0.1/", "https://ex\u00e4mple.org/", "https://example.org/\u202e", "https://./"),
        *("https://[fe80::1%25eth0]/", "https://example.org/" + "x" * 500, "https://127.0.0.1%00.example.org/"),
    ],
)
def test_what_is_no_plain_https_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="Invalid webhook URL: ") as caught:
        addresses.parsed(url)
    assert caught.value.code == "bad_url"


def test_http_only_when_an_operator_says_so(settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_WEBHOOK_HTTP = True
    assert addresses.parsed("http://example.org/x").port == 80
    with pytest.raises(Invalid):
        addresses.parsed("ftp://example.org/")


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "127.0.0.1", "[::1]", "[::ffff:7f00:1]", "0"],
)
def test_however_loopback_is_written_it_is_refused(host: str) -> None:
    """By the system's own resolver, which reads numbers in all these ways."""
    with pytest.raises(Invalid) as caught:
        addresses.check(f"https://{host}/hook")
    assert caught.value.code in {"private_address", "host_unknown"}


def test_one_bad_address_among_good_ones_is_enough() -> None:
    target = addresses.parsed("https://example.org/")
    both = addresses.judged(target, lambda host, port: ["93.184.216.34", "8.8.8.8", "93.184.216.34"])
    assert [str(address) for address in both] == ["93.184.216.34", "8.8.8.8"]
    for answers in (["93.184.216.34", "10.0.0.1"], ["fe80::1%eth0", "8.8.8.8"], ["nonsense"]):
        with pytest.raises(Invalid):
            addresses.judged(target, lambda host, port, found=answers: found)  # type: ignore[misc]


def test_a_host_without_an_address_is_told_apart() -> None:
    def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(Unavailable, match="has no address right now"):
        addresses.judged(addresses.parsed("https://example.org/"), nowhere)
    with pytest.raises(Invalid) as caught:
        addresses.check("https://example.org/", nowhere)
    assert caught.value.code == "host_unknown"
