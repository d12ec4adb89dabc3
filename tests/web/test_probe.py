"""`/probe`, in process, against scripted servers: whom it answers, what it connects to, and what it leaves behind."""

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
from exporter.model.shard import Shard, owner
from exporter.monitor.checker import Checker
from exporter.monitor.instruments import PROBE_RESULTS, ExporterMetrics
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver
from exporter.web.probe import MAX_QUERY, Probe
from exporter.web.server.application import application
from exporter.web.server.limits import FOREIGN
from tests.conftest import StartScripted
from tests.examples import SENTINEL
from tests.probing.conftest import Belongings
from tests.servers.acts import in_order, say, silence
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap
from tests.servers.dns import NameServer
from tests.servers.scripted import ScriptedServer, Session

SCRAPE = "X-Prometheus-Scrape-Timeout-Seconds"


class Desk:
    """`/probe` with everything behind it, and a name server that says where every name is."""

    def __init__(self, directory: Path, authority: Authority, names: NameServer) -> None:
        self.directory = directory
        self.authority = authority
        self.names = names
        self.shard = Shard()
        self.store = Store()
        self.resolver = Resolver([names.address])
        self.checker = Checker(self.store, self.resolver, Ledger(), {"SECRET": SENTINEL})
        self.metrics = ExporterMetrics()
        self.probe = Probe(self.checker, self.metrics)
        self.transport = httpx.ASGITransport(application(self.probe))

    def configure(self, text: str) -> Config:
        """Load a configuration, and apply it as the daemon does."""
        file = self.directory / "config.yml"
        file.write_text(text.replace("CA", str(self.authority.ca_file)), encoding="utf-8")
        config = load(file, {})
        self.checker.configure(self.shard.take(config))
        self.probe.configure(self.shard.take(config), self.shard.elsewhere(config))
        return config

    async def ask(
        self, query: str = "", /, method: str = "GET", headers: Any = None, **asked: object
    ) -> httpx.Response:
        """Scrape."""
        async with httpx.AsyncClient(transport=self.transport, base_url="http://exporter", timeout=20) as client:
            sent = {"accept-encoding": "identity", **(headers or {})}
            return await client.request(method, f"/probe?{query or urlencode(asked)}", headers=sent)

    def counted(self, result: str) -> float | None:
        """How many requests came to that."""
        return self.metrics.registry.get_sample_value("gmail_exporter_probe_requests_total", {"result": result})

    async def samples(self, **asked: str) -> dict[str, float]:
        """What a scrape brings, the labels as they stand."""
        answer = await self.ask(**asked)
        assert answer.status_code == 200, answer.text
        lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.fixture
async def desk(tmp_path: Path, authority: Authority) -> AsyncIterator[Desk]:
    """A desk without a configuration."""
    async with NameServer({"localhost": ["127.0.0.1"], "mail.example": ["127.0.0.1"]}) as names:
        desk = Desk(tmp_path, authority, names)
        yield desk
        await desk.checker.close()
        await desk.resolver.close()


ANY = 'modules: {plain: {protocol: imap, security: none}}\nprobe: {allow: ["*:*"]}'


async def test_it_is_off_without_modules(desk: Desk) -> None:
    """One clear line, whatever is asked."""
    answer = await desk.ask(target="imap.gmail.com")
    assert (answer.status_code, answer.text) == (404, "there is no /probe: the configuration has no modules\n")
    desk.configure("endpoints: {a: {protocol: imap, host: h}}\nprobe: {allow: ['*']}")
    assert (await desk.ask(target="imap.gmail.com")).status_code == 404


