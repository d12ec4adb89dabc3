"""What changes at a mail domain is told within one interval, and leaves no series: against BIND and Unbound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from exporter.domains import mta_sts
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint, IpFamily, Protocol, Security, Tls
from exporter.probing.resolve import Resolver
from tests.monitor.domain_watch import Watch, tlsa_of, zone_of
from tests.servers.bind import Bind, Unbound
from tests.servers.dialogues import Smtp
from tests.servers.forwarder import Forwarder
from tests.servers.policy_host import PolicyHost, policy

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.authority import Authority
    from tests.servers.scripted import ScriptedServer

ID, REPORTS = "v=STSv1; id=1;", "v=TLSRPTv1; rua=mailto:reports@example.com"
HOSTS = ("mx1.example.com", "mx2.example.com", "mx3.example.com")

# The records of gmail.com (the catalogue has when each was seen), and its policy.
GMAIL = [
    "5 gmail-smtp-in.l.google.com.",
    *(f"{number}0 alt{number}.gmail-smtp-in.l.google.com." for number in range(1, 5)),
]
GMAIL_HOSTS = [exchange.split()[1].removesuffix(".") for exchange in GMAIL]
GMAIL_POLICY = (
    b"version: STSv1\nmode: enforce\nmx: gmail-smtp-in.l.google.com\nmx: *.gmail-smtp-in.l.google.com\nmax_age: 86400\n"
)

CROWD, OF_EACH = 10, 5
"""Domains that are looked up together, and exchanges of each."""

ZONES = {
    "example.com": "\n".join(
        [
            zone_of("@", ["10 mx1", "20 mx2"], [ID], [REPORTS]),
            "mta-sts A 127.0.0.1\nmx1 A 127.0.0.1\nmx2 A 127.0.0.1\nmx3 A 127.0.0.1",
        ]
    ),
    "gmail.com": zone_of("@", GMAIL, ["v=STSv1; id=20190429T010101;"], ["v=TLSRPTv1;rua=mailto:sts-reports@google.com"])
    + "\nmta-sts A 127.0.0.1",
    "google.com": "\n".join(f"{host}. A 127.0.0.1" for host in GMAIL_HOSTS),
    "example.net": "\n".join(
        f"d{number} MX 10 mx{exchange}.d{number}\nmx{exchange}.d{number} A 127.0.0.1"
        for number in range(CROWD)
        for exchange in range(OF_EACH)
    ),
}


@pytest.fixture(scope="module")
def bind() -> Iterator[Bind]:
    """One BIND for the tests of this file."""
    with Bind(ZONES, signed=["example.com"]) as server:
        yield server


@pytest.fixture(scope="module")
def unbound(bind: Bind) -> Iterator[Unbound]:
    """The resolver that verifies example.com."""
    with Unbound(bind) as server:
        yield server


@dataclass
class Bench:
    """An exchange, a policy host and the resolver, and the watch of a domain."""

    bind: Bind
    resolver: Forwarder
    exchange: ScriptedServer
    host: PolicyHost
    watch: Watch

    def put_tlsa(self, host: str, *records: str) -> None:
        """Make these the TLSA records of an exchange."""
        self.bind.put(f"_{self.exchange.port}._tcp.{host}", "TLSA", *records)

    async def told(self) -> set[tuple[Reason, str]]:
        """Let an interval pass, and return what is told then."""
        await self.watch.round()
        return {(one.reason, one.host) for one in self.watch.domain("mx").findings}


@pytest.fixture
def domain() -> str:
    """The domain of a test."""
    return "example.com"


@pytest.fixture
async def bench(
    bind: Bind,
    unbound: Unbound,
    authority: Authority,
    scripted: StartScripted,
    monkeypatch: pytest.MonkeyPatch,
    domain: str,
) -> AsyncIterator[Bench]:
    """A domain, which is watched from its first round on; afterwards its records are as before."""
    crowd = [f"*.d{number}.example.net" for number in range(CROWD)]
    certificate = authority.issue("mx.google.com", *HOSTS, *GMAIL_HOSTS, *crowd)
    exchange = await scripted(Smtp(), security="starttls", context=certificate.context)
    host = PolicyHost(policy("enforce", "*.example.com") if domain == "example.com" else GMAIL_POLICY)
    policies = await scripted(host, security="tls", context=authority.issue(f"mta-sts.{domain}").context)
    monkeypatch.setattr(mta_sts, "PORT", policies.port)
    endpoint = Endpoint(
        name="mx", protocol=Protocol.SMTP, domain=domain, port=exchange.port, security=Security.STARTTLS,
        ip_family=IpFamily.IPV4, tls=Tls(ca_file=authority.ca_file),
    )  # fmt: skip
    async with Forwarder(unbound.address) as resolver:
        watch = Watch(Resolver([resolver.address]), [endpoint])
        made = Bench(bind, resolver, exchange, host, watch)
        yield made
        await watch.close()
    bind.put("example.com", "MX", "10 mx1.example.com.", "20 mx2.example.com.")
    bind.put("_mta-sts.example.com", "TXT", f'"{ID}"')
    for one in HOSTS:
        made.put_tlsa(one)


@pytest.mark.parametrize("domain", ["gmail.com"])
async def test_gmail(bench: Bench) -> None:
    """Its own records: five exchanges, all up; the policy is enforced and covers them; nothing is wrong."""
    assert await bench.told() == set()
    watch = bench.watch
    assert watch.values("gmail_mx_up", "domain", "mx") == {"gmail.com": 1.0}
    assert watch.values("gmail_up", "host", "mx") == dict.fromkeys(GMAIL_HOSTS, 1.0)
    preferences = {exchange.split()[1].removesuffix("."): float(exchange.split()[0]) for exchange in GMAIL}
    assert watch.values("gmail_mx_preference", "host", "mx") == preferences
    assert watch.values("gmail_mta_sts_mode", "mode", "mx") == {"enforce": 1.0}
    assert watch.values("gmail_mta_sts_mx_covered", "host", "mx") == dict.fromkeys(GMAIL_HOSTS, 1.0)
    assert watch.values("gmail_tls_rpt", "domain", "mx") == {"gmail.com": 1.0}
    assert watch.values("gmail_dane_match", "host", "mx") == {}
    tls = {labels["host"]: value for name, labels, value in watch.samples if labels.get("check") == "tls"}
    assert tls == dict.fromkeys(GMAIL_HOSTS, 1.0)
    assert watch.domain("mx").policies.mta_sts.policy_id == "20190429T010101"
    assert len(bench.host.requests) == 1


async def test_everything_changes(bench: Bench) -> None:
    """MX, policy and TLSA at once: the next interval tells it, and nothing is left of what went."""
    for host in HOSTS:
        bench.put_tlsa(host, f"2 0 1 {'1' * 64}", f"3 0 1 {'2' * 64}")
    assert await bench.told() == {(Reason.DANE_MISMATCH, host) for host in HOSTS[:2]}
    watch = bench.watch
    assert watch.values("gmail_mx_up", "domain", "mx") == {"example.com": 0.0}

    bench.bind.put("example.com", "MX", "10 mx1.example.com.", "20 mx3.example.com.")
    bench.bind.put("_mta-sts.example.com", "TXT", '"v=STSv1; id=2;"')
    bench.host.body = policy("testing", "mx1.example.com")
    bench.put_tlsa(HOSTS[0])
    assert await bench.told() == {
        (Reason.MX_RECORDS_CHANGED, ""),
        (Reason.MTA_STS_POLICY_CHANGED, ""),
        (Reason.MTA_STS_TESTING, ""),
        (Reason.MTA_STS_MX_MISMATCH, HOSTS[2]),
        (Reason.DANE_MISMATCH, HOSTS[2]),
    }
    assert [labels for _, labels, _ in watch.samples if HOSTS[1] in labels.values()] == []
    assert watch.values("gmail_mta_sts_mode", "mode", "mx") == {"testing": 1.0}
    assert watch.values("gmail_dane_match", "host", "mx") == {HOSTS[2]: 0.0}
    assert watch.values("gmail_up", "host", "mx") == {HOSTS[0]: 1.0, HOSTS[2]: 0.0}
    changes = watch.domain("mx").changes
    assert (
        changes["mx"].text
        == "10 mx1.example.com, 20 mx2.example.com before; 10 mx1.example.com, 20 mx3.example.com now"
    )
    assert changes["tlsa"].text.startswith("mx1.example.com: 2 0 1 ")
    assert changes["tlsa"].text.endswith("; none now")

    # The record goes, and then the domain itself does.
    bench.bind.put("_mta-sts.example.com", "TXT")
    assert (Reason.MTA_STS_TXT_MISSING, "") in await bench.told()
    bench.bind.put("example.com", "MX", "0 .")
    found = await bench.told()
    assert (Reason.MX_NULL, "") in found
    assert {host for _, host in found} == {""}
    assert {labels.get("host") for _, labels, _ in watch.samples} == {None}


async def test_rollover(bench: Bench, authority: Authority) -> None:
    """RFC 7671 §8.1: the next key's record comes before its certificate. The wrong order is told at once."""
    old, new = authority.issue(*HOSTS), authority.issue(*HOSTS, "next.example.com")
    bench.exchange.context = old.context

    async def matches() -> dict[str, float]:
        assert await bench.told() <= {(Reason.DANE_MISMATCH, HOSTS[0])}
        return bench.watch.values("gmail_dane_match", "host", "mx")

    well, wrong = {HOSTS[0]: 1.0}, {HOSTS[0]: 0.0}
    bench.put_tlsa(HOSTS[0], tlsa_of(old))
    assert await matches() == well
    bench.put_tlsa(HOSTS[0], tlsa_of(old), tlsa_of(new))
    assert await matches() == well
    bench.exchange.context = new.context
    assert await matches() == well
    bench.put_tlsa(HOSTS[0], tlsa_of(new))
    assert await matches() == well
    assert await bench.told() == set()

    bench.exchange.context = old.context
    assert await matches() == wrong
    assert await bench.told() == {(Reason.DANE_MISMATCH, HOSTS[0])}
    assert bench.watch.values("gmail_up", "host", "mx") == {HOSTS[0]: 0.0, HOSTS[1]: 1.0}
    bench.put_tlsa(HOSTS[0], tlsa_of(new), tlsa_of(old))
    assert await matches() == well

    # While the records cannot be looked up, the last ones count: a wrong certificate is told all the same.
    bench.resolver.faults = {f"_{bench.exchange.port}._tcp.{HOSTS[0]}": "servfail"}
    bench.exchange.context = authority.issue(*HOSTS, "third.example.com").context
    assert await bench.told() == {(Reason.DNS_ERROR, HOSTS[0]), (Reason.DANE_MISMATCH, HOSTS[0])}

    # A resolver that strips AD makes of them records that mean nothing.
    bench.resolver.faults, bench.resolver.strips_ad = {}, True
    assert await bench.told() == {(Reason.DANE_UNAUTHENTICATED, HOSTS[0])}
    assert bench.watch.values("gmail_dane_match", "host", "mx") == {}
    assert bench.watch.values("gmail_up", "host", "mx") == dict.fromkeys(HOSTS[:2], 1.0)


