"""Which addresses of a name are connected to, and in which order.

A mail client goes on to the next address where one does not connect, and so does a probe (RFC 8305, without the race,
for each connect is timed): an address that does not connect is no outage while another one serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from exporter.probing.resolve import IpAddress

MAX_TRIED = 4
"""Addresses of a name to which one probe connects, one after the other."""

MAX_COUNTED = 20
"""Addresses of a name that are counted with `addresses: all`."""

RETRY_EVERY = 10
"""Each so many probes, one begins with an address that did not connect before."""


class Known(NamedTuple):
    """What earlier probes of the target have shown."""

    dead: Sequence[str] = ()
    """The addresses that did not connect when they were last tried, the one tried the longest ago first."""
    retry: bool = False
    """Whether this probe begins with the first of them."""


def in_order(addresses: Sequence[IpAddress], known: Known) -> list[IpAddress]:
    """Return the addresses in the order in which they are tried: those known to be dead last, unless all are."""
    if not known.dead:
        return list(addresses)
    of_dead = {address: place for place, address in enumerate(known.dead)}
    alive = [each for each in addresses if each[1] not in of_dead]
    if not alive:
        return list(addresses)
    dead = sorted((each for each in addresses if each[1] in of_dead), key=lambda each: of_dead[each[1]])
    if known.retry:
        return [*dead[:1], *alive, *dead[1:]]
    return [*alive, *dead]


def dead_after(addresses: Sequence[IpAddress], known: Known, failed: Sequence[str], served: str | None) -> list[str]:
    """Return which addresses of the name are known to be dead after a probe: `Known.dead` for the next one."""
    if not known.dead and not failed:
        return []
    present = {address for _, address in addresses}
    tried = {*failed, served}
    return [
        *(address for address in known.dead if address in present and address not in tried),
        *(address for address in dict.fromkeys(failed) if address != served),
    ]


def share(left: float, addresses: int, timeout: float) -> float | None:
    """Return the seconds that a connect may take: an even share of what is left, and at most a third of the timeout.

    None for the last address: only the deadline ends it.
    """
    return None if addresses < 2 else min(left / addresses, timeout / 3)


class Count:
    """Connects to addresses beside the session that is timed, only to count those that connect."""

    def __init__(self, addresses: Sequence[IpAddress], port: int, seconds: float) -> None:
        self._connects = {
            address: asyncio.create_task(_connects(address, port, seconds), name=f"count {address}")
            for _, address in addresses[:MAX_COUNTED]
        }

    async def dead(self, seconds: float) -> list[str]:
        """Return the addresses that did not connect, after `seconds` at most."""
        if self._connects:
            await asyncio.wait(self._connects.values(), timeout=max(0.0, seconds))
        return [address for address, connects in self._connects.items() if connects.done() and not connects.result()]

    @property
    def is_complete(self) -> bool:
        """Whether each address is known to connect or not."""
        return all(connects.done() for connects in self._connects.values())

    def cancel(self) -> None:
        """Stop counting."""
        for connects in self._connects.values():
            connects.cancel()


async def _connects(address: str, port: int, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, address, port)
    except OSError:
        return False
    transport.abort()
    return True
