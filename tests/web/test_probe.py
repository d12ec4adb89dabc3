"""`/probe`, in process, against scripted servers: what it refuses, what it connects to, and what it leaves open."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from exporter.accounts.ledger import Ledger
from exporter.config.load import load
from exporter.model.settings import Config
from exporter.model.shard import Shard, shard_number
from exporter.monitor.checker import Checker
from exporter.monitor.instruments import PROBE_RESULTS, ExporterMetrics
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver
from exporter.web.probe import MAX_QUERY, Probe
from exporter.web.server.application import application
from exporter.web.server.origins import FOREIGN
from tests.conftest import StartScripted
from tests.examples import SENTINEL
from tests.probing.conftest import Belongings
from tests.servers.acts import in_order, say, silence
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap
from tests.servers.dns import NameServer
from tests.servers.scripted import ScriptedServer, Session
from tests.waiting import PATIENCE, until

SCRAPE = "X-Prometheus-Scrape-Timeout-Seconds"


class Service:
    """`/probe` with a checker and a store, and a name server that has the addresses of every name."""

    names: NameServer

    def __init__(self, directory: Path, authority: Authority, address: str) -> None:
        self.directory = directory
        self.authority = authority
        self.shard = Shard()
        self.store = Store()
        self.resolver = Resolver([address])
        self.checker = Checker(self.store, self.resolver, Ledger(), {"SECRET": SENTINEL})
        self.metrics = ExporterMetrics()
        self.probe = Probe(self.checker, self.resolver, self.metrics)
        self.transport = httpx.ASGITransport(application(self.probe))

    def configure(self, text: str) -> Config:
        """Load a configuration, and apply it as the daemon does."""
        file = self.directory / "config.yml"
        file.write_text(text.replace("CA", str(self.authority.ca_file)), encoding="utf-8")
        config = load(file, {})
        self.checker.configure(self.shard.take(config))
        self.probe.configure(self.shard.take(config), self.shard.modules_elsewhere(config))
        return config

    async def ask(
        self, query: str = "", /, method: str = "GET", headers: Any = None, **parameters: object
    ) -> httpx.Response:
        """Send a scrape."""
        async with httpx.AsyncClient(transport=self.transport, base_url="http://exporter", timeout=PATIENCE) as client:
            sent = {"accept-encoding": "identity", **(headers or {})}
            return await client.request(method, f"/probe?{query or urlencode(parameters)}", headers=sent)

    def counted(self, result: str) -> float | None:
        """How many requests had this result."""
        return self.metrics.registry.get_sample_value("gmail_exporter_probe_requests_total", {"result": result})

    async def samples(self, **parameters: str) -> dict[str, float]:
        """The samples of a scrape, by name with labels."""
        answer = await self.ask(**parameters)
        assert answer.status_code == 200, answer.text
        lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.fixture
async def service(tmp_path: Path, authority: Authority) -> AsyncIterator[Service]:
    """A service without a configuration."""
    async with NameServer({"localhost": ["127.0.0.1"], "mail.example": ["127.0.0.1"]}) as names:
        service = Service(tmp_path, authority, names.address)
        service.names = names
        yield service
        await service.checker.close()
        await service.resolver.close()


ANY = 'modules: {plain: {protocol: imap, security: none}}\nprobe: {allow: ["*:*"]}'


async def test_no_modules(service: Service) -> None:
    """Without modules, every request is answered with 404."""
    answer = await service.ask(target="imap.gmail.com")
    assert (answer.status_code, answer.text) == (404, "there is no /probe: the configuration has no modules\n")
    service.configure("endpoints: {a: {protocol: imap, host: h}}\nprobe: {allow: ['*']}")
    assert (await service.ask(target="imap.gmail.com")).status_code == 404


async def test_other_methods(service: Service) -> None:
    """Any method but GET is answered with 405."""
    service.configure(ANY)
    assert (await service.ask(target="a", method="POST")).status_code == 405


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}])
async def test_cross_site_request(service: Service, scripted: StartScripted, headers: dict[str, str]) -> None:
    """A request of another site's page is refused, for it could spend logins; one that is typed in is answered."""
    server = await scripted(Imap())
    service.configure(ANY)
    answer = await service.ask(target=f"localhost:{server.port}", headers=headers)
    assert (answer.status_code, answer.text) == (403, FOREIGN)
    assert server.connections == 0
    assert service.counted("refused") == 1
    answer = await service.ask(target=f"localhost:{server.port}", headers={"Sec-Fetch-Site": "none"})
    assert (answer.status_code, server.connections) == (200, 1)


