"""`/probe`: one probe for one scrape, as blackbox_exporter answers it.

A client can name any host here, so the target is checked first: an account logs in only to the hosts of its module's
`allow_hosts`; a host that is not allowed by name is probed on the module's port only, and at public addresses only.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.exposition import blackbox, blackbox_domain
from exporter.exposition.text import Format
from exporter.model.address import Address, HostPattern, is_ip_address, parse_address
from exporter.model.message import Unacceptable, show
from exporter.model.outcome import Target
from exporter.model.settings import Config, Module, ProbeSettings, Tls
from exporter.monitor.checker import Checker
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.mail_domains import look_up_exchanges
from exporter.probing.resolve import Resolver
from exporter.web.server.encoding import make_exposition, wanted_format, wants_gzip
from exporter.web.server.origins import FOREIGN, is_foreign

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.model.shard import Shard

T = TypeVar("T")

MAX_QUERY = 4096
"""Octets of a query at most: ten times what the known parameters can have."""

TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"

OFFSET = 0.5
"""Seconds by which an answer comes before the scrape's timeout, unless `--timeout-offset` is set."""

_PARAMETERS = ("target", "module", "debug", "hostname")


class Query(NamedTuple):
    """The target of a request, whether what is probed must have a public address, and whether the dialogue is asked."""

    target: Target
    public_only: Callable[[Address], bool]
    """Told for the server that is probed: the target, or an exchange of it."""
    debug: bool


class Probed(Protocol):
    """What is answered."""

    def exposition(self, fmt: Format) -> bytes:
        """Return the metrics."""

    def debug(self) -> str:
        """Return all that is known, for people."""


class Probe:
    """The answer to a scrape of `/probe`."""

    def __init__(self, checker: Checker, resolver: Resolver, metrics: ExporterMetrics, offset: float = OFFSET) -> None:
        self._checker = checker
        self._resolver = resolver
        self._metrics = metrics
        self._offset = offset
        self._modules: Mapping[str, Module] = {}
        self._elsewhere: Mapping[str, Shard] = {}
        self._settings = ProbeSettings()
        self._running = 0

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/probe", self.probe, methods=["GET"])]

    def configure(self, config: Config, elsewhere: Mapping[str, Shard] = MappingProxyType({})) -> None:
        """Serve exactly these modules; those in `elsewhere` belong to other shards."""
        self._modules, self._settings, self._elsewhere = config.modules, config.probe, elsewhere

    async def probe(self, request: Request) -> Response:
        """Probe the target of the query, and answer with its metrics, or with the dialogue."""
        try:
            query = self._read(request)
            with self._slot(), self._metrics.probes_in_flight.track_inprogress():
                probed = await _until_disconnect(request, self._probe(query))
        except ClientDisconnect:
            self._count("abandoned")
            return Response(status_code=499)  # the client has disconnected
        except HTTPException as refusal:
            self._count("busy" if refusal.status_code == 503 else "refused")
            return PlainTextResponse(f"{refusal.detail}\n", refusal.status_code, refusal.headers)
        self._count("answered")
        if query.debug:
            return PlainTextResponse(probed.debug())
        fmt = wanted_format(request)
        body = await make_exposition([probed.exposition(fmt)], fmt, gzip=wants_gzip(request))
        return body.answer(request)

    async def _probe(self, query: Query) -> Probed:
        """Probe the target, or look the domain up and probe each of its exchanges at the same time."""
        endpoint = query.target.endpoint
        if endpoint.domain is None:
            public_only = query.public_only(Address(endpoint.host, endpoint.port))
            return blackbox.ProbedTarget(await self._checker.check_requested(query.target, public_only=public_only))
        found = await look_up_exchanges(self._resolver, replace(endpoint, timeout=endpoint.timeout / 2))
        left = replace(endpoint, timeout=endpoint.timeout - found.seconds)
        targets = [Target(left.at(exchange.host), left.ip_family) for exchange in found.exchanges]
        # The first of them has the slot of the request.
        with self._slot(len(targets) - 1) if len(targets) > 1 else nullcontext():
            outcomes = await asyncio.gather(
                *(
                    self._checker.check_requested(
                        target, public_only=query.public_only(Address(target.endpoint.host, target.endpoint.port))
                    )
                    for target in targets
                )
            )
        return blackbox_domain.ProbedDomain(query.target, found, outcomes)

    def _count(self, result: str) -> None:
        self._metrics.probe_requests.labels(result).inc()

    def _read(self, request: Request) -> Query:
        if is_foreign(request.headers):  # it is a GET with an effect: it may use a login
            raise HTTPException(403, FOREIGN.rstrip())
        if not self._modules and not self._elsewhere:
            raise HTTPException(404, "there is no /probe: the configuration has no modules")
        parameters = _parameters(request)
        module = self._module(parameters.get("module", ""))
        address = _address("target", parameters.get("target", ""))
        if module.domain and is_ip_address(address.host):
            raise HTTPException(
                400,
                f"target {show(address.host)} must be a domain, such as example.com, with the module {module.name}",
            )
        self._check_allowed(module, address)
        timeout = min(module.timeout, _time_left(request, self._offset))
        endpoint = replace(module.endpoint(address), timeout=timeout)
        if parameters.get("hostname"):
            endpoint = replace(endpoint, tls=_tls_for_hostname(module, parameters["hostname"]))
        public_only = partial(self._is_public_only, module)
        return Query(Target(endpoint, endpoint.ip_family), public_only, parameters.get("debug") == "true")

    def _module(self, name: str) -> Module:
        names = [*self._modules, *self._elsewhere]
        if not name and len(names) == 1:
            name = names[0]
        if not name:
            raise HTTPException(400, f"module is missing; {_known(names)}")
        if name in self._elsewhere:
            # RFC 9110 §15.5.20: 421 means that another server answers this request.
            raise HTTPException(421, f"the module {name} is on shard {self._elsewhere[name]}, which has its account")
        if name not in self._modules:
            raise HTTPException(400, f"there is no module {show(name)}; {_known(names)}")
        return self._modules[name]

    def _allowed_hosts(self, module: Module) -> tuple[HostPattern, ...] | None:
        """What the module may probe at any address; None where nothing says it."""
        if module.account is not None or module.allow_hosts is not None:
            return module.allow_hosts or ()
        return self._settings.allow

    def _is_public_only(self, module: Module, address: Address) -> bool:
        """Whether a server is probed at public addresses only: no pattern allows it.

        A domain's owner says which exchanges it has; an exchange that no pattern allows is never inside this network.
        """
        allowed = self._allowed_hosts(module)
        return allowed is None or not _allowed(allowed, module, address)

    def _check_allowed(self, module: Module, address: Address) -> None:
        """Check that the target may be named.

        Raises:
            HTTPException: it is not allowed.
        """
        allowed = self._allowed_hosts(module)
        if allowed is not None and not _allowed(allowed, module, address):
            where = "probe.allow" if allowed is self._settings.allow else f"allow_hosts of the module {module.name}"
            raise HTTPException(403, f"{show(str(address))} is not in {where}")
        if allowed is None and address.port not in {None, module.port}:
            raise HTTPException(
                403,
                f"port {address.port} is not that of the module {module.name}, {module.port}: allow it in probe.allow",
            )

    @contextmanager
    def _slot(self, count: int = 1) -> Iterator[None]:
        if self._running + count > self._settings.max_concurrent:
            more = f", and {count} more would be too many" if count > 1 else ""
            text = f"{self._running} probes are under way already{more} (probe.max_concurrent)"
            raise HTTPException(503, text, {"Retry-After": "1"})
        self._running += count
        try:
            yield
        finally:
            self._running -= count


