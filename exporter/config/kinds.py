"""The kinds of values that keys have: how each is read, what is wanted in place of a bad one, how it is written."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from exporter.config.duration import format_duration, parse_duration
from exporter.config.mistake import AlreadyReported
from exporter.config.nodes import ListNode, MappingNode, Node, ScalarNode, describe, is_null
from exporter.config.table import Context, Value
from exporter.model.address import (
    Address,
    HostPattern,
    canonical,
    check_client_name,
    check_host,
    is_ip_address,
    parse_address,
)
from exporter.model.message import Unacceptable, check_identity, check_text, invisible_in
from exporter.model.settings import IpFamily, SecretRef

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

RESERVED_LABELS = frozenset(
    {"endpoint", "protocol", "host", "port", "ip_family", "security", "account", "job", "instance", "le"}
)
"""Labels that the metrics have already, or that Prometheus adds to every target."""

LABELS_OF_ALERTS = frozenset({"alertname", "blame", "denial", "phase", "reason", "severity"})
"""Labels that the shipped alerts set or drop, or that a notification reads from them."""

MAX_COST = 15
"""Largest cost of a bcrypt hash: with 15 a comparison takes a second or two, and each more doubles that."""

NO_HASH = "must be a bcrypt hash, as htpasswd -nBC 10 prints it: a password is never written here"

_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,62}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A salt has 128 bits: of its 22 characters, of 6 bits each, the last has 4 that must be 0, or bcrypt refuses it.
_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_LITERAL = "must be {file: PATH} or {env: NAME}: a secret is never written here"


def check_name(name: str) -> None:
    """Refuse what cannot be the name of an endpoint: it becomes a label value and a part of a URL."""
    if not _NAME.fullmatch(name):
        raise Unacceptable("a name must start with a letter, a digit or _, then up to 62 letters, digits, _, . or -")


def check_label(name: str) -> None:
    """Refuse what cannot be the name of a label."""
    if not _LABEL.fullmatch(name):
        raise Unacceptable("a label's name must be letters, digits and _, and not start with a digit")
    if name.startswith("__"):
        raise Unacceptable("a label's name must not start with __, which is Prometheus' own")
    if name in RESERVED_LABELS:
        raise Unacceptable("this label is there already, with a value of its own")
    if name in LABELS_OF_ALERTS:
        raise Unacceptable("this label is on the alerts already, with a value of its own")


def check_user(name: str) -> None:
    """Refuse what cannot be the name of a user in HTTP's basic authentication."""
    # RFC 7617 §2: "a user-id containing a colon character is invalid, as the first colon … separates".
    if ":" in check_identity(name):
        raise Unacceptable("must not hold a colon: a client could not send it")


def read_text(node: Node) -> str:
    """Return text that is not empty and has no control characters, so it is one line wherever it is shown."""
    if not isinstance(node, ScalarNode):
        raise Unacceptable(f"must be text, not {describe(node)}")
    if not isinstance(node.value, str):
        raise Unacceptable("must be text: put it in quotes")
    return check_text(node.value)


def simple(doc_type: str, read: Callable[[Node], T], write: Callable[[T], Any] = str) -> Value:
    """Return the kind of a value that depends on nothing else in the file."""
    return Value(doc_type, lambda node, _: read(node), write)


def choice(choices: type[E], refuse: Callable[[ScalarNode], None] = lambda _: None) -> Value:
    """Return the kind of a member of an enumeration; `refuse` may raise `Unacceptable` with a text of its own."""
    by_word: dict[object, E] = {str(member): member for member in choices}
    *most, last = choices

    def read(node: Node) -> E:
        if isinstance(node, ScalarNode):
            refuse(node)
            if node.value in by_word:
                return by_word[node.value]
        raise Unacceptable(f"must be {', '.join(most)} or {last}, not {describe(node)}")

    return simple(", ".join(f"`{member}`" for member in choices), read)


def whole(most: int) -> Value:
    """Return the kind of a whole number from 1 to `most`."""

    def read(node: Node) -> int:
        # A bool is an int to Python, not to people.
        if isinstance(node, ScalarNode) and type(node.value) is int and 1 <= node.value <= most:
            return node.value
        raise Unacceptable(f"must be a whole number from 1 to {most}, not {describe(node)}")

    return simple(f"1 to {most}", read, int)