async def test_other_methods_are_refused(desk: Desk) -> None:
    """A probe is asked for with GET."""
    desk.configure(ANY)
    assert (await desk.ask(target="a", method="POST")).status_code == 405


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}])
async def test_a_page_of_another_site_probes_nothing(
    desk: Desk, scripted: StartScripted, headers: dict[str, str]
) -> None:
    """In an operator's browser it could spend the logins of an account; what the operator types in is answered."""
    server = await scripted(Imap())
    desk.configure(ANY)
    answer = await desk.ask(target=f"localhost:{server.port}", headers=headers)
    assert (answer.status_code, answer.text) == (403, FOREIGN)
    assert server.connections == 0
    assert desk.counted("refused") == 1
    answer = await desk.ask(target=f"localhost:{server.port}", headers={"Sec-Fetch-Site": "none"})
    assert (answer.status_code, server.connections) == (200, 1)


FORMS = "must be HOST, HOST:PORT or [IPV6]:PORT"
MISSING = "target is missing: HOST, HOST:PORT or [IPV6]:PORT"
BAD_PORT = "must have a port from 1 to 65535 behind the colon"
CONTROL = "must not hold control characters"
NOT_ASCII = "must be ASCII: write an internationalized name in its xn-- form"
LABELS = "must be a host name: letters, digits and hyphens, in parts of 1 to 63 between dots"