FORMS = "must be HOST, HOST:PORT or [IPV6]:PORT"
MISSING = "target is missing: HOST, HOST:PORT or [IPV6]:PORT"
BAD_PORT = "must have a port from 1 to 65535 behind the colon"
CONTROL = "must not hold control characters"
NOT_ASCII = "must be ASCII: write an internationalized name in its xn-- form"
LABELS = "must be a host name: letters, digits and hyphens, in parts of 1 to 63 between dots"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, MISSING),
        ({"target": ""}, MISSING),
        ({"target": "file:///etc"}, f'target "file:///etc" {FORMS}, without a scheme, a user or a path'),
        ({"target": "a b"}, f'target "a b" {FORMS}, without spaces'),
        ({"target": "[::1"}, f'target "[::1" {FORMS}; only an IPv6 address stands in brackets'),
        ({"target": "x" * 300}, f'target "{"x" * 64}…" must be a host name of at most 253 characters'),
        ({"target": "h:0"}, f'target "h:0" {BAD_PORT}'),
        ({"target": "h:99999"}, f'target "h:99999" {BAD_PORT}'),
        ({"target": "h\nevil 1"}, rf'target "h\nevil 1" {CONTROL}'),
        ({"target": "h\0"}, rf'target "h\u0000" {CONTROL}'),
        ({"target": "münchen.example"}, f'target "münchen.example" {NOT_ASCII}'),
        (
            {"target": "\u202egro.elgoog"},
            r'target "\u202egro.elgoog" must not hold an invisible character: U+202E (right-to-left override) at '
            "character 1",
        ),
        ({"target": '<script>"'}, rf'target "<script>\"" {LABELS}'),
        ({"target": "h", "module": "imap"}, 'there is no module "imap"; known: plain'),
        ({"target": "h", "module": "\x1b[2J"}, r'there is no module "\u001b[2J"; known: plain'),
        ({"target": "h", "hostname": "a:1"}, 'hostname "a:1" must be a host name without a port'),
        ({"target": "h", "hostname": "a b"}, f'hostname "a b" {FORMS}, without spaces'),
    ],
)
async def test_bad_input(service: Service, parameters: dict[str, str], message: str) -> None:
    """Bad input is answered with 400 and one line, in which it is quoted and escaped."""
    service.configure(ANY)
    answer = await service.ask(**parameters)
    assert (answer.status_code, answer.text) == (400, f"{message}\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert [service.counted(result) for result in PROBE_RESULTS] == [0, 1, 0, 0]


async def test_repeated_parameter(service: Service) -> None:
    """A parameter that is there twice is answered with 400."""
    service.configure(ANY)
    for query, name in (("target=a&target=b", "target"), ("target=a&module=plain&module=plain", "module")):
        answer = await service.ask(query)
        assert (answer.status_code, answer.text) == (400, f"{name} is there twice\n")


async def test_long_query(service: Service) -> None:
    """A query of more than `MAX_QUERY` octets is answered with 414, also with many parameters."""
    service.configure(ANY)
    for query in (b"target=" + b"x" * 10_000, b"&".join(b"a%d" % number for number in range(2000))):
        sent = await ask_raw(service, query)
        assert sent[0]["status"] == 414
        assert sent[1]["body"] == b"the query is longer than %d octets\n" % MAX_QUERY


async def ask_raw(service: Service, query: bytes) -> list[Any]:
    """Send a query of any length to the application, and return what it sends."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/probe", "query_string": query, "headers": [], "root_path": ""}
    await service.transport.app(scope, receive, send)
    return sent


async def test_query_that_is_not_utf8(service: Service) -> None:
    """A query that is not UTF-8 is answered with 400."""
    service.configure(ANY)
    assert (await service.ask("target=%ff%fe&module=%")).status_code == 400


@pytest.mark.parametrize("seconds", ["", "abc", "0", "-1", "nan", "inf", "1e999", "10,20", "٣" * 100])
async def test_bad_scrape_timeout(service: Service, seconds: str) -> None:
    """A scrape's timeout that is not a positive number of seconds is answered with 400 and one line."""
    service.configure(ANY)
    answer = await service.ask(target="h", headers={SCRAPE: seconds.encode("utf-8")})
    assert answer.status_code == 400
    assert answer.text.startswith("X-Prometheus-Scrape-Timeout-Seconds must be seconds above 0, not ")
    assert answer.text.count("\n") == 1


async def test_default_module(service: Service, scripted: StartScripted) -> None:
    """The module may be left out where there is one; unknown parameters are ignored."""
    server = await scripted(Imap())
    service.configure(ANY)
    query = f"target=localhost:{server.port}&foo=bar&foo=bar"
    assert "probe_success 1.0" in (await service.ask(query)).text
    service.configure("modules: {a: {protocol: imap}, b: {protocol: pop3}}")
    answer = await service.ask(query)
    assert (answer.status_code, answer.text) == (400, "module is missing; known: a, b\n")


async def test_module_of_another_shard(service: Service, scripted: StartScripted) -> None:
    """A module on another shard is answered with 421 and the shard; one without an account is on every shard."""
    server = await scripted(Imap())
    accounts = "accounts: {ops: {username: u, app_password: {env: SECRET}}}\n"
    ops = "ops: {protocol: imap, account: ops, allow_hosts: [localhost]}"
    other_shard = shard_number("ops", 3)
    service.shard = Shard((other_shard + 1) % 3, 3)
    plain = "plain: {protocol: imap, security: none}"
    service.configure(f"{accounts}modules: {{{plain}, {ops}}}\nprobe: {{allow: ['*:*']}}")
    message = f"the module ops is on shard {other_shard}/3, which has its account\n"
    answer = await service.ask(module="ops", target="localhost")
    assert (answer.status_code, answer.text) == (421, message)
    assert (await service.samples(module="plain", target=f"localhost:{server.port}"))["probe_success"] == 1
    for parameters in ({}, {"module": "x"}):
        assert (await service.ask(**parameters)).text.endswith("; known: plain, ops\n")
    service.configure(f"{accounts}modules: {{{ops}}}")
    answer = await service.ask(target="localhost")
    assert (answer.status_code, answer.text) == (421, message)


async def test_negotiation(service: Service, scripted: StartScripted) -> None:
    """Format and encoding are negotiated as for /metrics."""
    server = await scripted(Imap())
    service.configure(ANY)
    plain = await service.ask(target=f"localhost:{server.port}")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert plain.headers["vary"] == "Accept, Accept-Encoding"
    modern = await service.ask(target=f"localhost:{server.port}", headers={"accept": "application/openmetrics-text"})
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert modern.text.endswith("# EOF\n")
    async with httpx.AsyncClient(transport=service.transport, base_url="http://exporter") as client:
        request = client.build_request(
            "GET", f"/probe?target=localhost:{server.port}", headers={"accept-encoding": "gzip"}
        )
        answer = await client.send(request, stream=True)
        packed = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert b"probe_success 1.0" in gzip.decompress(packed)


async def test_nothing_is_stored(service: Service, scripted: StartScripted) -> None:
    """No target of a request is stored."""
    server = await scripted(Imap())
    service.configure(ANY)
    await asyncio.gather(*(service.ask(target=f"{'a' * n}.localhost:{server.port}") for n in range(1, 40)))
    assert len(service.store) == 0


# What it connects to


async def test_public_addresses_only(service: Service, scripted: StartScripted) -> None:
    """Without patterns, only public addresses and the module's port are allowed, in any spelling."""
    server = await scripted(Imap())
    service.configure(f"modules: {{plain: {{protocol: imap, security: none, port: {server.port}}}}}")
    service.names.names |= {"six.example": ["::1"], "cloud.example": ["169.254.169.254"]}
    not_public = [
        "localhost",
        "LOCALHOST.",
        "mail.example",
        "six.example",
        "cloud.example",
        "127.0.0.1",
        "::1",
        "[::1]",
        "0.0.0.0",
        "::",
        "::ffff:127.0.0.1",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        f"127.0.0.1:{server.port}",
    ]
    for target in not_public:
        samples = await service.samples(target=target)
        assert samples["probe_success"] == 0, target
        assert samples['probe_failure_info{phase="resolve",reason="address_not_public",blame="client"}'] == 1, target
        assert samples["probe_ip_addr_hash"] == 0
    for spelling in ("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1"):
        assert (await service.ask(target=spelling)).status_code == 400
    answer = await service.ask(target="imap.gmail.com:22")
    assert (answer.status_code, answer.text) == (
        403,
        f"port 22 is not that of the module plain, {server.port}: allow it in probe.allow\n",
    )
    assert server.connections == 0


async def test_dns_rebinding(service: Service, scripted: StartScripted) -> None:
    """The address that was checked is the one that is used: a name that changes its address is not connected to."""
    server = await scripted(Imap())
    service.configure(f"modules: {{plain: {{protocol: imap, security: none, port: {server.port}, ip_family: ipv4}}}}")
    seen = set()
    for number in range(6):
        service.names.names["rebinding.example"] = ["127.0.0.1"] if number % 2 else ["240.0.0.1"]
        samples = await service.samples(target="rebinding.example")
        seen |= {name for name in samples if name.startswith("probe_failure_info")}
    assert seen == {'probe_failure_info{phase="resolve",reason="address_not_public",blame="client"}'}
    assert server.connections == 0


async def test_allowed_targets(service: Service, scripted: StartScripted) -> None:
    """Only targets that a pattern allows are probed; the others are refused before any DNS query."""
    server = await scripted(Imap())
    service.configure(
        f"""
        modules:
          plain: {{protocol: imap, security: none, port: {server.port}}}
          own: {{protocol: imap, security: none, port: {server.port}, allow_hosts: [localhost]}}
        probe: {{allow: ["*.example", "h:143"]}}
        """
    )
    assert (await service.samples(module="plain", target="mail.example"))["probe_success"] == 1
    assert (await service.samples(module="own", target="localhost"))["probe_success"] == 1
    questions = len(service.names.questions)
    refused = [
        ("plain", target)
        for target in ("localhost", "example", "mail.example:1", "127.0.0.1", "h", "mail.example.evil")
    ]
    for module, target in [*refused, ("own", "mail.example"), ("own", "localhost:1")]:
        answer = await service.ask(module=module, target=target)
        pattern_key = "allow_hosts of the module own" if module == "own" else "probe.allow"
        assert (answer.status_code, answer.text) == (403, f'"{target}" is not in {pattern_key}\n')
    assert len(service.names.questions) == questions
    assert server.connections == 2


async def test_hostname(service: Service, scripted: StartScripted, authority: Authority) -> None:
    """`hostname` is the server name, unless the module sets one; it is refused for a module with an account."""
    server = await scripted(Imap(), security="tls", context=authority.issue("mail.example").context)
    service.configure(
        f"""
        accounts: {{ops: {{username: u, app_password: {{env: SECRET}}}}}}
        modules:
          imaps: {{protocol: imap, port: {server.port}, tls: {{ca_file: CA}}}}
          named: {{protocol: imap, port: {server.port}, tls: {{ca_file: CA, server_name: other.example}}}}
          login: {{protocol: imap, port: {server.port}, tls: {{ca_file: CA}}, account: ops, allow_hosts: [localhost]}}
        probe: {{allow: [localhost]}}
        """
    )
    mismatch = 'probe_failure_info{phase="tls",reason="certificate_hostname_mismatch",blame="unknown"}'
    assert mismatch in await service.samples(module="imaps", target="localhost")
    assert (await service.samples(module="imaps", target="localhost", hostname="mail.example"))["probe_success"] == 1
    assert mismatch in await service.samples(module="named", target="localhost", hostname="mail.example")
    answer = await service.ask(module="login", target="localhost", hostname="mail.example")
    assert (answer.status_code, answer.text) == (
        400,
        "hostname is not for the module login: its account logs in to the target itself\n",
    )


# Logins


def login_config(server: ScriptedServer, hosts: str = "localhost", interval: str = "1h") -> str:
    """A configuration with a module that logs in to a server."""
    return f"""
        accounts: {{ops: {{username: probe@gmail.com, app_password: {{env: SECRET}}}}}}
        modules:
          login:
            protocol: imap
            port: {server.port}
            account: ops
            login_interval: {interval}
            tls: {{ca_file: CA}}
            allow_hosts: [{hosts}]
        probe: {{allow: ["*:*"]}}
        """


def logins(server: ScriptedServer) -> int:
    """The number of logins that a server received."""
    return sum(received.count(b" AUTHENTICATE ") for received in server.received)


async def test_allow_hosts(service: Service, scripted: StartScripted) -> None:
    """An account logs in only at its module's `allow_hosts`, whatever `probe.allow` has, in any spelling."""
    server, other = await scripted(Imap(), security="tls"), await scripted(Imap(), security="tls")
    service.configure(login_config(server))
    samples = await service.samples(target="localhost")
    assert samples["probe_login_success"] == 1
    assert samples["probe_login_suspended"] == 0
    assert logins(server) == 1
    for target in (
        "mail.example",
        "127.0.0.1",
        f"localhost:{other.port}",
        "localhost.evil.example",
        "evil.localhost",
        "::1",
    ):
        answer = await service.ask(target=target)
        assert answer.status_code == 403, target
    assert other.connections == 0
    assert server.connections == 1


async def test_wrong_certificate(service: Service, scripted: StartScripted, authority: Authority) -> None:
    """With a certificate for another name, no credential is sent and the budget is not spent."""
    impostor = await scripted(Imap(), security="tls", context=authority.wrong_name.context)
    service.configure(login_config(impostor))
    samples = await service.samples(target="localhost")
    assert samples["probe_success"] == 0
    assert "probe_login_success" not in samples
    assert SENTINEL.encode() not in b"".join(impostor.received)
    assert logins(impostor) == 0
    impostor.context = authority.issue().context
    assert (await service.samples(target="localhost"))["probe_login_success"] == 1


async def test_login_budget(service: Service, scripted: StartScripted) -> None:
    """Each of `allow_hosts` has one login in an interval, in any spelling and after any reload."""
    server = await scripted(Imap(), security="tls")
    config = login_config(server, "localhost, 127.0.0.1")
    service.configure(config)
    spellings = [
        "localhost",
        "LOCALHOST",
        "localhost.",
        f"Localhost:{server.port}",
        f"localhost.:{server.port}",
        "127.0.0.1",
    ]
    for target in spellings * 3:
        assert (await service.samples(target=target))["probe_success"] == 1
        service.configure(config)
    assert logins(server) == 2


async def test_refused_login(service: Service, scripted: StartScripted) -> None:
    """A refused login leaves probe_success at 1, and holds further logins."""
    server = await scripted(Imap(refusal=b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"), security="tls")
    service.configure(login_config(server, interval="1s"))
    samples = await service.samples(target="localhost")
    assert samples["probe_success"] == 1
    assert samples["probe_login_success"] == 0
    assert samples['probe_failure_info{phase="login",reason="auth_invalid_credentials",blame="account"}'] == 1
    for _ in range(3):
        samples = await service.samples(target="localhost")
        assert samples["probe_login_suspended"] == 1
        assert "probe_login_success" not in samples
    assert logins(server) == 1


async def test_disconnect_during_a_login(service: Service, scripted: StartScripted) -> None:
    """A login goes on after its client has disconnected, and prevents a second one."""
    server = await scripted(Imap(at={"login": silence}), security="tls")
    service.configure(login_config(server))
    before = Belongings()
    requests: list[asyncio.Task[httpx.Response]] = []
    for _ in range(3):
        requests.append(asyncio.create_task(service.ask(target="localhost")))
        await until(lambda: server.connections == len(requests) and logins(server) > 0)
        await asyncio.sleep(0.1)  # another login would come now
        requests[-1].cancel()
        await asyncio.gather(*requests, return_exceptions=True)
    assert logins(server) == 1
    assert service.probe._running == 0
    await service.checker.close()
    await service.resolver.close()
    await before.assert_nothing_left()


async def test_refusal_after_a_disconnect(service: Service, scripted: StartScripted) -> None:
    """A refusal holds the account also where the client has disconnected before it came."""
    answered = asyncio.Event()

    async def until_answered(_session: Session) -> None:
        await answered.wait()

    refusal = say(b"{tag} NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n")
    server = await scripted(Imap(at={"login": in_order(until_answered, refusal)}), security="tls")
    service.configure(login_config(server, interval="1s"))
    request = asyncio.create_task(service.ask(target="localhost"))
    await until(lambda: logins(server) == 1)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    answered.set()
    await until(lambda: not service.checker._logins)
    samples = await service.samples(target="localhost")
    assert samples["probe_login_suspended"] == 1
    assert logins(server) == 1


async def test_debug(service: Service, scripted: StartScripted) -> None:
    """`debug` shows dialogue, result and metrics, without secrets and control characters."""
    greeting = b"* OK \x1b[2J<script>alert(1)</script> ready"
    server = await scripted(Imap(greeting=greeting, refusal=f"NO [ALERT] {SENTINEL}".encode()), security="tls")
    service.configure(login_config(server))
    answer = await service.ask(target="localhost", debug="true")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert SENTINEL not in answer.text
    assert " S: * OK \\x1b[2J<script>" in answer.text
    assert " C: " in answer.text
    for part in (
        "The result:\nauth_invalid_credentials in login",
        "detail: ",
        "remedy: ",
        " s  tls\n",
        "\nprobe_success 1.0\n",
    ):
        assert part in answer.text
    assert answer.text.replace("\n", "").isprintable()


# Time


async def test_deadline(service: Service, scripted: StartScripted) -> None:
    """The deadline is the scrape's timeout less the offset, at least half of it, at most the module's timeout."""
    server = await scripted(Imap(at={"greeting": silence}))
    service.configure(ANY.replace("none}", "none, timeout: 400ms}"))
    for seconds, deadline in (("0.7", "0.35"), ("0.2", "0.1"), ("60", "0.4"), ("1e-3", "0.0005")):
        answer = await service.ask(target=f"localhost:{server.port}", debug="true", headers={SCRAPE: seconds})
        assert f"deadline {deadline} s\n" in answer.text
        assert "timeout in " in answer.text
    service.probe._offset = 0.5
    answer = await service.ask(target=f"localhost:{server.port}", debug="true", headers={SCRAPE: "0.85"})
    assert "deadline 0.4 s\n" in answer.text


async def test_max_concurrent(service: Service, scripted: StartScripted) -> None:
    """Further probes are answered with 503 and Retry-After until a running one has ended."""
    server = await scripted(Imap(at={"greeting": silence}))
    service.configure('modules: {plain: {protocol: imap, security: none}}\nprobe: {allow: ["*:*"], max_concurrent: 2}')
    before = Belongings()
    running = [asyncio.create_task(service.ask(target=f"localhost:{server.port}")) for _ in range(2)]
    await until(lambda: server.connections == 2)
    answer = await service.ask(target=f"localhost:{server.port}")
    assert (answer.status_code, answer.text) == (503, "2 probes are under way already (probe.max_concurrent)\n")
    assert answer.headers["retry-after"] == "1"
    assert service.counted("busy") == 1
    assert service.metrics.registry.get_sample_value("gmail_exporter_probes_in_flight") == 2
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    answer = await service.ask(target=f"localhost:{server.port}", headers={SCRAPE: "0.2"})
    assert answer.status_code == 200
    assert service.counted("answered") == 1
    assert service.metrics.registry.get_sample_value("gmail_exporter_probes_in_flight") == 0
    await service.resolver.close()
    await before.assert_nothing_left()