def duration(at_least: float, at_most: float | None = None) -> Value:
    """Return the kind of a duration, in seconds, within bounds that are themselves allowed."""
    bounds = f"at least {format_duration(at_least)}"
    doc_type = bounds
    if at_most is not None:
        doc_type = f"{format_duration(at_least)} to {format_duration(at_most)}"
        bounds = f"from {doc_type}"

    def read(node: Node) -> float:
        if isinstance(node, ScalarNode) and type(node.value) in {int, float} and node.value != 0:
            raise Unacceptable(f"must have a unit, as in 30s or 1h30m, not {describe(node)}")
        try:
            seconds = parse_duration(node.text if isinstance(node, ScalarNode) else "")
        except ValueError:
            raise Unacceptable(f"must be a duration such as 30s or 1h30m, not {describe(node)}") from None
        if seconds < at_least or (at_most is not None and seconds > at_most):
            raise Unacceptable(f"must be {bounds}, not {describe(node)}")
        return seconds

    return simple(f"duration, {doc_type}", read, format_duration)


def header(*values: str) -> Value:
    """Return the kind of an HTTP header's value: one of these, or any text without them; empty for none at all."""

    def read(node: Node) -> str:
        text = "" if isinstance(node, ScalarNode) and node.value == "" else read_text(node)
        if text and values and text not in values:
            raise Unacceptable(f"must be {' or '.join(values)}, not {describe(node)}")
        if not text.isascii():
            raise Unacceptable("must be ASCII")
        return text

    return simple(", ".join(f"`{value}`" for value in values) or "text", read)


def _read_switch(node: Node) -> bool:
    if isinstance(node, ScalarNode) and isinstance(node.value, bool):
        return node.value
    raise Unacceptable(f"must be true or false, not {describe(node)}")


def _read_https(node: Node) -> str:
    """Return an address that begins with https://. Nothing of a bad one is shown: it may have a password in it."""
    text = read_text(node)
    try:
        parts = urlsplit(text)
        parse_address(parts.netloc)
        usable = parts.scheme == "https" and not parts.fragment
    except ValueError:  # of urlsplit, or Unacceptable
        usable = False
    # RFC 3986 §2: an address has neither spaces nor characters beyond ASCII, and an HTTP client does not send them.
    if not usable or not text.isascii() or " " in text:
        raise Unacceptable("must be an address such as https://oauth2.googleapis.com/token")
    return text


def _read_host(node: Node) -> str:
    """Return a host name or an IP address, as written. Nothing of a bad one is shown: URLs have passwords in them."""
    if isinstance(node, ScalarNode) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        raise Unacceptable("must be a host name or an IP address, not a number")
    return check_host(read_text(node))


def _read_domain(node: Node) -> str:
    """Return a DNS name in its canonical form: names of the DNS are compared with it."""
    name = _read_host(node)
    if is_ip_address(name):
        raise Unacceptable("must be a domain name, not an IP address")
    return name.lower().removesuffix(".")


def _read_name_server(node: Node) -> str:
    address = read_text(node)
    if not is_ip_address(address):
        raise Unacceptable("must be the IP address of a name server, without a port")
    return canonical(address)


def _read_client_name(node: Node) -> str:
    if isinstance(node, ListNode):
        raise Unacceptable('must be text: put an address literal in quotes, as in "[192.0.2.1]"')
    return check_client_name(read_text(node))


def _read_min_version(node: Node) -> Literal["1.2", "1.3"]:
    if isinstance(node, ScalarNode):
        if node.value == "1.2":
            return "1.2"
        if node.value == "1.3":
            return "1.3"
        if isinstance(node.value, float):
            raise Unacceptable('must be "1.2" or "1.3" in quotes; without them it is a number')
    raise Unacceptable(f'must be "1.2" or "1.3", not {describe(node)}')


