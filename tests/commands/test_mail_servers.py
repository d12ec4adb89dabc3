"""The servers of an address, and whether a password may go there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import pycares
import pytest
from aiodns.error import ARES_ENODATA, ARES_ENOTFOUND, ARES_ESERVFAIL, DNSError

from exporter.commands.mail_servers import PROVIDERS, Origin, Servers, domain_of, exchanges_of, find
from exporter.commands.targets import UsageError
from exporter.model.address import Address
from exporter.model.settings import Account, Config, Endpoint, Protocol
from exporter.probing.resolve import Resolver
from tests.examples import target

Record = tuple[int, str] | tuple[int, int, int, str]


class Zone:
    """Answers like a resolver: from records of `NAME KIND`, or with the number of an error."""

    def __init__(self, records: Mapping[str, Sequence[Record] | int]) -> None:
        self._records = records

    async def records(self, name: str, kind: str) -> list[pycares.DNSRecord]:
        found = self._records.get(f"{name} {kind}", ARES_ENOTFOUND)
        if isinstance(found, int):
            raise DNSError(found, "failed")
        number = getattr(pycares, f"QUERY_TYPE_{kind}")
        return [pycares.DNSRecord(name, number, 1, 300, data=_data(record)) for record in found]


def _data(record: Record) -> pycares.MXRecordData | pycares.SRVRecordData:
    """Return a record of an exchange, (preference, host), or of a service, as RFC 2782 writes it."""
    if len(record) == 2:
        return pycares.MXRecordData(*record)
    priority, weight, port, host = record
    return pycares.SRVRecordData(priority, weight, port, host)


async def servers_of(address: str, records: Mapping[str, Sequence[Record] | int]) -> Servers:
    """Find the servers of an address."""
    return await find(address, Config(), cast("Resolver", Zone(records)))


def addresses(servers: Servers) -> list[str]:
    """Return HOST:PORT of each."""
    return [str(Address(one.host, one.port)) for one in servers.endpoints]


GOOGLE = ["imap.gmail.com:993", "pop.gmail.com:995", "smtp.gmail.com:465", "smtp.gmail.com:587"]


@pytest.mark.parametrize(
    "address",
    [
        *("me@gmail.com", "ME@GMAIL.COM", "me+tag@googlemail.com", "me@gmail.com."),
        *('"a@b"@gmail.com', '"a b"@gmail.com', "người.dùng@gmail.com"),
    ],
)
async def test_domain_of_a_provider(address: str) -> None:
    """Nothing is looked up."""
    servers = await servers_of(address, {"gmail.com MX": ARES_ESERVFAIL})
    assert (addresses(servers), servers.origin, servers.phrase) == (GOOGLE, Origin.PROVIDER, "those of Google")


@pytest.mark.parametrize(
    ("exchange", "host"),
    [
        ("aspmx.l.google.com", "imap.gmail.com"),
        ("ALT1.ASPMX.L.GOOGLE.COM.", "imap.gmail.com"),
        ("aspmx2.googlemail.com", "imap.gmail.com"),
        ("example-com.mail.protection.outlook.com", "outlook.office365.com"),
        ("mx-van.mail.am0.yahoodns.net", "imap.mail.yahoo.com"),
        ("mx01.mail.icloud.com", "imap.mail.me.com"),
        ("in1-smtp.messagingengine.com", "imap.fastmail.com"),
    ],
)
async def test_domain_at_a_provider(exchange: str, host: str) -> None:
    """Its exchanges show whose customer it is."""
    servers = await servers_of("me@example.com", {"example.com MX": [(10, exchange)]})
    assert (servers.endpoints[0].host, servers.origin) == (host, Origin.PROVIDER)


@pytest.mark.parametrize("exchange", ["mx.example.com", "google.com.evil.example", "evilgoogle.com", "notgoogle.com"])
async def test_other_exchanges(exchange: str) -> None:
    """A name that only looks like a provider's is none."""
    with pytest.raises(UsageError, match="^no servers are known for example.com: .* --server HOST$"):
        await servers_of("me@example.com", {"example.com MX": [(10, exchange)]})


