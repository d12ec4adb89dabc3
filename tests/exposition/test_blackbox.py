"""The metrics of /probe: alone, and compared with those of the real blackbox_exporter for the same servers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition import blackbox
from exporter.exposition.text import Format
from exporter.model.certificate import Certificate, TlsFacts
from exporter.model.login import Denial
from exporter.model.outcome import Observed, Outcome, Phase
from exporter.model.reason import Blame, Reason
from exporter.model.settings import IpFamily, Protocol, Security, Tls
from exporter.model.verdict import Judgement, Verdict
from exporter.probing.probe import probe
from exporter.probing.resolve import Resolver
from tests.conftest import StartScripted
from tests.examples import UNREAD, budgeted, failure, success, target
from tests.servers.acts import close, in_order, say, silence
from tests.servers.authority import Authority
from tests.servers.blackbox import Blackbox
from tests.servers.dialogues import Imap
from tests.servers.dovecot import Dovecot

OURS = {"probe_phase_duration_seconds", "probe_failure_info"}
"""Families that blackbox_exporter does not have."""
NEWER = {"probe_tls_cipher_info"}
"""Families that Debian's version does not have yet; it has no label `serialnumber` either."""
MEASURED = {"probe_duration_seconds", "probe_dns_lookup_time_seconds"}
"""Families whose values differ from probe to probe."""


@dataclass(frozen=True)
class Exposed:
    """An exposition: the type of each family, and the values by name and labels."""

    types: Mapping[str, str]
    values: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def of(cls, text: str) -> Exposed:
        """Parse a text."""
        families = list(text_string_to_metric_families(text))
        values = {
            (
                sample.name,
                frozenset((name, value) for name, value in sample.labels.items() if name != "serialnumber"),
            ): sample.value
            for family in families
            for sample in family.samples
        }
        return cls({family.name: family.type for family in families}, values)

    def value(self, name: str) -> float:
        """The value of a metric without labels."""
        return self.values[name, frozenset()]


def exposed(outcome: Outcome) -> Exposed:
    """The exposition of an Outcome."""
    return Exposed.of(blackbox.ProbedTarget(outcome).exposition(Format.TEXT).decode())


@pytest.fixture(scope="module")
def real(authority: Authority) -> Iterator[Blackbox]:
    """The real blackbox_exporter, with modules that probe as ours do."""
    tls = {"ca_file": str(authority.ca_file)}
    ready = {"expect": "^\\* OK"}
    common = {"preferred_ip_protocol": "ip4", "tls_config": tls}
    upgrade = [ready, {"send": ". STARTTLS"}, {"expect": "^\\. OK"}, {"starttls": True}]
    ask = [{"send": ". CAPABILITY"}, {"expect": "^\\* CAPABILITY IMAP4rev1"}]
    modules = {
        "imaps": {"prober": "tcp", "timeout": "30s", "tcp": {**common, "tls": True, "query_response": [ready, *ask]}},
        "starttls": {"prober": "tcp", "timeout": "30s", "tcp": {**common, "query_response": [*upgrade, *ask]}},
        "brief": {"prober": "tcp", "timeout": "1s", "tcp": {**common, "query_response": [ready, *ask]}},
        "plain": {"prober": "tcp", "timeout": "30s", "tcp": {**common, "query_response": [ready, *ask]}},
    }
    with Blackbox(modules) as server:
        yield server


SECURITY = {"imaps": Security.TLS, "starttls": Security.STARTTLS, "plain": Security.NONE, "brief": Security.NONE}


async def probe_both(
    real: Blackbox, authority: Authority, module: str, host: str, port: int
) -> tuple[Exposed, Exposed]:
    """Probe a target with the real one and with ours, and return both expositions."""
    theirs = await asyncio.to_thread(real.probe, module, f"{host}:{port}")
    tls = Tls() if SECURITY[module] is Security.NONE else Tls(ca_file=authority.ca_file)
    imap = target(
        host=host, port=port, protocol=Protocol.IMAP, security=SECURITY[module], tls=tls, ip_family=IpFamily.IPV4,
        timeout=1.0 if module == "brief" else 30.0,
    )  # fmt: skip
    resolver = Resolver()
    outcome = await probe(imap, resolver)
    await resolver.close()
    return Exposed.of(theirs), exposed(outcome)


