"""What this host itself shows while an endpoint fails: its routes, its resolver, its clock, its open files."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable, Sequence

from aiodns.error import ARES_ECONNREFUSED, ARES_ENODATA, ARES_ENOTFOUND, ARES_ETIMEOUT, DNSError

from exporter.host.process import open_files
from exporter.model.address import Address, is_ip_address
from exporter.model.evidence import ControlState, HostFacts, SecondOpinion
from exporter.model.settings import IpFamily
from exporter.probing.classify import describe
from exporter.probing.redact import redact
from exporter.probing.resolve import NameResolver, NoAddress, Resolver, has_route

PATIENCE = 4.0
"""Seconds that a resolver gets."""

FEW_FILES = 16
"""Files that a look at controls and resolvers may need."""

_SOMEWHERE = {4: "192.0.2.1", 6: "2001:db8::1"}
"""Addresses that nobody has (RFC 5737, RFC 3849): a route to them is the default one. Nothing is sent there."""

_DESCRIPTORS = "/proc/self/fd"


def host_facts(address: str | None, controls: Iterable[ControlState], *, resolver_answers: bool | None) -> HostFacts:
    """Return the facts of this host.

    Args:
        address: The address of the server that fails; None where its name has none.
        controls: The last look at each control.
        resolver_answers: The result of `answers`.
    """
    skews = sorted((control.date_skew for control in controls if control.date_skew is not None), key=abs)
    return HostFacts(
        has_route_ipv4=_routed(4, address),
        has_route_ipv6=_routed(6, address),
        resolver_answers=resolver_answers,
        # The middle one; of two that differ, the smaller: one of them has a wrong clock itself.
        clock_skew=skews[(len(skews) - 1) // 2] if skews else None,
        open_files_left=open_files_left(),
    )


def open_files_left() -> int | None:
    """Return how many more files this process may open; None where the system does not tell."""
    try:
        # The listing itself takes one.
        return max(0, open_files() - len(os.listdir(_DESCRIPTORS)) + 1)  # noqa: PTH208 (a count)
    except FileNotFoundError:
        return None
    except OSError:
        return 0  # not even the listing could be opened


def files_are_scarce() -> bool:
    """Return whether this process may open so few more files that what fails here may fail for that reason."""
    left = open_files_left()
    return left is not None and left < FEW_FILES


def _routed(version: int, address: str | None) -> bool | None:
    kind = socket.AF_INET6 if version == 6 else socket.AF_INET
    to = address if address and (":" in address) is (version == 6) else _SOMEWHERE[version]
    try:
        return has_route(kind, to)
    except OSError:  # no more files: the route is not known
        return None


async def answers(resolver: NameResolver, names: Sequence[str]) -> bool | None:
    """Return whether the resolver is of any use: one of the names resolves, or it says of the only one that it is none.

    Of several names, of the endpoint and of its controls, one exists: a resolver that knows none of them is of no use.
    None without a name, or where this process may open no more files.
    """
    if files_are_scarce():
        return None
    asked = [name for name in dict.fromkeys(names) if not is_ip_address(name)]
    found = await asyncio.gather(*(_resolves(resolver, name) for name in asked))
    if len(found) == 1 and found[0] is None:
        return True
    return any(found) if found else None


async def _resolves(resolver: NameResolver, name: str) -> bool | None:
    """Return whether a name resolves; None where the resolver says that there is none, or that it has no address."""
    try:
        async with asyncio.timeout(PATIENCE):
            await resolver.resolve(name, IpFamily.ANY)
    except (DNSError, NoAddress) as error:
        is_answer = isinstance(error, NoAddress) or error.args[0] in (ARES_ENOTFOUND, ARES_ENODATA)
        return None if is_answer else False
    except OSError:  # the time is over; or no more files
        return False
    return True


async def opinions(resolvers: Sequence[Address], name: str, family: IpFamily) -> tuple[SecondOpinion, ...]:
    """Return what other resolvers say of a name; nothing of an address."""
    if is_ip_address(name) or files_are_scarce():
        return ()
    return tuple(await asyncio.gather(*(_opinion(each, name, family) for each in resolvers)))


async def _opinion(address: Address, name: str, family: IpFamily) -> SecondOpinion:
    # Not this host's own file of names: what the resolver itself says.
    resolver = Resolver([str(address)], uses_hosts=False)
    try:
        async with asyncio.timeout(PATIENCE):
            found = await resolver.resolve(name, family)
    except (DNSError, NoAddress) as error:
        is_silent = isinstance(error, DNSError) and error.args[0] in (ARES_ETIMEOUT, ARES_ECONNREFUSED)
        return SecondOpinion(str(address), name, failure=redact(describe(error)), is_reachable=not is_silent)
    except OSError as error:
        text = "no answer in time" if isinstance(error, TimeoutError) else describe(error)
        return SecondOpinion(str(address), name, failure=text, is_reachable=False)
    finally:
        await resolver.close()
    return SecondOpinion(str(address), name, tuple(each for _, each in found))
