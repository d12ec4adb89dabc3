"""Probes of mail exchanges: what senders without a policy put up with takes none down."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exporter.model.domain import Dane, Tlsa
from exporter.model.outcome import Check, Outcome, Phase, Target
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Endpoint, IpFamily, Protocol, Security, Tls
from exporter.probing.probe import probe
from exporter.probing.resolve import Resolver
from tests.servers import acts
from tests.servers.dialogues import Smtp
from tests.servers.dns import NameServer

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.authority import Authority, Certificate

NAMES = {"mx.example.com": ["127.0.0.1"], "other.example.com": ["127.0.0.1"]}


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    """A resolver that knows the exchanges."""
    async with NameServer(NAMES) as server:
        resolver = Resolver([server.address])
        yield resolver
        await resolver.close()


def exchange(authority: Authority, port: int, host: str = "mx.example.com", **changes: object) -> Target:
    """An exchange of example.com."""
    endpoint = Endpoint(
        name="mx",
        protocol=Protocol.SMTP,
        domain="example.com",
        host=host,
        port=port,
        security=Security.STARTTLS,
        ip_family=IpFamily.IPV4,
        tls=Tls(ca_file=authority.ca_file),
        **changes,  # type: ignore[arg-type]
    )
    return Target(endpoint, IpFamily.IPV4)


def expired(authority: Authority) -> Certificate:
    """One that ended yesterday."""
    now = datetime.now(UTC).replace(microsecond=0)
    return authority.issue("mx.example.com", not_before=now - timedelta(days=30), not_after=now - timedelta(days=1))


async def probed(
    scripted: StartScripted, authority: Authority, resolver: Resolver, certificate: Certificate, **script: object
) -> tuple[Outcome, list[bytes]]:
    """Probe a server with this certificate; return what it received, too."""
    dialogue = Smtp(**script)  # type: ignore[arg-type]
    server = await scripted(dialogue, security="starttls", context=certificate.context)
    outcome = await probe(exchange(authority, server.port), resolver)
    await server.wait_idle(server.connections)
    return outcome, server.received


async def test_good_exchange(scripted: StartScripted, authority: Authority, resolver: Resolver) -> None:
    """One session: EHLO, STARTTLS, EHLO, QUIT, and nothing of a message."""
    outcome, received = await probed(scripted, authority, resolver, authority.issue("mx.example.com"))
    assert outcome.up, outcome
    assert outcome.ok
    assert outcome.checks == {Check.REACHABILITY: True, Check.PROTOCOL: True, Check.TLS: True}
    assert outcome.warning == ""
    assert len(received) == 1
    assert [line.split()[0] for line in received[0].splitlines()] == [b"EHLO", b"STARTTLS", b"EHLO", b"QUIT"]


CERTIFICATES: dict[str, tuple[Callable[[Authority], Certificate], Reason]] = {
    "expired": (expired, Reason.CERTIFICATE_EXPIRED),
    "self-signed": (lambda authority: authority.self_signed, Reason.CERTIFICATE_UNTRUSTED),
    "wrong name": (lambda authority: authority.wrong_name, Reason.CERTIFICATE_HOSTNAME_MISMATCH),
}


@pytest.mark.parametrize("case", CERTIFICATES)
async def test_certificate_that_nobody_trusts(
    scripted: StartScripted, authority: Authority, resolver: Resolver, case: str
) -> None:
    """It is up, with a warning: the second session goes to its end, with QUIT."""
    make, reason = CERTIFICATES[case]
    outcome, received = await probed(scripted, authority, resolver, make(authority))
    assert outcome.up, outcome
    assert outcome.ok
    assert outcome.checks[Check.TLS] is False
    assert outcome.observed.tls_fault is reason
    assert outcome.observed.tls_fault_detail
    assert outcome.warning
    assert outcome.observed.tls is not None
    assert outcome.observed.tls.fingerprint_sha256
    assert [line.split()[0] for line in received[-1].splitlines()] == [b"EHLO", b"STARTTLS", b"EHLO", b"QUIT"]


async def test_old_tls(scripted: StartScripted, authority: Authority, resolver: Resolver) -> None:
    """TLS 1.1 alone is taken by senders that take anything."""
    context = authority.issue("mx.example.com").old_tls_context(ssl.TLSVersion.TLSv1_1)
    server = await scripted(Smtp(), security="starttls", context=context)
    outcome = await probe(exchange(authority, server.port), resolver)
    assert outcome.up, outcome
    assert outcome.observed.tls_fault is Reason.TLS_FAILED


async def test_no_starttls(scripted: StartScripted, authority: Authority, resolver: Resolver) -> None:
    """It is up, with a warning, and the session ends with QUIT."""
    outcome, received = await probed(
        scripted, authority, resolver, authority.issue("mx.example.com"), starttls_offered=False
    )
    assert outcome.up, outcome
    assert outcome.observed.tls_fault is Reason.STARTTLS_UNAVAILABLE
    assert outcome.observed.tls_fault_detail == "the server does not offer STARTTLS"
    assert outcome.checks[Check.TLS] is False
    assert [line.split()[0] for line in received[0].splitlines()] == [b"EHLO", b"QUIT"]


async def test_starttls_refused(scripted: StartScripted, authority: Authority, resolver: Resolver) -> None:
    """RFC 3207 §4: 454 means that TLS is not available now; the session may go on without."""
    at = {"starttls": acts.say(b"454 4.7.0 TLS not available due to local problem\r\n")}
    outcome, _ = await probed(scripted, authority, resolver, authority.issue("mx.example.com"), at=at)
    assert outcome.up, outcome
    assert outcome.observed.tls_fault is Reason.STARTTLS_UNAVAILABLE
    assert outcome.observed.tls_fault_detail.startswith("454 4.7.0 TLS not available")


async def test_silent_after_tls(scripted: StartScripted, authority: Authority, resolver: Resolver) -> None:
    """A server that does not answer after STARTTLS takes no mail, whatever its certificate is."""
    server = await scripted(
        Smtp(at={"tls": acts.in_order(lambda session: session.start_tls(), acts.silence)}),
        security="starttls",
        context=expired(authority).context,
    )
    outcome = await probe(exchange(authority, server.port, timeout=0.5), resolver)
    assert not outcome.up
    assert (outcome.phase, outcome.reason) == (Phase.CAPABILITY, Reason.TIMEOUT)
    assert outcome.observed.tls_fault is Reason.CERTIFICATE_EXPIRED


@pytest.mark.parametrize("host", ["192.0.2.1", "[192.0.2.1]", "2001:db8::1", "[ipv6:2001:db8::1]"])
async def test_address_literal(authority: Authority, resolver: Resolver, host: str) -> None:
    """An MX record that names an address is a mistake of the domain; nothing is connected to."""
    outcome = await probe(exchange(authority, 25, host), resolver)
    assert (outcome.phase, outcome.reason, outcome.blame) == (Phase.RESOLVE, Reason.MX_ADDRESS_LITERAL, Blame.ACCOUNT)
    assert outcome.detail == f"the MX record of example.com names an address, {host}"


@pytest.mark.parametrize(
    "host", ["a b.example.com", "a\\\\b.example.com", r"g\195\182d.example.com", 'a"b.example.com']
)
async def test_what_no_host_is_called(authority: Authority, resolver: Resolver, host: str) -> None:
    """The resolver does not fail: there is no host of such a name."""
    outcome = await probe(exchange(authority, 25, host), resolver)
    assert (outcome.phase, outcome.reason, outcome.blame) == (Phase.RESOLVE, Reason.DNS_NOT_FOUND, Blame.UNKNOWN)


async def test_no_such_exchange(authority: Authority, resolver: Resolver) -> None:
    """An exchange that does not exist is one that is down."""
    outcome = await probe(exchange(authority, 25, "gone.example.com"), resolver)
    assert (outcome.phase, outcome.reason) == (Phase.RESOLVE, Reason.DNS_NOT_FOUND)


async def test_late_greeting(scripted: StartScripted, authority: Authority, resolver: Resolver) -> None:
    """A greeting has its own deadline, after which the rest of the session has what was left of the timeout."""
    context = authority.issue("mx.example.com").context
    server = await scripted(Smtp(greeting_delay=0.7), security="starttls", context=context)
    late = exchange(authority, server.port, timeout=0.5)
    outcome = await probe(late, resolver)
    assert (outcome.phase, outcome.reason) == (Phase.GREETING, Reason.TIMEOUT)
    assert outcome.detail == "no answer within 0.5 s"
    patient = exchange(authority, server.port, timeout=0.5, greeting_timeout=30.0)
    outcome = await probe(patient, resolver)
    assert outcome.ok, outcome
    assert outcome.phases[Phase.GREETING] > 0.6
    impatient = exchange(authority, server.port, timeout=5.0, greeting_timeout=0.2)
    outcome = await probe(impatient, resolver)
    assert (outcome.phase, outcome.detail) == (Phase.GREETING, "no answer within 0.2 s")


def by(certificate: Certificate, *names: str) -> Dane:
    """The record of its key."""
    key = certificate.leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Dane((Tlsa(3, 1, 1, hashlib.sha256(key).digest()),), names or ("mx.example.com",))


async def test_tlsa_decides(scripted: StartScripted, authority: Authority, resolver: Resolver) -> None:
    """Where a record matches, no authority and no date counts; one session is enough."""
    certificate = expired(authority)
    server = await scripted(Smtp(), security="starttls", context=certificate.context)
    outcome = await probe(exchange(authority, server.port), resolver, tlsa=by(certificate))
    assert outcome.ok, outcome
    assert outcome.observed.dane is True
    assert outcome.checks[Check.TLS] is True
    assert server.connections == 1


async def test_name_that_is_sent(scripted: StartScripted, authority: Authority, resolver: Resolver) -> None:
    """RFC 7672 §8.1: the name that has the records: a server may have a certificate for each of its names."""
    certificate = authority.issue("mx.example.com")
    sent: list[str | None] = []
    context = certificate.own_context()
    context.sni_callback = lambda _tls, name, _context: sent.append(name)
    server = await scripted(Smtp(), security="starttls", context=context)
    await probe(exchange(authority, server.port), resolver, tlsa=by(certificate, "base.example.net", "mx.example.com"))
    assert sent == ["base.example.net"]


async def test_tlsa_mismatch(scripted: StartScripted, authority: Authority, resolver: Resolver) -> None:
    """Where none matches, the exchange is down, however good its certificate; the session ends with QUIT."""
    server = await scripted(Smtp(), security="starttls", context=authority.issue("mx.example.com").context)
    outcome = await probe(exchange(authority, server.port), resolver, tlsa=by(expired(authority)))
    assert (outcome.phase, outcome.reason, outcome.up) == (Phase.TLS, Reason.DANE_MISMATCH, False)
    assert outcome.observed.dane is False
    assert outcome.observed.tls is not None
    await server.wait_idle()
    assert [line.split()[0] for line in server.received[0].splitlines()] == [b"EHLO", b"STARTTLS", b"QUIT"]


async def test_tlsa_without_starttls(scripted: StartScripted, authority: Authority, resolver: Resolver) -> None:
    """RFC 7672 §2.2: with TLSA records, senders do not deliver in the clear."""
    server = await scripted(
        Smtp(starttls_offered=False), security="starttls", context=authority.issue("mx.example.com").context
    )
    outcome = await probe(exchange(authority, server.port), resolver, tlsa=by(expired(authority)))
    assert (outcome.phase, outcome.reason, outcome.up) == (Phase.STARTTLS, Reason.STARTTLS_UNAVAILABLE, False)
