"""Where a declared address may lead: the form of a URL that is called, and which network addresses are open to all. Pure.

One strict grammar, so that no two readers of a URL can take different hosts out of it.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,254})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>(?:/[!\"$-\[\]-~]*)?(?:\?[!\"$-\[\]-~]*)?)"
)
_MAX_URL = 2000
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_DEFAULT_PORTS = {"https": 443, "http": 80}

EXPECTED = "https://host[:port][/path], in printable ASCII, without user name, fragment or unusual spelling of a number"

_CLOSED_4 = tuple(
    map(
        IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        ),
    )
)
"""IANA special-purpose registry, and multicast; written out, as what Python counts among them differs by version."""

_OPEN_6 = IPv6Network("2000::/3")
"""All that is assigned as global unicast."""

_CLOSED_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
"""Within it: protocol assignments (Teredo among them) and documentation."""

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in its parts."""

    scheme: str
    host: str
    """Lower case; IPv6 without brackets."""
    port: int
    target: str
    """Path and query as they go into the request line."""

    @property
    def shown(self) -> str:
        """Scheme, host and port: the path may hold what is nobody's business."""
        return f"{self.scheme}://{self._host_in_brackets}:{self.port}"

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        usual = self.port == _DEFAULT_PORTS[self.scheme]
        return self._host_in_brackets if usual else f"{self._host_in_brackets}:{self.port}"

    @property
    def names(self) -> frozenset[str]:
        """How a list of hosts may name it: `host` and `host:port`, IPv6 in brackets, a last dot does not count."""
        host = self._host_in_brackets.removesuffix(".")
        return frozenset({host, f"{host}:{self.port}"})

    @property
    def _host_in_brackets(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True)
class NoTarget:
    """Why a text is no address to send to; the text itself is not quoted, it may hold a password."""

    found: str
    expected: str = EXPECTED


def read_target(url: str) -> Target | NoTarget:
    """The parts of a plain http or https address, or why it is none."""
    match = _URL.fullmatch(url) if len(url) <= _MAX_URL else None
    if match is None:
        return NoTarget(_what(url))
    scheme, host = match["scheme"], match["host"].lower()
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme]
    if not 1 <= port <= 65_535:
        return NoTarget(f"the port {port}", "1 to 65535")
    odd = _odd_host(host)
    if odd:
        return NoTarget(f"the host {host[:80]!r}", odd)
    target = match["target"]
    return Target(scheme, host.strip("[]"), port, target if target.startswith("/") else f"/{target}")


def _what(url: str) -> str:
    if len(url) > _MAX_URL:
        return f"{len(url):,} characters"
    if "@" in url.partition("://")[2].partition("/")[0]:
        return "a user name in it"
    scheme, mark, _ = url.partition("://")
    if mark and scheme.isascii() and scheme.isalnum() and scheme not in _DEFAULT_PORTS:
        return f"the scheme {scheme[:20]!r}"
    return "something else"


def _odd_host(host: str) -> str:
    """What was expected in place of the host; "" when it is plain.

    An IP address is written as such or not at all: `2130706433`, `0x7f.1` and `0177.0.0.1` mean 127.0.0.1 to some.
    """
    if host.startswith("["):
        return "" if isinstance(_address(host.strip("[]")), IPv6Address) else "an IPv6 address in the brackets"
    labels = host.removesuffix(".").split(".")
    if any(not 1 <= len(label) <= 63 for label in labels):
        return "names of 1 to 63 characters between dots"
    if _NUMBER.fullmatch(labels[-1]) and _address(host) is None:
        return "a name, or four decimal numbers as in 192.0.2.1"
    return ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def closed_address(text: str) -> bool:
    """Whether an IP address is anything but a host on the open Internet: private, loopback, link-local (cloud metadata), shared,
    multicast, reserved, not an address at all, or an IPv6 form that leads to such an IPv4 address."""
    address = _address(text)
    if isinstance(address, IPv4Address):
        return any(address in network for network in _CLOSED_4)
    if address is None or address.scope_id is not None:
        return True
    if address in _MAPPED or address in _NAT64:
        return closed_address(str(IPv4Address(int(address) & 0xFFFF_FFFF)))
    if address in _6TO4:
        return closed_address(str(IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)))
    return address not in _OPEN_6 or any(address in network for network in _CLOSED_6)
