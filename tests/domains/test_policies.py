"""The policies of a domain, against BIND, Unbound and a policy host: each fault has its finding."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from exporter.domains import mta_sts
from exporter.domains.policies import CHANGED_FOR, FETCH_INTERVAL, RETRY_INTERVAL
from exporter.model.domain import Finding, Mode
from exporter.model.reason import Reason
from tests.domains.policy_bench import DIGEST, Bench, txt
from tests.servers.policy_host import ENFORCE

if TYPE_CHECKING:
    from tests.conftest import StartScripted


async def test_all_is_well(bench: Bench) -> None:
    """Nothing is found; the policy is in force and fetched hourly, whatever the number of look-ups."""
    assert await bench.renew() == []
    policy = bench.policies.mta_sts.in_force(bench.now)
    assert policy is not None
    assert (policy.mode, policy.max_age) == (Mode.ENFORCE, 86400)
    assert bench.policies.tls_rpt is True
    assert bench.policies.mx_authenticated is True
    assert len(bench.host.requests) == 1
    await bench.renew(60)
    assert len(bench.host.requests) == 1
    await bench.renew(FETCH_INTERVAL)
    assert bench.host.requests == [b"GET /.well-known/mta-sts.txt HTTP/1.1"] * 2


def answer(**changes: bytes) -> Callable[[Bench], None]:
    """Let the policy host answer otherwise."""

    def change(bench: Bench) -> None:
        for name, value in changes.items():
            setattr(bench.host, name, value)

    return change


FAULTS: dict[str, tuple[Callable[[Bench], None], Reason, str]] = {
    "two records": (
        txt("v=STSv1; id=1;", "v=STSv1; id=2;"),
        Reason.MTA_STS_TXT_AMBIGUOUS,
        "_mta-sts.example.com has 2 TXT records that begin with v=STSv1",
    ),
    "no id": (
        txt("v=STSv1; id=2026-01-01;"),
        Reason.MTA_STS_POLICY_INVALID,
        "the TXT record has no id of 1 to 32 letters and digits: v=STSv1; id=2026-01-01;",
    ),
    "redirect": (
        answer(status=b"301 Moved Permanently"),
        Reason.MTA_STS_POLICY_UNREACHABLE,
        "mta-sts.example.com redirects (status 301), which senders do not follow",
    ),
    "not found": (
        answer(status=b"404 Not Found"),
        Reason.MTA_STS_POLICY_UNREACHABLE,
        "mta-sts.example.com answers with status 404",
    ),
    "content type": (
        answer(content_type=b"text/html; charset=utf-8"),
        Reason.MTA_STS_POLICY_INVALID,
        "the content type is text/html, not text/plain",
    ),
    "too large": (
        answer(body=ENFORCE + b"#" * 65536),
        Reason.MTA_STS_POLICY_INVALID,
        "mta-sts.example.com: the answer is larger than 65536 octets",
    ),
    "no policy": (
        answer(body=b"<html>"),
        Reason.MTA_STS_POLICY_INVALID,
        "a line is not of the form name: value: <html>",
    ),
    "testing": (answer(body=ENFORCE.replace(b"enforce", b"testing")), Reason.MTA_STS_TESTING, "mode: testing"),
}


@pytest.mark.parametrize("case", FAULTS)
async def test_fault(bench: Bench, case: str) -> None:
    """Each fault has its reason, whose blame is the domain's administrator, and its words."""
    change, reason, detail = FAULTS[case]
    change(bench)
    assert [(one.reason, one.detail, one.host) for one in await bench.renew()] == [(reason, detail, "")]
    assert reason.blame == "account"


async def test_no_record(bench: Bench) -> None:
    """A domain without a policy is no fault, unless one is expected, or was there before."""
    txt()(bench)
    assert await bench.renew() == []
    bench.expect_mta_sts = True
    assert [one.reason for one in await bench.renew()] == [Reason.MTA_STS_TXT_MISSING]
    bench.expect_mta_sts = False
    txt("v=STSv1; id=2;")(bench)
    assert await bench.renew() == []
    txt()(bench)
    assert [one.reason for one in await bench.renew()] == [Reason.MTA_STS_TXT_MISSING]


