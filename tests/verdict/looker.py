"""A process that looks at the sources of evidence, in a network of a test: while all is well, and when it is told.

It writes a line after the first look, reads one before the second, and writes what that has found, as JSON.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from typing import Any

import structlog

from exporter.host.threads import in_thread
from exporter.model.address import Address
from exporter.model.evidence import ControlKind
from exporter.model.settings import Config, Endpoint, IpFamily, Protocol
from exporter.model.verdict_settings import Control, VerdictSettings
from exporter.probing.resolve import Resolver
from exporter.verdict.sources import EvidenceSources
from tests.servers.internet import IMAP, NEUTRAL, OTHER_PROVIDER, SECOND_RESOLVER

GMAIL = Endpoint(name="imap", protocol=Protocol.IMAP, host="imap.gmail.com", port=993)
CONTROLS = (
    Control("web", ControlKind.PROVIDER_WEB, "www.google.com", 443),
    Control("near", ControlKind.NEUTRAL, NEUTRAL, 443),
    Control("other", ControlKind.SAME_PORT, OTHER_PROVIDER, 993),
)


async def look() -> None:
    """Look twice."""
    resolver = Resolver()
    sources = EvidenceSources(resolver)
    verdict = VerdictSettings({control.name: control for control in CONTROLS}, (Address(SECOND_RESOLVER, None),))
    sources.configure(Config(endpoints={"imap": GMAIL}, verdict=verdict))
    await sources.look()
    _say("looked")
    await in_thread(sys.stdin.readline)
    found = await sources.gather(GMAIL, IpFamily.ANY, IMAP[0])
    _say(json.dumps(found._asdict(), default=_plain))
    await sources.close()
    await resolver.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(look())
