"""What each kind of value accepts, how it is written again, and what is said of anything else."""

import json
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from exporter.config import kinds
from exporter.config.mistake import Position
from exporter.config.nodes import Node, compose
from exporter.config.source import ConfigFiles
from exporter.config.table import Value
from exporter.model.message import Unacceptable
from exporter.model.settings import IpFamily, SecretRef
from tests.config.conftest import SENTINEL

HASH = "$2y$10$" + "a" * 21 + "e" + "a" * 31


class Section:
    """A section of a file in /etc; `keys` are those that have a value."""

    files = ConfigFiles(Path("/etc"))

    def __init__(self, *keys: str) -> None:
        self._keys = keys

    def given(self, key: str) -> bool:
        return key in self._keys

    def is_trap(self, _position: Position) -> bool:
        return False


def node(text: str) -> Node:
    document = compose(f"key: {text}\n", "", "")
    assert document.root is not None
    return document.root.entries["key"].node


@pytest.mark.parametrize(
    ("kind", "text", "expected", "written"),
    [
        (kinds.TEXT, "'007'", "007", "007"),
        (kinds.PORT, "993", 993, 993),
        (kinds.PORT, "65535", 65535, 65535),
        (kinds.duration(0.1, 60), "1m", 60.0, "1m"),
        (kinds.duration(0.1, 60), "100ms", 0.1, "100ms"),
        (kinds.ONE_FAMILY, "ipv6", IpFamily.IPV6, "ipv6"),
        (kinds.choice(IpFamily), "both", IpFamily.BOTH, "both"),
        (kinds.MIN_VERSION, "'1.3'", "1.3", "1.3"),
        (kinds.HOST, "2001:db8::1", "2001:db8::1", "2001:db8::1"),
        (kinds.HTTPS, "https://a.example/token", "https://a.example/token", "https://a.example/token"),
        (kinds.header("nosniff"), "''", "", ""),
        (kinds.header("nosniff"), "nosniff", "nosniff", "nosniff"),
        (kinds.SECRET, "{env: X}", SecretRef(env="X"), {"env": "X"}),
        (kinds.SECRET, "{file: a/b}", SecretRef(file=Path("/etc/a/b")), {"file": "/etc/a/b"}),
        (kinds.SECRET, "{file: /run/b, env: ~}", SecretRef(file=Path("/run/b")), {"file": "/run/b"}),
    ],
)
def test_read_and_written(kind: Value, text: str, expected: object, written: object) -> None:
    """A value is read as what it means, with its type, and written as a file spells it."""
    value = kind.read(node(text), Section())
    assert value == expected
    assert type(value) is type(expected)
    assert kind.write(value) == written


def test_switch() -> None:
    """A switch is true or false; HTTP/2 can only be switched off."""
    assert kinds.SWITCH.read(node("true"), Section()) is True
    assert kinds.SWITCH.read(node("false"), Section()) is False
    assert kinds.HTTP2.read(node("false"), Section()) is False


def test_hash() -> None:
    """A hash is octets, as the library that compares it wants them."""
    assert kinds.HASH.read(node(f"'{HASH}'"), Section()) == HASH.encode()


@pytest.mark.parametrize("text", ["mail.example.com", "'*.example.com'", "mail.example.com:993"])
def test_pattern_is_written_as_it_was(text: str) -> None:
    """A pattern of hosts comes back as it was written."""
    assert kinds.PATTERN.write(kinds.PATTERN.read(node(text), Section())) == text.strip("'")


@pytest.mark.parametrize(
    ("kind", "text", "mistake"),
    [
        (kinds.TEXT, "7", "must be text: put it in quotes"),
        (kinds.TEXT, "[a]", "must be text, not a list"),
        (kinds.SWITCH, "1", "must be true or false, not 1"),
        (kinds.PORT, "true", "must be a whole number from 1 to 65535, not true"),
        (kinds.PORT, "0", "must be a whole number from 1 to 65535, not 0"),
        (kinds.PORT, "65536", "must be a whole number from 1 to 65535, not 65536"),
        (kinds.PORT, "9.5", "must be a whole number from 1 to 65535, not 9.5"),
        (kinds.duration(0.1, 60), "30", "must have a unit, as in 30s or 1h30m, not 30"),
        (kinds.duration(0.1, 60), "soon", 'must be a duration such as 30s or 1h30m, not "soon"'),
        (kinds.duration(0.1, 60), "61s", 'must be from 100ms to 1m, not "61s"'),
        (kinds.duration(1), "900ms", 'must be at least 1s, not "900ms"'),
        (kinds.ONE_FAMILY, "both", "must be any, ipv4 or ipv6: one probe is of one family"),
        (kinds.MIN_VERSION, "1.3", 'must be "1.2" or "1.3" in quotes; without them it is a number'),
        (kinds.MIN_VERSION, "'1.1'", 'must be "1.2" or "1.3", not "1.1"'),
        (kinds.HOST, "127", "must be a host name or an IP address, not a number"),
        (kinds.HTTP2, "true", "must be false: only HTTP/1.1 is spoken here"),
        (kinds.header("nosniff"), "sniff", 'must be nosniff, not "sniff"'),
        (kinds.header(), "ü", "must be ASCII"),
        (kinds.SECRET, "{file: a, env: B}", "must be either {file: PATH} or {env: NAME}, not both"),
        (kinds.SECRET, "{env: 1A}", "env must be the name of an environment variable"),
        (kinds.SECRET, "{env: 7}", "env must be text: put it in quotes"),
        (kinds.SECRET, "{file: [a]}", "file must be text"),
        (kinds.HASH, f"'$2y$16{HASH[6:]}'", "must have a cost from 4 to 15, not 16: 10 to 12 is usual"),
    ],
)
def test_refused(kind: Value, text: str, mistake: str) -> None:
    """Anything else is refused with what is wanted and, unless it may be a secret, what was found."""
    with pytest.raises(Unacceptable) as caught:
        kind.read(node(text), Section())
    assert str(caught.value) == mistake


