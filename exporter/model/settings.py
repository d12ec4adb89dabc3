"""The configuration as the rest of the program sees it: immutable, comparable, every default resolved.

Nothing is checked here. A settings object is valid because `exporter.config` made it, where the line and the column of
a mistake are still known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from exporter.model.address import Address, HostPattern
from exporter.model.evidence import ControlKind
from exporter.model.reason import GOOGLE, provider_of
from exporter.model.verdict_settings import Control, StatusProvider, VerdictSettings


class Protocol(StrEnum):
    """The protocol an endpoint speaks."""

    IMAP = "imap"
    POP3 = "pop3"
    SMTP = "smtp"


class Security(StrEnum):
    """How a connection is secured: TLS from the first byte, by an upgrade, or not at all."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class IpFamily(StrEnum):
    """Which address families are probed."""

    ANY = "any"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    BOTH = "both"


class AddressChoice(StrEnum):
    """Which addresses of a name are connected to: the next one only where one does not connect, or each, to count."""

    FIRST = "first"
    ALL = "all"


class MechanismChoice(StrEnum):
    """How to log in; `auto` takes the best that the server and the credential have in common."""

    AUTO = "auto"
    PLAIN = "plain"
    LOGIN = "login"
    XOAUTH2 = "xoauth2"
    OAUTHBEARER = "oauthbearer"


class Role(StrEnum):
    """What an IMAP folder is for: INBOX, and the special uses of RFC 6154 and RFC 8457 under Gmail's names."""

    INBOX = "inbox"
    SENT = "sent"
    DRAFTS = "drafts"
    TRASH = "trash"
    SPAM = "spam"
    ALL = "all"
    STARRED = "starred"
    IMPORTANT = "important"


class ExpectedFolder(StrEnum):
    """Where the message of a delivery must be found: in the inbox, or anywhere."""

    INBOX = "inbox"
    ANY = "any"


class Cleanup(StrEnum):
    """What becomes of the messages of a delivery."""

    TRASH = "trash"
    KEEP = "keep"


MAX_SENDS = 100
"""Test messages of an account in 24 hours, where nothing else is said."""


def _none() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is to be found, never the secret: either a file or an environment variable."""

    file: Path | None = None
    env: str | None = None


@dataclass(frozen=True, slots=True)
class OAuth2:
    """An OAuth client and the refresh token that the account's owner granted to it."""

    client_id: str
    client_secret: SecretRef
    refresh_token: SecretRef
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 (an address)


@dataclass(frozen=True, slots=True)
class Account:
    """Who logs in, and with which one of the three kinds of credential."""

    name: str
    username: str
    app_password: SecretRef | None = None
    oauth2: OAuth2 | None = None
    service_account: SecretRef | None = None
    max_logins_per_day: int = 200
    max_sends_per_day: int = MAX_SENDS

    @property
    def secrets(self) -> tuple[SecretRef, ...]:
        """Where its secrets are."""
        if self.oauth2:
            return self.oauth2.client_secret, self.oauth2.refresh_token
        return tuple(reference for reference in (self.app_password, self.service_account) if reference)


