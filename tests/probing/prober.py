"""Probes of servers on loopback, and what every one of them must keep."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint, IpFamily, Protocol, Security, Tls
from exporter.probing.addresses import Known
from exporter.probing.dialogue import Credential
from exporter.probing.probe import Login, probe
from exporter.probing.resolve import Resolver
from tests.examples import SENTINEL
from tests.servers.dialogues import Dialogue, Imap, Pop3, Smtp, Step

if TYPE_CHECKING:
    from tests.servers.authority import Authority

SLACK = 10.0
"""Seconds after its timeout within which a probe must end: the promise is `CLOSING`, but the machine may be busy."""

SHORT = 0.4
"""Seconds: the timeout of probes that are meant to reach it."""

LONGER = 6.0
"""Seconds: the same where the machine is so busy that the time is over before the server falls silent."""

ENOUGH = 30.0
"""Seconds: the timeout of probes that are meant to end before it."""

CREDENTIAL = Credential("probe@example.com", SENTINEL)
SERVERS: Mapping[str, type[Dialogue]] = {"imap": Imap, "pop3": Pop3, "smtp": Smtp}
PROTOCOLS = list(SERVERS)
SECURED = ["tls", "starttls"]
LOGOUT = {"imap": b"LOGOUT\r\n", "pop3": b"QUIT\r\n", "smtp": b"QUIT\r\n"}
SECRETS = [
    SENTINEL.encode(),
    b64encode(SENTINEL.encode()),
    b64encode(f"\0{CREDENTIAL.username}\0{SENTINEL}".encode()),
]

NOTHING = Known()


@dataclass
class Prober:
    """Probes loopback, and checks that every probe ends in time."""

    authority: Authority
    resolver: Resolver

    def target(self, port: int, protocol: str, security: str = "tls", **changes: Any) -> Target:
        """A target on this port of 127.0.0.1."""
        values: dict[str, Any] = {
            "name": f"{protocol}-{security}",
            "host": "127.0.0.1",
            "timeout": ENOUGH,
            "ip_family": IpFamily.IPV6 if ":" in changes.get("host", "") else IpFamily.IPV4,
            "tls": Tls(ca_file=self.authority.ca_file, server_name="localhost"),
            **changes,
        }
        endpoint = Endpoint(protocol=Protocol(protocol), port=port, security=Security(security), **values)
        return Target(endpoint, endpoint.ip_family)

    async def __call__(self, target: Target, login: Login = CREDENTIAL, known: Known = NOTHING) -> Outcome:
        """Probe, with a login only on a secured connection, as in a configuration."""
        if target.endpoint.security is Security.NONE:
            login = None
        started = time.monotonic()
        outcome = await probe(target, self.resolver, login, known)
        took = time.monotonic() - started
        assert took < target.endpoint.timeout + SLACK
        assert outcome.duration <= took
        assert outcome.ended_at >= outcome.started_at
        return outcome

    async def silenced(self, target: Target, phase: Phase) -> Outcome:
        """Probe a server that falls silent in that phase: again with more time, if the probe did not come so far."""
        outcome = await self(target)
        if outcome.phase is phase:
            return outcome
        return await self(replace(target, endpoint=replace(target.endpoint, timeout=LONGER)))


def found(outcome: Outcome) -> tuple[Phase, Reason]:
    """The phase and the reason of an outcome."""
    return outcome.phase, outcome.reason


def steps(protocol: str, security: str) -> list[Step]:
    """The steps of a complete session, in order."""
    order: list[Step] = ["greeting", "capability", "logout"]
    if security == "none":
        return order
    order = ["tls", "greeting", "capability", "login", "folders", "logout"]
    if security == "starttls":
        order = ["greeting", "capability", "starttls", "tls", "login", "folders", "logout"]
    return [step for step in order if step != "folders" or protocol != "smtp"]


def sessions(protocol: str) -> Iterator[tuple[str, Step]]:
    """Every step under every kind of security."""
    for security in ("tls", "starttls", "none"):
        for step in steps(protocol, security):
            yield security, step
