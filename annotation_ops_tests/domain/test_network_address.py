"""What is an address to send to, and what is open to all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.network_address import NoTarget, Target, closed_address, read_target

CLOSED = (
    *(
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
    ),
    *("192.168.0.1", "192.168.255.255", "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.127.255.255"),
    *("192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "::8.8.8.8"),
    *("fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1"),
    *("2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "3fff::1", "100::1", "5f00::1"),
    *("", "localhost", "127.1", "0x7f000001", "2130706433", "256.1.1.1", "1.2.3.4 "),
)
OPEN = (
    *("8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255"),
    *("198.17.255.255", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"),
    *("2002:808:808::1", "64:ff9b::8.8.8.8"),
)


@pytest.mark.parametrize("address", CLOSED)
def test_an_address_that_is_not_a_host_on_the_open_internet_is_closed(address: str) -> None:
    assert closed_address(address)


@pytest.mark.parametrize("address", OPEN)
def test_an_address_on_the_open_internet_is_not(address: str) -> None:
    assert not closed_address(address)


@given(st.ip_addresses(v=4))
def test_what_python_calls_not_global_is_closed_in_every_ipv6_form_too(address: object) -> None:
    if not getattr(address, "is_global", False):
        high, low = divmod(int(address), 2**16)  # type: ignore[call-overload]

        assert closed_address(str(address))
        assert closed_address(f"::ffff:{address}")
        assert closed_address(f"64:ff9b::{address}")
        assert closed_address(f"2002:{high:x}:{low:x}::1")


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_that_python_calls_private_or_special_is_closed(address: object) -> None:
    flags = ("is_private", "is_loopback", "is_link_local", "is_multicast", "is_unspecified")
    if any(getattr(address, flag) for flag in flags) and getattr(address, "ipv4_mapped", None) is None:
        assert closed_address(str(address))


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://Hooks.Example.com", Target("https", "hooks.example.com", 443, "/")),
        ("http://hooks:8080/a/b?c=d&e=%20", Target("http", "hooks", 8080, "/a/b?c=d&e=%20")),
        ("https://[2A00:1450::1]:8443?x", Target("https", "2a00:1450::1", 8443, "/?x")),
        ("https://8.8.8.8/", Target("https", "8.8.8.8", 443, "/")),
        ("https://xn--mnchen-3ya.example/@at", Target("https", "xn--mnchen-3ya.example", 443, "/@at")),
    ],
)
def test_a_plain_address_is_read_into_its_parts(url: str, target: Target) -> None:
    assert read_target(url) == target


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks.example.com", "//hooks.example.com", "https:hooks.example.com", "https:///path", "https://"),
        *(
            "ftp://example.com",
            "file:///etc/passwd",
            "gopher://example.com",
            "javascript:alert(1)",
            "HTTPS://example.com",
        ),
        *("https://user@example.com", "https://user:pass@example.com/", "https://example.com@10.0.0.1/"),
        *("https://example.com#fragment", "https://example.com\\@10.0.0.1", "https://example.com/a b", "https://a b/"),
        *("https://example.com\r\nHost: x", "https://example.com/\n", "https://exämple.com", "https://example。com"),
        *("https://example.com:0/", "https://example.com:65536/", "https://example.com:/", "https://example.com:8a/"),
        *("https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://0x7f.1/"),
        *("https://0/", "https://1.2.3.4.5/", "https://256.1.1.1/", "https://127.0.0.01/", "https://127.0.0.1./"),
        *("https://[::1/", "https://[1::2::3]/", "https://[127.0.0.1]/", "https://[fe80::1%25eth0]/", "https://a..b/"),
        *("https://.example.com/", "https://" + "a" * 64 + ".com/", "https://example.com/" + "a" * 2000),
    ],
)
def test_anything_else_is_no_target_and_is_not_quoted(url: str) -> None:
    why = read_target(url)

    assert isinstance(why, NoTarget)
    assert "pass" not in why.found
    assert why.expected


@given(st.text(max_size=60) | st.text("htps:/@[]0x7f.1%\\#?", max_size=40).map("https://".__add__))
def test_every_text_is_a_target_without_blanks_in_it_or_none(text: str) -> None:
    target = read_target(text)

    if isinstance(target, Target):
        assert target.host
        assert "@" not in target.host
        assert not any(letter.isspace() for letter in target.host + target.target)
