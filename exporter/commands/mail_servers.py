"""An address → the servers that its owner's mail client has to use, and whether a password may go there.

Nobody signs what the DNS says of a domain (RFC 6186 §6): a password goes only to hosts that do not depend on it, or
that a person has confirmed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pycares
from aiodns.error import ARES_ENODATA, ARES_ENOTFOUND, DNSError

from exporter.commands.targets import UsageError, answering, usual_endpoints
from exporter.domains.exchanges import NullMx, look_up
from exporter.model.address import check_host
from exporter.model.enumeration import TableEnum
from exporter.model.message import Unacceptable, show
from exporter.model.settings import PORTS, Account, Config, Endpoint, Protocol, Security
from exporter.probing.resolve import Resolver


class Origin(TableEnum):
    """Who says which servers an address has. `phrase` completes "the servers are", `is_sure` permits a password."""

    phrase: str
    is_sure: bool

    CONFIGURATION = "configuration", "those of the configuration", True
    PROVIDER = "provider", "those of {provider}", True
    NAMED = "named", "at the host that --server names", True
    OWN = "own", "those that {domain} names in the DNS, under its own name", True
    RECORDS = "records", "those that {domain} names in the DNS, which nobody signs", False


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of an address, as endpoints without an account."""

    endpoints: tuple[Endpoint, ...]
    origin: Origin
    phrase: str
    """Who says so, for people; it completes "the servers are"."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of mail, and how it is known: by the domain of an address, or by the exchanges of that domain.

    Attributes:
        servers: URLs as `check` takes them.
    """

    name: str
    domains: frozenset[str]
    exchanges: tuple[str, ...]
    servers: tuple[tuple[Protocol, str, Security], ...]


_MAX_EXCHANGES = 2  # that are tried on port 25: what blocks one blocks all

_T, _S = Security.TLS, Security.STARTTLS
_IMAP, _POP3, _SMTP = Protocol.IMAP, Protocol.POP3, Protocol.SMTP

PROVIDERS: Sequence[Provider] = (
    Provider(
        "Google",
        frozenset({"gmail.com", "googlemail.com"}),
        (".google.com", ".googlemail.com"),
        (
            (_IMAP, "imap.gmail.com", _T),
            (_POP3, "pop.gmail.com", _T),
            (_SMTP, "smtp.gmail.com", _T),
            (_SMTP, "smtp.gmail.com", _S),
        ),
    ),
    Provider(
        "Microsoft",
        frozenset({"outlook.com", "hotmail.com", "live.com", "msn.com"}),
        (".protection.outlook.com",),
        (
            (_IMAP, "outlook.office365.com", _T),
            (_POP3, "outlook.office365.com", _T),
            (_SMTP, "smtp.office365.com", _S),
        ),
    ),
    Provider(
        "Yahoo",
        frozenset({"yahoo.com", "ymail.com", "rocketmail.com"}),
        (".yahoodns.net",),
        (
            (_IMAP, "imap.mail.yahoo.com", _T),
            (_POP3, "pop.mail.yahoo.com", _T),
            (_SMTP, "smtp.mail.yahoo.com", _T),
        ),
    ),
    Provider(
        "Apple",
        frozenset({"icloud.com", "me.com", "mac.com"}),
        (".mail.icloud.com",),
        ((_IMAP, "imap.mail.me.com", _T), (_SMTP, "smtp.mail.me.com", _S)),
    ),
    Provider(
        "Fastmail",
        frozenset({"fastmail.com", "fastmail.fm"}),
        (".messagingengine.com",),
        (
            (_IMAP, "imap.fastmail.com", _T),
            (_POP3, "pop.fastmail.com", _T),
            (_SMTP, "smtp.fastmail.com", _T),
        ),
    ),
)
"""Those whose servers are not under the domains of their customers. Each publishes them in its own help pages."""

# RFC 6186 §3.2 to §3.4, RFC 8314 §5.1
_SERVICES: Sequence[tuple[str, Protocol, Security]] = (
    ("_imaps._tcp", _IMAP, _T),
    ("_pop3s._tcp", _POP3, _T),
    ("_submissions._tcp", _SMTP, _T),
    ("_submission._tcp", _SMTP, _S),
    ("_imap._tcp", _IMAP, _S),
    ("_pop3._tcp", _POP3, _S),
)


_LOCAL_PART = re.compile(r'"[^"\\]+"|[^\s"(),:;<>@\[\\\]]+')
"""What stands before the @ (RFC 5321 §4.1.2, in any script as RFC 6531 §3.3 has it), without quoted pairs."""


def domain_of(address: str) -> str:
    """Return the domain of an address, in small letters and without a final dot.

    Raises:
        UsageError: It is no address of mail.
    """
    local, _, domain = address.rpartition("@")
    # A literal ([192.0.2.1], RFC 5321 §4.1.3) and a port are no domain.
    if not _LOCAL_PART.fullmatch(local) or any(each.isspace() or each in "[]:" for each in domain):
        raise UsageError(f"{show(address)}: must be an address such as me@gmail.com")
    if not local.isprintable():  # the server would take the login for one of somebody else
        raise UsageError(f"{show(address)}: must be an address without an invisible character: type it again")
    try:
        return check_host(domain).lower().removesuffix(".")
    except Unacceptable as mistake:
        raise UsageError(f"{show(address)}: the domain {mistake}") from None


