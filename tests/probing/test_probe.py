"""Whole probes of good and bad servers: phase, reason and facts, within the deadline, with nothing left open."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import random
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from exporter.accounts.ledger import Ledger
from exporter.model.outcome import Folder, Outcome, Phase
from exporter.model.reason import Blame, Reason
from exporter.model.settings import AddressChoice, IpFamily, MechanismChoice, Role, Tls
from exporter.monitor.checker import Checker
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.schedule import DueTimes, Schedule
from exporter.monitor.store import Store
from exporter.probing import client_tls, roots
from exporter.probing.addresses import Known
from exporter.probing.connection import Connection
from exporter.probing.dialogue import MAX_FOLDERS, MAX_IGNORED, Credential, CredentialUnavailable
from exporter.probing.probe import Attempt, Login, probe
from exporter.probing.record import MAX_CAPABILITIES
from exporter.probing.resolve import IpAddress, NoAddress, Resolver
from exporter.probing.search import Secrets
from tests.examples import SENTINEL
from tests.probing.conftest import ADDRESSES, HAS_IPV6, Belongings
from tests.probing.prober import (
    CREDENTIAL,
    ENOUGH,
    LOGOUT,
    NOTHING,
    PROTOCOLS,
    SECRETS,
    SECURED,
    SERVERS,
    SHORT,
    Prober,
    found,
    sessions,
    steps,
)
from tests.servers import acts, der
from tests.servers.dialogues import Imap, Pop3, Smtp, Step
from tests.servers.dns import NameServer
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.probing.conftest import Fill
    from tests.servers.authority import Authority
    from tests.servers.scripted import Behaviour, ScriptedServer, Session


def test_steps_are_phases() -> None:
    """The sessions of these tests contain every phase after the connect."""
    assert {step for protocol in PROTOCOLS for _, step in sessions(protocol)} == set(Phase) - {"resolve", "connect"}


def assert_secret_kept(server: ScriptedServer) -> None:
    """Fail if a client has sent the password in any spelling."""
    assert not [secret for sent in server.received for secret in SECRETS if secret in sent]


# Good sessions


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("security", SECURED)
async def test_success(scripted: StartScripted, prober: Prober, protocol: str, security: Any) -> None:
    """A good session has all phases in order, its facts, a logout and close_notify; nothing stays open."""
    server = await scripted(SERVERS[protocol](), security=security)
    before = Belongings()
    folders = (Role.INBOX, Role.SENT) if protocol == "imap" else ()
    outcome = await prober(prober.target(server.port, protocol, security, folders=folders))
    assert found(outcome) == (Phase.LOGOUT, Reason.OK)
    assert (outcome.detail, outcome.ok, outcome.up) == ("", True, True)
    assert list(outcome.phases) == ["resolve", "connect", *steps(protocol, security)]
    assert all(0 <= seconds < ENOUGH for seconds in outcome.phases.values())
    observed = outcome.observed
    assert (observed.address, observed.ip_version, observed.ip_fallback) == ("127.0.0.1", 4, None)
    assert observed.tcp_rtt is not None
    assert 0 < observed.tcp_rtt < 1
    assert observed.tls is not None
    assert observed.tls.version == "TLSv1.3"
    assert observed.capabilities
    assert "STARTTLS" not in observed.capabilities
    assert observed.login_attempted
    assert observed.logout is None
    assert (
        observed.folders
        == {
            "imap": (Folder(Role.INBOX, visible=True, messages=3), Folder(Role.SENT, visible=True, messages=3)),
            "pop3": (Folder(Role.INBOX, visible=True, messages=3, octets=4096),),
            "smtp": (),
        }[protocol]
    )
    await server.wait_idle()
    assert (server.connections, server.close_notify) == (1, [True])
    assert server.received[0].endswith(LOGOUT[protocol])
    await before.assert_nothing_left()


async def test_literal(scripted: StartScripted, prober: Prober) -> None:
    """A folder name in a literal is read by its number of octets, also with a line end or a tagged line in it."""
    folders = (b'(\\Sent) "/" {9}\r\na1 OK {3}', b'(\\Trash) "/" {0}\r\n')
    server = await scripted(Imap(folders=folders, messages=7), security="tls")
    outcome = await prober(prober.target(server.port, "imap", folders=(Role.SENT,)))
    assert outcome.detail == ""
    assert outcome.observed.folders == (Folder(Role.SENT, visible=True, messages=7),)
    await server.wait_idle()
    assert b'STATUS "a1 OK {3}" (MESSAGES UNSEEN)\r\n' in server.received[0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
async def test_without_login(scripted: StartScripted, prober: Prober, protocol: str, security: Any) -> None:
    """Without a login the session ends after the capabilities, with a logout."""
    server = await scripted(SERVERS[protocol](), security=security)
    outcome = await prober(prober.target(server.port, protocol, security), None)
    assert found(outcome) == (Phase.LOGOUT, Reason.OK)
    assert list(outcome.phases) == [
        "resolve", "connect", *(step for step in steps(protocol, security) if step not in ("login", "folders"))
    ]  # fmt: skip
    assert not outcome.observed.login_attempted
    await server.wait_idle()
    assert server.close_notify == [security != "none"]
    assert server.received[0].endswith(LOGOUT[protocol])


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_credential_unavailable(scripted: StartScripted, prober: Prober, protocol: str) -> None:
    """A secret that cannot be read ends the probe in the login phase, before any login command."""
    server = await scripted(SERVERS[protocol](), security="tls")
    outcome = await prober(
        prober.target(server.port, protocol), CredentialUnavailable("/run/secrets/ops: no such file")
    )
    assert found(outcome) == (Phase.LOGIN, Reason.CREDENTIAL_UNAVAILABLE)
    assert outcome.detail == "/run/secrets/ops: no such file"
    assert outcome.observed.capabilities
    assert not outcome.observed.login_attempted
    await server.wait_idle()
    assert server.close_notify == [True]
    assert not [word for word in (b"AUTH", b"LOGIN", b"USER", b"PASS") if word in server.received[0]]


async def test_greeting_is_timed_from_the_connection(scripted: StartScripted, prober: Prober) -> None:
    """The time before the server's greeting counts for the greeting phase alone."""
    delay = 0.1
    server = await scripted(Imap(greeting_delay=delay), security="tls")
    outcome = await prober(prober.target(server.port, "imap"))
    # In no other phase: `prober` asserts that all together are not longer than the probe took.
    assert outcome.phases[Phase.GREETING] > 0.9 * delay  # event loops may be early by a millisecond


# Failures of the connection, at each step

HANDSHAKE_BEGUN = acts.in_order(acts.pause(0.05), acts.drip(b"\x16\x03\x03\x40\x00" + b"\x02" * 100, period=0.05))
"""An incomplete TLS record, in place of the server's side of a handshake. It is delayed: together with the reply to
STARTTLS it would be an injection."""

WAITING: Mapping[str, Behaviour] = {"silence": acts.silence, "drip": acts.drip(b"* ", period=0.05)}
ENDING: Mapping[str, tuple[Behaviour, Reason]] = {
    "close": (acts.close, Reason.CLOSED),
    "truncate": (acts.truncate, Reason.CLOSED),
    "reset": (acts.reset, Reason.RESET),
}


async def assert_every_step(
    scripted: StartScripted, prober: Prober, where: tuple[str, str], act: Behaviour, reason: Reason, seconds: float
) -> None:
    """Put the act at each step of each kind of session, probe all of them at once, and check the outcomes."""
    protocol, address = where
    servers = []
    for security, step in sessions(protocol):
        instead = HANDSHAKE_BEGUN if step == "tls" and act is WAITING["drip"] else act
        server = await scripted(SERVERS[protocol](at={step: instead}), security=security, ipv6=True)  # type: ignore[arg-type]
        servers.append((security, step, server))
    before = Belongings()
    probes = [
        prober.silenced(prober.target(server.port, protocol, security, host=address, timeout=seconds), Phase(step))
        for security, step, server in servers
    ]
    outcomes = await asyncio.gather(*probes)
    for (security, step, server), outcome in zip(servers, outcomes, strict=True):
        if step == "logout":  # fails nothing
            assert (security, step, *found(outcome)) == (security, step, Phase.LOGOUT, Reason.OK)
            assert outcome.observed.logout is reason
        else:
            assert (security, step, *found(outcome)) == (security, step, Phase(step), reason)
            assert outcome.detail
        reached = steps(protocol, security)
        assert list(outcome.phases) == ["resolve", "connect", *reached[: reached.index(step) + 1]]
        assert outcome.observed.login_attempted == (step in ("login", "folders", "logout") and security != "none")
        await server.wait_idle()
        if step not in ("login", "folders", "logout"):
            assert_secret_kept(server)
    await before.assert_nothing_left()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("act", WAITING)
