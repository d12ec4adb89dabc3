"""HOST, HOST:PORT and [IPV6]:PORT, and the patterns that allow them."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from exporter.model.message import Unacceptable, check_text

_MAX_HOST = 253  # RFC 1035 §2.3.4 as text, without the trailing dot
# RFC 1123 §2.1, and the underscore, which container networks use.
_HOST_LABEL = re.compile(r"[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?")
_HEX_NUMBER = re.compile(r"0x[0-9a-f]*")
_FORMS = "HOST, HOST:PORT or [IPV6]:PORT"


class Address(NamedTuple):
    """A host in its canonical form (small letters, no dot at the end), and a port, None where there is none."""

    host: str
    port: int | None

    def __str__(self) -> str:
        return _join(self.host, self.port)


def parse_address(text: str) -> Address:
    """Return the address of a text.

    All spellings of a host give the same address, because permissions and logins are looked up by address.

    Raises:
        Unacceptable: It is no address; the message does not show it.
    """
    host, port = _split(text)
    return Address(_host(host), None if port is None else _port(port))


@dataclass(frozen=True, slots=True)
class HostPattern:
    """Hosts, and ports, that may be probed.

    Attributes:
        host: A host; `*.DOMAIN`, all names below a domain; or `*`, every name and every address.
        port: A port; `*`, every port; None, the port of the module.
    """

    host: str
    port: int | Literal["*"] | None = None

    @classmethod
    def parse(cls, text: str) -> "HostPattern":
        """Return the pattern of a text.

        Raises:
            Unacceptable: It is no pattern.
        """
        host, port = _split(text)
        return cls(_wildcard(host) if "*" in host else _host(host), _port(port) if port not in {None, "*"} else port)  # type: ignore[arg-type]

    @property
    def exact(self) -> bool:
        """Whether it matches one host and one port only."""
        return "*" not in self.host and self.port != "*"

    def matches(self, address: Address, module_port: int) -> bool:
        """Whether it allows an address, whose port is `module_port` where it has none."""
        port = module_port if address.port is None else address.port
        if self.port != "*" and port != (module_port if self.port is None else self.port):
            return False
        if self.host.startswith("*."):
            return address.host.endswith(self.host[1:])
        return self.host in {"*", address.host}

    def __str__(self) -> str:
        return _join(self.host, self.port)


def split_address(text: str) -> tuple[str, str | None]:
    """Return the host without brackets, and the text after its colon, None where there is none; neither is checked.

    An IPv6 address without brackets is a host, and so is everything else with several colons.
    """
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if closed and rest[:1] in ("", ":"):
            return host, rest[1:] if rest else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, None


def is_ip_address(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_address_literal(text: str) -> bool:
    """Whether it is an IP address, in brackets or not (RFC 5321 §4.1.3)."""
    return is_ip_address(text.strip("[]").lower().removeprefix("ipv6:"))


def canonical(name: str) -> str:
    """Return an IP address in the spelling of RFC 5952, and any other name as it is.

    The spelling is not left to Python: up to 3.12 it writes an IPv4-mapped address without dots.
    """
    try:
        parsed = ipaddress.ip_address(name)
    except ValueError:
        return name
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return f"::ffff:{parsed.ipv4_mapped}"  # RFC 5952 §5
    return str(parsed)


def _join(host: str, port: int | str | None) -> str:
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(text: str) -> tuple[str, str | None]:
    check_text(text)
    if "/" in text or "@" in text:
        raise Unacceptable(f"must be {_FORMS}, without a scheme, a user or a path")
    if any(character.isspace() for character in text):
        raise Unacceptable(f"must be {_FORMS}, without spaces")
    host, port = split_address(text)
    if text.startswith("[") and (":" not in host or "[" in host):
        raise Unacceptable(f"must be {_FORMS}; only an IPv6 address stands in brackets")
    return host, port


def _host(host: str) -> str:
    if not host:
        raise Unacceptable(f"must be {_FORMS}; the host is missing")
    name = check_host(host).lower().removesuffix(".")
    if _HEX_NUMBER.fullmatch(name.rpartition(".")[2]):
        # Like 127.1, which `check_host` refuses: some resolvers take it for an IPv4 address.
        raise Unacceptable("must be a host name or an IP address; this is not an IPv4 address")
    return canonical(name)


def _wildcard(host: str) -> str:
    if host == "*":
        return host
    domain = host.removeprefix("*.")
    if "*" in domain or domain == host:
        raise Unacceptable('must have its * in place of the first names of a host, as in "*.gmail.com", or alone')
    return f"*.{_host(domain)}"


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535:
        return int(text)
    raise Unacceptable("must have a port from 1 to 65535 behind the colon")


_DOMAIN_LABEL = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")


def check_client_name(name: str) -> str:
    """Return what SMTP's EHLO may say: a domain name, or an address literal (RFC 5321 §4.1.2, §4.1.3)."""
    if name.startswith("[") or name.endswith("]"):
        return _check_literal(name)
    if is_ip_address(name):
        literal = f"[IPv6:{name}]" if ":" in name else f"[{name}]"
        raise Unacceptable(f'must have an address in brackets, as in "{literal}"')
    if any(character in name for character in "/@: \t"):
        raise Unacceptable("must be a domain name alone, without a scheme, a user, a port or a path")
    if not name.isascii():
        raise Unacceptable("must be ASCII: write an internationalized name in its xn-- form")
    if name.endswith("."):
        raise Unacceptable("must be a domain name without a dot at the end: SMTP has none there")
    labels = name.split(".")
    if len(name) > _MAX_HOST or labels[-1].isdecimal() or not all(map(_DOMAIN_LABEL.fullmatch, labels)):
        raise Unacceptable("must be a domain name: letters, digits and hyphens, in parts of 1 to 63 between dots")
    return name


def _check_literal(name: str) -> str:
    inner = name[1:-1] if name.startswith("[") and name.endswith("]") else ""
    tagged = inner[:5].lower() == "ipv6:"
    address = inner[5:] if tagged else inner
    if is_ip_address(address) and "%" not in address and tagged is (":" in address):
        return name
    raise Unacceptable("must be a domain name, or an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]")


def check_host(host: str) -> str:  # noqa: C901 - a list of cases, each with its own hint
    """Return the host, which must be a DNS host name, or an IP address without brackets."""
    if "://" in host or "/" in host or "@" in host:
        raise Unacceptable("must be a host name alone, without a scheme, a user or a path")
    if host.startswith("["):
        raise Unacceptable("must be an IPv6 address without brackets, and without a port: there is a key for that")
    if any(character.isspace() for character in host):
        raise Unacceptable("must be a host name without spaces")
    if not host.isascii():
        raise Unacceptable("must be ASCII: write an internationalized name in its xn-- form")
    if host.count(":") == 1:
        raise Unacceptable("must be a host name without a port: there is a key for that")
    if ":" in host:
        if "%" in host or not is_ip_address(host):
            raise Unacceptable("must be a host name or an IP address; this is not an IPv6 address")
        return host
    labels = host.removesuffix(".").split(".")
    if len(host.removesuffix(".")) > _MAX_HOST:
        raise Unacceptable(f"must be a host name of at most {_MAX_HOST} characters")
    if labels[-1].isdecimal():
        # With digits at the end it must be an IPv4 address: resolvers differ in what they make of 127.1.
        if not is_ip_address(host):
            raise Unacceptable("must be a host name or an IP address; this is not an IPv4 address")
    elif not all(map(_HOST_LABEL.fullmatch, labels)):
        raise Unacceptable("must be a host name: letters, digits and hyphens, in parts of 1 to 63 between dots")
    return host
