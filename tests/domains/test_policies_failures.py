"""Look-ups of policies that fail: what was known is kept, and nobody is blamed."""

from __future__ import annotations

import pytest

from exporter.domains.policies import FETCH_INTERVAL
from exporter.model.reason import Blame, Reason
from tests.domains.policy_bench import DIGEST, Bench
from tests.servers.bind import Unbound
from tests.servers.forwarder import Fault, Forwarder
from tests.waiting import PATIENCE

LOOK_UPS: dict[str, tuple[str, str, str]] = {
    "record": ("_mta-sts.example.com", "TXT", ""),
    "TLS-RPT": ("_smtp._tls.example.com", "TXT", ""),
    "address of the policy host": ("mta-sts.example.com", "A", ""),
    "address of an exchange": ("mx1.example.com", "A", "mx1.example.com"),
    "TLSA": ("_25._tcp.mx1.example.com", "TLSA", "mx1.example.com"),
}
FAILURES: dict[Fault, set[Reason]] = {
    "servfail": {Reason.DNS_ERROR},
    "refused": {Reason.DNS_ERROR},
    "silence": {Reason.TIMEOUT, Reason.MTA_STS_POLICY_UNREACHABLE},
}


@pytest.mark.parametrize("case", LOOK_UPS)
@pytest.mark.parametrize("fault", FAILURES)
async def test_failing_look_up(bench: Bench, unbound: Unbound, case: str, fault: Fault) -> None:
    """What cannot be looked up keeps what was known, and is told; no domain is blamed for it."""
    name, kind, host = LOOK_UPS[case]
    bench.bind.put("_25._tcp.mx1.example.com", "TLSA", f"3 1 1 {DIGEST}")
    async with Forwarder(unbound.address) as server:
        bench.address = server.address
        assert await bench.renew() == []
        bench.timeout = 2.5 if fault == "silence" else PATIENCE
        known = bench.policies.tlsa_of("mx1.example.com")
        server.faults = {(name, kind): fault, (name, "AAAA"): fault}
        (found,) = await bench.renew(FETCH_INTERVAL)
        assert found.reason in FAILURES[fault]
        assert (found.blame, found.host) == (Blame.UNKNOWN, host)
        assert name in found.detail
        policies = bench.policies
        assert (policies.mta_sts.policy_id, policies.tls_rpt, policies.mx_authenticated) == ("1", True, True)
        assert policies.mta_sts.in_force(bench.now) is not None
        tlsa = policies.tlsa_of("mx1.example.com")
        assert known is not None
        assert tlsa is not None
        assert tlsa.records == known.records
        server.faults, bench.timeout = {}, PATIENCE
        assert await bench.renew(FETCH_INTERVAL) == [], "it is over"


async def test_failing_look_up_of_the_exchanges(bench: Bench, unbound: Unbound) -> None:
    """DANE goes on by the last answer: whoever looks up the exchanges tells that it fails."""
    bench.bind.put("_25._tcp.mx1.example.com", "TLSA", f"3 1 1 {DIGEST}")
    async with Forwarder(unbound.address) as server:
        bench.address = server.address
        await bench.renew()
        server.faults = {("example.com", "MX"): "servfail"}
        assert await bench.renew(30) == []
        assert bench.policies.tlsa_of("mx1.example.com") is not None


async def test_expiry_while_nothing_is_known(bench: Bench, unbound: Unbound) -> None:
    """Where only this host's resolver fails, the expiry is nobody's fault."""
    await bench.renew()
    async with Forwarder(unbound.address) as server:
        bench.address, server.faults = server.address, {"_mta-sts.example.com": "servfail"}
        found = await bench.renew(86401)
    assert [one.reason for one in found] == [Reason.DNS_ERROR, Reason.MTA_STS_POLICY_EXPIRED]
    assert {one.blame for one in found} == {Blame.UNKNOWN}
