"""The configuration as the rest of the program sees it: frozen, comparable, every default resolved.

A model says what is representable; what an operator may write (ranges, traps, which keys go together) is judged while
reading, where a mistake still has a line and a column.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporter.model.address import Address, HostPattern
from exporter.model.frozen import FrozenMapping


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


class MechanismChoice(StrEnum):
    """How to log in; `auto` takes the best that the server and the credential have in common."""

    AUTO = "auto"
    PLAIN = "plain"
    LOGIN = "login"
    XOAUTH2 = "xoauth2"
    OAUTHBEARER = "oauthbearer"


class Role(StrEnum):
    """What an IMAP folder is for: INBOX, and the special uses of RFC 6154 and RFC 8457 under Gmail's words."""

    INBOX = "inbox"
    SENT = "sent"
    DRAFTS = "drafts"
    TRASH = "trash"
    SPAM = "spam"
    ALL = "all"
    STARRED = "starred"
    IMPORTANT = "important"


class Model(BaseModel):
    """What all models share: immutable, no keys beyond the declared, and no values in error texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SecretRef(Model):
    """Where a secret is to be found, never the secret: a file, or an environment variable."""

    file: Path | None = None
    env: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("exactly one of file and env is needed")
        return self


class OAuth2(Model):
    """An OAuth client and the refresh token that the account's owner granted to it."""

    client_id: str
    client_secret: SecretRef
    refresh_token: SecretRef
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 (an address)


class Account(Model):
    """Who logs in, and with which of the three kinds of credential."""

    name: str
    username: str
    app_password: SecretRef | None = None
    oauth2: OAuth2 | None = None
    service_account: SecretRef | None = None
    max_logins_per_day: Annotated[int, Field(ge=1)] = 200

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if sum(one is not None for one in (self.app_password, self.oauth2, self.service_account)) != 1:
            raise ValueError("exactly one of app_password, oauth2 and service_account is needed")
        return self


class Tls(Model):
    """How a server is verified. Without `ca_file` the system's authorities, without `server_name` the host."""

    ca_file: Path | None = None
    server_name: str | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"


class Endpoint(Model):
    """One endpoint with every default resolved; all durations are seconds.

    Two endpoints are equal where nothing of them changed, their account included.
    """

    name: str
    protocol: Protocol
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    security: Security = Security.TLS
    account: Account | None = None
    mechanism: MechanismChoice = MechanismChoice.AUTO
    folders: tuple[Role, ...] = ()
    tls: Tls = Tls()
    labels: FrozenMapping[str] = FrozenMapping()
    interval: Annotated[float, Field(gt=0)] = 30.0
    timeout: Annotated[float, Field(gt=0)] = 10.0
    login_interval: Annotated[float, Field(gt=0)] = 900.0
    ip_family: IpFamily = IpFamily.ANY


class Module(Model):
    """What `/probe` does with a target: an endpoint without a host. Durations are seconds.

    With an account it is for the addresses of `allow_hosts` alone, each of which is one host and one port. Without one
    `allow_hosts` takes the place of `ProbeSettings.allow` where it was said.
    """

    name: str
    protocol: Protocol
    port: Annotated[int, Field(ge=1, le=65535)]
    security: Security = Security.TLS
    account: Account | None = None
    mechanism: MechanismChoice = MechanismChoice.AUTO
    folders: tuple[Role, ...] = ()
    tls: Tls = Tls()
    timeout: Annotated[float, Field(gt=0)] = 10.0
    login_interval: Annotated[float, Field(gt=0)] = 900.0
    ip_family: Literal[IpFamily.ANY, IpFamily.IPV4, IpFamily.IPV6] = IpFamily.ANY
    allow_hosts: tuple[HostPattern, ...] | None = None

    @model_validator(mode="after")
    def _account_is_bound(self) -> Self:
        if self.account is not None and not (self.allow_hosts and all(one.exact for one in self.allow_hosts)):
            raise ValueError("an account needs allow_hosts, each of them one host and one port")
        return self

    def endpoint(self, address: Address) -> Endpoint:
        """Return what is probed at an address. No endpoint of a file can have its name."""
        address = address if address.port else Address(address.host, self.port)
        return Endpoint(
            name=f"probe/{self.name}/{address}",
            protocol=self.protocol,
            host=address.host,
            port=address.port or self.port,
            security=self.security,
            account=self.account,
            mechanism=self.mechanism,
            folders=self.folders,
            tls=self.tls,
            timeout=self.timeout,
            login_interval=self.login_interval,
            ip_family=self.ip_family,
        )

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return every endpoint at which its account may log in."""
        if self.account is None or self.allow_hosts is None:
            return ()
        return tuple(
            self.endpoint(Address(one.host, one.port if isinstance(one.port, int) else None))
            for one in self.allow_hosts
        )


class ProbeSettings(Model):
    """What `/probe` may be asked.

    Attributes:
        allow: The targets of modules that have neither an account nor `allow_hosts`; None is every public address, on
            the port of the module.
        max_concurrent: Probes that are under way at the same time.
    """

    allow: tuple[HostPattern, ...] | None = None
    max_concurrent: Annotated[int, Field(ge=1, le=1000)] = 50


class Config(Model):
    """A whole configuration.

    Attributes:
        accounts: By name, in the order of the file.
        endpoints: By name, in the order of the file; empty only where there are modules, when it was loaded.
        modules: By name, in the order of the file.
        probe: What `/probe` may be asked.
        source: The file it was read from, for people to read.
        digest: SHA-256 in hex of what is in effect: the same for two files that mean the same.
    """

    accounts: FrozenMapping[Account]
    endpoints: FrozenMapping[Endpoint]
    modules: FrozenMapping[Module] = FrozenMapping()
    probe: ProbeSettings = ProbeSettings()
    source: str
    digest: str

    @property
    def login_endpoints(self) -> Iterator[Endpoint]:
        """Return every endpoint at which an account logs in, those of modules too."""
        yield from (endpoint for endpoint in self.endpoints.values() if endpoint.account)
        for module in self.modules.values():
            yield from module.endpoints


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


def service_of(port: int) -> tuple[Protocol, Security] | None:
    """Return the protocol of a port, and how it is secured there: never not at all; None where no protocol is known."""
    for (protocol, security), registered in PORTS.items():
        if registered == port:
            return protocol, Security.STARTTLS if security is Security.NONE else security
    return None