@pytest.mark.parametrize(
    "address",
    [
        "https://[", "https://[::1", "https://]", "https://a[b]c/", "https://", "https:///token", "https://?a",
        "https://a:x/", "https://a:99999/", "https://a:-1/", "https://a:0/", f"https://a:{'9' * 5000}/",
        "https://a..b/", "https://.a/", f"https://{'a' * 64}.example/", f"https://{'a.' * 200}b/", "https://a_:b@c/",
        "https://\u210f.example/", "https://a\u2100b/", "https://\u00fc.example/", "https://a.example/\u00fc",
        "https://a.example/a b", "https://a.example/#x", "https://[v1.a]/", "https://[fe80::1%25eth0]/", "http://a/",
        "https://1.2.3/", "a.example", "//a.example/",
    ],
)  # fmt: skip
def test_addresses(address: str) -> None:
    """What no HTTP client could ask is refused, whatever the library makes of it, and nothing of it is shown."""
    with pytest.raises(Unacceptable, match="^must be an address such as https://oauth2.googleapis.com/token$"):
        kinds.HTTPS.read(node(json.dumps(address)), Section())


@pytest.mark.parametrize("address", ["https://a", "https://a.example:8443/x?y=%20", "https://[::1]:443/", "HTTPS://A/"])
def test_usable_addresses(address: str) -> None:
    """The usual forms of an address are kept as they are written."""
    assert kinds.HTTPS.read(node(f"'{address}'"), Section()) == address


def test_hashes_that_bcrypt_takes() -> None:
    """A hash whose salt bcrypt refuses would make an error of every request."""
    for last in "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789":
        text = f"$2y$04${'a' * 21}{last}{'a' * 31}"
        try:
            bcrypt.checkpw(b"a", text.encode())
        except ValueError:
            with pytest.raises(Unacceptable):
                kinds.HASH.read(node(f"'{text}'"), Section())
        else:
            assert kinds.HASH.read(node(f"'{text}'"), Section()) == text.encode()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (kinds.SECRET, SENTINEL),
        (kinds.SECRET, f"{{{SENTINEL}: a}}"),
        (kinds.SECRET, f"{{env: {SENTINEL}}}"),
        (kinds.HASH, SENTINEL),
        (kinds.HASH, f"'{SENTINEL}{HASH}'"),
        (kinds.HTTPS, f"https://user:{SENTINEL}@a.example/"),
        (kinds.HOST, f"imaps://user:{SENTINEL}@a.example"),
    ],
)
def test_nothing_of_a_secret_is_shown(kind: Value, text: str) -> None:
    """What may be a secret at the wrong place is not in the text of the mistake."""
    with pytest.raises(Unacceptable) as caught:
        kind.read(node(text), Section())
    assert SENTINEL not in str(caught.value)


def test_login_host() -> None:
    """An account's secret goes to a host that is spelt out; without an account any pattern is allowed."""
    assert not kinds.LOGIN_HOST.read(node("'*.example.com'"), Section()).exact
    assert kinds.LOGIN_HOST.read(node("mail.example.com"), Section("account")).exact
    with pytest.raises(Unacceptable, match=r"without \*: the account's secret goes nowhere else"):
        kinds.LOGIN_HOST.read(node("'*.example.com'"), Section("account"))


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (kinds.check_name, ["a", "_a", "9.a-b", "a" * 63], ["", "-a", ".a", "a b", "a/b", "ä", "a" * 64]),
        (
            kinds.check_label,
            ["team", "_x", "a9"],
            ["", "9a", "a-b", "__name", "instance", "host", "severity", "blame", "alertname"],
        ),
        (kinds.check_user, ["alice", "alice@example.com"], ["", "a:b", "a\nb"]),
    ],
)
def test_names(check: Any, good: list[str], bad: list[str]) -> None:
    """Names that would not survive as a label, a part of a URL or a user are refused."""
    for name in good:
        check(name)
    for name in bad:
        with pytest.raises(Unacceptable):
            check(name)