async def test_exchange_that_is_not_covered(bench: Bench) -> None:
    """Under enforce, senders deliver to no exchange that the policy does not name."""
    bench.host.body = ENFORCE.replace(b"mx: *.example.com\n", b"mx: *.other.example.com\n")
    found = await bench.renew()
    detail = "mode enforce; mx: mx1.example.com, *.other.example.com"
    assert found == [Finding(Reason.MTA_STS_MX_MISMATCH, detail, "mx2.example.com")]
    bench.host.body = b"version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n"
    found = await bench.renew(FETCH_INTERVAL)
    assert [one.reason for one in found] == [Reason.MTA_STS_POLICY_CHANGED], "nothing has to be covered"


async def test_untrusted_policy_host(bench: Bench, scripted: StartScripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its certificate must be right (RFC 8461 §3.3)."""
    server = await scripted(bench.host, security="tls", context=bench.authority.self_signed.context)
    monkeypatch.setattr(mta_sts, "PORT", server.port)
    (found,) = await bench.renew()
    assert found.reason is Reason.MTA_STS_POLICY_UNREACHABLE
    assert found.detail.startswith("mta-sts.example.com: ")


async def test_change(bench: Bench) -> None:
    """Another id is followed at once; the change is told for an hour."""
    await bench.renew()
    bench.host.body = ENFORCE.replace(b"enforce", b"testing").replace(b"86400", b"600")
    await bench.renew(30)
    assert bench.findings == [], "without another id nobody looks, for an hour"
    txt("v=STSv1; id=2;")(bench)
    found = await bench.renew(30)
    detail = "mode was enforce and is testing; max_age was 86400 and is 600"
    assert Finding(Reason.MTA_STS_POLICY_CHANGED, detail) in found
    assert Reason.MTA_STS_TESTING in [one.reason for one in found]
    bench.now += CHANGED_FOR
    assert Reason.MTA_STS_POLICY_CHANGED not in [one.reason for one in bench.findings]


async def test_expiry(bench: Bench) -> None:
    """A policy that cannot be fetched again holds for its max_age; then nothing protects the domain."""
    bench.host.body = ENFORCE.replace(b"86400", b"7200")
    await bench.renew()
    bench.host.status = b"503 Service Unavailable"
    found = await bench.renew(FETCH_INTERVAL)
    assert [one.reason for one in found] == [Reason.MTA_STS_POLICY_UNREACHABLE]
    assert bench.policies.mta_sts.in_force(bench.now) is not None
    requests = len(bench.host.requests)
    await bench.renew(RETRY_INTERVAL / 2)
    assert len(bench.host.requests) == requests
    await bench.renew(RETRY_INTERVAL / 2)
    assert len(bench.host.requests) == requests + 1
    found = await bench.renew(FETCH_INTERVAL)
    assert [one.reason for one in found] == [Reason.MTA_STS_POLICY_UNREACHABLE, Reason.MTA_STS_POLICY_EXPIRED]
    assert bench.policies.mta_sts.in_force(bench.now) is None


async def test_a_policy_that_is_given_up(bench: Bench) -> None:
    """A domain that announces none any more has none once the last one is over: no fault for ever."""
    bench.host.body = ENFORCE.replace(b"86400", b"7200")
    await bench.renew()
    txt()(bench)
    assert [one.reason for one in await bench.renew(7200)] == [Reason.MTA_STS_TXT_MISSING]
    assert await bench.renew(1) == []
    assert bench.policies.mta_sts.policy is None


async def test_record_in_pieces(bench: Bench) -> None:
    """A record may have several strings, and other records beside it (RFC 8461 §3.1)."""
    bench.bind.put("_mta-sts.example.com", "TXT", '"v=STSv1" ";id=piece" "s"', '"v=spf1 -all"')
    assert await bench.renew() == []
    assert bench.policies.mta_sts.policy_id == "pieces"


async def test_policy_taken_back(bench: Bench) -> None:
    """RFC 8461 §8.3: first a policy of mode none, then no record. That is no fault, then and later."""
    await bench.renew()
    bench.host.body = b"version: STSv1\nmode: none\nmax_age: 86400\n"
    txt("v=STSv1; id=2;")(bench)
    assert [one.reason for one in await bench.renew(30)] == [Reason.MTA_STS_POLICY_CHANGED]
    txt()(bench)
    assert await bench.renew(CHANGED_FOR) == []
    assert await bench.renew(86400) == []


async def test_short_age(bench: Bench) -> None:
    """A policy that is over is fetched again, before an hour has passed; it is told only where that fails."""
    bench.host.body = ENFORCE.replace(b"86400", b"60")
    assert await bench.renew() == []
    assert await bench.renew(30) == []
    assert len(bench.host.requests) == 1
    assert await bench.renew(31) == []
    assert len(bench.host.requests) == 2
    assert bench.policies.mta_sts.in_force(bench.now) is not None


async def test_huge_policy(bench: Bench) -> None:
    """Whatever its size, what is told of it is short."""
    bench.host.body = ENFORCE
    await bench.renew()
    bench.host.body = ENFORCE.replace(b"mx: *.example.com\n", b"mx: *.other.example.com\n" * 2500)
    for finding in await bench.renew(FETCH_INTERVAL):
        assert len(finding.detail) < 500


async def test_dane(bench: Bench) -> None:
    """Records that DNSSEC authenticates are in force; a change is seen at the next look-up."""
    name = "_25._tcp.mx1.example.com"
    bench.bind.put(name, "TLSA", f"3 1 1 {DIGEST}")
    assert await bench.renew() == []
    facts = bench.policies.tlsa_of("mx1.example.com")
    assert facts is not None
    assert [(one.usage, one.selector, one.matching, one.data.hex()) for one in facts.in_force] == [(3, 1, 1, DIGEST)]
    assert bench.policies.tlsa_of("mx2.example.com") is None
    other = hashlib.sha256(b"another key").hexdigest()
    bench.bind.put(name, "TLSA", f"3 1 1 {DIGEST}", f"3 1 1 {other}", f"1 1 1 {other}")
    await bench.renew(30)
    facts = bench.policies.tlsa_of("mx1.example.com")
    assert facts is not None
    assert len(facts.records) == 3
    assert len(facts.in_force) == 2, "PKIX-EE is not for SMTP (RFC 7672 §3.1.3)"
    change = bench.policies.tlsa_change
    assert change is not None
    assert change.at == bench.now
    both = sorted([f"3 1 1 {DIGEST[:16]}…", f"3 1 1 {other[:16]}…", f"1 1 1 {other[:16]}…"])
    assert change.text == f"mx1.example.com: 3 1 1 {DIGEST[:16]}… before; {', '.join(both)} now"


async def test_tlsa_without_dnssec(bench: Bench) -> None:
    """In a zone that is not signed they mean nothing."""
    bench.domain = "example.net"
    bench.host.body = ENFORCE.replace(b"example.com", b"example.net")
    bench.bind.put("_25._tcp.mx1.example.net", "TLSA", f"3 1 1 {DIGEST}")
    found = await bench.renew()
    assert [(one.reason, one.host) for one in found] == [(Reason.DANE_UNAUTHENTICATED, "mx1.example.net")]
    assert bench.policies.tlsa_of("mx1.example.net") is None
    assert bench.policies.mx_authenticated is False
    bench.bind.put("_25._tcp.mx1.example.net", "TLSA")
    assert await bench.renew(30) == found, "they are looked up hourly"
    assert await bench.renew(FETCH_INTERVAL) == []


async def test_resolver_that_strips_ad(bench: Bench) -> None:
    """It makes of a signed zone one that is not: BIND itself, which is no resolver, sets no AD."""
    bench.address = bench.bind.address
    bench.bind.put("_25._tcp.mx1.example.com", "TLSA", f"3 1 1 {DIGEST}")
    found = await bench.renew()
    assert [one.reason for one in found] == [Reason.DANE_UNAUTHENTICATED]
