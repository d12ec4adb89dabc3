"""TLSA records from a signed zone, through a resolver that verifies it, and from name servers that fail at them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator

import pytest

from exporter.domains import dnssec
from exporter.domains.dane import DaneFacts, look_up
from exporter.model.domain import Tlsa
from exporter.model.reason import Reason
from tests.servers.bind import Bind, Unbound
from tests.servers.forwarder import Fault, Forwarder

HOST, NAME = "mx1.example.com", "_25._tcp.mx1.example.com"
DIGEST = hashlib.sha256(b"a key").hexdigest()
LONG = hashlib.sha512(b"a key").hexdigest()
MALFORMED = {
    "digest too short": f"3 1 1 {DIGEST[2:]}",
    "digest too long": f"3 1 1 {DIGEST}00",
    "SHA-512 of the length of SHA-256": f"3 1 2 {DIGEST}",
    "digest of one octet": "3 1 1 00",
}
ZONE = "\n".join(
    [
        "@ MX 10 mx1\nmx1 A 127.0.0.1",
        *(f"bad{number} A 127.0.0.1" for number in range(len(MALFORMED))),
        *(
            f"_25._tcp.bad{number} TLSA {record}\n_25._tcp.bad{number} TLSA 3 1 1 {DIGEST}"
            for number, record in enumerate(MALFORMED.values())
        ),
        *(
            f"alone{number} A 127.0.0.1\n_25._tcp.alone{number} TLSA {record}"
            for number, record in enumerate(MALFORMED.values())
        ),
        # Exchanges that are aliases, which they must not be: of a name with records, and of one in the other zone.
        f"alias CNAME end\nend A 127.0.0.1\n_25._tcp.end TLSA 3 1 1 {DIGEST}",
        f"both CNAME end\n_25._tcp.both TLSA 3 1 2 {LONG}",
        f"own CNAME mx1\n_25._tcp.own TLSA 3 1 2 {LONG}",
        f"away CNAME end.{{other}}.\n_25._tcp.away TLSA 3 1 2 {LONG}",
        "loose CNAME nowhere",
    ]
)
ZONES = {
    zone: ZONE.format(other=other) for zone, other in (("example.com", "example.net"), ("example.net", "example.com"))
}
"""The first is signed."""


@pytest.fixture(scope="module")
def bind() -> Iterator[Bind]:
    """A signed zone, and one that is not."""
    with Bind(ZONES, signed=["example.com"]) as server:
        yield server


@pytest.fixture(scope="module")
def unbound(bind: Bind) -> Iterator[Unbound]:
    """The resolver that verifies it."""
    with Unbound(bind) as server:
        yield server


@pytest.fixture
async def server(bind: Bind, unbound: Unbound) -> AsyncIterator[Forwarder]:
    """The resolver, which can be made to fail; afterwards there are no records."""
    async with Forwarder(unbound.address) as server:
        yield server
    for name in (NAME, NAME.replace(".com", ".net")):
        bind.put(name, "TLSA")


async def found(server: Forwarder, host: str = HOST, seconds: float = 5.0) -> DaneFacts:
    """Look up an exchange."""
    return await look_up(dnssec.believed([server.address], ()), host, 25, seconds)


RECORDS: dict[str, tuple[str, bool]] = {
    "key, SHA-256": (f"3 1 1 {DIGEST}", True),
    "certificate, SHA-512": (f"3 0 2 {LONG}", True),
    "authority": (f"2 0 1 {DIGEST}", True),
    "whole certificate": ("3 0 0 30820122", True),
    "PKIX-EE": (f"1 1 1 {DIGEST}", False),
    "PKIX-TA": (f"0 0 1 {DIGEST}", False),
    "private usage": (f"255 1 1 {DIGEST}", False),
    "unknown selector": (f"3 2 1 {DIGEST}", False),
    "unknown hash": (f"3 1 3 {DIGEST}", False),
}


@pytest.mark.parametrize("case", RECORDS)
async def test_record(bind: Bind, server: Forwarder, case: str) -> None:
    """Every record is known; in force are those that senders use (RFC 7672 §3.1)."""
    text, is_usable = RECORDS[case]
    bind.put(NAME, "TLSA", text)
    facts = await found(server)
    usage, selector, matching, data = text.split()
    record = Tlsa(int(usage), int(selector), int(matching), bytes.fromhex(data))
    assert (facts.records, facts.authenticated, facts.failure) == ((record,), True, None)
    assert facts.in_force == ((record,) if is_usable else ())


@pytest.mark.parametrize("case", MALFORMED)
async def test_malformed_record(unbound: Unbound, case: str) -> None:
    """It is as none, and does not hide the one beside it."""
    servers = dnssec.believed([unbound.address], ())
    facts = await look_up(servers, f"bad{[*MALFORMED].index(case)}.example.com", 25, 5.0)
    assert facts.failure is None
    assert facts.in_force == (Tlsa(3, 1, 1, bytes.fromhex(DIGEST)),)


@pytest.mark.parametrize("case", MALFORMED)
async def test_malformed_record_alone(unbound: Unbound, case: str) -> None:
    """RFC 7672 §2.2: there are records, which demand TLS, and none of them verifies the exchange."""
    servers = dnssec.believed([unbound.address], ())
    facts = await look_up(servers, f"alone{[*MALFORMED].index(case)}.example.com", 25, 5.0)
    assert (facts.failure, facts.records, facts.in_force) == (None, (), ())
    assert facts.exist
    assert facts.authenticated


ALIASES: dict[str, tuple[list[int], bool, str]] = {
    "alias.example.com": ([1], True, "end.example.com"),
    "both.example.com": ([1], True, "end.example.com"),
    "own.example.com": ([2], True, ""),
    "away.example.com": ([2], True, ""),
    "loose.example.com": ([], True, ""),
    "away.example.net": ([2], False, ""),
    "alias.example.net": ([], False, ""),
}
"""The hashes of the records, whether these are authenticated, and the name that has them, if it is another one."""


@pytest.mark.parametrize("host", ALIASES)
async def test_alias(server: Forwarder, host: str) -> None:
    """RFC 7672 §2.2.2: the records at the end of an alias come first, and then its own, if these are authenticated."""
    facts = await found(server, host)
    hashes, is_authenticated, base = ALIASES[host]
    assert facts.failure is None
    assert [record.matching for record in facts.records] == hashes
    assert (facts.authenticated, facts.base) == (is_authenticated, base)
    assert facts.is_alias is (bool(hashes) or host.endswith(".com")), "where nothing depends on it, nobody asks"


async def test_alias_that_cannot_be_looked_up(server: Forwarder) -> None:
    """Whether the name at its end has records is not known."""
    server.faults = {("_25._tcp.end.example.com", "TLSA"): "servfail"}
    for host in ("alias.example.com", "both.example.com"):
        facts = await found(server, host)
        assert facts.failure is not None
        assert facts.failure.detail == "the TLSA look-up of _25._tcp.end.example.com: SERVFAIL"
        assert not facts.is_known


async def test_many_records(bind: Bind, unbound: Unbound) -> None:
    """As many as a zone has: such an answer comes over TCP."""
    bind.put("_25._tcp.null.example.com", "TLSA", *(f"3 1 1 {number:064x}" for number in range(60)))
    servers = dnssec.believed([unbound.address], ())
    assert len((await look_up(servers, "null.example.com", 25, 5.0)).in_force) == 60


async def test_no_record(server: Forwarder) -> None:
    """No record, and no exchange of that name, are no failures."""
    for host in (HOST, "gone.example.com"):
        facts = await found(server, host)
        assert (facts.records, facts.failure) == ((), None)
    server.questions.clear()
    for host, may_be_alias in (("mx1.example.net", True), (HOST, False)):
        await look_up(dnssec.believed([server.address], ()), host, 25, 5.0, may_be_alias=may_be_alias)
        assert (host, "A") not in server.questions, "nothing depends on it"


async def test_unsigned_zone(bind: Bind, server: Forwarder) -> None:
    """Records are there, and not in force."""
    bind.put(NAME.replace(".com", ".net"), "TLSA", f"3 1 1 {DIGEST}")
    facts = await found(server, "mx1.example.net")
    assert len(facts.records) == 1
    assert not facts.authenticated
    assert facts.in_force == ()


async def test_resolver_that_strips_ad(bind: Bind, server: Forwarder) -> None:
    """What the resolver does not say it has verified is not verified."""
    bind.put(NAME, "TLSA", f"3 1 1 {DIGEST}")
    assert (await found(server)).in_force
    server.strips_ad = True
    facts = await found(server)
    assert (len(facts.records), facts.authenticated, facts.failure) == (1, False, None)


FAILURES: dict[Fault, tuple[Reason, str]] = {
    "servfail": (Reason.DNS_ERROR, "SERVFAIL"),
    "refused": (Reason.DNS_ERROR, "REFUSED"),
    "silence": (Reason.TIMEOUT, "no answer in time"),
    "garbage": (Reason.DNS_ERROR, ""),
    "truncated": (Reason.DNS_ERROR, ""),
}


@pytest.mark.parametrize("kind", ["A", "TLSA"])
@pytest.mark.parametrize("fault", FAILURES)
async def test_failing_look_up(bind: Bind, server: Forwarder, kind: str, fault: Fault) -> None:
    """It is not known whether there are records: nobody's fault yet, least of all the domain's."""
    bind.put(NAME, "TLSA", f"3 1 1 {DIGEST}")
    server.faults = {(HOST if kind == "A" else NAME, kind): fault}
    facts = await found(server, seconds=0.3)
    reason, said = FAILURES[fault]
    assert facts.failure is not None
    assert (facts.failure.reason, facts.failure.host, facts.failure.blame) == (reason, HOST, "unknown")
    assert said in facts.failure.detail
    assert facts.records == ()


@pytest.mark.parametrize("fault", FAILURES)
async def test_server_that_knows_no_tlsa(server: Forwarder, fault: Fault) -> None:
    """RFC 7672 §2.1.1: in an unsigned zone it does not matter that such questions fail."""
    host = "mx1.example.net"
    server.faults = {(f"_25._tcp.{host}", "TLSA"): fault}
    facts = await found(server, host, seconds=0.3)
    assert (facts.failure, facts.records) == (None, ())


@pytest.mark.parametrize(
    "host",
    [
        "a..b",
        "x" * 70 + ".example.com",
        "\\000.example.com",
        "é.example.com",
        "\\999.com",
        "",
        ".".join(["x" * 61] * 4),
    ],
)
async def test_hostile_name(server: Forwarder, host: str) -> None:
    """An MX record may name anything."""
    facts = await found(server, host, seconds=1.0)
    assert facts.records == ()
    if len(host) > 240:
        assert facts.failure is None, "a name that has no room for another label has no TLSA records"