@pytest.mark.parametrize(
    ("asked", "said"),
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
        ({"target": "\u202egro.elgoog"}, rf'target "\u202egro.elgoog" {NOT_ASCII}'),
        ({"target": '<script>"'}, rf'target "<script>\"" {LABELS}'),
        ({"target": "h", "module": "imap"}, 'there is no module "imap"; known: plain'),
        ({"target": "h", "module": "\x1b[2J"}, r'there is no module "\u001b[2J"; known: plain'),
        ({"target": "h", "hostname": "a:1"}, 'hostname "a:1" must be a host name without a port'),
        ({"target": "h", "hostname": "a b"}, f'hostname "a b" {FORMS}, without spaces'),
    ],
)
async def test_bad_input_is_answered_with_one_clear_line(desk: Desk, asked: dict[str, str], said: str) -> None:
    """400, in our own words, and what was sent is shown on that one line."""
    desk.configure(ANY)
    answer = await desk.ask(**asked)
    assert (answer.status_code, answer.text) == (400, f"{said}\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert [desk.counted(result) for result in PROBE_RESULTS] == [0, 1, 0, 0]


async def test_a_parameter_stands_once(desk: Desk) -> None:
    """Two readers could take different ones."""
    desk.configure(ANY)
    for query, name in (("target=a&target=b", "target"), ("target=a&module=plain&module=plain", "module")):
        answer = await desk.ask(query)
        assert (answer.status_code, answer.text) == (400, f"{name} is there twice\n")


async def test_a_long_query_is_refused_unread(desk: Desk) -> None:
    """Also one whose every name is another. One that is longer still does not come as far as this."""
    desk.configure(ANY)
    for query in (b"target=" + b"x" * 10_000, b"&".join(b"a%d" % number for number in range(2000))):
        sent = await ask_raw(desk, query)
        assert sent[0]["status"] == 414
        assert sent[1]["body"] == b"the query is longer than %d octets\n" % MAX_QUERY


async def ask_raw(desk: Desk, query: bytes) -> list[Any]:
    """Ask as a server would that takes every query; what it is to send."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/probe", "query_string": query, "headers": [], "root_path": ""}
    await desk.transport.app(scope, receive, send)
    return sent


async def test_a_query_that_is_no_utf8_is_answered(desk: Desk) -> None:
    """As any other host name that is none."""
    desk.configure(ANY)
    assert (await desk.ask("target=%ff%fe&module=%")).status_code == 400


@pytest.mark.parametrize("seconds", ["", "abc", "0", "-1", "nan", "inf", "1e999", "10,20", "٣" * 100])
async def test_an_odd_timeout_is_explained(desk: Desk, seconds: str) -> None:
    """No answer would come in time, or nobody knows when that is."""
    desk.configure(ANY)
    answer = await desk.ask(target="h", headers={SCRAPE: seconds.encode("utf-8")})
    assert answer.status_code == 400
    assert answer.text.startswith("X-Prometheus-Scrape-Timeout-Seconds must be seconds above 0, not ")
    assert answer.text.count("\n") == 1


async def test_the_module_may_be_left_out_where_there_is_one(desk: Desk, scripted: StartScripted) -> None:
    """Of two, one has to be named; what is not known here is for others."""
    server = await scripted(Imap())
    desk.configure(ANY)
    query = f"target=localhost:{server.port}&foo=bar&foo=bar"
    assert "probe_success 1.0" in (await desk.ask(query)).text
    desk.configure("modules: {a: {protocol: imap}, b: {protocol: pop3}}")
    answer = await desk.ask(query)
    assert (answer.status_code, answer.text) == (400, "module is missing; known: a, b\n")


async def test_a_module_of_another_shard_is_there(desk: Desk, scripted: StartScripted) -> None:
    """The answer says where; a module without an account is everybody's."""
    server = await scripted(Imap())
    accounts = "accounts: {ops: {username: u, app_password: {env: SECRET}}}\n"
    ops = "ops: {protocol: imap, account: ops, allow_hosts: [localhost]}"
    theirs = owner("ops", 3)
    desk.shard = Shard((theirs + 1) % 3, 3)
    plain = "plain: {protocol: imap, security: none}"
    desk.configure(f"{accounts}modules: {{{plain}, {ops}}}\nprobe: {{allow: ['*:*']}}")
    words = f"the module ops is on shard {theirs}/3, which has its account\n"
    answer = await desk.ask(module="ops", target="localhost")
    assert (answer.status_code, answer.text) == (421, words)
    assert (await desk.samples(module="plain", target=f"localhost:{server.port}"))["probe_success"] == 1
    for asked in ({}, {"module": "x"}):
        assert (await desk.ask(**asked)).text.endswith("; known: plain, ops\n")
    desk.configure(f"{accounts}modules: {{{ops}}}")
    answer = await desk.ask(target="localhost")
    assert (answer.status_code, answer.text) == (421, words)


async def test_the_format_and_the_encoding_are_negotiated(desk: Desk, scripted: StartScripted) -> None:
    """As of /metrics."""
    server = await scripted(Imap())
    desk.configure(ANY)
    plain = await desk.ask(target=f"localhost:{server.port}")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert plain.headers["vary"] == "Accept, Accept-Encoding"
    modern = await desk.ask(target=f"localhost:{server.port}", headers={"accept": "application/openmetrics-text"})
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert modern.text.endswith("# EOF\n")
    async with httpx.AsyncClient(transport=desk.transport, base_url="http://exporter") as client:
        request = client.build_request(
            "GET", f"/probe?target=localhost:{server.port}", headers={"accept-encoding": "gzip"}
        )
        answer = await client.send(request, stream=True)
        packed = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert b"probe_success 1.0" in gzip.decompress(packed)


async def test_nothing_of_it_is_stored(desk: Desk, scripted: StartScripted) -> None:
    """However many targets there were, none is remembered."""
    server = await scripted(Imap())
    desk.configure(ANY)
    await asyncio.gather(*(desk.ask(target=f"{'a' * n}.localhost:{server.port}") for n in range(1, 40)))
    assert len(desk.store) == 0


# What it connects to


async def test_without_patterns_it_stays_out_of_this_network(desk: Desk, scripted: StartScripted) -> None:
    """Whatever name or spelling leads inside; and no other port than the module's is tried."""
    server = await scripted(Imap())
    desk.configure(f"modules: {{plain: {{protocol: imap, security: none, port: {server.port}}}}}")
    desk.names.names |= {"six.example": ["::1"], "cloud.example": ["169.254.169.254"]}
    inside = [
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
    ]
    for target in [*inside, "::ffff:127.0.0.1", "[::ffff:7f00:1]", "[64:ff9b::127.0.0.1]", f"127.0.0.1:{server.port}"]:
        samples = await desk.samples(target=target)
        assert samples["probe_success"] == 0, target
        assert samples['probe_failure_info{phase="resolve",reason="address_not_public",blame="client"}'] == 1, target
        assert samples["probe_ip_addr_hash"] == 0
    for spelling in ("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1"):
        assert (await desk.ask(target=spelling)).status_code == 400
    answer = await desk.ask(target="imap.gmail.com:22")
    assert (answer.status_code, answer.text) == (
        403,
        f"port 22 is not that of the module plain, {server.port}: allow it in probe.allow\n",
    )
    assert server.connections == 0


async def test_the_address_that_was_judged_is_the_one_that_is_used(desk: Desk, scripted: StartScripted) -> None:
    """A name whose address changes with every question does not get in."""
    server = await scripted(Imap())
    desk.configure(f"modules: {{plain: {{protocol: imap, security: none, port: {server.port}, ip_family: ipv4}}}}")
    seen = set()
    for number in range(6):
        desk.names.names["rebinding.example"] = ["127.0.0.1"] if number % 2 else ["240.0.0.1"]
        samples = await desk.samples(target="rebinding.example")
        seen |= {name for name in samples if name.startswith("probe_failure_info")}
    assert seen == {'probe_failure_info{phase="resolve",reason="address_not_public",blame="client"}'}
    assert server.connections == 0


async def test_patterns_are_what_is_probed_and_nothing_else(desk: Desk, scripted: StartScripted) -> None:
    """Wherever an allowed name is; what is not allowed is refused before it is looked up."""
    server = await scripted(Imap())
    desk.configure(
        f"""
        modules:
          plain: {{protocol: imap, security: none, port: {server.port}}}
          own: {{protocol: imap, security: none, port: {server.port}, allow_hosts: [localhost]}}
        probe: {{allow: ["*.example", "h:143"]}}
        """
    )
    assert (await desk.samples(module="plain", target="mail.example"))["probe_success"] == 1
    assert (await desk.samples(module="own", target="localhost"))["probe_success"] == 1
    questions = len(desk.names.questions)
    refused = [
        ("plain", target)
        for target in ("localhost", "example", "mail.example:1", "127.0.0.1", "h", "mail.example.evil")
    ]
    for module, target in [*refused, ("own", "mail.example"), ("own", "localhost:1")]:
        answer = await desk.ask(module=module, target=target)
        of = "allow_hosts of the module own" if module == "own" else "probe.allow"
        assert (answer.status_code, answer.text) == (403, f'"{target}" is not in {of}\n')
    assert len(desk.names.questions) == questions
    assert server.connections == 2


async def test_a_hostname_is_what_the_certificate_is_for(
    desk: Desk, scripted: StartScripted, authority: Authority
) -> None:
    """As blackbox_exporter has it, where the module does not say it and no account depends on it."""
    server = await scripted(Imap(), security="tls", context=authority.issue("mail.example").context)
    desk.configure(
        f"""
        accounts: {{ops: {{username: u, app_password: {{env: SECRET}}}}}}
        modules:
          imaps: {{protocol: imap, port: {server.port}, tls: {{ca_file: CA}}}}
          named: {{protocol: imap, port: {server.port}, tls: {{ca_file: CA, server_name: other.example}}}}
          login: {{protocol: imap, port: {server.port}, tls: {{ca_file: CA}}, account: ops, allow_hosts: [localhost]}}
        probe: {{allow: [localhost]}}
        """
    )
    mismatch = 'probe_failure_info{phase="tls",reason="certificate_hostname_mismatch",blame="network"}'
    assert mismatch in await desk.samples(module="imaps", target="localhost")
    assert (await desk.samples(module="imaps", target="localhost", hostname="mail.example"))["probe_success"] == 1
    assert mismatch in await desk.samples(module="named", target="localhost", hostname="mail.example")
    answer = await desk.ask(module="login", target="localhost", hostname="mail.example")
    assert (answer.status_code, answer.text) == (
        400,
        "hostname is not for the module login: its account logs in to the target itself\n",
    )


# Logins


def login(server: ScriptedServer, hosts: str = "localhost", interval: str = "1h") -> str:
    """A module that logs in to a server."""
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
    """How many logins a server saw."""
    return sum(received.count(b" AUTHENTICATE ") for received in server.received)


async def test_an_account_logs_in_where_its_module_says_and_nowhere_else(desk: Desk, scripted: StartScripted) -> None:
    """Whatever stands in probe.allow, and however the target is spelled."""
    server, other = await scripted(Imap(), security="tls"), await scripted(Imap(), security="tls")
    desk.configure(login(server))
    samples = await desk.samples(target="localhost")
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
        answer = await desk.ask(target=target)
        assert answer.status_code == 403, target
    assert other.connections == 0
    assert server.connections == 1


async def test_no_login_where_the_certificate_is_not_good_for_the_target(
    desk: Desk, scripted: StartScripted, authority: Authority
) -> None:
    """Somebody who answers in the server's place gets nothing, and spends nothing of the budget."""
    impostor = await scripted(Imap(), security="tls", context=authority.wrong_name.context)
    desk.configure(login(impostor))
    samples = await desk.samples(target="localhost")
    assert samples["probe_success"] == 0
    assert "probe_login_success" not in samples
    assert SENTINEL.encode() not in b"".join(impostor.received)
    assert logins(impostor) == 0
    impostor.context = authority.issue().context
    assert (await desk.samples(target="localhost"))["probe_login_success"] == 1


async def test_logins_ask_the_budget_whoever_asks_and_however_often(desk: Desk, scripted: StartScripted) -> None:
    """One in an interval for each of allow_hosts, whatever the spelling, and over a reload that changes nothing."""
    server = await scripted(Imap(), security="tls")
    config = login(server, "localhost, 127.0.0.1")
    desk.configure(config)
    spellings = [
        "localhost",
        "LOCALHOST",
        "localhost.",
        f"Localhost:{server.port}",
        f"localhost.:{server.port}",
        "127.0.0.1",
    ]
    for target in spellings * 3:
        assert (await desk.samples(target=target))["probe_success"] == 1
        desk.configure(config)
    assert logins(server) == 2


async def test_a_refused_login_is_not_an_outage_and_holds_the_account(desk: Desk, scripted: StartScripted) -> None:
    """probe_success stays 1; that logins are held back shows until the secret changes."""
    server = await scripted(Imap(refusal=b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"), security="tls")
    desk.configure(login(server, interval="1s"))
    samples = await desk.samples(target="localhost")
    assert samples["probe_success"] == 1
    assert samples["probe_login_success"] == 0
    assert samples['probe_failure_info{phase="login",reason="auth_invalid_credentials",blame="account"}'] == 1
    for _ in range(3):
        samples = await desk.samples(target="localhost")
        assert samples["probe_login_suspended"] == 1
        assert "probe_login_success" not in samples
    assert logins(server) == 1


async def test_who_hangs_up_during_a_login_gets_no_second_one(desk: Desk, scripted: StartScripted) -> None:
    """It goes on, and it counts."""
    server = await scripted(Imap(at={"login": silence}), security="tls")
    desk.configure(login(server))
    before = Belongings()
    for number in range(1, 4):
        hung_up = asyncio.create_task(desk.ask(target="localhost"))
        await wait_until(lambda number=number: server.connections == number and logins(server) > 0)
        await asyncio.sleep(0.1)  # another login would come now
        hung_up.cancel()
        await asyncio.gather(hung_up, return_exceptions=True)
    assert logins(server) == 1
    assert desk.probe._running == 0
    await desk.checker.close()
    await desk.resolver.close()
    await before.assert_nothing_left()


async def test_who_hangs_up_during_a_login_does_not_keep_the_refusal_from_being_learned(
    desk: Desk, scripted: StartScripted
) -> None:
    """Or whoever reaches the port could have a refused secret tried again after every interval."""
    answered = asyncio.Event()

    async def until_answered(_session: Session) -> None:
        await answered.wait()

    refusal = say(b"{tag} NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n")
    server = await scripted(Imap(at={"login": in_order(until_answered, refusal)}), security="tls")
    desk.configure(login(server, interval="1s"))
    hung_up = asyncio.create_task(desk.ask(target="localhost"))
    await wait_until(lambda: logins(server) == 1)
    hung_up.cancel()
    await asyncio.gather(hung_up, return_exceptions=True)
    answered.set()
    await wait_until(lambda: not desk.checker._logins)
    samples = await desk.samples(target="localhost")
    assert samples["probe_login_suspended"] == 1
    assert logins(server) == 1


async def test_the_dialogue_is_shown_without_secrets(desk: Desk, scripted: StartScripted) -> None:
    """What was said with its time, what came of it and the metrics; nothing that moves a terminal."""
    greeting = b"* OK \x1b[2J<script>alert(1)</script> ready"
    server = await scripted(Imap(greeting=greeting, refusal=f"NO [ALERT] {SENTINEL}".encode()), security="tls")
    desk.configure(login(server))
    answer = await desk.ask(target="localhost", debug="true")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert SENTINEL not in answer.text
    assert " S: * OK \\x1b[2J<script>" in answer.text
    assert " C: " in answer.text
    for part in (
        "The result:\nserver_refused in login",
        "detail: ",
        "remedy: ",
        " s  tls\n",
        "\nprobe_success 1.0\n",
    ):
        assert part in answer.text
    assert answer.text.replace("\n", "").isprintable()


# Time


async def test_the_scrape_decides_how_long_it_may_take(desk: Desk, scripted: StartScripted) -> None:
    """Less the offset, at least half of it, and at most the module's timeout."""
    server = await scripted(Imap(at={"greeting": silence}))
    desk.configure(ANY.replace("none}", "none, timeout: 400ms}"))
    for seconds, deadline in (("0.7", "0.35"), ("0.2", "0.1"), ("60", "0.4"), ("1e-3", "0.0005")):
        answer = await desk.ask(target=f"localhost:{server.port}", debug="true", headers={SCRAPE: seconds})
        assert f"deadline {deadline} s\n" in answer.text
        assert "timeout in " in answer.text
    desk.probe._offset = 0.5
    answer = await desk.ask(target=f"localhost:{server.port}", debug="true", headers={SCRAPE: "0.85"})
    assert "deadline 0.4 s\n" in answer.text


async def test_no_more_are_under_way_than_allowed(desk: Desk, scripted: StartScripted) -> None:
    """503 with Retry-After; as soon as one is over the next may begin."""
    server = await scripted(Imap(at={"greeting": silence}))
    desk.configure('modules: {plain: {protocol: imap, security: none}}\nprobe: {allow: ["*:*"], max_concurrent: 2}')
    before = Belongings()
    running = [asyncio.create_task(desk.ask(target=f"localhost:{server.port}")) for _ in range(2)]
    await wait_until(lambda: server.connections == 2)
    answer = await desk.ask(target=f"localhost:{server.port}")
    assert (answer.status_code, answer.text) == (503, "2 probes are under way already (probe.max_concurrent)\n")
    assert answer.headers["retry-after"] == "1"
    assert desk.counted("busy") == 1
    assert desk.metrics.registry.get_sample_value("gmail_exporter_probes_in_flight") == 2
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    answer = await desk.ask(target=f"localhost:{server.port}", headers={SCRAPE: "0.2"})
    assert answer.status_code == 200
    assert desk.counted("answered") == 1
    assert desk.metrics.registry.get_sample_value("gmail_exporter_probes_in_flight") == 0
    await desk.resolver.close()
    await before.assert_nothing_left()


async def wait_until(holds: Any) -> None:
    """Wait for what happens elsewhere."""
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)
