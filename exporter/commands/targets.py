"""What the command line names → endpoints: those of the configuration, addresses, and hosts alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from exporter.config.mistake import unknown
from exporter.model.address import Address, check_host, is_ip_address, split_address
from exporter.model.message import Unacceptable, show
from exporter.model.settings import PORT_OF_EXCHANGES, PORTS, Config, Endpoint, Protocol, Security, service_of

ANSWER_SECONDS = 3.0
"""Seconds in which a port of a host that is named alone must accept a connection."""

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://(.*)", re.DOTALL)
_CUT_URL = re.compile(r"([a-zA-Z0-9]+)(?::/?|/{1,2})([^/].*\.[^/]*)/?", re.DOTALL)
_OF_IPV6 = re.compile(r"[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:%.*)?")

SCHEMES: Mapping[str, tuple[Protocol, Security]] = MappingProxyType(
    {
        "imaps": (Protocol.IMAP, Security.TLS),
        "imap": (Protocol.IMAP, Security.STARTTLS),
        "pop3s": (Protocol.POP3, Security.TLS),
        "pops": (Protocol.POP3, Security.TLS),
        "pop3": (Protocol.POP3, Security.STARTTLS),
        "pop": (Protocol.POP3, Security.STARTTLS),
        "smtps": (Protocol.SMTP, Security.TLS),
        "submissions": (Protocol.SMTP, Security.TLS),
        "submission": (Protocol.SMTP, Security.STARTTLS),
        "smtp": (Protocol.SMTP, Security.STARTTLS),
    }
)
"""What the schemes of URLs mean (RFC 5092, RFC 2384, RFC 8314 §7; the others are usual)."""

_ALIKE = re.compile(r"(imap|pop|smtp|submission)\d?(.*)")
"""Schemes of other programs, such as imap+ssl, smtp+starttls and imap4s."""

_RELAY = 25  # smtp:// without a port

_PREFERRED = (993, 995, 465, 587)
"""The ports of a host that answers at none: those that clients of today use (RFC 8314 §3)."""


class UsageError(Exception):
    """The arguments name nothing that can be checked; the message has the reason."""


def select(config: Config, names: Sequence[str]) -> list[list[Endpoint]]:
    """Return the endpoints of each name; without names, all of them.

    A host alone has an endpoint at every usual port, of which `answering` keeps those that there are.

    Raises:
        UsageError: A name is no endpoint and no address with a known protocol; or no endpoint is configured.
    """
    endpoints = config.endpoints
    if not names and not endpoints:
        raise UsageError("no endpoint is configured: name an address, such as imap.gmail.com:993")
    if not names:
        return [[endpoint] for endpoint in endpoints.values()]
    return [[endpoints[name]] if name in endpoints else _named(name, config) for name in dict.fromkeys(names)]


def of_domain(name: str) -> Endpoint:
    """Return the endpoint of a mail domain, whose exchanges are checked.

    Raises:
        UsageError: It is no name of a domain.
    """
    domain = _checked(name, name).lower().removesuffix(".")
    if is_ip_address(domain):
        raise UsageError(f"{show(name)}: must be a domain, such as example.com, not an IP address")
    return Endpoint(
        name=domain, protocol=Protocol.SMTP, domain=domain, port=PORT_OF_EXCHANGES, security=Security.STARTTLS
    )


async def answering(group: Sequence[Endpoint]) -> list[Endpoint]:
    """Return those of a host's endpoints whose port accepts a connection; the usual ones where none does."""
    if len(group) == 1:
        return [*group]
    accepts = await asyncio.gather(*(_accepts(endpoint) for endpoint in group))
    found = [endpoint for endpoint, there in zip(group, accepts, strict=True) if there]
    return found or [endpoint for endpoint in group if endpoint.port in _PREFERRED]


async def _accepts(endpoint: Endpoint) -> bool:
    with suppress(OSError, UnicodeError):  # TimeoutError is an OSError; UnicodeError: no name of a host
        async with asyncio.timeout(ANSWER_SECONDS):
            _, writer = await asyncio.open_connection(endpoint.host, endpoint.port, happy_eyeballs_delay=0.25)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True
    return False


