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
    unreadable: int = 0
    """Records beside them that make no sense."""
    is_alias: bool = False
    """Whether the exchange is an alias of another name."""
    base: str = ""
    """That name, where the records are its own (RFC 7672 §2.2.2); else empty."""

    @property
    def in_force(self) -> tuple[Tlsa, ...]:
        """The records by which senders verify the exchange; none where DANE does not apply to it."""
        return tuple(one for one in self.records if one.is_usable) if self.authenticated else ()

    @property
    def exist(self) -> bool:
        """Whether there are records, usable or not."""
        return bool(self.records or self.unreadable)

    def is_as(self, other: DaneFacts) -> bool:
        """Whether the records are the same, in whatever order."""
        return (set(self.records), self.unreadable) == (set(other.records), other.unreadable)


async def look_up(
    servers: Sequence[tuple[str, int]], host: str, port: int, seconds: float, *, may_be_alias: bool = True
) -> DaneFacts:
    """Return the TLSA records of an exchange, which are looked up for so many seconds at most.

    RFC 7672 §2.2.2: where the exchange's own addresses are not authenticated, its TLSA records count for nothing, and
    neither does it that they cannot be looked up: some name servers do not answer questions for TLSA at all (§2.1.1).
    Where it is an alias, the records of the name at its end come first. Most exchanges are none and have no records: so
    these are looked up first, and the addresses only where it matters.
    """
    found, failure = await _ask(servers, host, f"_{port}._tcp.{host}", "TLSA", seconds / 3)
    if found and not _exist(found) and not (may_be_alias and found.authenticated):
        return DaneFacts(authenticated=found.authenticated, is_known=True)
    address, unknown = await _ask(servers, host, host, "A", seconds / 3)
    base, is_secure = "", bool(address and address.authenticated)
    is_alias = address is not None and address.name != host
    if address and is_alias:
        if address.authenticated:
            at_end, failure_at_end = await _ask(servers, host, f"_{port}._tcp.{address.name}", "TLSA", seconds / 3)
            if at_end is None:
                return DaneFacts(failure=failure_at_end)
            if at_end.authenticated and _exist(at_end):
                found, base = at_end, address.name
        elif found and _exist(found):
            # The alias itself may be authenticated, and the zone that it leads to not.
            alias, _ = await _ask(servers, host, host, "CNAME", seconds / 3)
            is_secure = bool(alias and alias.authenticated)
    if found is None:
        return DaneFacts(failure=failure if address is None or is_secure else None)
    if not _exist(found):
        return DaneFacts(authenticated=found.authenticated, is_known=True, is_alias=is_alias)
    if address is None:
        return DaneFacts(failure=unknown)
    return DaneFacts(
        records=tuple(map(_tlsa, found.records)),
        authenticated=found.authenticated and is_secure,
        is_known=True,
        unreadable=found.unreadable,
        is_alias=is_alias,
        base=base,
    )


def _exist(answer: Answer) -> bool:
    return bool(answer.records or answer.unreadable)


async def _ask(
    servers: Sequence[tuple[str, int]], host: str, name: str, kind: str, seconds: float
) -> tuple[Answer | None, Finding | None]:
    """Return the answer, or why there is none. What is no name has no records."""
    from exporter.domains import dnssec  # noqa: PLC0415 (see policies.py)

    try:
        async with asyncio.timeout(seconds):
            return await dnssec.ask(servers, name, kind), None
    except dnssec.NotAName:
        return dnssec.Answer((), authenticated=False, name=host), None
    except dnssec.LookupFailed as error:
        return None, Finding(error.reason, str(error), host)
    except TimeoutError:
        return None, Finding(Reason.TIMEOUT, f"the {kind} look-up of {name}: no answer in time", host)


def _tlsa(text: str) -> Tlsa:
    usage, selector, matching, *data = text.split()
    return Tlsa(int(usage), int(selector), int(matching), bytes.fromhex("".join(data)))