def assert_alike(theirs: Exposed, ours: Exposed) -> None:
    """Fail where a family of the real one is missing, has another type, or has other values."""
    assert set(ours.types) - set(theirs.types) <= OURS | NEWER
    assert {name: ours.types.get(name) for name in theirs.types} == theirs.types
    alike = {key: value for key, value in theirs.values.items() if key[0] not in MEASURED}
    assert {key: ours.values.get(key) for key in alike} == alike
    for name in MEASURED:
        assert ours.value(name) >= 0
    assert ours.value("probe_duration_seconds") >= ours.value("probe_dns_lookup_time_seconds")


@pytest.mark.parametrize("module", ["imaps", "starttls", "plain"])
async def test_healthy_server(real: Blackbox, authority: Authority, dovecot: Dovecot, module: str) -> None:
    """Names, types, labels and values are equal, the hash of the address and the certificate's names included."""
    port = dovecot.imaps_port if module == "imaps" else dovecot.imap_port
    theirs, ours = await probe_both(real, authority, module, "localhost", port)
    assert_alike(theirs, ours)
    assert ours.value("probe_success") == 1
    assert ("probe_ssl_earliest_cert_expiry" in theirs.types) is (module != "plain")


@pytest.mark.parametrize("name", ["short_intermediate", "issue"])
async def test_chain_expiry(real: Blackbox, authority: Authority, scripted: StartScripted, name: str) -> None:
    """The expiries of the presented and of the verified chain are equal."""
    certificate = authority.issue("localhost", "*.example.com") if name == "issue" else authority.short_intermediate
    server = await scripted(Imap(), security="tls", context=certificate.context)
    assert_alike(*await probe_both(real, authority, "imaps", "localhost", server.port))


async def test_failure_before_tls(real: Blackbox, authority: Authority, dovecot: Dovecot, free_port: int) -> None:
    """An unknown name, a closed port and a server without TLS have equal metrics: 0 where a value is unknown."""
    cases = (("nowhere.invalid", 993, 0), ("localhost", free_port, 4), ("localhost", dovecot.imap_port, 4))
    for host, port, version in cases:
        theirs, ours = await probe_both(real, authority, "imaps", host, port)
        assert_alike(theirs, ours)
        assert ours.value("probe_success") == 0
        assert ours.value("probe_ip_protocol") == version


@pytest.mark.parametrize(
    "act", [in_order(say(b"* BYE busy\r\n"), close), close, silence], ids=["bye", "closed", "silent"]
)
async def test_failure_in_the_dialogue(
    real: Blackbox, authority: Authority, scripted: StartScripted, act: Imap
) -> None:
    """Another answer or a close is a mismatch, as is the real one's; silence is a timeout."""
    server = await scripted(Imap(at={"greeting": act}))
    theirs, ours = await probe_both(real, authority, "brief" if act is silence else "plain", "localhost", server.port)
    assert_alike(theirs, ours)
    assert ours.value("probe_failed_due_to_regex") == (act is not silence)


async def test_untrusted_certificate(real: Blackbox, authority: Authority, scripted: StartScripted) -> None:
    """We expose the expiry of an untrusted certificate; the real one does not."""
    server = await scripted(Imap(), security="tls", context=authority.expired.context)
    theirs, ours = await probe_both(real, authority, "imaps", "localhost", server.port)
    assert theirs.value("probe_success") == ours.value("probe_success") == 0
    assert "probe_ssl_earliest_cert_expiry" not in theirs.types
    assert ours.value("probe_ssl_earliest_cert_expiry") == authority.expired.leaf.not_valid_after_utc.timestamp()
    assert "probe_ssl_last_chain_expiry_timestamp_seconds" not in ours.types


# Without the real one


def test_every_family() -> None:
    """An Outcome with all facts has every family with its labels, in the order of their declaration."""
    leaf = Certificate("CN=a", "CN=b", ("a", "10.0.0.1", "b"), 1.0, 2.0, "f" * 64, "0a")
    facts = TlsFacts("TLSv1.2", "C", "CN=b", "f" * 64, 2.0, 2.0, chain=(leaf,), verified_not_after=1.5)
    observed = Observed(address="::1", ip_version=6, tls=facts, login_attempted=True)
    outcome = replace(failure(phase=Phase.FOLDERS, reason=Reason.FOLDER_HIDDEN), observed=observed)
    metrics = exposed(budgeted(outcome, Denial.HOLD))
    assert list(metrics.types) == [family.metric.name for family in blackbox.FAMILIES]
    assert set(metrics.types.values()) == {"gauge"}
    for name, labels in metrics.values:
        family = next(family for family in blackbox.FAMILIES if family.metric.name == name)
        assert {label for label, _ in labels} == set(family.labels) - {"serialnumber"}
    assert ("subjectalternative", "a,b") in next(
        labels for name, labels in metrics.values if name.endswith("chain_info")
    )
    assert 'serialnumber="0a"' in blackbox.ProbedTarget(outcome).exposition(Format.TEXT).decode()
    assert metrics.value("probe_login_suspended") == 1


