"""DANE for SMTP (RFC 7672): the TLSA records of each exchange, and whether DNSSEC authenticates them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.domains import dnssec
from exporter.domains.dnssec import LookupFailed
from exporter.model.domain import Tlsa


@dataclass(frozen=True, slots=True)
class DaneFacts:
    """What the DNS says of one exchange: its TLSA records, whether they are authenticated, or why it is not known."""

    records: tuple[Tlsa, ...] = ()
    authenticated: bool = False
    failure: str = ""
    is_known: bool = False
    """Whether they were looked up; else there may be some."""

    @property
    def in_force(self) -> tuple[Tlsa, ...]:
        """The records by which senders verify the exchange; none where DANE does not apply to it."""
        return tuple(one for one in self.records if one.is_usable) if self.authenticated else ()


async def look_up(servers: Sequence[tuple[str, int]], host: str, port: int) -> DaneFacts:
    """Return the TLSA records of an exchange.

    RFC 7672 §2.2.2: where the exchange's own addresses are not authenticated, its TLSA records are not looked up.
    """
    try:
        address = await dnssec.ask(servers, host, "A")
        found = await dnssec.ask(servers, f"_{port}._tcp.{host}", "TLSA")
    except LookupFailed as error:
        return DaneFacts(failure=str(error))
    records = tuple(_tlsa(text) for text in found.records)
    return DaneFacts(records, found.authenticated and address.authenticated, is_known=True)


def _tlsa(text: str) -> Tlsa:
    usage, selector, matching, *data = text.split()
    return Tlsa(int(usage), int(selector), int(matching), bytes.fromhex("".join(data)))
