"""Drives a dialogue over a connection: one look at one target → Outcome.

This is where time is. The phase clock runs from the moment a phase is entered until the last octet of it arrived, so
that this program's own queue is not counted; one deadline bounds everything from the first look-up to the goodbye.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from itertools import count
from types import MappingProxyType
from typing import Any

import structlog

from exporter.model.outcome import MAX_DETAIL, Line, Observed, Outcome, Phase, Target, TlsFacts
from exporter.model.reason import CERTIFICATE_REASONS, Reason
from exporter.model.settings import IpFamily, Protocol, Security
from exporter.probing import client_tls, imap, pop3, smtp
from exporter.probing.classify import classify, describe
from exporter.probing.connection import Connection, connect
from exporter.probing.dialogue import (
    MAX_REPLY,
    MAX_SESSION,
    Credential,
    CredentialUnavailable,
    Dialogue,
    DialogueError,
    Enter,
    Note,
    Plan,
    ProtocolDialogue,
    ReadBytes,
    ReadLine,
    ResponseTooLarge,
    Send,
)
from exporter.probing.redact import REDACTED, redact, secrets_of
from exporter.probing.resolve import IpAddress, NameResolver, routed

PROTOCOLS: Mapping[Protocol, ProtocolDialogue] = {
    Protocol.IMAP: imap.DIALOGUE,
    Protocol.POP3: pop3.DIALOGUE,
    Protocol.SMTP: smtp.DIALOGUE,
}

Login = Credential | CredentialUnavailable | None

CLOSING = 0.05
"""Seconds past its deadline that a probe may take to close its connection in order."""

CLOSING_GRACE = 1.0
"""Seconds for which the server's close_notify is waited for, where the deadline leaves as much."""

MAX_DIALOGUE = 500
"""Lines of a dialogue that are kept: LIST names every label of an account, and some have thousands."""

MAX_CAPABILITIES = 200
"""Capabilities that are kept."""

STEPS_BETWEEN_YIELDS = 64
"""Steps of a dialogue after which everything else in this event loop has its turn: a flood of lines must hold up
neither the other probes nor this one's own deadline."""

_CERTIFICATE_UNVERIFIED = CERTIFICATE_REASONS | {Reason.TLS_FAILED}
"""Failed handshakes in which a server may have presented a certificate."""

log = structlog.get_logger("probe")


async def probe(target: Target, resolver: NameResolver, login: Login = None) -> Outcome:
    """Look at `target` once, and log in where `login` is given.

    Never raises but for its own cancellation. It ends within the endpoint's timeout and `CLOSING` seconds, and leaves
    no socket behind.
    """
    run = _Probe(target, resolver, login)
    try:
        return await run.run()
    finally:
        run.abort()


def _check_limits(received: int, asked_at: int) -> None:
    if received - asked_at > MAX_REPLY or received > MAX_SESSION:
        raise ResponseTooLarge(f"{received - asked_at} octets in answer to one command")


class _Clock:
    """Seconds by phase; a phase that is entered again adds to what it took before."""

    def __init__(self) -> None:
        self.phase = Phase.RESOLVE
        self.phases: dict[Phase, float] = {}
        self._running = False
        self._entered = self._left = time.perf_counter()

    def enter(self, phase: Phase) -> None:
        # The server speaks first: its time runs from when the connection stood, not from when this task woke.
        self._entered = self._left if phase is Phase.GREETING else time.perf_counter()
        self.phase = phase
        self.phases.setdefault(phase, 0.0)
        self._running = True

    def reenter(self, phase: Phase) -> None:
        """Enter `phase` as if it had not been tried before."""
        self.phases.pop(phase, None)
        self.enter(phase)

    def leave(self, at: float = 0.0) -> None:
        """Close the phase, at the time when its last octet arrived where that is known."""
        if self._running:
            self._left = at if at >= self._entered else time.perf_counter()
            self.phases[self.phase] += self._left - self._entered
            self._running = False


