"""The metrics of /probe: by themselves, and beside those of the real blackbox_exporter of the same servers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition import blackbox
from exporter.exposition.text import Format
from exporter.model.login import Denial
from exporter.model.outcome import Certificate, Observed, Outcome, Phase, TlsFacts
from exporter.model.reason import Reason
from exporter.model.settings import IpFamily, Protocol, Security, Tls
from exporter.probing.probe import probe
from exporter.probing.resolve import Resolver
from tests.conftest import StartScripted
from tests.examples import budgeted, failure, success, target
from tests.servers.acts import close, in_order, say, silence
from tests.servers.authority import Authority
from tests.servers.blackbox import Blackbox
from tests.servers.dialogues import Imap
from tests.servers.dovecot import Dovecot

OURS = {"probe_phase_duration_seconds", "probe_failure_info"}
"""What blackbox_exporter has not."""
NEWER = {"probe_tls_cipher_info"}
"""What Debian's has not yet, nor `serialnumber`."""
MEASURED = {"probe_duration_seconds", "probe_dns_lookup_time_seconds"}
"""What is never twice the same."""


@dataclass(frozen=True)
class Exposed:
    """An exposition: the type of each family, and the values by name and labels."""

    types: Mapping[str, str]
    values: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def of(cls, text: str) -> Exposed:
        """Parse it."""
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
    """What is exposed of an Outcome."""
    return Exposed.of(blackbox.exposition(outcome, Format.TEXT).decode())


@pytest.fixture(scope="module")
def real(authority: Authority) -> Iterator[Blackbox]:
    """The real one, with modules that do what ours do."""
    tls = {"ca_file": str(authority.ca_file)}
    ready = {"expect": "^\\* OK"}
    common = {"preferred_ip_protocol": "ip4", "tls_config": tls}
    upgrade = [ready, {"send": ". STARTTLS"}, {"expect": "^\\. OK"}, {"starttls": True}]
    ask = [{"send": ". CAPABILITY"}, {"expect": "^\\* CAPABILITY IMAP4rev1"}]
    modules = {
        "imaps": {"prober": "tcp", "timeout": "1s", "tcp": {**common, "tls": True, "query_response": [ready, *ask]}},
        "starttls": {"prober": "tcp", "timeout": "1s", "tcp": {**common, "query_response": [*upgrade, *ask]}},
        "plain": {"prober": "tcp", "timeout": "1s", "tcp": {**common, "query_response": [ready, *ask]}},
    }
    with Blackbox(modules) as server:
        yield server


SECURITY = {"imaps": Security.TLS, "starttls": Security.STARTTLS, "plain": Security.NONE}


async def both(real: Blackbox, authority: Authority, module: str, host: str, port: int) -> tuple[Exposed, Exposed]:
    """What the real one says of a target, and what we say."""
    theirs = await asyncio.to_thread(real.probe, module, f"{host}:{port}")
    tls = Tls() if module == "plain" else Tls(ca_file=authority.ca_file)
    of = target(
        host=host, port=port, protocol=Protocol.IMAP, security=SECURITY[module], tls=tls, timeout=1.0,
        ip_family=IpFamily.IPV4,
    )  # fmt: skip
    resolver = Resolver()
    outcome = await probe(of, resolver)
    await resolver.close()
    return Exposed.of(theirs), exposed(outcome)


def assert_alike(theirs: Exposed, ours: Exposed) -> None:
    """Fail where something of the real one is missing, of another type, or means something else."""
    assert set(ours.types) - set(theirs.types) <= OURS | NEWER
    assert {name: ours.types.get(name) for name in theirs.types} == theirs.types
    alike = {key: value for key, value in theirs.values.items() if key[0] not in MEASURED}
    assert {key: ours.values.get(key) for key in alike} == alike
    for name in MEASURED:
        assert ours.value(name) >= 0
    assert ours.value("probe_duration_seconds") >= ours.value("probe_dns_lookup_time_seconds")


@pytest.mark.parametrize("module", ["imaps", "starttls", "plain"])
async def test_a_server_that_is_well(real: Blackbox, authority: Authority, dovecot: Dovecot, module: str) -> None:
    """The same names, types, labels and values, down to the address's hash and the certificate's names."""
    port = dovecot.imaps_port if module == "imaps" else dovecot.imap_port
    theirs, ours = await both(real, authority, module, "localhost", port)
    assert_alike(theirs, ours)
    assert ours.value("probe_success") == 1
    assert ("probe_ssl_earliest_cert_expiry" in theirs.types) is (module != "plain")


@pytest.mark.parametrize("name", ["short_intermediate", "issue"])
async def test_the_chain(real: Blackbox, authority: Authority, scripted: StartScripted, name: str) -> None:
    """What ends first of what was presented, and what ends the trust."""
    certificate = authority.issue("localhost", "*.example.com") if name == "issue" else authority.short_intermediate
    server = await scripted(Imap(), security="tls", context=certificate.context)
    assert_alike(*await both(real, authority, "imaps", "localhost", server.port))


