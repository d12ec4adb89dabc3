"""Runs the dialogue of a protocol over a connection: one probe of one target → Outcome.

All times are measured here. A phase lasts from its beginning until its last octet arrived, so that the time this
program needs to react is not counted. One deadline covers everything from the name look-up to the logout.
"""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Any

import structlog

from exporter.model.address import is_address_literal
from exporter.model.certificate import TlsFacts
from exporter.model.domain import Dane
from exporter.model.outcome import Line, Observed, Outcome, Phase, Target
from exporter.model.reason import CERTIFICATE_REASONS, Reason
from exporter.model.settings import AddressChoice, IpFamily, Protocol, Security
from exporter.probing import client_tls, dane, imap, pop3, smtp
from exporter.probing.addresses import MAX_COUNTED, MAX_TRIED, Count, Known, dead_after, in_order, share
from exporter.probing.authorities import context_of
from exporter.probing.classify import OUR_OWN, classify, describe
from exporter.probing.clock import PhaseClock
from exporter.probing.connection import Connection
from exporter.probing.dialogue import Credential, CredentialUnavailable, DialogueError, Plan, ProtocolDialogue
from exporter.probing.driver import Driver
from exporter.probing.evidence import tcp_evidence
from exporter.probing.redact import redactor_of, shortened
from exporter.probing.resolve import (
    OUT_OF_RESOURCES,
    FixedResolver,
    IpAddress,
    NameResolver,
    NotAName,
    check_route,
    routed,
)
from exporter.probing.search import Secrets

PROTOCOLS: Mapping[Protocol, ProtocolDialogue] = {
    Protocol.IMAP: imap.DIALOGUE,
    Protocol.POP3: pop3.DIALOGUE,
    Protocol.SMTP: smtp.DIALOGUE,
}

Login = Credential | CredentialUnavailable | None

CLOSING = 0.05
"""Seconds after its deadline in which a probe may still close its connection in order."""

CLOSING_GRACE = 1.0
"""Seconds to wait for the server's close_notify, where the deadline allows it."""

CERTIFICATE_TO_INSPECT = CERTIFICATE_REASONS | {Reason.TLS_FAILED}
"""Reasons of failed handshakes in which the server may have presented a certificate."""

_NOTHING = Known()

log = structlog.get_logger("probe")


async def probe(
    target: Target,
    resolver: NameResolver,
    login: Login = None,
    known: Known = _NOTHING,
    secrets: Secrets | None = None,
    tlsa: Dane | None = None,
) -> Outcome:
    """Probe `target` once, with a login where `login` is given; `known` decides which address is tried first.

    Where there are TLSA records, they decide on the certificate of an exchange, and nothing else does.

    No text of the Outcome has a piece of `secrets`, which the server may know from other sessions, too; by default they
    are those of the login.

    It raises nothing but its own cancellation, ends within the endpoint's timeout and `CLOSING` seconds, and leaves no
    socket open.
    """
    trust = _Trust.TAKE_ANY if tlsa else _Trust.VERIFY
    attempt = Attempt(target, resolver, login, known, secrets, trust=trust)
    attempt.tlsa = tlsa
    try:
        outcome = await attempt.probe()
    finally:
        attempt.abort()
    if target.endpoint.domain and not tlsa and attempt.addressed and outcome.reason in CERTIFICATE_TO_INSPECT:
        return await _probe_without_verification(attempt, outcome)
    return outcome


async def _probe_without_verification(verified: Attempt, failed: Outcome) -> Outcome:
    """Probe an exchange once more, as a sender without a policy does: it takes any certificate (RFC 7435 §3).

    What has failed in the session before is part of the Outcome.
    """
    assert verified.addressed is not None  # noqa: S101 (the handshake was with it)
    attempt = Attempt(failed.target, FixedResolver(verified.addressed), trust=_Trust.TAKE_ANY)
    try:
        outcome = await attempt.probe(verified.deadline)
    finally:
        attempt.abort()
    observed = replace(outcome.observed, tls_fault=failed.reason, tls_fault_detail=failed.detail)
    return replace(outcome, observed=observed)


class _Trust(Enum):
    """Whether a session verifies the certificate, takes any, or ends when the server has presented it."""

    VERIFY = auto()
    TAKE_ANY = auto()
    INSPECT = auto()