@dataclass(frozen=True, slots=True)
class Tls:
    """How a server is verified. Without `ca_file` by the system's authorities, without `server_name` for the host."""

    ca_file: Path | None = None
    server_name: str | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"
    public_root: bool = False
    """Whether the chain must end in a root that the public trusts, as it must at Google's hosts in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """What endpoints and modules have in common: what is spoken, and how; who logs in. Durations are seconds."""

    name: str
    protocol: Protocol
    port: int
    security: Security = Security.TLS
    account: Account | None = None
    mechanism: MechanismChoice = MechanismChoice.AUTO
    folders: tuple[Role, ...] = ()
    tls: Tls = Tls()
    timeout: float = 10.0
    login_interval: float = 900.0
    ip_family: IpFamily = IpFamily.ANY
    client_name: str | None = None
    """What SMTP's EHLO says; None for the literal of the address that connects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(SessionSettings):
    """One endpoint with every default resolved. Two are equal if all their settings are, the account's included.

    An endpoint with a domain is probed at each of the domain's mail exchanges: `at` is the endpoint of one of them.
    """

    host: str = ""
    """The server; empty for a domain as a whole."""
    domain: str | None = None
    expect: tuple[str, ...] = ()
    """The exchanges that the domain must have; empty: any."""
    expect_mta_sts: bool = False
    """Whether the domain must have an MTA-STS policy."""
    trusted_resolvers: tuple[str, ...] = ()
    """Addresses of resolvers, besides those on loopback, whose word on DNSSEC is taken."""
    greeting_timeout: float | None = None
    """Seconds that the greeting may take, which then do not count in `timeout`; None: they count."""
    labels: Mapping[str, str] = field(default_factory=_none, hash=False)
    interval: float = 30.0
    addresses: AddressChoice = AddressChoice.FIRST
    newest: bool = False
    """Whether to ask when the newest message of the inbox came; for `doctor` alone, no file can say it."""

    @property
    def is_google(self) -> bool:
        """Whether its host is Google's; of a domain as a whole, whether that is."""
        return provider_of(self.host or self.domain or "") == GOOGLE

    @property
    def needs_public_root(self) -> bool:
        """Whether a chain that ends in a root that is trusted only here is an interception.

        A `ca_file` says which authorities are meant.
        """
        if self.security is Security.NONE or self.tls.ca_file is not None:
            return False
        return self.tls.public_root or self.is_google

    def at(self, exchange: str) -> Endpoint:
        """Return the endpoint of one exchange of the domain."""
        return replace(self, host=exchange)

    @property
    def longest(self) -> float:
        """Seconds after which a probe has ended."""
        return self.timeout + (self.greeting_timeout or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Module(SessionSettings):
    """How `/probe` probes a target: an endpoint without a host. One probe is of one address family, or of any.

    A module with an account has `allow_hosts`, each of them one host and one port: the account logs in nowhere else.
    For a module without an account, `allow_hosts` takes the place of `ProbeSettings.allow` where it is set.

    Attributes:
        domain: Whether a target is a mail domain, each exchange of which is probed.
    """

    allow_hosts: tuple[HostPattern, ...] | None = None
    domain: bool = False

    def endpoint(self, address: Address) -> Endpoint:
        """Return the endpoint that is probed at an address. Its name has slashes, as no endpoint of a file can have."""
        port = address.port or self.port
        common = {each.name: getattr(self, each.name) for each in fields(SessionSettings)}
        common |= {"name": f"probe/{self.name}/{Address(address.host, port)}", "port": port}
        if self.domain:
            return Endpoint(**common, domain=address.host.lower().removesuffix("."))
        return Endpoint(**common, host=address.host)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return every endpoint at which its account may log in."""
        if self.account is None or self.allow_hosts is None:
            return ()
        return tuple(
            self.endpoint(Address(one.host, one.port if isinstance(one.port, int) else None))
            for one in self.allow_hosts
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A test message that is sent as one account and found as another, both of this configuration.

    Attributes:
        sender: Who sends it, by logging in at `via`.
        recipient: Who receives it: another mailbox than that of the sender.
        read_at: Where the recipient must find it: one endpoint of IMAP, and perhaps one of POP3.
        timeout: Seconds from the acceptance of the message until it must be visible.
        sent_at: Where the copy in the sender's folder of sent messages is cleared away; None where it is kept.
    """

    name: str
    sender: Account
    via: Endpoint
    recipient: Account
    read_at: tuple[Endpoint, ...]
    interval: float = 1800.0
    timeout: float = 300.0
    expect: ExpectedFolder = ExpectedFolder.INBOX
    cleanup: Cleanup = Cleanup.TRASH
    sent_copy: Cleanup = Cleanup.TRASH
    sent_at: Endpoint | None = None

    @property
    def imap(self) -> Endpoint:
        """The endpoint of IMAP at which the recipient reads."""
        return next(endpoint for endpoint in self.read_at if endpoint.protocol is Protocol.IMAP)

    @property
    def pop3(self) -> Endpoint | None:
        """The endpoint of POP3 at which the recipient reads; None where that is not asked for."""
        return next((endpoint for endpoint in self.read_at if endpoint.protocol is Protocol.POP3), None)


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """Which targets `/probe` accepts.

    Attributes:
        allow: The targets of modules that have neither an account nor `allow_hosts`; None is every public address, on
            the port of the module.
        max_concurrent: Probes that are under way at the same time.
    """

    allow: tuple[HostPattern, ...] | None = None
    max_concurrent: int = 50


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration.

    Attributes:
        accounts: By name, in the order of the file.
        endpoints: By name, in the order of the file; empty only where there are modules.
        modules: By name, in the order of the file.
        probe: Which targets `/probe` accepts.
        verdict: What evidence is gathered while an endpoint fails.
        deliveries: By name, in the order of the file.
        source: The file it was read from, for people to read.
        digest: SHA-256 in hex of the effective configuration: the same for two files that mean the same.
    """

    accounts: Mapping[str, Account] = field(default_factory=_none)
    endpoints: Mapping[str, Endpoint] = field(default_factory=_none)
    modules: Mapping[str, Module] = field(default_factory=_none)
    probe: ProbeSettings = ProbeSettings()
    verdict: VerdictSettings = field(default_factory=VerdictSettings)
    deliveries: Mapping[str, Delivery] = field(default_factory=_none)
    source: str = ""
    digest: str = ""

    @property
    def login_endpoints(self) -> Iterator[Endpoint]:
        """Yield every endpoint at which an account logs in, those of modules too."""
        yield from (endpoint for endpoint in self.endpoints.values() if endpoint.account)
        for module in self.modules.values():
            yield from module.endpoints

    @property
    def watches_google(self) -> bool:
        """Whether the host of an endpoint is Google's."""
        return any(endpoint.is_google for endpoint in self.endpoints.values())

    @property
    def controls(self) -> tuple[Control, ...]:
        """The controls that are in force: those of Google's web servers only where an endpoint is Google's."""
        return tuple(
            control
            for control in self.verdict.controls.values()
            if control.kind is not ControlKind.PROVIDER_WEB or self.watches_google
        )

    @property
    def status_provider(self) -> StatusProvider:
        """Whose incidents are read: Google's only where an endpoint is Google's."""
        return self.verdict.status.provider if self.watches_google else StatusProvider.NONE


PORTS: Mapping[tuple[Protocol, Security], int] = {
    (Protocol.IMAP, Security.TLS): 993,
    (Protocol.IMAP, Security.STARTTLS): 143,
    (Protocol.IMAP, Security.NONE): 143,
    (Protocol.POP3, Security.TLS): 995,
    (Protocol.POP3, Security.STARTTLS): 110,
    (Protocol.POP3, Security.NONE): 110,
    (Protocol.SMTP, Security.TLS): 465,
    (Protocol.SMTP, Security.STARTTLS): 587,
    (Protocol.SMTP, Security.NONE): 25,
}
"""The port that IANA registered for each protocol, secured that way (RFC 8314 §7, RFC 6409 §3.1)."""


PORT_OF_EXCHANGES = 25
"""The port at which mail exchanges take mail of other servers (RFC 5321 §4.5.4.2)."""


def service_of(port: int) -> tuple[Protocol, Security] | None:
    """Return the protocol that uses a port, with TLS or STARTTLS, never `Security.NONE`; None for an unknown port."""
    for (protocol, security), registered in PORTS.items():
        if registered == port:
            return protocol, Security.STARTTLS if security is Security.NONE else security
    return None