@pytest.mark.parametrize("address", ADDRESSES)
async def test_waiting(scripted: StartScripted, prober: Prober, protocol: str, act: str, address: str) -> None:
    """Silence, and octets that never end a line, lead to a timeout in each phase."""
    await assert_every_step(scripted, prober, (protocol, address), WAITING[act], Reason.TIMEOUT, SHORT)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("act", ENDING)
@pytest.mark.parametrize("address", ADDRESSES)
async def test_ending(scripted: StartScripted, prober: Prober, protocol: str, act: str, address: str) -> None:
    """A closed connection and a reset one are distinguished in each phase, the handshake included."""
    started = time.monotonic()
    await assert_every_step(scripted, prober, (protocol, address), *ENDING[act], ENOUGH)
    assert time.monotonic() - started < ENOUGH / 2


async def test_phase_of_a_timeout(scripted: StartScripted, prober: Prober) -> None:
    """The phase that timed out has the rest of the time."""
    server = await scripted(Imap(at={"capability": acts.silence}), security="tls")
    outcome = await prober.silenced(prober.target(server.port, "imap", timeout=SHORT), Phase.CAPABILITY)
    timeout = outcome.target.endpoint.timeout
    others = sum(seconds for phase, seconds in outcome.phases.items() if phase is not Phase.CAPABILITY)
    assert outcome.phases[Phase.CAPABILITY] > 0.9 * (timeout - others)
    assert outcome.detail == f"no answer within {timeout:g} s"
    await server.wait_idle()
    assert set(server.close_notify) == {True}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_refused(prober: Prober, protocol: str, free_port: int) -> None:
    """A port without a listener: the connection is refused."""
    before = Belongings()
    outcome = await prober(prober.target(free_port, protocol))
    assert found(outcome) == (Phase.CONNECT, Reason.REFUSED)
    assert outcome.detail == "Connection refused"
    assert list(outcome.phases) == ["resolve", "connect"]
    assert outcome.observed.tcp_rtt is None
    assert not outcome.up
    await before.assert_nothing_left()


async def test_connect_hangs(prober: Prober, free_port: int, fill_backlog: Fill) -> None:
    """A connect without an answer times out."""
    fill_backlog("127.0.0.1", free_port)
    before = Belongings()
    outcome = await prober.silenced(prober.target(free_port, "imap", timeout=SHORT), Phase.CONNECT)
    assert found(outcome) == (Phase.CONNECT, Reason.TIMEOUT)
    await before.assert_nothing_left()


