"""The domains of a configuration: what look-ups find, what they keep, and what is told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from exporter.domains.dane import DaneFacts
from exporter.domains.exchanges import MAX_EXCHANGES
from exporter.model.domain import Mode, Policy
from exporter.model.outcome import Observed, Outcome, Phase, Target
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Endpoint, IpFamily, Protocol, Security
from exporter.monitor.mail_domains import MailDomain, MailDomains
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver
from exporter.views.domain import view_of
from tests.servers.bind import Bind
from tests.waiting import until

ZONE = "@ MX 10 mx1\n@ MX 20 mx2\nmx1 A 127.0.0.1\nmx2 A 127.0.0.2\nnull MX 0 ."


@pytest.fixture(scope="module")
def bind() -> Iterator[Bind]:
    """One BIND for the tests of this file, each of which uses other names."""
    with Bind({"example.com": ZONE}) as server:
        yield server


class Bench:
    """The domains of some endpoints, and the store that they are arranged in."""

    def __init__(self, resolver: Resolver) -> None:
        self.store = Store()
        self.endpoints: list[Endpoint] = []
        self.arranged = 0
        self.domains = MailDomains(resolver, self.store, self.arrange)

    def arrange(self) -> None:
        self.arranged += 1
        self.store.configure(self.domains.configure(self.endpoints))

    def add(self, name: str, domain: str | None, **changes: object) -> Endpoint:
        values: dict[str, object] = {"port": 25, "security": Security.STARTTLS, **changes}
        endpoint = Endpoint(name=name, protocol=Protocol.SMTP, domain=domain, **values)  # type: ignore[arg-type]
        self.endpoints.append(endpoint)
        self.arrange()
        return endpoint

    async def look_up(self, name: str) -> MailDomain:
        domain = self.domains.get(name)
        assert domain is not None
        await self.domains.look_up(domain.look_up)
        return domain

    def probed(self, name: str, host: str, *, up: bool) -> None:
        series = self.store.of_endpoint(name, host)[0]
        reason = Reason.OK if up else Reason.TIMEOUT
        series.add(Outcome(series.target, 1.0, 2.0, {Phase.CONNECT: 1.0}, Phase.CONNECT, reason, observed=Observed()))


@pytest.fixture
async def bench(bind: Bind) -> AsyncIterator[Bench]:
    """Domains whose name server is BIND."""
    resolver = Resolver([bind.address])
    made = Bench(resolver)
    yield made
    made.domains.close()
    await resolver.close()


async def test_too_many_exchanges(bench: Bench, bind: Bind) -> None:
    """The most preferred ones are probed; how many are not is told once, and whenever it changes."""

    def put(count: int) -> None:
        records = (f"{number} mx{number}.example.com." for number in range(count, 0, -1))
        bind.put("many.example.com", "MX", *records)

    names = tuple(f"mx{number}.example.com" for number in range(1, MAX_EXCHANGES + 1))
    bench.add("mx", "many.example.com", expect=names)
    put(MAX_EXCHANGES)
    domain = await bench.look_up("mx")
    assert (domain.left_out, domain.as_expected) == (0, True)
    for count, told in ((21, [1]), (21, []), (100, [80]), (20, []), (22, [2])):
        put(count)
        bench.domains._resolver._born = -1e9  # as a second later: c-ares has a cache
        with capture_logs() as logs:
            await bench.look_up("mx")
        assert [one["left_out"] for one in logs if one["event"] == "exchanges not probed"] == told
        assert [one.preference for one in domain.exchanges] == list(range(1, MAX_EXCHANGES + 1))
        assert domain.as_expected is (count == MAX_EXCHANGES)
        assert len(domain.targets) == MAX_EXCHANGES
    shown = view_of(domain, bench.domains, bench.store)
    assert shown.sentence == "0 of 20 mail exchanges are up; 2 more are not probed"
    assert shown.findings[0].detail.endswith("mx9.example.com and 2 more")
    with capture_logs() as logs:
        bind.put("many.example.com", "MX", "0 .")
        bench.domains._resolver._born = -1e9
        await bench.look_up("mx")
    assert domain.left_out == 0


async def test_exchanges_become_targets(bench: Bench) -> None:
    """Each exchange is a target for each address family, beside the endpoints that have a host."""
    bench.add("mx", "example.com", ip_family=IpFamily.BOTH)
    bench.add("submission", None, host="smtp.example.com")
    assert [series.target.name for series in bench.store] == ["submission"]
    domain = await bench.look_up("mx")
    assert bench.domains.is_up(domain) is None
    await until(lambda: len(bench.store) == 5)
    assert [series.target.name for series in bench.store] == [
        "mx mx1.example.com (ipv4)",
        "mx mx1.example.com (ipv6)",
        "mx mx2.example.com (ipv4)",
        "mx mx2.example.com (ipv6)",
        "submission",
    ]
    assert len({series.target.key for series in bench.store}) == 5
    assert domain.look_up == Target(bench.endpoints[0], IpFamily.BOTH)


async def test_the_domain_is_up_while_one_exchange_is(bench: Bench) -> None:
    """It is down when none answers, and nothing is said before all that fail were probed."""
    bench.add("mx", "example.com")
    domain = await bench.look_up("mx")
    await until(lambda: len(bench.store) == 2)
    bench.probed("mx", "mx1.example.com", up=False)
    assert bench.domains.is_up(domain) is None
    bench.probed("mx", "mx2.example.com", up=False)
    assert bench.domains.is_up(domain) is False
    bench.probed("mx", "mx1.example.com", up=True)
    assert bench.domains.is_up(domain) is True


async def test_another_port(bench: Bench) -> None:
    """A reload that changes the port keeps the exchanges, and not the TLSA records, which are of the old one."""
    bench.add("mx", "example.com")
    domain = await bench.look_up("mx")
    domain.policies.dane = {"mx1.example.com": DaneFacts(is_known=True)}
    bench.arrange()
    assert domain.policies.dane
    bench.endpoints[0] = replace(bench.endpoints[0], port=2525)
    bench.arrange()
    assert bench.domains.get("mx") is domain
    assert domain.exchanges
    assert not domain.policies.dane


async def test_null_mx_and_no_such_domain(bench: Bench) -> None:
    """Both are down: the first by its own word, the second because no mail can be sent to it."""
    bench.add("null", "null.example.com")
    bench.add("gone", "gone.example.com")
    null, gone = await bench.look_up("null"), await bench.look_up("gone")
    assert [(one.reason, one.detail) for one in null.findings] == [
        (Reason.MX_NULL, "null.example.com has a null MX record")
    ]
    assert [one.reason for one in gone.findings] == [Reason.DNS_NOT_FOUND]
    assert bench.domains.is_up(null) is False
    assert bench.domains.is_up(gone) is False
    assert len(bench.store) == 0


async def test_change_and_failure(bench: Bench, bind: Bind) -> None:
    """A series goes with its exchange; a look-up that fails keeps the last ones, and is told once."""
    bind.put("moving.example.com", "MX", "10 mx1.example.com.", "20 mx2.example.com.")
    bench.add("mx", "moving.example.com", expect=("mx1.example.com", "mx2.example.com"))
    domain = await bench.look_up("mx")
    await until(lambda: len(bench.store) == 2)
    assert domain.as_expected
    assert not domain.findings
    kept = bench.store.of_endpoint("mx", "mx2.example.com")[0]
    bind.put("moving.example.com", "MX", "10 mx2.example.com.", "20 mx3.example.com.")
    bench.domains._resolver._born = -1e9  # as a second later: c-ares has a cache
    with capture_logs() as logs:
        await bench.look_up("mx")
    await until(lambda: not bench.store.of_endpoint("mx", "mx1.example.com"))
    assert bench.store.of_endpoint("mx", "mx2.example.com") == [kept]
    assert [(one.reason, one.detail) for one in domain.findings] == [
        (
            Reason.MX_RECORDS_CHANGED,
            "expected mx1.example.com, mx2.example.com; found mx2.example.com, mx3.example.com",
        )
    ]
    assert [entry["event"] for entry in logs] == ["exchanges", "domain failing"]
    bind.stop()
    bench.domains._resolver._born = -1e9
    with capture_logs() as logs:
        await bench.look_up("mx")
        await bench.look_up("mx")
    bind.start()
    assert [one.host for one in domain.exchanges] == ["mx2.example.com", "mx3.example.com"]
    assert domain.failure is not None
    assert domain.failure.reason in {Reason.DNS_ERROR, Reason.TIMEOUT}
    told = [entry for entry in logs if "the MX records" in entry["detail"]]
    assert [entry["event"] for entry in told] == ["domain failing"]


async def test_a_domain_that_has_gone(bench: Bench, bind: Bind) -> None:
    """Its last exchanges may belong to others, and be up: mail for it is sent back all the same."""
    bind.put("expiring.example.com", "MX", "10 mx1.example.com.")
    bench.add("mx", "expiring.example.com")
    domain = await bench.look_up("mx")
    await until(lambda: len(bench.store) == 1)
    bench.probed("mx", "mx1.example.com", up=True)
    assert bench.domains.is_up(domain)
    bind.put("expiring.example.com", "MX")
    bench.domains._resolver._born = -1e9
    await bench.look_up("mx")
    assert [one.reason for one in domain.findings] == [Reason.DNS_NOT_FOUND]
    assert bench.domains.is_up(domain) is False
    assert [one.host for one in domain.exchanges] == ["mx1.example.com"], "their series stay, for it may come back"
    shown = view_of(domain, bench.domains, bench.store)
    assert shown.sentence == "it is not in the DNS any more; 1 of its last 1 mail exchanges are up"
    bind.put("expiring.example.com", "MX", "10 mx1.example.com.")
    bench.domains._resolver._born = -1e9
    await bench.look_up("mx")
    assert bench.domains.is_up(domain)
    assert domain.findings == ()


async def test_a_change_of_the_configuration(bench: Bench) -> None:
    """Another interval keeps what is known of a domain; another domain begins again."""
    bench.add("mx", "example.com")
    before = await bench.look_up("mx")
    bench.endpoints.clear()
    bench.add("mx", "example.com", interval=60.0)
    after = bench.domains.get("mx")
    assert after is before
    assert {series.target.endpoint.interval for series in bench.store} == {60.0}
    bench.endpoints.clear()
    bench.add("mx", "null.example.com")
    assert bench.domains.get("mx") is not before
    assert len(bench.store) == 0


ENFORCE = Policy(Mode.ENFORCE, ("mx1.example.com",), 86400)


@pytest.mark.parametrize(
    ("policy", "host", "found", "down"),
    [
        (None, "mx1.example.com", False, False),
        (ENFORCE, "mx1.example.com", True, True),
        (ENFORCE, "mx2.example.com", False, False),  # not covered: that is a finding of its own
        (replace(ENFORCE, mode=Mode.TESTING), "mx1.example.com", True, False),
        (replace(ENFORCE, mode=Mode.NONE), "mx1.example.com", False, False),
    ],
)
async def test_enforced_policy(bench: Bench, policy: Policy | None, host: str, *, found: bool, down: bool) -> None:
    """It takes an exchange down that it covers, where the certificate is not what it demands; testing only reports."""
    bench.add("mx", "example.com")
    domain = await bench.look_up("mx")
    await until(lambda: len(bench.store) == 2)
    domain.policies.mta_sts.policy, domain.policies.mta_sts.fetched_at = policy, time.time()
    target = bench.store.of_endpoint("mx", host)[0].target
    fault = Observed(tls_fault=Reason.CERTIFICATE_EXPIRED, tls_fault_detail="certificate has expired")
    probed = Outcome(target, 1.0, 2.0, {Phase.CONNECT: 1.0}, Phase.LOGOUT, Reason.OK, observed=fault)
    outcome = bench.domains.enforced(probed)
    assert outcome.up is not down
    reasons = [
        one.reason for one in domain.findings if one.host == host and one.reason is not Reason.MTA_STS_MX_MISMATCH
    ]
    assert reasons == ([Reason.MTA_STS_CERTIFICATE] if found else [])
    if down:
        assert (outcome.phase, outcome.reason, outcome.blame) == (Phase.TLS, Reason.MTA_STS_CERTIFICATE, Blame.ACCOUNT)
        assert outcome.detail == "certificate_expired: certificate has expired"
    well = replace(probed, observed=Observed())
    assert bench.domains.enforced(well) is well
    assert not [one for one in domain.findings if one.reason is Reason.MTA_STS_CERTIFICATE]


async def test_dane_is_kept(bench: Bench) -> None:
    """Whether an exchange matches its records is known from its last probe, and goes with it."""
    bench.add("mx", "example.com")
    domain = await bench.look_up("mx")
    await until(lambda: len(bench.store) == 2)
    target = bench.store.of_endpoint("mx", "mx1.example.com")[0].target
    mismatch = Outcome(
        target, 1.0, 2.0, {}, Phase.TLS, Reason.DANE_MISMATCH, "none matches", observed=Observed(dane=False)
    )
    assert bench.domains.enforced(mismatch) is mismatch
    assert domain.dane == {"mx1.example.com": False}
    assert [(one.reason, one.host) for one in domain.findings] == [(Reason.DANE_MISMATCH, "mx1.example.com")]
    domain.exchanges = domain.exchanges[1:]
    await bench.domains.renew_policies(domain)
    assert domain.dane == {}
    assert bench.domains.tlsa(target) is None


async def test_two_addresses(bench: Bench) -> None:
    """What the probe of one address shows does not hide what that of the other one does."""
    bench.add("mx", "example.com", ip_family=IpFamily.BOTH)
    domain = await bench.look_up("mx")
    await until(lambda: len(bench.store) == 4)
    for series in bench.store.of_endpoint("mx", "mx1.example.com"):
        is_well = series.target.ip_family is IpFamily.IPV6
        reason, phase = (Reason.OK, Phase.LOGOUT) if is_well else (Reason.DANE_MISMATCH, Phase.TLS)
        bench.domains.enforced(Outcome(series.target, 1.0, 2.0, {}, phase, reason, observed=Observed(dane=is_well)))
    assert domain.dane == {"mx1.example.com": False}
    assert [(one.reason, one.host) for one in domain.findings] == [(Reason.DANE_MISMATCH, "mx1.example.com")]
