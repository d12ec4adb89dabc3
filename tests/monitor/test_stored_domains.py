"""A mail domain over a restart: what is stored of it, and what another process makes of that."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.domains.dane import DaneFacts
from exporter.domains.exchanges import MAX_EXCHANGES
from exporter.domains.policies import MtaSts, Policies
from exporter.model.domain import Change, Exchange, Finding, Mode, Policy, Tlsa
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint, Protocol, Security
from exporter.monitor.mail_domains import MailDomain, MailDomains
from exporter.monitor.store import Store
from exporter.monitor.stored_domains import StoredDomains, decode, encode
from exporter.probing.resolve import Resolver

LIMIT = 64 * 1024
EXCHANGES = (Exchange(10, "mx1.example.com"), Exchange(20, "mx2.example.com"))
POLICY = Policy(Mode.ENFORCE, ("mx1.example.com", "*.example.com"), 86400.0)
TLSA = Tlsa(3, 1, 1, b"\1" * 32)
ENDPOINT = Endpoint(
    name="mx", protocol=Protocol.SMTP, domain="example.com", host="", port=25, security=Security.STARTTLS
)


def known(now: float, policy: Policy | None = POLICY) -> MailDomain:
    """A domain of which everything is known."""
    mta_sts = MtaSts(policy_id="1", policy=policy, fetched_at=now - 60, is_looked_up=True)
    dane = {"mx1.example.com": DaneFacts((TLSA,), authenticated=True, is_known=True)}
    policies = Policies(mta_sts, tls_rpt=True, dane=dane, mx_authenticated=True)
    change = Change(now - 30, "10 mx1.example.com before; more now")
    return MailDomain(ENDPOINT, EXCHANGES, is_known=True, change=change, policies=policies)


def over_a_restart(domain: MailDomain, now: float, **fields: Any) -> MailDomain:
    """The same domain in another process, with these fields of its line otherwise."""
    stored = encode(domain)
    assert stored is not None
    fresh = MailDomain(domain.endpoint)
    fresh.restore(decode({**json.loads(json.dumps(stored)), **fields}, fresh, now))
    return fresh


def test_a_restart() -> None:
    """The exchanges, the policy for as long as senders keep it, and the TLSA records are known again."""
    now = time.time()
    before = known(now)
    after = over_a_restart(before, now)
    assert (after.exchanges, after.is_known, after.change) == (EXCHANGES, True, before.change)
    assert (after.policy, after.policies.mta_sts.policy_id) == (POLICY, "1")
    assert after.policies.mta_sts.in_force(now + 86400) is None
    facts = after.policies.tlsa_of("mx1.example.com")
    assert facts is not None
    assert facts.in_force == (TLSA,)
    assert after.policies.mta_sts.tried_at == 0.0, "the policy is fetched at once"
    assert after.told_tlsa is None
    assert [one.reason for one in after.findings] == [Reason.MX_RECORDS_CHANGED], "as before, for an hour"


def test_a_domain_of_which_nothing_is_known() -> None:
    """It has no line."""
    assert encode(MailDomain(ENDPOINT)) is None


def test_what_changed_meanwhile() -> None:
    """What was looked up before the file was read counts, and what is not as it was is told."""
    now = time.time()
    stored = encode(known(now))
    assert stored is not None
    other = Policy(Mode.TESTING, POLICY.patterns, POLICY.max_age)
    fresh = known(now, other)
    fresh.exchanges, fresh.change = EXCHANGES[:1], None
    fresh.policies.dane = {"mx1.example.com": DaneFacts((), authenticated=True, is_known=True)}
    fresh.restore(decode(json.loads(json.dumps(stored)), fresh, now))
    assert fresh.exchanges == EXCHANGES[:1]
    assert fresh.policy == other
    assert {name: change.text for name, change in fresh.changes.items()} == {
        "mx": "10 mx1.example.com, 20 mx2.example.com before; 10 mx1.example.com now",
        "mta_sts": "mode was enforce and is testing",
        "tlsa": "mx1.example.com: 3 1 1 0101010101010101… before; none now",
    }
    same = known(now)
    same.change = None
    same.restore(decode(json.loads(json.dumps(stored)), same, now))
    assert list(same.changes) == ["mx"], "only what an earlier process saw"


def test_a_look_up_that_failed_before_it_was_restored() -> None:
    """Its failure stays, and what is stored counts."""
    now = time.time()
    stored = encode(known(now))
    assert stored is not None
    failing = Finding(Reason.DNS_ERROR, "no answer")
    fresh = MailDomain(ENDPOINT, failure=failing)
    fresh.policies.dane = {"mx1.example.com": DaneFacts(failure=failing)}
    fresh.restore(decode(stored, fresh, now))
    assert (fresh.exchanges, fresh.failure) == (EXCHANGES, failing)
    assert fresh.policies.dane == {"mx1.example.com": DaneFacts((TLSA,), True, failing, is_known=True)}


@pytest.mark.parametrize(
    ("fetched_at", "in_force"), [(0, False), ("never", False), (1e300, False), (-1.0, False), (1.0, True)]
)
def test_the_time_of_a_policy(fetched_at: object, in_force: bool) -> None:
    """One of no known time, or of the future, is not kept: it would hold for ever."""
    now = time.time()
    stored = encode(known(now))
    assert stored is not None
    at = now - fetched_at if fetched_at == 1.0 else fetched_at
    after = over_a_restart(known(now), now, policy={**stored["policy"], "fetched_at": at})
    assert (after.policy is not None) is in_force
    longer = over_a_restart(known(now), now, policy={**stored["policy"], "max_age": 1e12})
    assert longer.policies.mta_sts.in_force(now + 400 * 86400) is None


def test_another_port() -> None:
    """TLSA records are of a port: those of another one are not known, so that none has changed."""
    now = time.time()
    after = over_a_restart(known(now), now, port=2525)
    assert after.exchanges == EXCHANGES
    assert after.policies.dane == {}


def test_unusable_records() -> None:
    """Records that make no sense, and the name that has the records, are known again."""
    now = time.time()
    before = known(now)
    facts = DaneFacts(authenticated=True, is_known=True, unreadable=2, base="base.example.net")
    before.policies.dane = {"mx1.example.com": facts}
    assert over_a_restart(before, now).policies.dane == before.policies.dane


DAMAGE: list[dict[str, Any]] = [
    {"exchanges": None},
    {"exchanges": [["10"]]},
    {"policy": {"mode": "sometimes", "mx": [], "max_age": 1, "fetched_at": 1.0}},
    {"policy": []},
    {"tlsa": {"mx1.example.com": {"authenticated": True, "records": [[3, 1, 1, "no hex"]]}}},
    {"changes": {"mx": 1}},
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line(damage: dict[str, Any]) -> None:
    """It is one of the errors that the archive counts, and changes nothing."""
    domain = known(time.time())
    stored = encode(domain)
    assert stored is not None
    if damage == {"policy": []}:  # as if there were none
        assert decode({**stored, **damage}, domain, time.time()).policy is None
        return
    with pytest.raises((ValueError, TypeError, LookupError)):
        decode({**stored, **damage}, domain, time.time())


def test_bounds() -> None:
    """No more exchanges than are probed; texts as short as those of an outcome, and safe to show."""
    now = time.time()
    many = [[number, f"mx{number}.example.com"] for number in range(1000)]
    assert len(over_a_restart(known(now), now, exchanges=many).exchanges) == MAX_EXCHANGES
    strange = over_a_restart(known(now), now, exchanges=[[10, "mx\x1b[31m" + "x" * 10_000]])
    (exchange,) = strange.exchanges
    assert exchange.host.isprintable()
    assert len(exchange.host) < 2000


async def test_the_section() -> None:
    """Each domain has a line, unless it is too long; a line of another domain is nobody's; exchanges become targets."""
    store, arranged = Store(), 0

    def arrange() -> None:
        nonlocal arranged
        arranged += 1
        store.configure(domains.configure([ENDPOINT]))

    resolver = Resolver([])
    domains = MailDomains(resolver, store, arrange)
    section = StoredDomains(domains)
    section.restored()
    assert arranged == 0, "there is no domain"
    domains.configure([ENDPOINT])
    stored = encode(known(time.time()))
    assert stored is not None
    version = section.version
    section.restore({**stored, "endpoint": "other"})
    section.restore({**stored, "domain": "other.example.com"})
    assert (section.version, list(section.lines(LIMIT))) == (version, [])
    section.restore(stored)
    section.restored()
    assert arranged == 1
    assert {series.target.endpoint.host for series in store} == {one.host for one in EXCHANGES}
    assert section.version != version
    assert [line["domain"] for line in section.lines(LIMIT)] == ["example.com"]
    assert list(section.lines(100)) == []
    await resolver.close()


async def test_what_changed_meanwhile_is_logged() -> None:
    """Once the domain was looked up; else the look-up tells it."""
    resolver = Resolver([])
    domains = MailDomains(resolver, Store(), lambda: None)
    domains.configure([ENDPOINT])
    domain = domains.get("mx")
    assert domain is not None
    now = time.time()
    looked_up = known(now)
    domain.exchanges, domain.is_known, domain.policies = EXCHANGES[:1], True, looked_up.policies
    section, stored = StoredDomains(domains), encode(known(now))
    assert stored is not None
    domain.policies.dane = {"mx1.example.com": DaneFacts((), authenticated=True, is_known=True)}
    with capture_logs() as logs:
        section.restore(stored)
        section.restored()
        section.restored()
    assert [entry["event"] for entry in logs] == ["domain failing", "TLSA records changed"]
    assert logs[0]["reason"] == "mx_records_changed"
    await resolver.close()