def _known(names: Sequence[str]) -> str:
    return f"known: {', '.join(names)}" if len(names) <= 10 else f"there are {len(names)}"


def _parameters(request: Request) -> Mapping[str, str]:
    """The known parameters of the query, each once; unknown ones are ignored, as blackbox_exporter does."""
    if len(request.scope["query_string"]) > MAX_QUERY:
        raise HTTPException(414, f"the query is longer than {MAX_QUERY} octets")
    parameters: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in parameters:
            raise HTTPException(400, f"{name} is there twice")
        if name in _PARAMETERS:
            parameters[name] = value
    return parameters


def _address(parameter: str, text: str) -> Address:
    if not text:
        raise HTTPException(400, f"{parameter} is missing: HOST, HOST:PORT or [IPV6]:PORT")
    try:
        return parse_address(text)
    except Unacceptable as mistake:
        raise HTTPException(400, f"{parameter} {show(text)} {mistake}") from None


def _tls_for_hostname(module: Module, hostname: str) -> Tls:
    """The TLS settings with the server name of the query, which blackbox_exporter calls hostname."""
    name = _address("hostname", hostname)
    if name.port is not None:
        raise HTTPException(400, f"hostname {show(hostname)} must be a host name without a port")
    if module.domain:
        raise HTTPException(400, f"hostname is not for the module {module.name}: each exchange has a name of its own")
    if module.account is not None:
        raise HTTPException(
            400, f"hostname is not for the module {module.name}: its account logs in to the target itself"
        )
    return module.tls if module.tls.server_name else replace(module.tls, server_name=name.host)


def _allowed(patterns: Iterable[HostPattern], module: Module, address: Address) -> bool:
    return any(pattern.matches(address, module.port) for pattern in patterns)


def _time_left(request: Request, offset: float) -> float:
    """Seconds until the answer must be sent; at least half of the scrape's timeout."""
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return math.inf
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise HTTPException(400, f"X-Prometheus-Scrape-Timeout-Seconds must be seconds above 0, not {show(text)}")
    return max(seconds - offset, seconds / 2)


async def _until_disconnect(request: Request, probing: Coroutine[object, object, T]) -> T:
    """Return the result of `probing`; when the client disconnects before, cancel it, except for a login.

    Raises:
        ClientDisconnect: the client has disconnected.
    """
    work, disconnect = asyncio.ensure_future(probing), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        work.cancel()
        disconnect.cancel()
        await asyncio.gather(work, disconnect, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