async def test_cancelled(scripted: StartScripted, prober: Prober) -> None:
    """A cancelled probe ends at once, in each step, and leaves nothing open."""
    reached: list[Session] = []

    async def note(session: Session) -> None:
        reached.append(session)

    silence = acts.in_order(note, acts.silence)
    servers = [await scripted(Imap(at={step: silence}), security="tls") for step in steps("imap", "tls")]
    before = Belongings()
    running = [asyncio.create_task(prober(prober.target(server.port, "imap"))) for server in servers]
    await until(lambda: len(reached) == len(servers))
    for task in running:
        task.cancel()
    async with asyncio.timeout(ENOUGH / 2):
        results = await asyncio.gather(*running, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    await before.assert_nothing_left()


# TLS

BAD_CERTIFICATES = {
    "expired": Reason.CERTIFICATE_EXPIRED,
    "not_yet_valid": Reason.CERTIFICATE_NOT_YET_VALID,
    "wrong_name": Reason.CERTIFICATE_HOSTNAME_MISMATCH,
    "self_signed": Reason.CERTIFICATE_UNTRUSTED,
    "no_sni": Reason.TLS_NO_SNI,
    "old_tls": Reason.TLS_FAILED,
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("security", SECURED)
@pytest.mark.parametrize("kind", BAD_CERTIFICATES)
async def test_bad_certificate(
    scripted: StartScripted, prober: Prober, authority: Authority, protocol: str, security: Any, kind: str
) -> None:
    """Each kind has its reason; a second connection gets the facts; a credential is never sent."""
    certificate = authority.issue() if kind == "old_tls" else getattr(authority, kind)
    context = certificate.old_tls_context() if kind == "old_tls" else certificate.context
    changes: dict[str, Any] = {}
    if kind == "no_sni":  # Google's servers, asked without a name because the host is an address
        context, changes = authority.google_context(), {"tls": Tls(ca_file=authority.ca_file)}
    server = await scripted(SERVERS[protocol](), security=security, context=context)
    before = Belongings()
    outcome = await prober(prober.target(server.port, protocol, security, **changes))
    assert found(outcome) == (Phase.TLS, BAD_CERTIFICATES[kind])
    assert outcome.detail
    facts = outcome.observed.tls
    assert facts is not None
    assert facts.not_after == certificate.leaf.not_valid_after_utc.timestamp()
    assert facts.no_sni == (kind == "no_sni")
    assert list(outcome.phases)[-1] == "tls"
    assert not outcome.observed.login_attempted
    await server.wait_idle(2)
    assert server.connections == 2
    assert_secret_kept(server)
    spoken = {"imap": b"a1 CAPABILITY\r\na2 STARTTLS\r\n", "pop3": b"CAPA\r\nSTLS\r\n"}
    spoken["smtp"] = b"EHLO [127.0.0.1]\r\nSTARTTLS\r\n"
    assert server.received == [spoken[protocol] if security == "starttls" else b""] * 2
    await before.assert_nothing_left()


@pytest.mark.parametrize("odd", der.ODD)
async def test_odd_certificate(scripted: StartScripted, prober: Prober, tmp_path: Path, odd: str) -> None:
    """Whether a certificate is trusted is for OpenSSL to say, however little else can read of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = der.issue(tmp_path, key, der.certificate(key, **der.ODD[odd]))
    server = await scripted(Imap(), security="tls", context=certificate.context)
    tls = Tls(ca_file=certificate.chain_file, server_name="localhost")
    outcome = await prober(prober.target(server.port, "imap", tls=tls))
    if not der.is_trusted(certificate):
        expected = Phase.TLS, Reason.CERTIFICATE_UNTRUSTED
    elif odd == "no_extensions":  # so it has no name
        expected = Phase.TLS, Reason.CERTIFICATE_HOSTNAME_MISMATCH
    else:
        expected = Phase.LOGOUT, Reason.OK
    assert found(outcome) == expected
    assert outcome.observed.tls is not None
    assert outcome.observed.tls.version == "TLSv1.3"


@pytest.fixture
def trusted_here(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This host trusts the tests' authority, as where an antivirus program or a proxy has installed its own."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    client_tls._build.cache_clear()
    yield
    client_tls._build.cache_clear()


@pytest.mark.usefixtures("trusted_here")
@pytest.mark.parametrize("security", SECURED)
async def test_intercepted(scripted: StartScripted, prober: Prober, authority: Authority, security: Any) -> None:
    """A root that only this host trusts is no failure; it is told where the root must be public, and only there."""
    server = await scripted(Imap(), security=security, context=authority.issue("imap.gmail.com").context)
    target = prober.target(server.port, "imap", security, tls=Tls(server_name="imap.gmail.com"))
    unnamed = await prober(target)
    assert unnamed.ok
    assert unnamed.observed.tls is not None
    assert (unnamed.observed.tls.public_root, unnamed.intercepted_by) == (False, None)
    marked = replace(target.endpoint, tls=Tls(server_name="imap.gmail.com", public_root=True))
    outcome = await prober(replace(target, endpoint=marked))
    assert outcome.ok
    assert outcome.intercepted_by == authority.issue().leaf.issuer.rfc4514_string()
    meant = replace(target.endpoint, tls=Tls(ca_file=authority.ca_file, server_name="imap.gmail.com"))
    outcome = await prober(replace(target, endpoint=meant))
    assert outcome.ok
    assert outcome.observed.tls is not None
    assert outcome.observed.tls.public_root is None


@pytest.mark.usefixtures("trusted_here")
async def test_public(
    scripted: StartScripted, prober: Prober, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A root of certifi's is public, also where the certificate has expired, and its signatures are verified once."""
    monkeypatch.setattr(certifi, "contents", authority.ca_file.read_text)
    monkeypatch.setattr(client_tls, "_known", client_tls._KnownCertificates())
    roots.public_roots.cache_clear()
    good = await scripted(Imap(), security="tls", context=authority.issue().context)
    expired = await scripted(Imap(), security="tls", context=authority.expired.context)
    tls = Tls(server_name="localhost", public_root=True)
    try:
        outcome = await prober(prober.target(good.port, "imap", tls=tls))
        assert outcome.observed.tls is not None
        assert (outcome.ok, outcome.observed.tls.public_root, outcome.intercepted_by) == (True, True, None)
        outcome = await prober(prober.target(expired.port, "imap", tls=tls))
        assert outcome.observed.tls is not None
        assert (outcome.reason, outcome.observed.tls.public_root) == (Reason.CERTIFICATE_EXPIRED, True)
        monkeypatch.setattr(roots, "is_public", lambda _chain: pytest.fail("again"))
        assert (await prober(prober.target(good.port, "imap", tls=tls))).ok
    finally:
        roots.public_roots.cache_clear()


async def test_name_is_sent(scripted: StartScripted, prober: Prober, authority: Authority) -> None:
    """With `server_name`, a host that is an address presents its real certificate."""
    server = await scripted(Imap(), security="tls", context=authority.google_context())
    outcome = await prober(prober.target(server.port, "imap"))
    assert outcome.ok
    assert outcome.observed.tls is not None
    assert not outcome.observed.tls.no_sni


async def test_short_chain(scripted: StartScripted, prober: Prober, authority: Authority) -> None:
    """An intermediate that expires before its leaf is in the facts, and is no failure today."""
    server = await scripted(Imap(), security="tls", context=authority.short_intermediate.context)
    outcome = await prober(prober.target(server.port, "imap"))
    assert outcome.ok
    assert outcome.observed.tls is not None
    certificates = [authority.short_intermediate.leaf, authority.short_intermediate.chain[1]]
    assert [outcome.observed.tls.not_after, outcome.observed.tls.chain_not_after] == [
        certificate.not_valid_after_utc.timestamp() for certificate in certificates
    ]


async def test_min_version(scripted: StartScripted, prober: Prober, authority: Authority) -> None:
    """A server with a TLS version below `min_version` fails, and its certificate is in the facts."""
    context = authority.issue().old_tls_context(ssl.TLSVersion.TLSv1_2)
    server = await scripted(Imap(), security="tls", context=context)
    demand = Tls(ca_file=authority.ca_file, server_name="localhost", min_version="1.3")
    outcome = await prober(prober.target(server.port, "imap", tls=demand))
    assert found(outcome) == (Phase.TLS, Reason.TLS_FAILED)
    assert outcome.observed.tls is not None
    assert outcome.observed.tls.version == "TLSv1.2"
    await server.wait_idle(2)
    assert_secret_kept(server)


INSPECTED = 2.0
"""Seconds: the timeout of a probe whose second connection takes what is left of it."""


async def test_inspection_fails(scripted: StartScripted, prober: Prober, authority: Authority) -> None:
    """If the second connection fails, or times out, the reason stays that of the first, without facts."""
    for instead in (acts.reset, acts.silence):
        accepted: list[None] = []

        async def begin(session: Any, instead: Behaviour = instead, accepted: list[None] = accepted) -> None:
            accepted.append(None)
            await (session.start_tls() if len(accepted) % 2 else instead(session))

        server = await scripted(Imap(at={"tls": begin}), security="tls", context=authority.expired.context)
        outcome = await prober(prober.target(server.port, "imap", timeout=INSPECTED))
        assert found(outcome) == (Phase.TLS, Reason.CERTIFICATE_EXPIRED)
        assert outcome.observed.tls is None
        # The time of the second connection is in no phase.
        assert instead is acts.reset or outcome.phases[Phase.TLS] < INSPECTED / 2


async def test_authorities_vanished(
    scripted: StartScripted, prober: Prober, authority: Authority, tmp_path: Path
) -> None:
    """A ca_file that was removed after the configuration was loaded is reported in the detail."""
    server = await scripted(Imap(), security="tls")
    gone = tmp_path / "gone.pem"
    outcome = await prober(prober.target(server.port, "imap", tls=Tls(ca_file=gone, server_name="localhost")))
    assert found(outcome) == (Phase.TLS, Reason.CERTIFICATE_UNTRUSTED)
    assert outcome.detail == f"{gone}: No such file or directory"
    assert outcome.observed.tls is not None
    await server.wait_idle(2)
    assert_secret_kept(server)


async def test_final_dot(scripted: StartScripted, prober: Prober, authority: Authority) -> None:
    """A name with a final dot is asked for without it, and that of the certificate is compared without it."""
    asked: list[str | None] = []
    context = authority.google_context("localhost")
    choose = context.sni_callback
    assert callable(choose)

    def note(connection: Any, name: Any, context: ssl.SSLContext) -> None:
        asked.append(name)
        choose(connection, name, context)

    context.sni_callback = note
    server = await scripted(Imap(), security="tls", context=context)
    tls = Tls(ca_file=authority.ca_file, server_name="localhost.")
    outcome = await prober(prober.target(server.port, "imap", tls=tls))
    assert (found(outcome), asked) == ((Phase.LOGOUT, Reason.OK), ["localhost"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("address", ADDRESSES)
async def test_plain_behind_tls(scripted: StartScripted, prober: Prober, protocol: str, address: str) -> None:
    """A server without TLS where TLS is expected."""
    greeting = SERVERS[protocol]().greeting + b"\r\n"
    server = await scripted(acts.in_order(acts.say(greeting), acts.silence), ipv6=True)
    outcome = await prober(prober.target(server.port, protocol, host=address))
    assert found(outcome) == (Phase.TLS, Reason.TLS_FAILED)
    assert outcome.detail == (
        f"wrong version number: the server speaks in the clear on this port: '{SERVERS[protocol]().greeting.decode()}'"
    )
    assert outcome.blame is Blame.UNKNOWN
    assert outcome.observed.tls is None
    assert_secret_kept(server)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("security", ["starttls", "none"])
async def test_tls_behind_plain(scripted: StartScripted, prober: Prober, protocol: str, security: str) -> None:
    """A server that waits for a TLS handshake where a greeting is expected: a timeout."""
    server = await scripted(SERVERS[protocol](), security="tls")
    outcome = await prober.silenced(prober.target(server.port, protocol, security, timeout=SHORT), Phase.GREETING)
    assert found(outcome) == (Phase.GREETING, Reason.TIMEOUT)


# STARTTLS


@pytest.mark.parametrize(
    ("protocol", "sent"),
    [("imap", b"a1 CAPABILITY\r\n"), ("pop3", b"CAPA\r\n"), ("smtp", b"EHLO [127.0.0.1]\r\n")],
)
async def test_starttls_stripped(scripted: StartScripted, prober: Prober, protocol: str, sent: bytes) -> None:
    """To a server that does not offer STARTTLS nothing more is sent, not even a logout."""
    server = await scripted(SERVERS[protocol](starttls_offered=False), security="starttls")
    outcome = await prober(prober.target(server.port, protocol, "starttls"))
    assert found(outcome) == (Phase.STARTTLS, Reason.STARTTLS_UNAVAILABLE)
    await server.wait_idle()
    assert server.received == [sent]


@pytest.mark.parametrize("login", [CREDENTIAL, None], ids=["login", "without"])
async def test_starttls_preauth(scripted: StartScripted, prober: Prober, login: Login) -> None:
    """A server that claims a login before TLS is sent nothing at all, whatever else it says."""
    greeting = b"* PREAUTH welcome\r\n* CAPABILITY IMAP4rev1 STARTTLS\r\na1 OK done"
    server = await scripted(Imap(greeting=greeting), security="starttls")
    outcome = await prober(prober.target(server.port, "imap", "starttls"), login)
    assert found(outcome) == (Phase.GREETING, Reason.STARTTLS_PREAUTH)
    assert outcome.blame is Blame.UNKNOWN
    assert not outcome.observed.login_attempted
    await server.wait_idle()
    assert server.received == [b""]


async def test_login_preauth(scripted: StartScripted, prober: Prober) -> None:
    """A server that claims a login in TLS is up, has no login to check, and gets no secret."""
    server = await scripted(Imap(greeting=b"* PREAUTH welcome"), security="tls")
    outcome = await prober(prober.target(server.port, "imap"))
    assert found(outcome) == (Phase.LOGIN, Reason.LOGIN_PREAUTH)
    assert (outcome.up, outcome.observed.login_attempted) == (True, False)
    await server.wait_idle()
    assert server.received == [b"a1 CAPABILITY\r\nbye LOGOUT\r\n"]
    assert (await prober(prober.target(server.port, "imap"), None)).ok


@pytest.mark.parametrize(
    ("protocol", "act", "sent"),
    [
        ("imap", acts.imap_starttls_injected, b"a1 CAPABILITY\r\na2 STARTTLS\r\n"),
        ("pop3", acts.pop3_stls_injected, b"CAPA\r\nSTLS\r\n"),
        ("smtp", acts.smtp_starttls_injected, b"EHLO client.example\r\nSTARTTLS\r\n"),
    ],
    ids=PROTOCOLS,
)
@pytest.mark.parametrize("address", ADDRESSES)
async def test_starttls_injected(
    scripted: StartScripted, prober: Prober, protocol: str, act: Behaviour, sent: bytes, address: str
) -> None:
    """Plaintext after the STARTTLS reply ends the probe: no handshake, and nothing more is sent."""
    server = await scripted(SERVERS[protocol](at={"starttls": act}), security="starttls", ipv6=True)
    target = prober.target(server.port, protocol, "starttls", host=address, client_name="client.example")
    outcome = await prober(target)
    assert found(outcome) == (Phase.TLS, Reason.STARTTLS_INJECTION)
    assert "octets of plaintext" in outcome.detail
    await server.wait_idle()
    assert server.received == [sent]


@pytest.mark.parametrize(
    ("protocol", "refusal"),
    [("imap", b"{tag} BAD no\r\n"), ("pop3", b"-ERR no\r\n"), ("smtp", b"454 4.7.0 TLS not available\r\n")],
)
async def test_starttls_refused(scripted: StartScripted, prober: Prober, protocol: str, refusal: bytes) -> None:
    """To a server that offers STARTTLS and then refuses it a logout is sent, but no password."""
    server = await scripted(SERVERS[protocol](at={"starttls": acts.say(refusal)}), security="starttls")
    outcome = await prober(prober.target(server.port, protocol, "starttls"))
    assert outcome.phase is Phase.STARTTLS
    assert outcome.reason not in (Reason.OK, Reason.INTERNAL)
    await server.wait_idle()
    assert server.received[0].endswith(LOGOUT[protocol])
    assert_secret_kept(server)


# Answers that are not of the protocol, or too long

FLOODS = {"imap": acts.endless_untagged, "pop3": acts.endless_pop3_lines, "smtp": acts.endless_smtp_lines}
CASES: list[tuple[str, str, Step, Behaviour, Reason]] = [
    *((p, "endless line", "greeting", acts.endless_line, Reason.RESPONSE_TOO_LARGE) for p in PROTOCOLS),
    *((p, "endless line", "capability", acts.endless_line, Reason.RESPONSE_TOO_LARGE) for p in PROTOCOLS),
    *((p, "http", "greeting", acts.http_answer, Reason.PROTOCOL_VIOLATION) for p in PROTOCOLS),
    *((p, "http", "capability", acts.http_answer, Reason.PROTOCOL_VIOLATION) for p in PROTOCOLS),
    *((p, "nul", "greeting", acts.nul_greeting, Reason.PROTOCOL_VIOLATION) for p in PROTOCOLS),
    ("imap", "nul", "capability", acts.nul_reply, Reason.PROTOCOL_VIOLATION),
    ("imap", "nul", "login", acts.nul_reply, Reason.PROTOCOL_VIOLATION),
    ("imap", "wrong tag", "capability", acts.wrong_tag, Reason.PROTOCOL_VIOLATION),
    ("imap", "wrong tag", "login", acts.wrong_tag, Reason.PROTOCOL_VIOLATION),
    ("imap", "wrong tag", "folders", acts.wrong_tag, Reason.PROTOCOL_VIOLATION),
    ("imap", "huge literal", "capability", acts.huge_literal, Reason.RESPONSE_TOO_LARGE),
    ("imap", "huge literal", "folders", acts.huge_literal, Reason.RESPONSE_TOO_LARGE),
    ("imap", "flood", "capability", acts.endless_untagged, Reason.RESPONSE_TOO_LARGE),
    ("imap", "flood", "folders", acts.endless_untagged, Reason.RESPONSE_TOO_LARGE),
    ("pop3", "flood", "capability", acts.in_order(acts.say(b"+OK\r\n"), FLOODS["pop3"]), Reason.RESPONSE_TOO_LARGE),
    ("smtp", "flood", "greeting", acts.endless(b"220-hello\r\n"), Reason.RESPONSE_TOO_LARGE),
    ("smtp", "flood", "capability", acts.endless_smtp_lines, Reason.RESPONSE_TOO_LARGE),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case[:3]))
@pytest.mark.parametrize("address", ADDRESSES)
async def test_hostile_answer(
    scripted: StartScripted, prober: Prober, case: tuple[str, str, Step, Behaviour, Reason], address: str
) -> None:
    """An answer that is not of the protocol, or too long, ends the probe in its phase, with nothing left open."""
    protocol, _, step, act, reason = case
    server = await scripted(SERVERS[protocol](at={step: act}), security="tls", ipv6=True)
    before = Belongings()
    outcome = await prober(prober.target(server.port, protocol, host=address))
    assert found(outcome) == (Phase(step), reason)
    assert outcome.detail
    assert outcome.observed.tls is not None
    if step in ("greeting", "capability"):
        assert_secret_kept(server)
    await before.assert_nothing_left()


LAST_WORDS: list[tuple[str, Step, bytes, str]] = [
    ("imap", "greeting", b"* OK", "'* OK'"),
    ("imap", "capability", b"* OK still here\r\n", "'* OK still here'"),
    ("imap", "capability", b"*** maintenance ***\r\n* BY", "'*** maintenance ***', '* BY'"),
    ("imap", "login", b"* NO [ALERT] see https://example.com/\r\n", "'* NO [ALERT] see https://example.com/'"),
    ("imap", "folders", b"* LIST () \"/\" a\r\n* LIST () \"/\" b\r\n* LIST () \"/\" c\r\n* LIST () \"/\" d\r\n",
     "'* LIST () \"/\" b', '* LIST () \"/\" c', '* LIST () \"/\" d'"),
    ("pop3", "greeting", b"+OK still star", "'+OK still star'"),
    ("pop3", "capability", b"+OK list\r\nUSER\r\n", "'+OK list', 'USER'"),
    ("smtp", "greeting", b"220-mail.example.com\r\n220-one moment\r\n", "'220-mail.example.com', '220-one moment'"),
    ("smtp", "capability", b"250-mail.example.com\r\n250-SI", "'250-mail.example.com', '250-SI'"),
    ("smtp", "login", b"535-5.7.8 no " + SENTINEL.encode() + b"\r\n", "'535-5.7.8 no [redacted]'"),
]  # fmt: skip


ENDS = {
    "silence": (acts.silence, Reason.TIMEOUT, "no answer within {timeout:g} s"),
    "close": (acts.close, Reason.CLOSED, "the server closed the connection"),
    "truncate": (acts.truncate, Reason.CLOSED, "the server closed the connection"),
}


@pytest.mark.parametrize("case", LAST_WORDS, ids=lambda case: f"{case[0]}-{case[1]}")
@pytest.mark.parametrize("end", ENDS)
async def test_last_words(
    scripted: StartScripted, prober: Prober, case: tuple[str, Step, bytes, str], end: str
) -> None:
    """What the server said before it fell silent, or closed the connection, is told, a line without its end, too."""
    protocol, step, said, words = case
    act, reason, why = ENDS[end]
    server = await scripted(SERVERS[protocol](at={step: acts.in_order(acts.say(said), act)}), security="tls")
    outcome = await prober.silenced(prober.target(server.port, protocol, timeout=SHORT), Phase(step))
    assert found(outcome) == (Phase(step), reason)
    why = why.format(timeout=outcome.target.endpoint.timeout)
    assert outcome.detail == f"{why}; before that the server said {words}"


async def test_last_words_before_tls(scripted: StartScripted, prober: Prober) -> None:
    """The answer to STARTTLS is none of the words of a handshake that fails."""
    server = await scripted(Imap(at={"tls": acts.silence}), security="starttls")
    outcome = await prober.silenced(prober.target(server.port, "imap", "starttls", timeout=SHORT), Phase.TLS)
    assert found(outcome) == (Phase.TLS, Reason.TIMEOUT)
    assert outcome.detail == f"no answer within {outcome.target.endpoint.timeout:g} s"


async def test_many_folders(scripted: StartScripted, prober: Prober) -> None:
    """15,000 folders with long names, which cannot be selected, are listed; the odd ones among them are passed over."""
    name = b"Kunden/M&APw-nchen/" + b"x" * 200
    folders = [b'(\\HasNoChildren) "/" "' + name + b'%d"' % number for number in range(15_000)]
    folders[7:7] = [b"(\\HasNoChildren) / Odd", b'(\\Sent) "/" "Sent"']
    server = await scripted(Imap(folders=folders), security="tls")
    outcome = await prober(prober.target(server.port, "imap", folders=(Role.SENT,)))
    assert (found(outcome), outcome.detail) == ((Phase.LOGOUT, Reason.OK), "")
    assert outcome.observed.folders == (Folder(Role.SENT, visible=True, messages=3),)
    assert outcome.observed.ignored_lines == 1


@pytest.mark.parametrize("line", [b'* LIST () "/" a\r\n', b"* OK more\r\n", b"* LIST odd\r\n"])
async def test_too_many_folders(scripted: StartScripted, prober: Prober, line: bytes) -> None:
    """An endless list ends at a number of lines, however short they are."""
    server = await scripted(Imap(at={"folders": acts.endless(line)}), security="tls")
    outcome = await prober(prober.target(server.port, "imap", folders=(Role.SENT,)))
    assert (found(outcome), outcome.detail) == (
        (Phase.FOLDERS, Reason.RESPONSE_TOO_LARGE), f"more than {MAX_FOLDERS} responses to LIST"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "opening", "line", "what"),
    [
        ("imap", b"", b"\r\n", "lines that are not IMAP"),
        ("imap", b"", b"*x\r\n", "lines that are not IMAP"),
        ("pop3", b"", b"\r\n", "empty lines"),
        ("smtp", b"", b"\r\n", "lines that are not SMTP"),
        ("smtp", b"250-x\r\n", b"y\r\n", "lines that are not SMTP"),
    ],
)
async def test_too_many_odd_lines(
    scripted: StartScripted, prober: Prober, protocol: str, opening: bytes, line: bytes, what: str
) -> None:
    """Odd lines are passed over as long as there are few."""
    act = acts.in_order(acts.say(opening), acts.endless(line))
    server = await scripted(SERVERS[protocol](at={"capability": act}), security="tls")
    outcome = await prober(prober.target(server.port, protocol))
    assert (found(outcome), outcome.detail) == (
        (Phase.CAPABILITY, Reason.RESPONSE_TOO_LARGE), f"more than {MAX_IGNORED} {what}"
    )  # fmt: skip
    assert outcome.observed.ignored_lines == MAX_IGNORED


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("address", ADDRESSES)
async def test_flood_within_deadline(
    scripted: StartScripted, prober: Prober, protocol: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of short lines does not extend the deadline."""
    for limit in ("MAX_REPLY", "MAX_SESSION"):
        monkeypatch.setattr(f"exporter.probing.driver.{limit}", 1 << 40)  # not reached before the deadline
    monkeypatch.setattr("exporter.probing.driver.LINE_COST", 0)
    opening = {"imap": b"* OK go\r\n", "pop3": b"+OK go\r\n", "smtp": b""}[protocol]
    act = acts.in_order(
        acts.say(opening), acts.endless({"imap": b"* 1\r\n", "pop3": b"A\r\n", "smtp": b"250-\r\n"}[protocol])
    )
    server = await scripted(SERVERS[protocol](at={"capability": act}), security="tls", ipv6=True)
    at = prober.target(server.port, protocol, host=address, timeout=SHORT)
    assert found(await prober.silenced(at, Phase.CAPABILITY)) == (Phase.CAPABILITY, Reason.TIMEOUT)


# Login and logout


@pytest.mark.parametrize(
    ("protocol", "refusal"),
    [
        ("imap", b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"),
        ("pop3", b"-ERR [AUTH] Username and password not accepted."),
        ("smtp", b"535-5.7.8 Username and Password not accepted.\r\n535 5.7.8 gsmtp"),
    ],
)
async def test_login_refused(scripted: StartScripted, prober: Prober, protocol: str, refusal: bytes) -> None:
    """A refused login is no outage: the endpoint is up, and the session ends with a logout and close_notify."""
    server = await scripted(SERVERS[protocol](refusal=refusal), security="tls")
    outcome = await prober(prober.target(server.port, protocol))
    assert found(outcome) == (Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS)
    assert (outcome.ok, outcome.up) == (False, True)
    assert outcome.observed.login_attempted
    assert Phase.LOGOUT in outcome.phases
    assert outcome.observed.logout is None
    await server.wait_idle()
    assert server.received[0].endswith(LOGOUT[protocol])
    assert server.close_notify == [True]


@pytest.mark.parametrize(
    ("refusal", "detail"),
    [
        (b"535 5.7.8 no", "the file /run/x has a space at the end; 535 5.7.8 no"),
        (b"535 5.7.8 " + b"x" * 600, "the file /run/x has a space at the end; 535 5.7.8 xx"),
        (b"454 4.7.0 later", "454 4.7.0 later"),
    ],
)
async def test_doubtful_password(scripted: StartScripted, prober: Prober, refusal: bytes, detail: str) -> None:
    """What is odd about a password is told where the password is refused, and only there."""
    server = await scripted(Smtp(refusal=refusal), security="tls")
    login = Credential("probe@example.com", SENTINEL, doubt="the file /run/x has a space at the end")
    outcome = await prober(prober.target(server.port, "smtp"), login)
    assert outcome.detail.startswith(detail)


@pytest.mark.parametrize(
    ("protocol", "answer", "reason"),
    [
        ("imap", b"{tag} BAD what\r\n", Reason.BAD_COMMAND),
        ("pop3", b"-ERR some deleted messages not removed\r\n", Reason.SERVER_REFUSED),
        ("smtp", b"HTTP/1.1 400\r\n", Reason.PROTOCOL_VIOLATION),
    ],
)
async def test_logout_refused(
    scripted: StartScripted, prober: Prober, protocol: str, answer: bytes, reason: Reason
) -> None:
    """A logout that is refused is recorded, and does not fail the probe."""
    server = await scripted(SERVERS[protocol](at={"logout": acts.say(answer)}), security="tls")
    outcome = await prober(prober.target(server.port, protocol))
    assert found(outcome) == (Phase.LOGOUT, Reason.OK)
    assert (outcome.detail, outcome.observed.logout) == ("", reason)
    await server.wait_idle()
    assert server.close_notify == [True]


async def test_server_closes(scripted: StartScripted, prober: Prober) -> None:
    """To a server that announces that it closes the connection no logout is sent."""
    server = await scripted(Imap(greeting=b"* BYE Temporary System Error"), security="tls")
    outcome = await prober(prober.target(server.port, "imap"))
    assert found(outcome) == (Phase.GREETING, Reason.TEMPORARY_SYSTEM_ERROR)
    await server.wait_idle()
    assert (server.received, server.close_notify) == ([b""], [True])


PASSWORD = f'pä"ss \\ {SENTINEL}'
QUOTED = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
ECHOES = {
    "plain": PASSWORD.encode(),
    "quoted": f'"{QUOTED}"'.encode(),
    "base64": b64encode(PASSWORD.encode()),
    "message": b64encode(f"\0{CREDENTIAL.username}\0{PASSWORD}".encode()),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("mechanism", [MechanismChoice.PLAIN, MechanismChoice.LOGIN])
async def test_echoed_secret(
    scripted: StartScripted,
    prober: Prober,
    capsys: pytest.CaptureFixture[str],
    protocol: str,
    echo: str,
    mechanism: MechanismChoice,
) -> None:
    """A password that a server sends back, in any spelling, is in no field, dialogue or log."""
    opening = {"imap": b"{tag} NO ", "pop3": b"-ERR ", "smtp": b"535 5.7.8 "}[protocol]
    act = acts.say(opening + b"no such user with " + ECHOES[echo] + b", sorry\r\n")
    server = await scripted(SERVERS[protocol](at={"login": act}), security="tls")
    with capture_logs() as logs:
        target = prober.target(server.port, protocol, mechanism=mechanism)
        outcome = await prober(target, Credential(CREDENTIAL.username, PASSWORD))
    assert outcome.phase is Phase.LOGIN
    assert "no such user with" in outcome.detail
    assert "[redacted]" in outcome.detail
    assert outcome.detail.endswith(", sorry")
    shown = repr(outcome) + repr(logs) + "".join(capsys.readouterr())
    for spelling in (SENTINEL, *(spelled.decode() for spelled in ECHOES.values())):
        assert spelling not in shown
    assert [line for line in outcome.dialogue if "[redacted]" in line.text]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_secret_of_another_session(scripted: StartScripted, prober: Prober, protocol: str) -> None:
    """A server may send in a session without a login what it was sent in another: that is not shown, either."""
    opening = {"imap": b"* OK ", "pop3": b"+OK ", "smtp": b"220 "}[protocol]
    act = acts.say(opening + b"welcome back, " + SENTINEL[:8].upper().encode() + b"\r\nwhat\r\n")
    server = await scripted(SERVERS[protocol](at={"greeting": act}), security="tls")
    outcome = await probe(prober.target(server.port, protocol), prober.resolver, secrets=Secrets([SENTINEL]))
    assert outcome.dialogue[0].text == f"{opening.decode()}welcome back, [redacted]"


async def test_folder_with_a_secret_for_its_name(scripted: StartScripted, prober: Prober) -> None:
    """What the client repeats of the server's words is not shown, either; its own words are."""
    name = f"x {SENTINEL} LIST y"

    async def answer(session: Session) -> None:
        is_list = b" LIST " in bytes(session.received).splitlines()[-1].replace(SENTINEL.encode() + b" LIST", b"")
        data = f'* LIST (\\Sent) "/" "{name}"' if is_list else "* STATUS x (MESSAGES 3)"
        await session.write(data.encode() + b"\r\n" + session.tag + b" OK\r\n")

    server = await scripted(Imap(at={"folders": answer}), security="tls")
    target = prober.target(server.port, "imap", folders=(Role.SENT,))
    outcome = await prober(target)
    sent = [line.text for line in outcome.dialogue if line.speaker == "C"]
    assert [text for text in sent if "STATUS" in text] == ['a4 STATUS "x [redacted] LIST y" (MESSAGES UNSEEN)']
    assert SENTINEL not in repr(outcome)


async def test_certificate_with_a_secret(scripted: StartScripted, prober: Prober, authority: Authority) -> None:
    """A server can put anything into its certificate, and a label is made of its issuer."""
    certificate = authority.issue(f"{SENTINEL}.example", "localhost")
    server = await scripted(Imap(), context=certificate.context, security="tls")
    outcome = await prober(prober.target(server.port, "imap"))
    assert outcome.reason is Reason.OK
    assert outcome.observed.tls is not None
    assert "[redacted].example" in outcome.observed.tls.chain[0].names
    assert SENTINEL not in repr(outcome).lower()


async def test_own_words_stay(prober: Prober) -> None:
    """What this program says of its own configuration is no text from outside, whatever the secret is."""
    target = prober.target(1, "imap", host="no-such-host-anywhere", ip_family=IpFamily.IPV6)
    own = Credential("no-such-user", "no-such-host-anywhere has no IPv6 address")

    class Nowhere(Resolver):
        async def resolve(self, host: str, family: IpFamily) -> list[IpAddress]:
            raise NoAddress(f"{host} has no IPv6 address")

    outcome = await probe(target, Nowhere(), own)
    assert outcome.detail == "no-such-host-anywhere has no IPv6 address"


@pytest.mark.parametrize("login", [CREDENTIAL, None], ids=["login", "no login"])
async def test_capabilities_are_sanitized(scripted: StartScripted, prober: Prober, login: Credential | None) -> None:
    """Capabilities have no secret, also not in capitals, no control character, and a maximum number."""
    echoes = [b"X-" + SENTINEL.encode(), b64encode(SENTINEL.encode())]
    offered = b" ".join([b"IMAP4rev1", b"X\x1b[31m", *echoes, *(b"X%d" % number for number in range(500))])
    answer = acts.say(b"* CAPABILITY " + offered + b"\r\n{tag} OK\r\n")
    server = await scripted(Imap(at={"capability": answer}), security="tls")
    capabilities = (await prober(prober.target(server.port, "imap"), login)).observed.capabilities
    assert capabilities[:2] == ("IMAP4REV1", "X\\x1b[31M")
    assert (capabilities[2:4] == ("[redacted]", "[redacted]")) is (login is not None)
    assert len(capabilities) == MAX_CAPABILITIES + 1
    assert capabilities[-1] == "(304 more, not kept)"


async def test_dialogue(scripted: StartScripted, prober: Prober) -> None:
    """The dialogue has every line, with the seconds since the start, and without the secret."""
    server = await scripted(Pop3(), security="tls")
    outcome = await prober(prober.target(server.port, "pop3"))
    assert outcome.ok
    assert [line.at for line in outcome.dialogue] == sorted(line.at for line in outcome.dialogue)
    assert [f"{line.speaker}: {line.text}" for line in outcome.dialogue] == [
        "S: +OK Gpop ready for requests from 127.0.0.1",
        "C: CAPA",
        "S: +OK Capability list follows",
        "S: USER",
        "S: RESP-CODES",
        "S: UIDL",
        "S: SASL PLAIN LOGIN",
        "S: .",
        "C: AUTH PLAIN [redacted]",
        "S: +OK Welcome.",
        "C: STAT",
        "S: +OK 3 4096",
        "C: QUIT",
        "S: +OK Farewell.",
    ]


# Faults of this program


class Faulty(Resolver):
    """A resolver with a bug in it."""

    async def resolve(self, host: str, family: IpFamily) -> list[IpAddress]:
        raise ZeroDivisionError("a bug")


async def test_internal(prober: Prober) -> None:
    """A fault of this program is an outcome, too, and its traceback is logged."""
    with capture_logs() as logs:
        outcome = await probe(prober.target(1, "imap"), Faulty())
    assert found(outcome) == (Phase.RESOLVE, Reason.INTERNAL)
    assert outcome.detail == "a bug"
    [line] = logs
    assert (line["event"], line["endpoint"], line["phase"]) == ("fault in a probe", "imap-tls", "resolve")
    assert isinstance(line["exc_info"], ZeroDivisionError)


# Names and address families


@dataclass
class Naming:
    """Probes names that the test's own name server knows."""

    prober: Prober
    names: NameServer

    async def __call__(self, host: str, port: int, family: IpFamily, known: Known = NOTHING, **changes: Any) -> Outcome:
        """Probe IMAP over TLS on a port of this name."""
        target = self.prober.target(port, "imap", host=host, ip_family=family, **changes)
        return await self.prober(target, known=known)


@pytest.fixture
async def named(prober: Prober) -> AsyncIterator[Naming]:
    """Call it with a name, a port and a family to probe that."""
    names: dict[str, Sequence[str] | Any] = {
        "both.example": ["127.0.0.1", "::1"],
        "four.example": ["127.0.0.1"],
        "two.example": ["127.0.0.2", "127.0.0.1"],
        "six.example": ["::1"],
        "far.example": ["fe80::1"],
        "halffar.example": ["127.0.0.1", "fe80::1"],
        # The operating system refuses to connect to these; nothing is sent.
        "broadcast.example": ["255.255.255.255"],
        "multicast.example": ["224.0.0.1"],
        "empty.example": [],
        "broken.example": "servfail",
        "closed.example": "refused",
        "mute.example": "silence",
    }
    async with NameServer(names) as server:
        resolver = Resolver([server.address])
        yield Naming(Prober(prober.authority, resolver), server)
        await resolver.close()


@pytest.mark.parametrize(
    ("host", "family", "phase", "reason", "detail"),
    [
        ("never.example", IpFamily.ANY, Phase.RESOLVE, Reason.DNS_NOT_FOUND, "Domain name not found"),
        ("four.example", IpFamily.IPV6, Phase.RESOLVE, Reason.DNS_NO_ADDRESS, None),
        ("six.example", IpFamily.IPV4, Phase.RESOLVE, Reason.DNS_NO_ADDRESS, None),
        ("empty.example", IpFamily.ANY, Phase.RESOLVE, Reason.DNS_NO_ADDRESS, None),
        ("127.0.0.1", IpFamily.IPV6, Phase.RESOLVE, Reason.DNS_NO_ADDRESS, "127.0.0.1 has no IPv6 address"),
        ("::1", IpFamily.IPV4, Phase.RESOLVE, Reason.DNS_NO_ADDRESS, "::1 has no IPv4 address"),
        ("broken.example", IpFamily.ANY, Phase.RESOLVE, Reason.DNS_ERROR, None),
        ("closed.example", IpFamily.ANY, Phase.RESOLVE, Reason.DNS_ERROR, None),
        ("mute.example", IpFamily.ANY, Phase.RESOLVE, Reason.TIMEOUT, "no answer within 0.4 s"),
        (
            "far.example",
            IpFamily.IPV6,
            Phase.CONNECT,
            Reason.ADDRESS_FAMILY_UNAVAILABLE,
            "this host has no IPv6 route to fe80::1",
        ),
        ("broadcast.example", IpFamily.ANY, Phase.CONNECT, Reason.UNREACHABLE, "Network is unreachable"),
        ("multicast.example", IpFamily.IPV4, Phase.CONNECT, Reason.UNREACHABLE, "Network is unreachable"),
    ],
)
async def test_no_address(
    named: Naming, host: str, family: IpFamily, phase: Phase, reason: Reason, detail: str | None
) -> None:
    """Each reason why there is no address to connect to is distinguished."""
    outcome = await named(host, 9, family, timeout=SHORT if host == "mute.example" else ENOUGH)
    assert found(outcome) == (phase, reason)
    assert outcome.detail if detail is None else outcome.detail == detail


async def test_ipv6_first(scripted: StartScripted, named: Naming) -> None:
    """`any` uses IPv6 where it connects; that is no fallback."""
    server = await scripted(Imap(), security="tls", ipv6=True)
    outcome = await named("both.example", server.port, IpFamily.ANY)
    assert outcome.ok
    address = "::1" if HAS_IPV6 else "127.0.0.1"
    assert (outcome.observed.address, outcome.observed.ip_fallback) == (address, False)
    assert outcome.observed.ip_version == (6 if HAS_IPV6 else 4)
    await server.wait_idle()
    assert server.connections == 1


@pytest.mark.parametrize("host", ["both.example", "halffar.example", "four.example"])
async def test_ipv4_fallback(scripted: StartScripted, named: Naming, host: str) -> None:
    """`any` falls back to IPv4 where IPv6 is refused; without an IPv6 route or address it is no fallback."""
    server = await scripted(Imap(), security="tls")
    outcome = await named(host, server.port, IpFamily.ANY)
    assert outcome.ok
    assert (outcome.observed.address, outcome.observed.ip_version) == ("127.0.0.1", 4)
    assert outcome.observed.ip_fallback == (host == "both.example" and HAS_IPV6)
    assert list(outcome.phases) == ["resolve", "connect", *steps("imap", "tls")]


async def test_ipv6_hangs(
    scripted: StartScripted, named: Naming, fill_backlog: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`any` gives IPv6 a third of the timeout to connect; the connect phase is then that of IPv4."""
    server = await scripted(Imap(), security="tls")
    if HAS_IPV6:
        fill_backlog("::1", server.port)
    timeout, limits = asyncio.timeout, []

    def note(seconds: float | None) -> asyncio.Timeout:
        limits.append(seconds)
        return timeout(seconds)

    monkeypatch.setattr("asyncio.timeout", note)
    outcome = await named("both.example", server.port, IpFamily.ANY, timeout=1.2)
    assert outcome.ok
    assert outcome.observed.ip_fallback == HAS_IPV6
    if HAS_IPV6:
        assert pytest.approx(0.4) in limits
        assert outcome.ended_at - outcome.started_at - outcome.duration > 0.9 * 0.4  # in no phase


@pytest.mark.parametrize("hangs", [False, True])
async def test_both_families_fail(named: Naming, free_port: int, fill_backlog: Fill, hangs: bool) -> None:
    """If neither family connects, the reason is that of IPv4, and the detail has both errors."""
    if hangs and HAS_IPV6:
        fill_backlog("::1", free_port)
    outcome = await named("both.example", free_port, IpFamily.ANY, timeout=0.6)
    assert found(outcome) == (Phase.CONNECT, Reason.REFUSED)
    assert outcome.observed.address == "127.0.0.1"
    assert outcome.observed.ip_fallback is (None if HAS_IPV6 else False)
    ipv6_error = "no answer" if hangs else "Connection refused"
    assert outcome.detail == ("Connection refused" + (f"; ::1: {ipv6_error}" if HAS_IPV6 else ""))


@pytest.mark.parametrize("hangs", [False, True])
async def test_next_address(scripted: StartScripted, named: Naming, fill_backlog: Fill, hangs: bool) -> None:
    """A dead address is passed over; the phases are those of the one that served, the time lost is told."""
    server = await scripted(Imap(), security="tls")
    if hangs:
        fill_backlog("127.0.0.2", server.port)
    known = Known(["127.0.0.2"], retry=True)  # so that it is first, wherever the resolver puts it
    outcome = await named("two.example", server.port, IpFamily.IPV4, timeout=1.5, known=known)
    assert outcome.ok
    assert outcome.observed.address == "127.0.0.1"
    assert outcome.passed_over == ("127.0.0.2",)
    lost = outcome.observed.connect_lost
    assert lost is not None
    assert lost > (0.9 * 1.5 / 3 if hangs else 0.0)
    assert outcome.duration < outcome.ended_at - outcome.started_at - 0.9 * lost
    await server.wait_idle()


async def test_known_address_first(scripted: StartScripted, named: Naming) -> None:
    """What did not connect before is not tried again at once, and is still known."""
    server = await scripted(Imap(), security="tls")
    outcome = await named("two.example", server.port, IpFamily.IPV4, known=Known(["127.0.0.2"]))
    assert outcome.ok
    assert outcome.observed.connect_lost == 0
    assert outcome.passed_over == ("127.0.0.2",)


async def test_dead_address_serves_again(scripted: StartScripted, named: Naming) -> None:
    """Once an address connects again it is dead no more."""
    server = await scripted(Imap(), security="tls")
    outcome = await named(
        "two.example", server.port, IpFamily.IPV4, known=Known(["127.0.0.1", "127.0.0.2"], retry=True)
    )
    assert outcome.ok
    assert outcome.passed_over == ("127.0.0.2",)


@pytest.mark.parametrize("count", [2, 4, 9])
async def test_no_address_connects(named: Naming, free_port: int, count: int) -> None:
    """The detail has each address that was tried, four at most; all of them are dead."""
    named.names.names["many.example"] = [f"127.0.0.{number}" for number in range(2, 2 + count)]
    outcome = await named("many.example", free_port, IpFamily.IPV4, timeout=2)
    assert found(outcome) == (Phase.CONNECT, Reason.REFUSED)
    assert outcome.detail.count("127.0.0.") == min(count, 4) - 1
    assert len(outcome.observed.dead_addresses) == min(count, 4)
    assert outcome.passed_over == ()
    assert outcome.observed.connect_lost is None


async def test_every_address_hangs(named: Naming, free_port: int, fill_backlog: Fill) -> None:
    """Each has its share; the deadline is kept."""
    for number in range(2, 6):
        fill_backlog(f"127.0.0.{number}", free_port)
    named.names.names["many.example"] = [f"127.0.0.{number}" for number in range(2, 6)]
    outcome = await named("many.example", free_port, IpFamily.IPV4, timeout=1)
    assert found(outcome) == (Phase.CONNECT, Reason.TIMEOUT)
    assert outcome.detail.count("no answer") == 4
    assert len(outcome.observed.dead_addresses) == 4
    assert outcome.phases[Phase.CONNECT] > 0.9


async def test_no_more_files(named: Naming, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this host has no descriptor left, no address is to blame."""

    async def fail(_connection: Connection, _address: str, _port: int) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Connection, "open", fail)
    outcome = await named("two.example", 9, IpFamily.IPV4)
    assert outcome.phase is Phase.CONNECT
    assert outcome.observed.dead_addresses == ()
    assert "127.0.0" not in outcome.detail


async def test_all_addresses(scripted: StartScripted, named: Naming, fill_backlog: Fill) -> None:
    """With `all` each address is counted, whichever served; a dead one costs no time of the session."""
    server = await scripted(Imap(), security="tls")
    fill_backlog("127.0.0.3", server.port)
    named.names.names["many.example"] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    for known in (Known(), Known(["127.0.0.2", "127.0.0.3"]), Known(["127.0.0.1"], retry=True)):
        every = {"addresses": AddressChoice.ALL, "timeout": 1.5}
        outcome = await named("many.example", server.port, IpFamily.IPV4, known=known, **every)
        assert outcome.ok
        assert (outcome.observed.addresses, outcome.observed.addresses_up) == (3, 1)
        assert sorted(outcome.passed_over) == ["127.0.0.2", "127.0.0.3"]
    await server.wait_idle()


async def test_inspected_address(scripted: StartScripted, named: Naming, authority: Authority) -> None:
    """The certificate that is inspected is that of the address that presented it."""
    server = await scripted(Imap(), security="tls", context=authority.expired.context)
    known = Known(["127.0.0.2"], retry=True)
    outcome = await named("two.example", server.port, IpFamily.IPV4, known=known)
    assert found(outcome) == (Phase.TLS, Reason.CERTIFICATE_EXPIRED)
    assert outcome.observed.tls is not None
    assert outcome.passed_over == ("127.0.0.2",)


@pytest.mark.parametrize("family", [IpFamily.IPV4, IpFamily.IPV6])
async def test_family_by_name(scripted: StartScripted, named: Naming, family: IpFamily) -> None:
    """With `ipv4` or `ipv6`, only that family is used."""
    server = await scripted(Imap(), security="tls", ipv6=True)
    outcome = await named("both.example", server.port, family)
    assert outcome.observed.ip_fallback is None
    if family is IpFamily.IPV6 and not HAS_IPV6:
        assert found(outcome) == (Phase.CONNECT, Reason.ADDRESS_FAMILY_UNAVAILABLE)
        return
    assert outcome.ok
    assert outcome.observed.ip_version == (4 if family is IpFamily.IPV4 else 6)


async def test_no_fallback_by_name(scripted: StartScripted, named: Naming) -> None:
    """With `ipv6` there is no fallback to IPv4."""
    server = await scripted(Imap(), security="tls")
    outcome = await named("both.example", server.port, IpFamily.IPV6)
    expected = Reason.REFUSED if HAS_IPV6 else Reason.ADDRESS_FAMILY_UNAVAILABLE
    assert found(outcome) == (Phase.CONNECT, expected)
    assert server.connections == 0


async def test_no_ipv6_in_the_kernel(scripted: StartScripted, named: Naming, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without IPv6 in the kernel `any` uses IPv4, which is no fallback; `ipv6` says so, and so does an IPv6 address."""

    class Ipv4Socket(socket.socket):
        def __init__(self, family: int = socket.AF_INET, *arguments: Any, **more: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *arguments, **more)

    server = await scripted(Imap(), security="tls")
    monkeypatch.setattr("socket.socket", Ipv4Socket)
    outcome = await named("both.example", server.port, IpFamily.ANY)
    assert outcome.ok
    assert (outcome.observed.address, outcome.observed.ip_fallback) == ("127.0.0.1", False)
    outcome = await named("both.example", server.port, IpFamily.IPV6)
    assert found(outcome) == (Phase.CONNECT, Reason.ADDRESS_FAMILY_UNAVAILABLE)
    outcome = await named("::1", server.port, IpFamily.ANY)
    assert found(outcome) == (Phase.CONNECT, Reason.UNREACHABLE)
    assert outcome.detail == "Address family not supported by protocol"


@pytest.mark.parametrize("server_name", [None, "localhost"])
async def test_ipv6_literal(scripted: StartScripted, prober: Prober, server_name: str | None) -> None:
    """A host may be an IPv6 address, with a certificate for it; EHLO has an IPv6 address literal."""
    server = await scripted(Smtp(), security="tls", ipv6=True)
    check = Tls(ca_file=prober.authority.ca_file, server_name=server_name)
    outcome = await prober(prober.target(server.port, "smtp", host="::1", ip_family=IpFamily.ANY, tls=check))
    if not HAS_IPV6:
        assert outcome.reason in (Reason.UNREACHABLE, Reason.REFUSED)
        return
    assert outcome.ok
    assert outcome.observed.ip_fallback is False
    await server.wait_idle()
    assert server.received[0].startswith(b"EHLO [IPv6:::1]\r\n")


async def test_client_name(scripted: StartScripted, prober: Prober) -> None:
    """EHLO says the name of the configuration, before and after STARTTLS."""
    server = await scripted(Smtp(), security="starttls")
    outcome = await prober(prober.target(server.port, "smtp", "starttls", client_name="probe.example.com"))
    assert outcome.ok
    await server.wait_idle()
    assert server.received[0].count(b"EHLO probe.example.com\r\n") == 2


# Many probes

ALL_PROBES = 2000
"""Probes in the full test of leaks, with `GMAIL_EXPORTER_PROBES=2000`: about 15 s; with 20000, some minutes."""

PROBES = int(os.environ.get("GMAIL_EXPORTER_PROBES", ALL_PROBES // 5))
AT_ONCE = 25
WARM_UP = 5
"""Batches after which memory does not grow any more."""

GROWTH = 8 << 20
"""Octets by which memory may grow after the warm-up, for any number of probes."""


def resident() -> int:
    """The resident memory of this process, in octets."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_nothing_is_left(scripted: StartScripted, prober: Prober, free_port: int) -> None:
    """After many probes, half of which fail at random steps, nothing is open, and memory does not grow."""
    chance = random.Random(1)
    bad: list[Callable[[], Behaviour]] = [
        lambda: acts.close, lambda: acts.truncate, lambda: acts.reset, lambda: acts.silence,
        lambda: acts.endless_line, lambda: acts.http_answer, lambda: acts.nul_greeting,
        lambda: acts.drip(b"* ", 0.02),
    ]  # fmt: skip
    places = [(protocol, *place) for protocol in PROTOCOLS for place in sessions(protocol)]
    healthy = [
        (protocol, security, await scripted(SERVERS[protocol](), security=security, ipv6=True))
        for protocol in PROTOCOLS
        for security in ("tls", "starttls", "none")
    ]
    failing = []
    for _ in range(40):
        protocol, security, step = chance.choice(places)
        behave = SERVERS[protocol](at={step: chance.choice(bad)()})
        failing.append((protocol, security, await scripted(behave, security=security, ipv6=True)))  # type: ignore[arg-type]
    servers = [server for _, _, server in healthy + failing]
    well = [server for _, _, server in healthy]

    async def probe_one() -> bool:
        protocol, security, server = chance.choice(failing if chance.random() < 0.5 else healthy)
        port = free_port if chance.random() < 0.02 else server.port
        timeout = ENOUGH if server in well else 0.25
        outcome = await prober(prober.target(port, protocol, security, host=chance.choice(ADDRESSES), timeout=timeout))
        assert outcome.reason is not Reason.INTERNAL
        return outcome.ok

    before = Belongings()
    results: list[bool] = []
    sizes: list[int] = []
    while len(results) < PROBES:
        results += await asyncio.gather(*(probe_one() for _ in range(AT_ONCE)))
        for server in servers:
            await server.wait_idle(0)
            server.sessions.clear()  # the test's own memory
        sizes.append(resident())
    await before.assert_nothing_left()
    assert PROBES * 0.3 < results.count(False) < PROBES * 0.7
    assert max(sizes[WARM_UP:]) - sizes[WARM_UP] < GROWTH


@pytest.mark.parametrize(
    "act",
    [acts.close, acts.truncate, acts.reset, acts.silence, acts.endless_line, acts.http_answer],
    ids=lambda act: act.__name__,
)
@pytest.mark.parametrize(("protocol", "security", "step"), [("imap", "tls", "login"), ("pop3", "none", "capability")])
async def test_a_failed_probe_leaves_no_cycle(
    scripted: StartScripted, prober: Prober, act: Behaviour, protocol: str, security: Any, step: Step
) -> None:
    """All that a probe received is freed at its end, without the garbage collector, which runs rarely."""
    server = await scripted(SERVERS[protocol](at={step: act}), security=security)
    target = prober.target(server.port, protocol, security, timeout=SHORT)
    gc.collect()
    gc.disable()
    try:
        assert not (await prober(target)).ok
        await server.wait_idle()
        await asyncio.sleep(0)
        left = [each for each in gc.get_objects() if isinstance(each, Attempt | Connection)]
    finally:
        gc.enable()
    assert not left


HANGING = 500
HEALTHY = 5
LATE = 10.0
"""Seconds by which a healthy probe may be late, on a machine that is busy; to wait for a hanging one takes longer."""


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_hanging_endpoints_do_not_delay_others(
    scripted: StartScripted, prober: Prober, authority: Authority
) -> None:
    """500 endpoints that hang do not delay the probes of 5 healthy ones."""
    server = await scripted(Imap(), security="tls")
    with socket.socket() as silent:  # only the kernel accepts
        silent.bind(("127.0.0.1", 0))
        silent.listen(4096)
        port = silent.getsockname()[1]
        hanging = [
            prober.target(port, "imap", "none", name=f"hanging-{number}", interval=2.0, timeout=3 * LATE)
            for number in range(HANGING)
        ]
        healthy = [
            prober.target(server.port, "imap", name=f"healthy-{number}", interval=0.5, timeout=3 * LATE)
            for number in range(HEALTHY)
        ]
        store = Store()
        store.configure(hanging + healthy)
        checker = Checker(store, prober.resolver, Ledger())
        metrics = ExporterMetrics()
        schedule = Schedule(checker.check, metrics)
        with capture_logs():
            schedule.start()
            schedule.configure(hanging + healthy)
            await until(lambda: len(schedule._tasks) >= HANGING)
            before = {target.key: store[target.key].successes for target in healthy}
            await until(lambda: all(store[key].successes >= count + 4 for key, count in before.items()))
            await schedule.stop()
    for target in healthy:
        series, times = store[target.key], DueTimes.of(target)
        assert not series.failures
        for entry in series.history:
            due = times.next_after(entry.started_at - target.endpoint.interval)
            assert entry.started_at - due < LATE
            assert entry.duration < LATE
