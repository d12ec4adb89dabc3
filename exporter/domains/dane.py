"""DANE for SMTP (RFC 7672): the TLSA records of each exchange, and whether DNSSEC authenticates them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.model.domain import Finding, Tlsa
from exporter.model.reason import Reason

if TYPE_CHECKING:
    from exporter.domains.dnssec import Answer


@dataclass(frozen=True, slots=True)
class DaneFacts:
    """What the DNS says of one exchange: its TLSA records, whether they are authenticated, or why it is not known."""

    records: tuple[Tlsa, ...] = ()
    authenticated: bool = False
    failure: Finding | None = None
    is_known: bool = False
    """Whether they were looked up; else there may be some."""

    @property
    def in_force(self) -> tuple[Tlsa, ...]:
        """The records by which senders verify the exchange; none where DANE does not apply to it."""
        return tuple(one for one in self.records if one.is_usable) if self.authenticated else ()


async def look_up(servers: Sequence[tuple[str, int]], host: str, port: int, seconds: float) -> DaneFacts:
    """Return the TLSA records of an exchange, which are looked up for so many seconds at most.

    RFC 7672 §2.2.2: where the exchange's own addresses are not authenticated, its TLSA records count for nothing, and
    neither does it that they cannot be looked up: some name servers do not answer questions for TLSA at all (§2.1.1).
    Most exchanges have none: so these are looked up first, and the addresses only where it matters.
    """
    found, failure = await _ask(servers, host, f"_{port}._tcp.{host}", "TLSA", seconds / 2)
    if found and not found.records:
        return DaneFacts(authenticated=found.authenticated, is_known=True)
    address, unknown = await _ask(servers, host, host, "A", seconds / 2)
    if found is None:
        return DaneFacts(failure=None if address and not address.authenticated else failure)
    if address is None:
        return DaneFacts(failure=unknown)
    records = tuple(_tlsa(text) for text in found.records)
    return DaneFacts(records, found.authenticated and address.authenticated, is_known=True)


async def _ask(
    servers: Sequence[tuple[str, int]], host: str, name: str, kind: str, seconds: float
) -> tuple[Answer | None, Finding | None]:
    """Return the answer, or why there is none."""
    from exporter.domains import dnssec  # noqa: PLC0415 (see policies.py)

    try:
        async with asyncio.timeout(seconds):
            return await dnssec.ask(servers, name, kind), None
    except dnssec.LookupFailed as error:
        return None, Finding(error.reason, str(error), host)
    except TimeoutError:
        return None, Finding(Reason.TIMEOUT, f"the {kind} look-up of {name}: no answer in time", host)


def _tlsa(text: str) -> Tlsa:
    usage, selector, matching, *data = text.split()
    return Tlsa(int(usage), int(selector), int(matching), bytes.fromhex("".join(data)))
