"""The other addresses of a name: whether the server answers there, while it fails at the one that was probed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from exporter.model.evidence import Tally
from exporter.model.outcome import Target
from exporter.model.settings import AddressChoice
from exporter.probing.probe import probe
from exporter.probing.resolve import FixedResolver, IpAddress, NameResolver

MOST = 3
"""Other addresses that are probed."""


async def other_addresses(target: Target, failed: str, resolver: NameResolver) -> Tally | None:
    """Probe the other addresses of the name over the same version of IP, up to the capabilities, at the same time.

    Returns:
        At how many the server answers as it should; None where the name has no other address.
    """
    try:
        found = await resolver.resolve(target.endpoint.host, target.ip_family)
    except Exception:  # noqa: BLE001 (of c-ares, whatever it is: then nothing is known of others)
        return None
    others = [each for each in found if each[1] != failed and (":" in each[1]) is (":" in failed)][:MOST]
    answers = await asyncio.gather(*(_answers(target, address) for address in others))
    return Tally(answers.count(True), answers.count(False)) if answers else None


async def _answers(target: Target, address: IpAddress) -> bool:
    # Without an account: these probes never log in.
    endpoint = replace(target.endpoint, account=None, folders=(), addresses=AddressChoice.FIRST)
    return (await probe(replace(target, endpoint=endpoint), FixedResolver(address))).ok
