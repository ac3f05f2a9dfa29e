"""Where a webhook may lead: which addresses are called from inside this network, and which never are.

A host is looked up once, every address it has is judged, and the connection is made to one of the very addresses
that were judged (``registry/posting.py``): a name that answers otherwise a moment later changes nothing. Operators may
open networks of their own with ``PLIMSOLL_WEBHOOK_NETWORKS``.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from audit.errors import Invalid, Unavailable

MOST_URL: Final = 500
Address = IPv4Address | IPv6Address
# host, port → the addresses it has, as text; raises OSError.
Resolver = Callable[[str, int], list[str]]

_MOST_ADDRESSES: Final = 4
_PORTS: Final = {"https": 443, "http": 80}
# The IANA registries of special-purpose addresses. Of IPv6 only 2000::/3 is given out to the world at all.
_NOT_PUBLIC: Final = tuple(
    ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20"),
    )
)
_WORLD: Final = IPv6Network("2000::/3")
# Where clouds hand out a machine's credentials. No setting opens these.
_NEVER: Final = tuple(
    ip_network(network)
    for network in (
        *("169.254.0.0/16", "fe80::/10", "0.0.0.0/8", "::/128", "224.0.0.0/4", "ff00::/8"),
        *("168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128", "fd20:ce::254/128"),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")


@dataclass(frozen=True)
class Target:
    """An address taken apart. ``host`` is ASCII and lower case; ``path`` begins with a slash and holds the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the header Host says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parsed(url: str) -> Target:
    """``url`` taken apart. Raises Invalid for anything but a plain https address (http only if a setting allows)."""
    if len(url) > MOST_URL:
        raise _bad(f"it has {len(url)} characters; at most {MOST_URL} are kept")
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>^`{|}'):
        raise _bad("it holds spaces or signs that must be percent-encoded")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise _bad("it cannot be read") from None
    schemes = ("https", "http") if settings.PLIMSOLL_WEBHOOK_HTTP else ("https",)
    if parts.scheme not in schemes:
        raise _bad(f"it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if not host.rstrip(".") or "%" in host or port == 0:
        raise _bad("it names no host, or a port that is none")
    if "@" in parts.netloc:
        raise _bad("it must not hold a user name or password")
    if "#" in url:
        raise _bad("it must not hold a fragment")
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    return Target(parts.scheme, host, _PORTS[parts.scheme] if port is None else port, path)


def _bad(why: str) -> Invalid:
    return Invalid(f"Invalid webhook URL: {why}.", code="bad_url")


def looked_up(host: str, port: int) -> list[str]:
    """The addresses the system's resolver gives. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(entry[4][0]) for entry in found]


def judged(target: Target, resolver: Resolver = looked_up) -> list[Address]:
    """The addresses to connect to, in the resolver's order; a few are enough.

    Raises Unavailable when the host has none, Invalid when one of those it has may not be called: a host that is here
    and elsewhere at once is not to be trusted with either.
    """
    try:
        texts = resolver(target.host, target.port)
    except (OSError, UnicodeError):
        texts = []
    if not texts:
        raise Unavailable(f"The host {target.host} has no address right now.", code="host_unknown")
    found = [_address(text) for text in dict.fromkeys(texts)]
    for address in found:
        if not may_be_called(address):
            raise Invalid(
                f"Webhook URL must not resolve to a non-public address: {target.host} leads to {address}. An operator"
                " can open a network of their own with PLIMSOLL_WEBHOOK_NETWORKS.",
                code="private_address",
            )
    return found[:_MOST_ADDRESSES]


def check(url: str, resolver: Resolver = looked_up) -> None:
    """Return when ``url`` may be kept as a webhook's. Raises Invalid, also for a host that has no address."""
    try:
        judged(parsed(url), resolver)
    except Unavailable as error:
        raise Invalid(f"Invalid webhook URL: {error.sentence}", code="host_unknown") from None


def may_be_called(address: Address) -> bool:
    """Whether a connection to this address may be made: public, or opened by the operator."""
    plain = _plain(address)
    if any(plain in network or address in network for network in _NEVER):
        return False
    return _is_public(plain) or any(plain in network for network in settings.PLIMSOLL_WEBHOOK_NETWORKS)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _WORLD:
        return False
    return not any(address in network for network in _NOT_PUBLIC)


def _plain(address: Address) -> Address:
    """The IPv4 address inside one of IPv6's ways of writing or carrying one; any other as it is."""
    if not isinstance(address, IPv6Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    inside = address in _NAT64 or (address in _COMPATIBLE and int(address) > 1)
    return IPv4Address(int(address) & 0xFFFFFFFF) if inside else address


def _address(text: str) -> Address:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        raise Invalid("Invalid webhook URL: its host leads to something that is no address.", code="bad_url") from None


def opened() -> str:
    """What is closed unless an operator opens it, and is open here, in words for people; empty for nothing."""
    networks = [str(network) for network in settings.PLIMSOLL_WEBHOOK_NETWORKS]
    found = [*(["http:// addresses"] if settings.PLIMSOLL_WEBHOOK_HTTP else []), *networks]
    return f"Webhooks may also lead to {', '.join(found)}: this installation's settings say so." if found else ""