async def find(
    address: str, config: Config, resolver: Resolver, *, account: Account | None = None, server: str | None = None
) -> Servers:
    """Return the servers of an address: of `server`, of the account's endpoints, of its provider, or of the DNS.

    Raises:
        UsageError: None are known; the message says how to name them.
        aiodns.error.DNSError: The domain had to be looked up, and that failed.
    """
    domain = domain_of(address)
    if server:
        return Servers(await _of_host(server), Origin.NAMED, Origin.NAMED.phrase)
    if account and (own := [one for one in config.endpoints.values() if one.account == account]):
        return Servers(tuple(own), Origin.CONFIGURATION, Origin.CONFIGURATION.phrase)
    provider = _of_domain(domain) or await _of_exchanges(domain, resolver)
    if provider:
        endpoints = tuple(_endpoint(*one) for one in provider.servers)
        return Servers(endpoints, Origin.PROVIDER, Origin.PROVIDER.phrase.format(provider=provider.name))
    found = [one for service in _SERVICES if (one := await _of_service(domain, *service, resolver))]
    if not found:
        raise UsageError(
            f"no servers are known for {domain}: it is none of the providers that this program knows, and has no SRV "
            "records; name the host with --server HOST"
        )
    endpoints = _of_each_protocol(found)
    is_own = all(f".{one.host}".endswith(f".{domain}") for one in endpoints)
    origin = Origin.OWN if is_own else Origin.RECORDS
    return Servers(endpoints, origin, origin.phrase.format(domain=domain))


async def _of_host(host: str) -> tuple[Endpoint, ...]:
    """Return the endpoints at the ports of a host that accept a connection, but that of mail servers."""
    try:
        usual = usual_endpoints(check_host(host).lower())
    except Unacceptable as mistake:
        raise UsageError(f"--server {show(host)}: the host {mistake}") from None
    clients = [one for one in usual if one.port != PORTS[_SMTP, Security.NONE]]
    return _of_each_protocol(sorted(await answering(clients), key=lambda one: one.security is not Security.TLS))


def _of_domain(domain: str) -> Provider | None:
    return next((provider for provider in PROVIDERS if domain in provider.domains), None)


async def _of_exchanges(domain: str, resolver: Resolver) -> Provider | None:
    """Return the provider that takes the domain's mail: a domain at Google Workspace has exchanges of Google's."""
    exchanges = [f".{host}" for host in await _exchanges(domain, resolver)]
    return next((one for one in PROVIDERS if any(exchange.endswith(one.exchanges) for exchange in exchanges)), None)


async def exchanges_of(domain: str, resolver: Resolver) -> tuple[Endpoint, ...]:
    """Return the most preferred exchanges of a domain, at most `_MAX_EXCHANGES`, as endpoints of port 25.

    Raises:
        aiodns.error.DNSError: The look-up failed.
    """
    hosts = (await _exchanges(domain, resolver))[:_MAX_EXCHANGES]
    return tuple(_endpoint(_SMTP, host, _S, PORTS[_SMTP, Security.NONE]) for host in hosts)


async def _exchanges(domain: str, resolver: Resolver) -> list[str]:
    try:
        return [exchange.host for exchange in await look_up(resolver, domain)]
    except NullMx:
        return []
    except DNSError as error:
        if error.args[0] == ARES_ENOTFOUND:
            return []
        raise


async def _of_service(
    domain: str, service: str, protocol: Protocol, security: Security, resolver: Resolver
) -> Endpoint | None:
    """Return the server of an SRV record: of the lowest priority, and of the highest weight there (RFC 2782)."""
    records = [
        record.data
        for record in await _services(f"{service}.{domain}", resolver)
        if isinstance(record.data, pycares.SRVRecordData) and record.data.target not in ("", ".")
    ]
    if not records:
        return None
    best = min(records, key=lambda record: (record.priority, -record.weight))
    try:
        return _endpoint(protocol, check_host(best.target.removesuffix(".")).lower(), security, best.port)
    except Unacceptable:
        return None  # nobody could connect to that


async def _services(name: str, resolver: Resolver) -> Sequence[pycares.DNSRecord]:
    try:
        return await resolver.records(name, "SRV")
    except DNSError as error:
        if error.args[0] in (ARES_ENODATA, ARES_ENOTFOUND):
            return ()
        raise


def _of_each_protocol(found: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Keep TLS from the first octet where there is both, for IMAP and POP3; a client sends by either."""
    kept: list[Endpoint] = []
    for one in found:
        if one.protocol is Protocol.SMTP or all(one.protocol is not other.protocol for other in kept):
            kept.append(one)
    return tuple(kept)


def _endpoint(protocol: Protocol, host: str, security: Security, port: int | None = None) -> Endpoint:
    port = port or PORTS[protocol, security]
    return Endpoint(name=f"{host}:{port}", protocol=protocol, host=host, port=port, security=security)
