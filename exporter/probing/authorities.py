"""The client's TLS context of a `ca_file`, which is looked at in a thread: a file system may never answer.

There is one look at a file at a time, whatever the number of endpoints: a thread that hangs never ends.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from exporter.model.settings import Tls
from exporter.probing import client_tls
from exporter.probing.client_tls import AuthoritiesUnreadable

FRESH = 5.0
"""Seconds after a look at a file in which it is taken to be as it was: a look costs a tenth of a handshake."""

PATIENCE = 2.0
"""Seconds that a probe waits for a look."""


@dataclass(frozen=True, slots=True)
class _Look:
    began: float
    result: Future[ssl.SSLContext | Exception]
    """An error is a result, too: nobody may be waiting for it any more."""


@dataclass(frozen=True, slots=True)
class _Good:
    began: float
    context: ssl.SSLContext


_Configuration = tuple[Path, str]
"""The file and the lowest version of TLS, which is all that a context depends on."""

_looks: dict[_Configuration, _Look] = {}
"""The last look at each file."""
_good: dict[_Configuration, _Good] = {}
"""What the last one found that succeeded."""


async def context_of(tls: Tls) -> ssl.SSLContext:
    """Return the client context of a TLS configuration, as `client_tls.context`, without ever blocking.

    Where the file system does not answer, it is the context of the last look that succeeded.

    Raises:
        AuthoritiesUnreadable: The file cannot be read, or is not read in time and never was.
    """
    if tls.ca_file is None:
        return client_tls.context(tls)
    now, of = time.monotonic(), (tls.ca_file, tls.min_version)
    good = _good.get(of)
    if good and now - good.began <= FRESH:
        return good.context  # what nearly every probe needs, without locks
    look = _looks.get(of)
    if look is None or (look.result.done() and now - look.began > FRESH):
        look = _looks[of] = _begin(tls, now)
    left = look.began + PATIENCE - now
    if not look.result.done() and left > 0:
        await asyncio.wait({asyncio.wrap_future(look.result)}, timeout=left)
    if look.result.done():
        found = look.result.result()
        if isinstance(found, Exception):
            raise AuthoritiesUnreadable(str(found)) from found
        good = _good[of] = _Good(look.began, found)
    elif good is None:
        raise AuthoritiesUnreadable(f"{tls.ca_file}: no answer of the file system within {PATIENCE:g} s")
    return good.context


def _begin(tls: Tls, now: float) -> _Look:
    look = _Look(now, Future())

    def work() -> None:
        try:
            look.result.set_result(client_tls.context(tls))
        except Exception as error:  # noqa: BLE001 (raised where the result is wanted)
            look.result.set_result(error)

    threading.Thread(target=work, name="authorities", daemon=True).start()
    return look