class _Probe:
    """The state of one probe. Without `verify` it only collects what the server presents, and then ends."""

    def __init__(self, target: Target, resolver: NameResolver, login: Login = None, *, verify: bool = True) -> None:
        self._target = target
        self._endpoint = target.endpoint
        self._protocol = PROTOCOLS[target.endpoint.protocol]
        self._resolver = resolver
        self._login = login
        self._dialogue: list[Line] = []
        self._unrecorded = 0
        self._verify = verify
        self._secrets = secrets_of(login) if isinstance(login, Credential) else ()
        self._started_at = time.time()
        self._clock = _Clock()
        self._observed: dict[str, Any] = {}
        """Fields of `Observed`."""
        self._connection: Connection | None = None
        self._failure: tuple[Phase, Reason, str] | None = None
        self._note = ""
        """How IPv6 failed, for where IPv4 fails too."""

    async def run(self) -> Outcome:
        """Run the session, the second look where a certificate was refused, and the goodbye, in one deadline."""
        deadline = asyncio.get_running_loop().time() + self._endpoint.timeout
        try:
            async with asyncio.timeout_at(deadline):
                error = await self.session()
                if self._failure and self._failure[1] in _CERTIFICATE_UNVERIFIED:
                    await self._inspect_certificate()
                elif error is None or (isinstance(error, DialogueError) and error.in_step):
                    await self._log_out()
        except TimeoutError:
            self._end_by_deadline()
        await self.close(deadline)
        return self._outcome()

    async def session(self) -> Exception | None:
        """Connect and hold the dialogue; return what ended it early, noted as the failure."""
        try:
            connection = self._connection = await self._connect()
            self._observe_connection(connection)
            if self._endpoint.security is Security.TLS:
                await self._start_tls(connection)
            if self._verify or self._endpoint.security is Security.STARTTLS:
                await self._drive(self._protocol.session(self._plan(connection)), connection)
        except Exception as error:  # noqa: BLE001 (classification is total)
            return self._fail(error)
        return None

    @property
    def tls(self) -> TlsFacts | None:
        """What the server presented."""
        return self._observed.get("tls")

    async def close(self, deadline: float) -> None:
        """Close in order, with close_notify where TLS got that far, at most `CLOSING` seconds past the deadline."""
        if self._connection:
            left = deadline - asyncio.get_running_loop().time()
            # A server that says too much may go on for ever: it is told goodbye, and its answer is not waited for.
            flooded = self._failure is not None and self._failure[1] is Reason.RESPONSE_TOO_LARGE
            await self._connection.close(CLOSING if flooded else min(max(left, CLOSING), CLOSING_GRACE))

    def abort(self) -> None:
        """Close whatever is still open."""
        if self._connection:
            self._connection.abort()

    async def _connect(self) -> Connection:
        """Resolve, then connect once to one address of a family.

        With `any` that is what a mail client reaches: IPv6 where this host has a route, and where that fails within a
        third of the deadline, IPv4; the connect phase is then that of IPv4.
        """
        endpoint, family = self._endpoint, self._target.ip_family
        self._clock.enter(Phase.RESOLVE)
        addresses = await self._resolver.resolve(endpoint.host, family)
        self._clock.leave()
        self._clock.enter(Phase.CONNECT)
        first, *others = routed(addresses, family)
        self._observe_address(first, fallback=False)
        if not others:
            return await connect(first[1], endpoint.port)
        try:
            async with asyncio.timeout(endpoint.timeout / 3):
                return await connect(first[1], endpoint.port)
        except OSError as error:
            self._note = f"{first[1]}: {describe(error) if error.errno else 'no answer'}"
        self._clock.reenter(Phase.CONNECT)
        self._observe_address(others[0], fallback=None)  # until it is known whether IPv4 serves
        connection = await connect(others[0][1], endpoint.port)
        self._observe_address(others[0], fallback=True)
        self._note = ""
        return connection

    async def _start_tls(self, connection: Connection) -> None:
        self._clock.enter(Phase.TLS)
        context = client_tls.context(self._endpoint.tls) if self._verify else client_tls.unverified_context()
        self._clock.enter(Phase.TLS)  # what it takes to build a context is not the server's time
        secured = await connection.start_tls(context, self._endpoint.tls.server_name or self._endpoint.host.rstrip("."))
        self._clock.leave(connection.secured_at)
        self._observed["tls"] = client_tls.facts(secured)

    async def _drive(self, dialogue: Dialogue[None], connection: Connection) -> None:
        """Perform the steps of a dialogue; raise what it raises, and what the connection does."""
        answer: bytes | None = None
        asked_at = connection.received
        steps = count(1)
        try:
            while True:
                step = dialogue.send(answer)
                answer = None
                if isinstance(step, ReadLine):
                    answer = await connection.read_line()
                    self._record("S", answer)
                elif isinstance(step, Send):
                    asked_at = connection.received
                    connection.write(step.data)
                    self._record("C", step.data if step.shown is None else step.shown)
                elif isinstance(step, ReadBytes):
                    answer = await connection.read_bytes(step.count)
                elif isinstance(step, Enter):
                    self._clock.leave(connection.received_at)
                    self._clock.enter(step.phase)
                elif isinstance(step, Note):
                    self._observed[step.field] = self._sanitized(step.value)
                else:
                    self._clock.leave(connection.received_at)
                    await self._start_tls(connection)
                    if not self._verify:
                        return
                _check_limits(connection.received, asked_at)
                if next(steps) % STEPS_BETWEEN_YIELDS == 0:
                    await asyncio.sleep(0)
        except StopIteration:
            self._clock.leave(connection.received_at)

    def _record(self, speaker: str, line: bytes) -> None:
        if len(self._dialogue) >= MAX_DIALOGUE:
            self._unrecorded += 1
            return
        text = redact(line.decode("utf-8", "backslashreplace").rstrip("\r\n"), self._secrets)
        self._dialogue.append(Line(time.time() - self._started_at, speaker, text))

    def _sanitized(self, value: Any) -> Any:
        """What a server offers is in its own words, too: without secrets, printable, bounded."""
        if not isinstance(value, tuple) or not all(isinstance(word, str) for word in value):
            return value
        words, whole = value[:MAX_CAPABILITIES], "".join(value)
        if not self._secrets and len(whole) <= MAX_DETAIL and whole.isprintable() and "://" not in whole:
            return words  # as they nearly always are: to look at each for itself takes longer
        return tuple(
            # In capital letters, as capabilities are compared, a secret is still one.
            REDACTED if any(secret.upper() in word.upper() for secret in self._secrets) else redact(word)
            for word in words
        )

    async def _inspect_certificate(self) -> None:
        """Collect the facts of a certificate that was refused, on a connection that sends no credential."""
        again = _Probe(self._target, self._resolver, verify=False)
        try:
            await again.session()
            self._observed["tls"] = again.tls
        finally:
            again.abort()
        if again.tls and again.tls.no_sni and self._failure:
            self._failure = self._failure[0], Reason.TLS_NO_SNI, self._failure[2]

    async def _log_out(self) -> None:
        """End the session as the protocol wants it; a failure is noted, and fails nothing."""
        if self._connection is None:
            return
        self._clock.enter(Phase.LOGOUT)
        try:
            await self._drive(self._protocol.logout(), self._connection)
        except Exception as error:  # noqa: BLE001 (classification is total)
            self._clock.leave()
            self._note_logout(classify(error, Phase.LOGOUT, self._endpoint.protocol))

    def _note_logout(self, reason: Reason) -> None:
        self._observed["logout"] = reason

    def _end_by_deadline(self) -> None:
        self._clock.leave()
        if self._clock.phase is Phase.LOGOUT:
            self._note_logout(Reason.TIMEOUT)
        elif self._failure is None:
            self._fail(TimeoutError(f"no answer within {self._endpoint.timeout:g} s"))

    def _fail(self, error: Exception) -> Exception:
        """Note why the probe failed."""
        phase = self._clock.phase
        # The server's last octet ended the phase where the server said what is wrong; now did, where it did not.
        spoke = isinstance(error, DialogueError) and self._connection
        self._clock.leave(self._connection.received_at if spoke and self._connection else 0.0)
        with_token = isinstance(self._login, Credential) and self._login.is_token
        reason = classify(error, phase, self._endpoint.protocol, with_token=with_token)
        if reason is Reason.INTERNAL:
            log.error("fault in a probe", endpoint=self._endpoint.name, phase=phase.value, exc_info=error)
        words = "; ".join(filter(None, (describe(error), self._note)))
        self._failure = phase, reason, redact(words, self._secrets)
        return error

    def _plan(self, connection: Connection) -> Plan:
        address = connection.local_address().partition("%")[0]  # without the scope of a link-local address
        # RFC 5321 §4.1.3: an address literal is a valid name for a client, and needs no look-up.
        literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
        return Plan(
            client_name=literal,
            starttls=self._endpoint.security is Security.STARTTLS,
            login=self._login,
            mechanism=self._endpoint.mechanism,
            folders=self._endpoint.folders,
        )

    def _observe_address(self, address: IpAddress, *, fallback: bool | None) -> None:
        self._observed["address"] = address[1]
        self._observed["ip_version"] = 6 if address[0] == socket.AF_INET6 else 4
        self._observed["ip_fallback"] = fallback if self._target.ip_family is IpFamily.ANY else None

    def _observe_connection(self, connection: Connection) -> None:
        self._clock.leave(connection.connected_at)
        self._observed["tcp_rtt"] = connection.tcp_rtt()

    def _outcome(self) -> Outcome:
        phase, reason, detail = self._failure or (self._clock.phase, Reason.OK, "")
        if self._unrecorded:
            self._dialogue.append(Line(time.time() - self._started_at, "", f"({self._unrecorded} more lines)"))
        return Outcome(
            target=self._target,
            started_at=self._started_at,
            ended_at=time.time(),
            phases=MappingProxyType(self._clock.phases),
            phase=phase,
            reason=reason,
            detail=detail,
            observed=Observed(**self._observed),
            dialogue=tuple(self._dialogue),
        )