async def test_service_records() -> None:
    """RFC 6186: the lowest priority, and there the highest weight; TLS from the first octet before STARTTLS."""
    servers = await servers_of(
        "me@example.com",
        {
            "example.com MX": ARES_ENODATA,
            "_imaps._tcp.example.com SRV": [
                (10, 0, 993, "backup.example.com"),
                (0, 1, 993, "less.example.com"),
                (0, 9, 1993, "Mail.example.com."),
            ],
            "_imap._tcp.example.com SRV": [(0, 1, 143, "mail.example.com")],
            "_pop3s._tcp.example.com SRV": [(0, 0, 0, ".")],
            "_submission._tcp.example.com SRV": [(0, 1, 587, "mail.example.com")],
        },
    )
    assert addresses(servers) == ["mail.example.com:1993", "mail.example.com:587"]
    assert servers.origin is Origin.OWN


@pytest.mark.parametrize("host", ["mail.example.net", "example.com.evil.example", "notexample.com"])
async def test_service_records_of_another_domain(host: str) -> None:
    """Nobody signs them: a password goes there only if somebody says so."""
    servers = await servers_of("me@example.com", {"_imaps._tcp.example.com SRV": [(0, 1, 993, host)]})
    assert (servers.endpoints[0].host, servers.origin, servers.origin.is_sure) == (host, Origin.RECORDS, False)


async def test_failing_look_up() -> None:
    """It is not taken for a domain without records."""
    with pytest.raises(DNSError):
        await servers_of("me@example.com", {"example.com MX": ARES_ESERVFAIL})


async def test_configuration() -> None:
    """The endpoints of the account."""
    account = Account("ops", "me@example.com")
    endpoint: Endpoint = target(account=account).endpoint
    config = Config(accounts={"ops": account}, endpoints={"imap": endpoint, "other": target("other").endpoint})
    servers = await find("me@example.com", config, cast("Resolver", Zone({})), account=account)
    assert (servers.endpoints, servers.origin) == ((endpoint,), Origin.CONFIGURATION)


async def test_exchanges() -> None:
    """The most preferred ones, on port 25; none where the domain takes no mail."""
    zone = {"example.com MX": [(20, "b.example.com"), (10, "a.example.com"), (30, "c.example.com")]}
    found = await exchanges_of("example.com", cast("Resolver", Zone(zone)))
    assert [(one.host, one.port) for one in found] == [("a.example.com", 25), ("b.example.com", 25)]
    assert await exchanges_of("example.com", cast("Resolver", Zone({"example.com MX": [(0, ".")]}))) == ()
    assert await exchanges_of("example.com", cast("Resolver", Zone({}))) == ()


@pytest.mark.parametrize(
    "address",
    [
        *("", "me", "@gmail.com", "me@", "me @gmail.com", "me@gmail.com ", "me@gma_il..com", "me@@gmail.com"),
        *(
            "a@b@gmail.com",
            "mailto:me@gmail.com",
            "<me@gmail.com>",
            "Me <me@gmail.com>",
            "a,b@gmail.com",
            "me@gmail.com..",
        ),
        *("me@gmail.com:993", "me@[192.0.2.1]", "me@[IPv6:2001:db8::1]", "me@2001:db8::1"),
        *("m\u200be@gmail.com", "me\0@gmail.com", "\ufeffme@gmail.com", "\u202ame@gmail.com"),
    ],
)
def test_no_address(address: str) -> None:
    """It is shown, and what was wanted."""
    with pytest.raises(UsageError, match="must") as caught:
        domain_of(address)
    assert "a key" not in str(caught.value)  # it is no configuration


def test_providers() -> None:
    """Each has IMAP, and a way to send; no domain is in two rows."""
    for provider in PROVIDERS:
        protocols = {protocol for protocol, _, _ in provider.servers}
        assert {Protocol.IMAP, Protocol.SMTP} <= protocols
        assert all(exchange.startswith(".") for exchange in provider.exchanges)
    domains = [domain for provider in PROVIDERS for domain in provider.domains]
    assert len(domains) == len(set(domains))