@pytest.mark.parametrize("kind", ["servfail", "refused", "silence"])
async def test_failing_look_up(bench: Bench, kind: str) -> None:
    """The last exchanges are kept, are probed, and it is told; nobody is blamed, and nothing has changed."""
    assert await bench.told() == set()
    bench.resolver.faults = {("example.com", "MX"): kind}  # type: ignore[dict-item]
    for timeout in (1.0, 10.0):  # on a busy machine the other look-ups may not be done in the shorter time
        bench.watch.endpoints[0] = replace(bench.watch.endpoints[0], timeout=timeout)
        bench.watch.arrange()
        await bench.watch.round()
        if len(bench.watch.domain("mx").findings) == 1:
            break
    (found,) = bench.watch.domain("mx").findings
    assert (found.reason, found.blame) == (Reason.TIMEOUT if kind == "silence" else Reason.DNS_ERROR, "unknown")
    assert found.detail.startswith("the look-up of the MX records of example.com: ")
    assert bench.watch.values("gmail_up", "host", "mx") == dict.fromkeys(HOSTS[:2], 1.0)
    assert bench.watch.values("gmail_mx_up", "domain", "mx") == {"example.com": 1.0}
    bench.resolver.faults = {}
    assert await bench.told() == set()


async def test_names_are_looked_up_once(bench: Bench) -> None:
    """In an interval, whatever the number of domains: each record once. Only MX is, by two libraries, twice."""
    endpoint = bench.watch.endpoints[0]
    endpoints = [replace(endpoint, name=f"d{number}", domain=f"d{number}.example.net") for number in range(CROWD)]
    bench.watch.endpoints[:] = [*endpoints, endpoint]
    bench.watch.arrange()
    await bench.watch.round(at_once=2)
    assert len(bench.watch.store) == CROWD * OF_EACH + 2
    bench.resolver.questions.clear()  # c-ares asks again what is not answered soon: so, few at once
    await bench.watch.round(at_once=2)
    asked = bench.resolver.questions
    assert {kind: count for (_, kind), count in asked.items() if kind != "MX"} == {"A": 1, "TLSA": 1, "TXT": 1}
    assert {count for (_, kind), count in asked.items() if kind == "MX"} == {2}
    kinds = [kind for _, kind in asked.elements()]
    assert kinds.count("A") == CROWD * OF_EACH + 2
    assert kinds.count("TLSA") == 2, "of the signed domain alone, at which they count"
    assert kinds.count("TXT") == CROWD + 1, "TLS-RPT is looked up hourly"