async def test_what_fails_before_tls(real: Blackbox, authority: Authority, dovecot: Dovecot, free_port: int) -> None:
    """A name that does not exist, a port that is closed, a server that speaks no TLS: 0 where nothing is known."""
    cases = (("nowhere.invalid", 993, 0), ("localhost", free_port, 4), ("localhost", dovecot.imap_port, 4))
    for host, port, version in cases:
        theirs, ours = await both(real, authority, "imaps", host, port)
        assert_alike(theirs, ours)
        assert ours.value("probe_success") == 0
        assert ours.value("probe_ip_protocol") == version


@pytest.mark.parametrize(
    "act", [in_order(say(b"* BYE busy\r\n"), close), close, silence], ids=["bye", "closed", "silent"]
)
async def test_what_fails_in_the_dialogue(
    real: Blackbox, authority: Authority, scripted: StartScripted, act: Imap
) -> None:
    """A server that says something else, or ends without a word, did not match; one that is silent was too slow."""
    server = await scripted(Imap(at={"greeting": act}))
    theirs, ours = await both(real, authority, "plain", "localhost", server.port)
    assert_alike(theirs, ours)
    assert ours.value("probe_failed_due_to_regex") == (act is not silence)


async def test_a_certificate_that_is_not_trusted_still_tells_its_expiry(
    real: Blackbox, authority: Authority, scripted: StartScripted
) -> None:
    """Where the real one has nothing to alert on, because verification failed, we have."""
    server = await scripted(Imap(), security="tls", context=authority.expired.context)
    theirs, ours = await both(real, authority, "imaps", "localhost", server.port)
    assert theirs.value("probe_success") == ours.value("probe_success") == 0
    assert "probe_ssl_earliest_cert_expiry" not in theirs.types
    assert ours.value("probe_ssl_earliest_cert_expiry") == authority.expired.leaf.not_valid_after_utc.timestamp()
    assert "probe_ssl_last_chain_expiry_timestamp_seconds" not in ours.types


# By themselves


def test_every_family_is_exposed_and_documented() -> None:
    """Of one look that has everything, each is there, in the order in which they are declared."""
    leaf = Certificate("CN=a", "CN=b", ("a", "10.0.0.1", "b"), 1.0, 2.0, "f" * 64, "0a")
    facts = TlsFacts("TLSv1.2", "C", "CN=b", "f" * 64, 2.0, 2.0, chain=(leaf,), verified_not_after=1.5)
    observed = Observed(address="::1", ip_version=6, tls=facts, login_attempted=True)
    outcome = replace(failure(phase=Phase.FOLDERS, reason=Reason.FOLDER_HIDDEN), observed=observed)
    seen = exposed(budgeted(outcome, Denial.HOLD))
    assert list(seen.types) == [family.metric.name for family in blackbox.FAMILIES]
    assert set(seen.types.values()) == {"gauge"}
    for name, labels in seen.values:
        family = next(family for family in blackbox.FAMILIES if family.metric.name == name)
        assert {label for label, _ in labels} == set(family.labels) - {"serialnumber"}
    assert ("subjectalternative", "a,b") in next(labels for name, labels in seen.values if name.endswith("chain_info"))
    assert 'serialnumber="0a"' in blackbox.exposition(outcome, Format.TEXT).decode()
    assert seen.value("probe_login_suspended") == 1


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
def test_a_login_that_fails_is_no_outage(outcome: Outcome, up: float, login: float | None) -> None:
    """It has a metric of its own, which is there only where there was a login."""
    seen = exposed(outcome)
    assert seen.value("probe_success") == up
    assert seen.values.get(("probe_login_success", frozenset())) == login
    assert ("probe_failure_info" in seen.types) is not outcome.ok


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
def test_what_did_not_match_was_an_answer(phase: Phase, reason: Reason, failed: float) -> None:
    """Whatever it said; and a login is no part of it."""
    assert exposed(failure(phase=phase, reason=reason)).value("probe_failed_due_to_regex") == failed


def test_hostile_words_stay_in_their_label() -> None:
    """A certificate's subject may say anything."""
    leaf = Certificate('CN="}\\\n# EOF', "CN=b", (), 1.0, 2.0, "f", "0a")
    facts = TlsFacts("TLSv1.3", "C", "i", "f", 2.0, 2.0, chain=(leaf,))
    outcome = success(observed=Observed(tls=facts))
    assert ("subject", 'CN="}\\\n# EOF') in next(
        labels for name, labels in exposed(outcome).values if "chain_info" in name
    )
    hostile = replace(outcome, phase=Phase.LOGIN, reason=Reason.SERVER_REFUSED, detail="a\x1b[2J\u202eb\nc")
    assert "detail: a\\x1b[2J\\u202eb\\nc\n" in blackbox.debug(hostile)


def test_openmetrics() -> None:
    """The same lines, and the mark at the end."""
    text = blackbox.exposition(success(), Format.TEXT)
    assert blackbox.exposition(success(), Format.OPENMETRICS) == text + b"# EOF\n"