class Attempt:
    """One session and its connection."""

    def __init__(
        self,
        target: Target,
        resolver: NameResolver,
        login: Login = None,
        known: Known = _NOTHING,
        secrets: Secrets | None = None,
        *,
        trust: _Trust = _Trust.VERIFY,
    ) -> None:
        self._target = target
        self._endpoint = target.endpoint
        self._protocol = PROTOCOLS[target.endpoint.protocol]
        self._resolver = resolver
        self._login = login
        self._known = known
        self.deadline = math.inf
        """When the session must have ended, in the event loop's time."""
        self._timeout: asyncio.Timeout | None = None
        self._seconds_after_greeting = 0.0
        self._trust = trust
        self.tlsa: Dane | None = None
        self._redactor = redactor_of(target.endpoint, login if isinstance(login, Credential) else None, secrets)
        self._started_at, self._began = time.time(), time.perf_counter()
        self._clock = PhaseClock()
        self._observed: dict[str, Any] = {}
        """Fields of `Observed`."""
        self._driver = Driver(self._clock, self._redactor, self._observed, self._began)
        self._connection: Connection | None = None
        """The connection of the session, once it is connected."""
        self._opened: Connection | None = None
        """The connection that was tried last."""
        self._failed_in: Phase | None = None
        self._reason = Reason.OK
        self._detail = ""
        self._addresses: Sequence[IpAddress] = ()
        self.addressed: IpAddress | None = None
        """The address that was tried last."""
        self._dead: list[str] = []
        """The addresses that did not connect."""
        self._passed_over: list[str] = []
        """Those of them after which another one was tried, with why; part of the detail if none connects."""
        self._count: Count | None = None

    async def probe(self, deadline: float | None = None) -> Outcome:
        """Run the session, then the logout or, after a failed handshake, the inspection, all in one deadline."""
        self.deadline = deadline or asyncio.get_running_loop().time() + self._endpoint.timeout
        try:
            async with asyncio.timeout_at(self.deadline) as self._timeout:
                in_step = await self.run()
                if self._reason in CERTIFICATE_TO_INSPECT:
                    if not self._endpoint.domain:
                        await self._inspect_certificate()
                elif in_step:
                    await self._log_out()
        except TimeoutError:
            self._end_by_deadline()
        await self.close()
        if self._count:
            self._dead += await self._count.dead(self._seconds_left())
        return self._outcome(await self._driver.lines())

    async def run(self) -> bool:
        """Connect and run the dialogue, and record what ended it; return whether the server awaits a command."""
        try:
            connection = self._connection = await self._connect()
            self._clock.leave(connection.tcp.connected_at)
            self._observed["tcp_rtt"] = connection.tcp.rtt
            plan = self._plan(connection)  # it needs the socket's own address: after the handshake it may be closed
            if self._endpoint.security is Security.TLS:
                await self._start_tls(connection)
            if self._trust is not _Trust.INSPECT or self._endpoint.security is Security.STARTTLS:
                session = self._protocol.session(plan)
                await self._driver.drive(session, connection, lambda: self._start_tls(connection), self._entered)
        except Exception as error:  # noqa: BLE001 (classification is total)
            self._fail(error)
            # Not the error itself: from Python 3.13 on it keeps its caller's frame, which would keep it.
            return isinstance(error, DialogueError) and error.in_step
        return True

    @property
    def tls(self) -> TlsFacts | None:
        """The TLS facts of the last handshake; None if there was none."""
        return self._observed.get("tls")

    async def close(self) -> None:
        """Close cleanly, with close_notify after a handshake, at most `CLOSING` seconds after the deadline."""
        if self._connection:
            left = self._seconds_left()
            # A server that sends too much may never stop: its close_notify is not waited for.
            flooded = self._reason is Reason.RESPONSE_TOO_LARGE
            await self._connection.close(CLOSING if flooded else min(max(left, CLOSING), CLOSING_GRACE))

    def abort(self) -> None:
        """Close what is still open at once."""
        if self._connection:
            self._connection.abort()
        if self._count:
            self._count.cancel()

    async def _connect(self) -> Connection:
        """Resolve the name, and connect to the first of its addresses that does.

        The connect phase is then that of this address alone. `any` is what a mail client does: IPv6 where this host has
        a route, and IPv4 where it does not connect.
        """
        endpoint, family = self._endpoint, self._target.ip_family
        self._clock.enter(Phase.RESOLVE)
        if endpoint.domain and is_address_literal(endpoint.host):
            # RFC 5321 §5.1: the data of an MX record is a domain name.
            raise NotAName(f"the MX record of {endpoint.domain} names an address, {endpoint.host}")
        addresses = await self._resolver.resolve(endpoint.host, family)
        self._clock.leave()
        self._clock.enter(Phase.CONNECT)
        # An address of the one family that is wanted needs no look whether there is a route: its connect shows that.
        self._addresses = (routed(addresses) if family is IpFamily.ANY else addresses)[:MAX_COUNTED]
        tried = in_order(self._addresses, self._known)[:MAX_TRIED]
        if endpoint.addresses is AddressChoice.ALL and self._trust is not _Trust.INSPECT:
            others = [address for address in self._addresses if address != tried[0]]
            self._count = Count(others, endpoint.port, endpoint.timeout / 3)
        for number, (kind, address) in enumerate(tried):
            self.addressed = kind, address
            left = len(tried) - number
            began = time.perf_counter()
            try:
                most = share(self._seconds_left(), left, endpoint.timeout)
                async with asyncio.timeout(most) if most is not None else nullcontext():
                    connection = self._opened = Connection()
                    await connection.open(address, endpoint.port)
            except OSError as error:
                if error.errno in OUT_OF_RESOURCES:
                    raise  # the address has nothing to do with it
                if error.errno and family is not IpFamily.ANY:
                    self.addressed = None  # nothing was sent to it, if there is no route
                    check_route(kind, address)
                    self.addressed = kind, address
                self._dead.append(address)
                if left == 1:
                    raise
                self._passed_over.append(f"{address}: {describe(error) if error.errno else 'no answer'}")
            else:
                self._observed["connect_lost"] = self._clock.begin_again(began) if number else 0.0
                return connection
        raise AssertionError("a name has an address, or its look-up has failed")

    def _seconds_left(self) -> float:
        return self.deadline - asyncio.get_running_loop().time()

    async def _start_tls(self, connection: Connection) -> bool:
        """Do the handshake, and return whether the session goes on: after an inspection nothing more is sent."""
        self._clock.enter(Phase.TLS)
        # To build a context takes time that is not the server's: the phase begins with the first octets that are sent.
        verifies = self._trust is _Trust.VERIFY
        context = await context_of(self._endpoint.tls) if verifies else client_tls.unverified_context()
        # RFC 6066 §3: the name in SNI has no trailing dot, and neither has a name in a certificate.
        name = self.tlsa.names[0] if self.tlsa else self._endpoint.tls.server_name or self._endpoint.host
        secured = await connection.start_tls(context, name.removesuffix("."), self._clock.ask)
        self._clock.leave(connection.secured_at)
        facts = client_tls.facts(secured, verified=verifies, own_roots=self._endpoint.tls.ca_file is not None)
        self._observed["tls"] = facts and self._redactor.certificates(facts)
        if self.tlsa:
            self._observed["dane"] = False
            dane.check(self.tlsa, client_tls.certificates_of(secured))
            self._observed["dane"] = True
        return self._trust is not _Trust.INSPECT

    def _entered(self, phase: Phase) -> None:
        """Let the greeting have its own deadline, where it has one, and the rest of the session the seconds before."""
        if self._timeout is None or self._endpoint.greeting_timeout is None:
            return
        now = asyncio.get_running_loop().time()
        if phase is Phase.GREETING:
            self._seconds_after_greeting = self.deadline - now
            self.deadline = now + self._endpoint.greeting_timeout
        elif self._seconds_after_greeting:
            self.deadline, self._seconds_after_greeting = now + self._seconds_after_greeting, 0.0
        self._timeout.reschedule(self.deadline)

    async def _inspect_certificate(self) -> None:
        """Collect the facts of a certificate on a second, unverified connection, which never sends a credential."""
        assert self.addressed is not None  # noqa: S101 (the handshake was with it)
        unverified = Attempt(self._target, FixedResolver(self.addressed), trust=_Trust.INSPECT)
        try:
            await unverified.run()
        finally:
            unverified.abort()
        self._observed["tls"] = unverified.tls
        if unverified.tls and unverified.tls.no_sni:
            self._reason = Reason.TLS_NO_SNI

    async def _log_out(self) -> None:
        """Log out; a failure is recorded, and does not fail the probe."""
        assert self._connection is not None  # noqa: S101 (the dialogue ended on it)
        self._clock.enter(Phase.LOGOUT)
        try:
            await self._driver.drive(self._protocol.logout(), self._connection)
        except Exception as error:  # noqa: BLE001 (classification is total)
            self._clock.leave()
            self._observed["logout"] = classify(error, Phase.LOGOUT, self._endpoint.protocol)

    def _end_by_deadline(self) -> None:
        self._clock.leave()
        if self._clock.phase is Phase.CONNECT and self.addressed:
            self._dead.append(self.addressed[1])
        if self._clock.phase is Phase.LOGOUT:
            self._observed["logout"] = Reason.TIMEOUT
        elif self._reason is Reason.OK:
            own = self._endpoint.greeting_timeout if self._clock.phase is Phase.GREETING else None
            self._fail(TimeoutError(f"no answer within {own or self._endpoint.timeout:g} s"))

    def _fail(self, error: Exception) -> None:
        """Record why the probe failed."""
        phase = self._failed_in = self._clock.phase
        # A DialogueError is caused by the last data that arrived, which ended the phase; any other error ends it now.
        answered = self._connection if isinstance(error, DialogueError) else None
        self._clock.leave(answered.received_at if answered else 0.0)
        with_token = isinstance(self._login, Credential) and self._login.is_token
        self._reason = classify(error, phase, self._endpoint.protocol, with_token=with_token)
        if self._reason is Reason.INTERNAL:
            log.error("fault in a probe", endpoint=self._endpoint.name, phase=phase.value, exc_info=error)
        doubt = self._login.doubt if isinstance(self._login, Credential) else ""
        text = describe(error) if isinstance(error, OUR_OWN) else self._redactor.text(describe(error))
        parts = [doubt if self._reason is Reason.AUTH_INVALID_CREDENTIALS else "", text, *self._passed_over]
        if not answered and phase not in (Phase.CONNECT, Phase.TLS):
            parts.append(self._driver.last_words(self._connection.unread() if self._connection else b""))
        self._detail = shortened("; ".join(filter(None, parts)))
        self._observed["tcp"] = tcp_evidence(error, self._opened.tcp.info() if self._opened else None)

    def _plan(self, connection: Connection) -> Plan:
        name = self._endpoint.client_name or ""
        if not name and self._endpoint.protocol is Protocol.SMTP:  # the others have no use for one
            name = smtp.address_literal(connection.tcp.local_address())
        return Plan(
            client_name=name,
            starttls=self._endpoint.security is Security.STARTTLS,
            login=self._login,
            mechanism=self._endpoint.mechanism,
            folders=self._endpoint.folders,
            newest=self._endpoint.newest,
            opportunistic=self._endpoint.domain is not None and not self.tlsa,
        )

    def _observe_addresses(self) -> None:
        """Record which address was tried last, which are dead, and whether IPv4 served because IPv6 did not."""
        if self.addressed is None:
            return
        kind, address = self.addressed
        self._observed |= {"address": address, "ip_version": 6 if kind == socket.AF_INET6 else 4}
        known = self._known if self._count is None else Known()  # what is counted is tried again by each probe
        dead = dead_after(self._addresses, known, self._dead, address if self._connection else None)
        self._observed["dead_addresses"] = tuple(dead)
        if self._connection and self._target.ip_family is IpFamily.ANY:
            families = {kind for kind, address in self._addresses if address in dead}
            self._observed["ip_fallback"] = kind == socket.AF_INET and socket.AF_INET6 in families
        if self._count and self._count.is_complete:
            self._observed["addresses"] = len(self._addresses)
            self._observed["addresses_up"] = len(self._addresses) - len(dead)

    def _outcome(self, dialogue: tuple[Line, ...]) -> Outcome:
        self._observe_addresses()
        if self._opened and (info := self._opened.tcp.info()):
            self._observed["retransmits"] = info.total_retrans
        return Outcome(
            target=self._target,
            started_at=self._started_at,
            ended_at=time.time(),
            phases=MappingProxyType(self._clock.phases),
            phase=self._failed_in or self._clock.phase,
            reason=self._reason,
            detail=self._detail,
            observed=Observed(**self._observed),
            dialogue=dialogue,
        )
