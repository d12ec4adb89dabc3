"""`/probe`: one probe for one scrape, as blackbox_exporter answers it.

A client can name any host here, so the target is checked first: an account logs in only to the hosts of its module's
`allow_hosts`; a host that is not allowed by name is probed on the module's port only, and at public addresses only.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.exposition import blackbox
from exporter.model.address import Address, HostPattern, parse_address
from exporter.model.message import Unacceptable, show
from exporter.model.outcome import Target
from exporter.model.settings import Config, Module, ProbeSettings, Tls
from exporter.monitor.checker import Checker
from exporter.monitor.instruments import ExporterMetrics
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
    """The target of a request, whether it must have a public address, and whether the dialogue is the answer."""

    target: Target
    public_only: bool
    debug: bool


class Probe:
    """The answer to a scrape of `/probe`."""

    def __init__(self, checker: Checker, metrics: ExporterMetrics, offset: float = OFFSET) -> None:
        self._checker = checker
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
                probing = self._checker.check_requested(query.target, public_only=query.public_only)
                outcome = await _until_disconnect(request, probing)
        except ClientDisconnect:
            self._count("abandoned")
            return Response(status_code=499)  # the client has disconnected
        except HTTPException as refusal:
            self._count("busy" if refusal.status_code == 503 else "refused")
            return PlainTextResponse(f"{refusal.detail}\n", refusal.status_code, refusal.headers)
        self._count("answered")
        if query.debug:
            return PlainTextResponse(blackbox.debug(outcome))
        fmt = wanted_format(request)
        body = await make_exposition([blackbox.exposition(outcome, fmt)], fmt, gzip=wants_gzip(request))
        return body.answer(request)

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
        public_only = self._check_allowed(module, address)
        timeout = min(module.timeout, _time_left(request, self._offset))
        endpoint = replace(module.endpoint(address), timeout=timeout)
        if parameters.get("hostname"):
            endpoint = replace(endpoint, tls=_tls_for_hostname(module, parameters["hostname"]))
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

    def _check_allowed(self, module: Module, address: Address) -> bool:
        """Return whether the target is probed at public addresses only.

        Raises:
            HTTPException: the target is not allowed.
        """
        if module.account is not None or module.allow_hosts is not None:
            if not _allowed(module.allow_hosts or (), module, address):
                raise HTTPException(403, f"{show(str(address))} is not in allow_hosts of the module {module.name}")
            return False
        if self._settings.allow is not None:
            if not _allowed(self._settings.allow, module, address):
                raise HTTPException(403, f"{show(str(address))} is not in probe.allow")
            return False
        if address.port not in {None, module.port}:
            raise HTTPException(
                403,
                f"port {address.port} is not that of the module {module.name}, {module.port}: allow it in probe.allow",
            )
        return True

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._running >= self._settings.max_concurrent:
            raise HTTPException(
                503, f"{self._running} probes are under way already (probe.max_concurrent)", {"Retry-After": "1"}
            )
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


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
