"""Addresses, and the patterns that match them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.model.address import (
    Address,
    HostPattern,
    canonical,
    check_client_name,
    check_host,
    parse_address,
    split_address,
)
from exporter.model.message import Unacceptable


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("imap.gmail.com", Address("imap.gmail.com", None), "imap.gmail.com"),
        ("IMAP.Gmail.COM.:993", Address("imap.gmail.com", 993), "imap.gmail.com:993"),
        ("10.0.0.1:143", Address("10.0.0.1", 143), "10.0.0.1:143"),
        ("::1", Address("::1", None), "::1"),
        ("[::1]", Address("::1", None), "::1"),
        ("[0:0:0:0:0:0:0:1]:993", Address("::1", 993), "[::1]:993"),
        ("[::FFFF:10.0.0.1]:993", Address("::ffff:10.0.0.1", 993), "[::ffff:10.0.0.1]:993"),
        ("[::ffff:A00:1]:993", Address("::ffff:10.0.0.1", 993), "[::ffff:10.0.0.1]:993"),
        ("localhost:00993", Address("localhost", 993), "localhost:993"),
        ("xn--mnchen-3ya.example", Address("xn--mnchen-3ya.example", None), "xn--mnchen-3ya.example"),
    ],
)
def test_parse_address(text: str, address: Address, shown: str) -> None:
    """Case, a final dot and the form of an IPv6 address do not make another address."""
    assert parse_address(text) == address
    assert str(address) == shown
    assert parse_address(shown) == address


@pytest.mark.parametrize(
    "text",
    [
        "", ".", ":", ":993", "a b", "a\tb", "a\n", "a\0b", "file:///etc/passwd", "//a", "a/b", "u@h", "a:0", "a:65536",
        "a:+1", "a:-1", "a:1e3", "a:٣", "a:", "a:1:2", "[::1", "::1]", "[::1]993", "[::1]:", "[a]:1", "[[::1]]", "[]",
        "[::1%lo]", "fe80::1%eth0", "127.1", "0177.0.0.1", "2130706433", "0x7f000001", "0x7f.0.0.0x1", "1.2.3.4.5",
        "256.1.1.1", "-a", "a..b", "münchen.example", "\uff45xample", "a" * 64, "a." * 150, "*", "*.a", "a,b", "a%2eb",
        "a#b", "a?b", "a\\b",
    ],
)  # fmt: skip
def test_bad_address(text: str) -> None:
    """A text that is not an address is refused, with a message that does not repeat it."""
    with pytest.raises(Unacceptable) as caught:
        parse_address(text)
    assert str(caught.value).startswith("must ")
    assert len(text) < 5 or text not in str(caught.value)


@given(st.text(max_size=40))
@example("[" * 40)
def test_any_text(text: str) -> None:
    """Any text is an address, in ASCII and on one line, or it is refused; no other exception is raised."""
    try:
        address = parse_address(text)
    except Unacceptable:
        return
    assert address == parse_address(str(address))
    assert str(address).isascii()
    assert str(address).isprintable()
    assert not set(address.host) & set("/@*[] ")


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        ("imap.gmail.com", ["imap.gmail.com", "imap.gmail.com:993"], ["imap.gmail.com:143", "a.imap.gmail.com"]),
        ("IMAP.gmail.com.:143", ["imap.gmail.com:143"], ["imap.gmail.com", "imap.gmail.com:993"]),
        ("*.gmail.com", ["imap.gmail.com", "a.b.gmail.com:993"], ["gmail.com", "evilgmail.com", "gmail.com.evil"]),
        ("*.gmail.com:*", ["imap.gmail.com:1"], ["gmail.com:1"]),
        ("*", ["a", "10.0.0.1", "::1"], ["a:1"]),
        ("*:*", ["a:1", "[::1]:65535"], []),
        ("10.0.0.1", ["10.0.0.1"], ["::ffff:10.0.0.1", "10.0.0.10"]),
        ("[::1]:143", ["[0::1]:143"], ["::1"]),
    ],
)  # fmt: skip
def test_host_pattern(pattern: str, allowed: list[str], refused: list[str]) -> None:
    """A pattern matches a host, the names below a domain, or all; with the module's port, one port, or all."""
    parsed = HostPattern.parse(pattern)
    assert [each for each in allowed if not parsed.matches(parse_address(each), 993)] == []
    assert [each for each in refused if parsed.matches(parse_address(each), 993)] == []
    assert HostPattern.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    "pattern", ["*.", "*gmail.com", "imap.*", "a.*.b", "**", "*.*.a", "*.10", "*:0", "[*]:1", "*.a b"]
)
def test_bad_pattern(pattern: str) -> None:
    """A `*` stands for a whole host or port, or at the beginning for the names below a domain, and nowhere else."""
    with pytest.raises(Unacceptable):
        HostPattern.parse(pattern)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("a", "a", None), ("a:1", "a", "1"), (":1", "", "1"), ("a:", "a", ""), ("::1", "::1", None),
        ("[::1]", "::1", None), ("[::1]:1", "::1", "1"), ("[a]:x", "a", "x"), ("[]:1", "", "1"), ("", "", None),
        ("[::1", "[::1", None), ("[::1]1", "[::1]1", None), ("[a:1", "[a", "1"), ("a:1:2", "a:1:2", None),
    ],
)  # fmt: skip
def test_split_address(text: str, host: str, port: str | None) -> None:
    """An address is split into host and port, which are not validated."""
    assert split_address(text) == (host, port)


@pytest.mark.parametrize(
    "host",
    [
        "imap.gmail.com", "localhost", "a", "mail_server", "xn--mnchen-3ya.example", "imap.gmail.com.", "127.0.0.1",
        "::1", "2001:db8::1", "1and1.com", "a." * 126 + "b", "3com.0x1", "IMAP.Gmail.com",
    ],
)  # fmt: skip
def test_good_host(host: str) -> None:
    """A host name or an IP address is taken as it is written."""
    assert check_host(host) == host


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("10.0.0.1", "10.0.0.1"), ("2001:DB8:0:0::1", "2001:db8::1"), ("::ffff:a00:1", "::ffff:10.0.0.1"),
        ("::FFFF:10.0.0.1", "::ffff:10.0.0.1"), ("0:0:0:0:0:ffff:0a00:0001", "::ffff:10.0.0.1"),
        ("::10.0.0.1", "::a00:1"), ("64:ff9b::10.0.0.1", "64:ff9b::a00:1"), ("fe80::1%lo", "fe80::1%lo"),
        ("imap.gmail.com", "imap.gmail.com"), ("IMAP.gmail.com", "IMAP.gmail.com"), ("", ""), ("10.1", "10.1"),
    ],
)  # fmt: skip
def test_canonical(name: str, spelling: str) -> None:
    """An address has one spelling on every Python; what is none is left alone."""
    assert canonical(name) == canonical(spelling) == spelling


@pytest.mark.parametrize(
    "name",
    [
        "probe.example.com", "a", "localhost", "xn--mnchen-3ya.example", "1and1.com", "a." * 126 + "b",
        "Probe.Example.COM", "[192.0.2.1]", "[IPv6:2001:db8::1]", "[ipv6:::1]", "[IPv6:::ffff:192.0.2.1]",
    ],
)  # fmt: skip
def test_client_name(name: str) -> None:
    """EHLO may say a domain name or an address literal (RFC 5321 §4.1.3); tests/config/bad has what it may not."""
    assert check_client_name(name) == name
