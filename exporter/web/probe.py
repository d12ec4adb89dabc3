"""`/probe`: one probe for one scrape, as blackbox_exporter answers it.

Whoever reaches this port may name a host here, so what they name is judged before anything is done: an account logs in
to the hosts of its module's `allow_hosts` alone, and what nobody has allowed by name is probed on the module's port and
at public addresses only.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.exposition import blackbox
from exporter.model.address import Address, HostPattern, parse_address
from exporter.model.outcome import Target
from exporter.model.settings import Config, Module, ProbeSettings, Tls
from exporter.model.text import Unacceptable, show
from exporter.monitor.checker import Look
from exporter.monitor.instruments import ExporterMetrics
from exporter.web.server.encoding import negotiated
from exporter.web.server.limits import FOREIGN, is_foreign

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.model.shard import Shard

T = TypeVar("T")

MAX_QUERY = 4096
"""Octets of a query, at most: ten times what a target, a module and their names can have."""

TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"

OFFSET = 0.5
"""Seconds by which an answer comes before the scrape's time-out, unless `--timeout-offset` says otherwise."""

_PARAMETERS = ("target", "module", "debug", "hostname")


class Looks(Protocol):
    """`Checker.look`."""

    def __call__(self, target: Target, *, public_only: bool) -> Coroutine[object, object, Look]:
        """Probe a target, and remember nothing of it."""


class Question(NamedTuple):
    """What is asked: what to probe, and how far it may reach."""

    target: Target
    public_only: bool


class Probe:
    """The answer to a scrape of `/probe`."""

    def __init__(self, look: Looks, metrics: ExporterMetrics, offset: float = OFFSET) -> None:
        self._look = look
        self._metrics = metrics
        self._offset = offset
        self._modules: Mapping[str, Module] = {}
        self._elsewhere: Mapping[str, Shard] = {}
        self._settings = ProbeSettings()
        self._running = 0

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [Route("/probe", self.probe, methods=["GET"])]

    def configure(self, config: Config, elsewhere: Mapping[str, Shard] = MappingProxyType({})) -> None:
        """Serve exactly these modules; those `elsewhere` are other shards'."""
        self._modules, self._settings, self._elsewhere = config.modules, config.probe, elsewhere

    async def probe(self, request: Request) -> Response:
        """Probe the target that is asked for, and answer with its metrics, or with the dialogue."""
        try:
            debug, question = self._understand(request)
            with self._slot(), self._metrics.probes_in_flight.track_inprogress():
                seen = await _unless_gone(request, self._look(question.target, public_only=question.public_only))
        except ClientDisconnect:
            self._count("abandoned")
            return Response(status_code=499)  # nobody reads it
        except HTTPException as refusal:
            self._count("busy" if refusal.status_code == 503 else "refused")
            return PlainTextResponse(f"{refusal.detail}\n", refusal.status_code, refusal.headers)
        self._count("answered")
        if debug:
            return PlainTextResponse(blackbox.debug(seen))
        body, content_type = blackbox.exposition(seen, request.headers.get("accept", ""))
        return await negotiated(request, [body], content_type)

    def _count(self, result: str) -> None:
        self._metrics.probe_requests.labels(result).inc()

    def _understand(self, request: Request) -> tuple[bool, Question]:
        if is_foreign(request.headers):  # it is a GET that does something: it may spend a login
            raise HTTPException(403, FOREIGN.rstrip())
        if not self._modules and not self._elsewhere:
            raise HTTPException(404, "there is no /probe: the configuration has no modules")
        asked = _parameters(request)
        module = self._module(asked.get("module", ""))
        address = _address("target", asked.get("target", ""))
        public_only = self._judge(module, address)
        timeout = min(module.timeout, _time_left(request, self._offset))
        endpoint = module.endpoint(address).model_copy(update={"timeout": timeout})
        if asked.get("hostname"):
            endpoint = endpoint.model_copy(update={"tls": _named(module, asked["hostname"])})
        return asked.get("debug") == "true", Question(Target(endpoint, endpoint.ip_family), public_only)

    def _module(self, name: str) -> Module:
        names = [*self._modules, *self._elsewhere]
        if not name and len(names) == 1:
            name = names[0]
        if not name:
            raise HTTPException(400, f"module is missing; {_known(names)}")
        if name in self._elsewhere:
            # RFC 9110 §15.5.20: 421 is for who asks the wrong one of several servers.
            raise HTTPException(421, f"the module {name} is on shard {self._elsewhere[name]}, which has its account")
        if name not in self._modules:
            raise HTTPException(400, f"there is no module {show(name)}; {_known(names)}")
        return self._modules[name]

    def _judge(self, module: Module, address: Address) -> bool:
        """Whether an address is probed only where it is public.

        Raises:
            HTTPException: it is not probed at all.
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
    """The parameters that are known here, each once; what else there is is for others, as blackbox_exporter has it."""
    if len(request.scope["query_string"]) > MAX_QUERY:
        raise HTTPException(414, f"the query is longer than {MAX_QUERY} octets")
    asked: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in asked:
            raise HTTPException(400, f"{name} is there twice")
        if name in _PARAMETERS:
            asked[name] = value
    return asked


def _address(parameter: str, text: str) -> Address:
    if not text:
        raise HTTPException(400, f"{parameter} is missing: HOST, HOST:PORT or [IPV6]:PORT")
    try:
        return parse_address(text)
    except Unacceptable as mistake:
        raise HTTPException(400, f"{parameter} {show(text)} {mistake}") from None


def _named(module: Module, hostname: str) -> Tls:
    """How the server is verified where the scrape says its name, as blackbox_exporter takes it."""
    name = _address("hostname", hostname)
    if name.port is not None:
        raise HTTPException(400, f"hostname {show(hostname)} must be a host name without a port")
    if module.account is not None:
        raise HTTPException(
            400, f"hostname is not for the module {module.name}: its account logs in to the target itself"
        )
    return module.tls if module.tls.server_name else module.tls.model_copy(update={"server_name": name.host})


def _allowed(patterns: Iterable[HostPattern], module: Module, address: Address) -> bool:
    return any(pattern.matches(address, module.port) for pattern in patterns)


def _time_left(request: Request, offset: float) -> float:
    """Seconds until the answer must be on its way; at least half of what the scraper waits."""
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


async def _unless_gone(request: Request, looking: Coroutine[object, object, T]) -> T:
    """Return what comes of it; where the client hangs up before, nobody wants it, and it is ended, but for a login.

    Raises:
        ClientDisconnect: the client has hung up.
    """
    work, gone = asyncio.ensure_future(looking), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        work.cancel()
        gone.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
