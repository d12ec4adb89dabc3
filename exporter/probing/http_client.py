"""One GET over HTTPS or HTTP, bounded in time and size.

It follows no redirect and uses no proxy, no cookie and no file of the environment: what answers is the server that was
asked. The name is looked up by this program's own resolver, as for a probe.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from exporter.host.threads import in_thread
from exporter.model.settings import IpFamily, Tls
from exporter.probing.addresses import MAX_TRIED, share
from exporter.probing.classify import describe
from exporter.probing.client_tls import build_context
from exporter.probing.redact import redact
from exporter.probing.resolve import IpAddress, NameResolver, routed

if TYPE_CHECKING:
    import httpcore

_PORTS = {"https": 443, "http": 80}


class Answer(NamedTuple):
    """An answer, whatever its status; the names of its headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """There is no answer that could be used. `str` says why, for people; `cause` is the error, where there was one."""

    def __init__(self, text: str, cause: BaseException | None = None) -> None:
        super().__init__(text)
        self.cause = cause


class AnswerTooLarge(NoAnswer):
    """The answer is larger than its bound."""


class Bounds(NamedTuple):
    """What an answer may take."""

    seconds: float
    octets: int


@lru_cache(maxsize=1)
def web_context() -> ssl.SSLContext:
    """Return the TLS context of this client: that of a probe, but its own, since it also offers HTTP (ALPN)."""
    return build_context(Tls())


async def get(
    url: str,
    resolver: NameResolver,
    bounds: Bounds,
    *,
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """Return the answer to a GET of `url`, which is not verified by TLS where it begins with http://.

    Raises:
        NoAnswer: the name, the connection or TLS failed, the answer is not HTTP, or is beyond the bounds.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".")
    try:
        import httpcore  # noqa: PLC0415 (a megabyte, which no probe needs; where no file can be opened, this fails)

        async with asyncio.timeout(bounds.seconds):
            if context is None and parts.scheme == "https":
                context = await in_thread(web_context)  # the first time it takes 30 ms, which no probe should wait for
            addresses = routed(await resolver.resolve(host, IpFamily.ANY))
            target = httpcore.URL(
                scheme=parts.scheme.encode(),
                host=host.encode("ascii"),
                port=parts.port or _PORTS[parts.scheme],
                target=(f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/").encode("ascii"),
            )
            sent = {"Host": parts.netloc, "User-Agent": "gmail-exporter", "Accept-Encoding": "identity"}
            return await _first(addresses[:MAX_TRIED], target, {**sent, **(headers or {})}, bounds, context)
    except TimeoutError as error:
        raise NoAnswer(f"no whole answer within {bounds.seconds:g} s", error) from None
    except NoAnswer:
        raise
    except Exception as error:  # noqa: BLE001 (of the resolver, anyio, OpenSSL or h11: each has types of its own)
        cause = _innermost(error)
        raise NoAnswer(redact(describe(cause)), cause) from None


async def _first(
    addresses: Sequence[IpAddress],
    target: httpcore.URL,
    headers: Mapping[str, str],
    bounds: Bounds,
    context: ssl.SSLContext | None,
) -> Answer:
    """Return the answer of the first address that connects."""
    import httpcore  # noqa: PLC0415 (see `get`)

    host, left = target.host.decode(), len(addresses)
    for _, address in addresses:
        connect = share(bounds.seconds, left, bounds.seconds)
        left -= 1
        url = httpcore.URL(scheme=target.scheme, host=address.encode(), port=target.port, target=target.target)
        extensions = {"sni_hostname": host, "timeout": {"connect": connect}}
        async with httpcore.AsyncConnectionPool(ssl_context=context) as pool:
            try:
                async with pool.stream("GET", url, headers=list(headers.items()), extensions=extensions) as response:
                    return await _read(response, bounds.octets)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not left:
                    raise
    raise AssertionError("a name has an address")  # else the resolver raises


async def _read(response: httpcore.Response, most: int) -> Answer:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise NoAnswer("the answer is compressed, which was not asked for")
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > most:
            raise AnswerTooLarge(f"the answer is larger than {most} octets")
    return Answer(response.status, headers, bytes(body))


def _innermost(error: BaseException) -> BaseException:
    """Return the error that the others wrap."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error
