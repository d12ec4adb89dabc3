"""The metrics of /probe for a mail domain, and what its debug text says. Over HTTP: tests/web/test_probe_domain.py."""

from __future__ import annotations

from dataclasses import replace

from exporter.exposition.blackbox_domain import ProbedDomain
from exporter.exposition.text import Format
from exporter.model.domain import Exchange, ExchangesFound, Finding
from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from tests.examples import failure, success, target

DOMAIN = target("mx", protocol=Protocol.SMTP, port=25)
EXCHANGES = (Exchange(10, "a.example.com"), Exchange(20, "b.example.com"))


def probed(*outcomes: Outcome, failed: Finding | None = None) -> ProbedDomain:
    """What a look-up of 0.25 s and these outcomes give."""
    return ProbedDomain(DOMAIN, ExchangesFound(EXCHANGES[: len(outcomes)], failed, 0.25), outcomes)


def lines(domain: ProbedDomain) -> set[str]:
    """The samples as text."""
    return {line for line in domain.exposition(Format.TEXT).decode().splitlines() if not line.startswith("#")}


def test_one_of_two_is_up() -> None:
    """The domain is up and has each figure of its own once; each exchange has its name as `host`."""
    up, down = success(DOMAIN), failure(DOMAIN, Phase.CONNECT, Reason.REFUSED)
    found = lines(probed(up, down))
    assert "probe_success 1.0" in found
    assert "probe_dns_lookup_time_seconds 0.25" in found
    assert f"probe_duration_seconds {0.25 + max(up.duration, down.duration)!r}" in found
    assert {'probe_mx_success{host="a.example.com"} 1.0', 'probe_mx_success{host="b.example.com"} 0.0'} <= found
    assert 'probe_mx_preference{host="b.example.com"} 20.0' in found
    for name in ("probe_success", "probe_duration_seconds", "probe_dns_lookup_time_seconds"):
        assert sum(line.startswith((f"{name} ", f"{name}{{")) for line in found) == 1


def test_certificate() -> None:
    """Whether it is trusted is a sample only where that was looked at."""
    assert not any(
        "probe_mx_tls_success" in line for line in lines(probed(failure(DOMAIN, Phase.CONNECT, Reason.REFUSED)))
    )
    up = success(DOMAIN)
    untrusted = replace(up, observed=replace(up.observed, tls_fault=Reason.CERTIFICATE_UNTRUSTED))
    assert 'probe_mx_tls_success{host="a.example.com"} 0.0' in lines(probed(untrusted))


def test_look_up_that_failed() -> None:
    """The domain is down, with the reason, which the text for people shows with its remedy, and nothing invisible."""
    domain = probed(failed=Finding(Reason.DNS_NOT_FOUND, "no\u200bsuch name"))
    found = lines(domain)
    assert "probe_success 0.0" in found
    assert any(line.startswith('probe_failure_info{phase="resolve",reason="dns_not_found"') for line in found)
    text = domain.debug()
    assert "0 of 0 up" in text
    assert "dns_not_found in resolve" in text
    assert "remedy: " in text
    assert "\u200b" not in text
