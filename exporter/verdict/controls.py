"""Controls: what else is contacted, to compare a failing endpoint with.

A look is a connection, closed at once; with the provider's web also a TLS handshake and, while an endpoint fails, a
plain request, which shows a captive portal and another clock.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from aiodns.error import DNSError

from exporter.host.threads import in_thread
from exporter.model.evidence import ControlKind, ControlState
from exporter.model.settings import IpFamily, Tls
from exporter.model.verdict_settings import Control
from exporter.probing import client_tls
from exporter.probing.classify import describe
from exporter.probing.connection import Connection
from exporter.probing.redact import redact
from exporter.probing.resolve import IpAddress, NameResolver, NoAddress, routed
from exporter.verdict.plain_request import HTTP, Plain, ask
from exporter.verdict.this_host import files_are_scarce

INTERVAL = 900.0
"""Seconds between two looks while nothing fails."""

FRESH = 10.0
"""Seconds for which a look is good enough while something fails."""

LOOK_UP = 3.0
"""Seconds in which the name of a control must be looked up."""

PATIENCE = 5.0
"""Seconds in which it must be connected to, over each version of IP."""

AT_ONCE = 8
"""Controls that are looked at at the same time."""

_MAX_TRIED = 2
"""Addresses of one version of IP that are tried."""


_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the ssl module has no name for."""


@lru_cache(maxsize=1)
def timeless_context() -> ssl.SSLContext:
    """Return a client context that verifies as a probe's does, but for the time.

    Where this host's clock is wrong, the provider's web answers all the same.
    """
    built = client_tls.build_context(Tls())
    built.verify_flags |= _NO_CHECK_TIME
    return built