def _read_secret(node: Node, context: Context) -> SecretRef:
    """Return the reference. Anything else may be the secret itself: nothing of it is shown, keys included."""
    if not isinstance(node, MappingNode):
        raise Unacceptable(_LITERAL)
    given = {key: entry.node for key, entry in node.entries.items() if not is_null(entry.node)}
    if set(node.entries) == set(given) == {"file", "env"}:
        raise Unacceptable("must be either {file: PATH} or {env: NAME}, not both")
    if len(given) != 1 or not set(node.entries) <= {"file", "env"}:
        raise Unacceptable(_LITERAL)
    ((kind, value),) = given.items()
    if context.is_trap(value.position):
        raise AlreadyReported
    if not isinstance(value, ScalarNode) or not isinstance(value.value, str):
        raise Unacceptable(f"{kind} must be text" + (": put it in quotes" if isinstance(value, ScalarNode) else ""))
    if kind == "env":
        if not _VARIABLE.fullmatch(value.value):
            raise Unacceptable("env must be the name of an environment variable")
        return SecretRef(env=value.value)
    try:
        return SecretRef(file=context.files.directory / check_text(value.value))
    except Unacceptable as mistake:
        raise Unacceptable(f"file {mistake}") from None


def _write_secret(reference: SecretRef) -> dict[str, str]:
    return {"file": str(reference.file)} if reference.file is not None else {"env": str(reference.env)}


def _read_http2(node: Node) -> bool:
    if _read_switch(node):
        raise Unacceptable("must be false: only HTTP/1.1 is spoken here")
    return False


def _read_hash(node: Node, _context: Context) -> bytes:
    """Return a bcrypt hash. Anything else may be a password: nothing of it is shown."""
    found = _BCRYPT.fullmatch(node.text) if isinstance(node, ScalarNode) else None
    if found is None:
        invisible = invisible_in(node.text) if isinstance(node, ScalarNode) else ""
        raise Unacceptable(NO_HASH + (f"; it has an invisible character, {invisible}" if invisible else ""))
    cost = int(found[1])
    if not 4 <= cost <= MAX_COST:
        raise Unacceptable(f"must have a cost from 4 to {MAX_COST}, not {cost}: 10 to 12 is usual")
    return found[0].encode()


def _refuse_both(node: ScalarNode) -> None:
    if node.value == IpFamily.BOTH:
        raise Unacceptable("must be any, ipv4 or ipv6: one probe is of one family")


def _read_pattern(node: Node) -> HostPattern:
    return HostPattern.parse(read_text(node))


def _read_login_host(node: Node, context: Context) -> HostPattern:
    pattern = _read_pattern(node)
    if context.given("account") and not pattern.exact:
        raise Unacceptable("must be a host, or a host and a port, without *: the account's secret goes nowhere else")
    return pattern


def _read_resolver(node: Node) -> Address:
    address = parse_address(read_text(node))
    if not is_ip_address(address.host):
        raise Unacceptable("must be an IP address: a resolver cannot be asked for its own name")
    return address


TEXT = simple("text", read_text)
CLIENT_NAME = simple("domain name or address literal", _read_client_name)
IDENTITY = simple("text", lambda node: check_identity(read_text(node)))
HOST = simple("host name or IP address", _read_host)
DOMAIN = simple("domain name", _read_domain)
EXCHANGE = simple("host name", _read_domain)
NAME_SERVER = simple("IP address", _read_name_server)
PORT = whole(65535)
HTTPS = simple("https address", _read_https)
MIN_VERSION = simple('`"1.2"`, `"1.3"`, in quotes', _read_min_version)
SECRET = Value("secret", _read_secret, _write_secret, is_secret=True)
CA_FILE = Value("path", lambda node, context: context.files.authorities(read_text(node)))
RESOLVER = simple("IP address", _read_resolver)
PATTERN = simple("pattern", _read_pattern)
LOGIN_HOST = Value("pattern", _read_login_host)
ONE_FAMILY = choice(IpFamily, _refuse_both)
SWITCH = simple("`true`, `false`", _read_switch, bool)
HTTP2 = simple("`false`", _read_http2)
HASH = Value("bcrypt hash", _read_hash, is_secret=True)