@pytest.mark.parametrize(
    ("outcome", "up", "login"),
    [
        (success(), 1, None),
        (success(login=True), 1, 1),
        (failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS), 1, 0),
        (failure(phase=Phase.FOLDERS, reason=Reason.FOLDER_HIDDEN), 1, 0),
        (failure(phase=Phase.TLS, reason=Reason.TLS_FAILED), 0, None),
    ],
)
def test_login(outcome: Outcome, up: float, login: float | None) -> None:
    """A failed login leaves probe_success at 1; its own metric exists only where there was a login."""
    metrics = exposed(outcome)
    assert metrics.value("probe_success") == up
    assert metrics.values.get(("probe_login_success", frozenset())) == login
    assert ("probe_failure_info" in metrics.types) is not outcome.ok


@pytest.mark.parametrize(
    ("phase", "reason", "failed"),
    [
        (Phase.GREETING, Reason.TOO_MANY_CONNECTIONS, 1),
        (Phase.STARTTLS, Reason.STARTTLS_UNAVAILABLE, 1),
        (Phase.CAPABILITY, Reason.PROTOCOL_VIOLATION, 1),
        (Phase.CAPABILITY, Reason.TIMEOUT, 0),
        (Phase.GREETING, Reason.RESET, 0),
        (Phase.CONNECT, Reason.REFUSED, 0),
        (Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS, 0),
    ],
)
def test_failed_due_to_regex(phase: Phase, reason: Reason, failed: float) -> None:
    """Only a wrong answer before the login is a mismatch."""
    assert exposed(failure(phase=phase, reason=reason)).value("probe_failed_due_to_regex") == failed


def test_unread_certificate() -> None:
    """What only OpenSSL can read of a certificate has no metric; the leaf is the leaf."""
    metrics = exposed(success(observed=Observed(tls=UNREAD)))
    assert not [name for name in metrics.types if "expiry" in name]
    (info,) = (dict(labels) for name, labels in metrics.values if "chain_info" in name)
    assert info["fingerprint_sha256"] == UNREAD.fingerprint_sha256


def test_hostile_text() -> None:
    """A hostile subject stays in its label, and the debug output escapes control characters."""
    leaf = Certificate('CN="}\\\n# EOF', "CN=b", (), 1.0, 2.0, "f", "0a")
    facts = TlsFacts("TLSv1.3", "C", "i", "f", 2.0, 2.0, chain=(leaf,))
    outcome = success(observed=Observed(tls=facts))
    assert ("subject", 'CN="}\\\n# EOF') in next(
        labels for name, labels in exposed(outcome).values if "chain_info" in name
    )
    hostile = replace(outcome, phase=Phase.LOGIN, reason=Reason.SERVER_REFUSED, detail="a\x1b[2J\u202eb\nc")
    assert "detail: a\\x1b[2J\\u202eb\\nc\n" in blackbox.ProbedTarget(hostile).debug()


def test_openmetrics() -> None:
    """OpenMetrics has the same lines, and the EOF mark at the end."""
    text = blackbox.ProbedTarget(success()).exposition(Format.TEXT)
    assert blackbox.ProbedTarget(success()).exposition(Format.OPENMETRICS) == text + b"# EOF\n"


def test_debug_has_the_verdict() -> None:
    """With what it rests on, a line each, without control characters."""
    judgement = Judgement(
        Verdict.PROVIDER_DOWN, Blame.PROVIDER, "Google is silent", ("It said\x1b nothing.",), "an incident"
    )
    text = blackbox.ProbedTarget(replace(failure(), judgement=judgement)).debug()
    assert "verdict: provider_down: Google is silent; an incident\n  It said\\x1b nothing.\n" in text