class Controls:
    """The controls in force, and the last look at each."""

    def __init__(
        self,
        resolver: NameResolver,
        *,
        context: Callable[[], ssl.SSLContext] = timeless_context,
        plain_port: int = HTTP,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = resolver
        self._context = context
        self._plain_port = plain_port
        self._monotonic = monotonic
        self._states: dict[Control, tuple[ControlState, ...]] = {}
        self._addresses: dict[Control, Sequence[IpAddress]] = {}
        """As they were last looked up."""
        self._ever_up: dict[Control, set[int]] = {}
        """The versions of IP over which it was up since it was configured."""
        self._looked_at = float("-inf")
        self._was_plain = False
        self._looking: asyncio.Task[None] | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)

    @property
    def states(self) -> tuple[ControlState, ...]:
        """The last look at each control, over each version of IP that it was looked at over."""
        return tuple(state for states in self._states.values() for state in states)

    def configure(self, controls: Sequence[Control]) -> None:
        """Keep exactly these controls. One that did not change keeps what is known of it."""
        if set(controls) - set(self._states):
            self._looked_at = float("-inf")
        self._states = {each: self._states.get(each, (_unknown(each),)) for each in controls}
        self._ever_up = {each: self._ever_up.get(each, set()) for each in controls}
        self._addresses = {each: found for each, found in self._addresses.items() if each in self._states}

    async def look(self, within: float = INTERVAL, *, plain: bool = False) -> None:
        """Look at all controls, unless the last look began within so many seconds. There is one look at a time.

        With `plain`, which is for when something fails, the look has the plain requests. Where this process may open
        no more files, nothing is looked at: it would be this process that fails.
        """
        if self._looking is not None and plain and not self._was_plain:
            await asyncio.shield(self._looking)  # it began while all was well
        if self._looking is None:
            if files_are_scarce():
                return
            if self._monotonic() - self._looked_at < within and (self._was_plain or not plain):
                return
            self._looked_at, self._was_plain = self._monotonic(), plain
            self._looking = asyncio.create_task(self._look_at_all(plain=plain), name="look at controls")
            self._looking.add_done_callback(self._done)
        await asyncio.shield(self._looking)

    def _done(self, _task: asyncio.Task[None]) -> None:
        self._looking = None

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look_at_all(self, *, plain: bool) -> None:
        await asyncio.gather(*(self._look_at(control, plain=plain) for control in list(self._states)))

    async def _look_at(self, control: Control, *, plain: bool) -> None:
        async with self._slots:
            states, said = await asyncio.gather(self._states_of(control), self._ask(control, plain=plain))
        if control in self._states:  # no reload has removed it
            self._states[control] = tuple(
                replace(state, date_skew=said.date_skew, portal=said.portal) for state in states
            )

    async def _ask(self, control: Control, *, plain: bool) -> Plain:
        if not plain or control.kind is not ControlKind.PROVIDER_WEB:
            return Plain()
        return await ask(control.host, self._resolver, port=self._plain_port, seconds=PATIENCE)

    async def _states_of(self, control: Control) -> list[ControlState]:
        """Return a state for each version of IP, or one without a version where no address was ever known."""
        try:
            async with asyncio.timeout(LOOK_UP):
                self._addresses[control] = await self._resolver.resolve(control.host, IpFamily.ANY)
        except (DNSError, NoAddress, OSError) as error:
            # A control shows whether the network works, not whether names do: it is looked at where it was before.
            if control not in self._addresses:
                text = "no answer from the resolver" if isinstance(error, TimeoutError) else redact(describe(error))
                return [self._state(control, None, f"its name cannot be looked up: {text}")]
        by_version: dict[int, list[str]] = {}
        for address in self._routed(control):
            by_version.setdefault(_version_of(address), []).append(address)
        return list(
            await asyncio.gather(*(self._over(control, version, found) for version, found in by_version.items()))
        )

    def _routed(self, control: Control) -> Sequence[str]:
        """Return its addresses: of the versions of IP that this host has a route for, or that have worked before."""
        found = self._addresses[control]
        try:
            kept = routed(found)
        except OSError:  # no more files: to connect says so
            kept = list(found)
        worked = self._ever_up.get(control, set())
        return [address for kind, address in found if (kind, address) in kept or _version_of(address) in worked]

    async def _over(self, control: Control, version: int, addresses: Sequence[str]) -> ControlState:
        detail, facts = "", None
        for address in addresses[:_MAX_TRIED]:
            try:
                async with asyncio.timeout(PATIENCE / _MAX_TRIED):
                    facts = await self._connect(control, address)
            except TimeoutError:
                detail = "no answer in time"
            except Exception as error:  # noqa: BLE001 (of the socket, of OpenSSL, of the peer: the detail says which)
                detail = redact(describe(error))
            else:
                self._ever_up.setdefault(control, set()).add(version)
                return self._state(control, version, None, facts)
        return self._state(control, version, detail)

    async def _connect(self, control: Control, address: str) -> bool | None:
        """Connect, with the provider's web speak TLS, and close.

        Returns:
            Whether the root is public; None where no TLS was spoken.
        """
        connection = Connection()
        try:
            await connection.open(address, control.port)
            if control.kind is not ControlKind.PROVIDER_WEB:
                return None
            context = await in_thread(self._context)  # the first time it takes 30 ms, which no probe should wait for
            secured = await connection.start_tls(context, control.host.removesuffix("."))
            facts = client_tls.facts(secured, verified=True)
            return facts.public_root if facts else None
        finally:
            await connection.close(0.0)

    def _state(
        self, control: Control, version: int | None, detail: str | None, public_root: bool | None = None
    ) -> ControlState:
        ever = self._ever_up.get(control, set())
        return replace(
            _unknown(control),
            up=detail is None,
            was_ever_up=bool(ever) if version is None else version in ever,
            at=time.time(),
            detail=detail or "",
            ip_version=version,
            public_root=public_root,
        )


def _unknown(control: Control) -> ControlState:
    return ControlState(control.name, control.kind, control.host, control.port)


def _version_of(address: str) -> int:
    return 6 if ":" in address else 4