def _named(name: str, config: Config) -> list[Endpoint]:
    if url := _URL.fullmatch(name):
        return [_of_url(name, url[1].lower(), url[2])]
    if "@" in name:
        # Not shown: there may be a password in it.
        raise UsageError("an address must be without a user: a check of an address does not log in")
    if (cut := _CUT_URL.fullmatch(name)) and cut[1].lower() in SCHEMES:
        raise UsageError(f"{show(name)}: an address has two slashes behind the colon: {show(f'{cut[1]}://{cut[2]}')}")
    host, port = split_address(name)
    before, colon, behind = name.rpartition(":")
    number = int(behind) if behind.isdecimal() and behind.isascii() and len(behind) <= 5 else 0
    may_be_ipv6 = _OF_IPV6.fullmatch(before)
    if port is None and colon and may_be_ipv6 and (service_of(number) or not is_ip_address(name)):
        raise UsageError(f"{show(name)}: an IPv6 address needs brackets: {show(f'[{before}]:{behind}')}")
    if port is None:
        return _of_host(name, host, config)
    if port.lower() in SCHEMES:
        raise UsageError(f"{show(name)}: a port is a number; name a protocol as in {show(f'{port.lower()}://{host}')}")
    if not 1 <= number <= 65535:
        raise UsageError(f"{show(name)}: {_PORT}")
    service = service_of(number)
    if service is None:
        ports = ", ".join(map(str, dict.fromkeys(PORTS.values())))
        raise UsageError(
            f"{show(name)}: no protocol is known for this port, only for {ports}; name it, as in imaps://HOST:PORT"
        )
    protocol, security = service
    return [Endpoint(name=name, protocol=protocol, host=_checked(name, host), port=number, security=security)]


def _of_host(name: str, host: str, config: Config) -> list[Endpoint]:
    is_host = "." in host.strip(".") or host.lower() == "localhost" or is_ip_address(host)
    if not is_host:
        raise UsageError(f"{unknown('endpoint', name, config.endpoints)} (or name an address, HOST or HOST:PORT)")
    return usual_endpoints(_checked(name, host))


def usual_endpoints(host: str) -> list[Endpoint]:
    """Return an endpoint at every port that IANA registered for mail, whether the host has it or not."""
    found = []
    for port in dict.fromkeys(PORTS.values()):
        if service := service_of(port):
            protocol, security = service
            address = str(Address(host, port))
            found.append(Endpoint(name=address, protocol=protocol, host=host, port=port, security=security))
    return found


def _of_url(url: str, scheme: str, rest: str) -> Endpoint:
    if "@" in rest:
        # Neither is shown: there may be a password in it.
        raise UsageError(f"an address {scheme}://… must be without a user: a check of an address does not log in")
    if scheme in ("http", "https"):
        raise UsageError(f"{show(url)}: {scheme.upper()} is no protocol of mail; {_WANTED}")
    if scheme not in SCHEMES:
        meant = _alike(scheme)
        hint = f"did you mean {show(f'{meant}://{rest}')}?" if meant else _WANTED
        raise UsageError(f"{show(url)}: there is no protocol {show(scheme)}; {hint}")
    authority, *path = re.split(r"[/?#]", rest, maxsplit=1)
    if any(path) or "?" in rest or "#" in rest:
        raise UsageError(f"{show(url)}: must be without a path: {show(f'{scheme}://{authority}')}")
    host, port = split_address(authority)
    protocol, security = SCHEMES[scheme]
    number = _port_of(url, scheme, port)
    if port is None and ":" in authority and not authority.startswith("["):
        raise UsageError(f"{show(url)}: an IPv6 address needs brackets: {show(f'{scheme}://[{authority}]')}")
    address = Address(_checked(url, host), number)
    if (service := service_of(number)) not in (None, (protocol, security)) and number != _RELAY:
        right = next(name for name, meant in SCHEMES.items() if meant == service)
        raise UsageError(f"{show(url)}: port {number} is for {right}: {show(f'{right}://{address}')}")
    return Endpoint(name=str(address), protocol=protocol, host=address.host, port=number, security=security)


def _alike(scheme: str) -> str:
    """Return the scheme that was meant by another one, or ""."""
    if not (found := _ALIKE.fullmatch(scheme)):
        return ""
    protocol, security = found.groups()
    is_tls = "starttls" not in security and re.search("^s|ssl|tls", security)
    return ("pop3" if protocol == "pop" else protocol) + ("s" if is_tls else "")


_PORT = "must have a port from 1 to 65535 behind the colon"
_WANTED = "name HOST:PORT, or an address such as imaps://HOST, pop3s://HOST, smtps://HOST or submission://HOST"


def _port_of(url: str, scheme: str, port: str | None) -> int:
    if port is None:
        return _RELAY if scheme == "smtp" else PORTS[SCHEMES[scheme]]
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise UsageError(f"{show(url)}: {_PORT}")
    return int(port)


def _checked(name: str, host: str) -> str:
    try:
        return check_host(host)
    except Unacceptable as mistake:
        raise UsageError(f"{show(name)}: the host {mistake}") from None
