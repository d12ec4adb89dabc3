"""Outages that are real: what the page says first, the verdict, its evidence, the alert. See docs/outages.md."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.daemon.outages import BY_DEFAULT, WITH_CONTROLS, Watcher
from tests.daemon.test_composition_clock import FakeClock
from tests.deploy.test_alertmanager import SHIPPED
from tests.deploy.test_rules import PROMETHEUS
from tests.servers import acts
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap
from tests.servers.internet import IMAP, INCIDENT, NAMES, Internet
from tests.servers.network import Network
from tests.servers.process import find_program
from tests.waiting import settle

ROOT = Path(__file__).parent.parent.parent
SILENT = Imap(at={"greeting": acts.silence})
GOOGLE = ("ip daddr 142.250.27.0/24", "ip6 daddr 2a00:1450:4025::/64")


class Row(NamedTuple):
    """A row of the table in docs/outages.md."""

    outage: str
    page: str
    with_controls: str
    by_default: str
    alert: str
    alert_by_default: str


TABLE = {
    row.outage: row
    for line in (ROOT / "docs" / "outages.md").read_text("utf-8").splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == len(Row._fields)
    for row in [Row(*cells)]
    if row.outage not in ("outage", "---")
}


class World:
    """The internet, and two daemons at the client: with controls, and by default."""

    def __init__(self, internet: Internet, company: Authority, nobody: Authority, directory: Path) -> None:
        self.internet = internet
        self.network = internet.network
        self.company = company
        """An authority that this host trusts, and the public does not."""
        self.nobody = nobody
        self.directory = directory
        self.used_up = directory / "used-up"
        """While it exists, the daemons have no file descriptor left."""
        trusted = internet.authority.ca_file.read_bytes() + company.ca_file.read_bytes()
        (directory / "trusted.pem").write_bytes(trusted)
        self.full = Watcher(internet, directory, "full", WITH_CONTROLS)
        self.plain = Watcher(internet, directory, "plain", BY_DEFAULT)

    @property
    def watchers(self) -> tuple[Watcher, Watcher]:
        """Both daemons."""
        return self.full, self.plain

    def use(self, *addresses: str) -> None:
        """Let imap.gmail.com have these addresses."""
        for resolver in (self.internet.resolver, self.internet.second):
            resolver.names["imap.gmail.com"] = addresses

    def heal(self) -> None:
        """Make all as it was, and wait until that is known."""
        self.internet.heal()
        self.used_up.unlink(missing_ok=True)
        for watcher in self.watchers:
            watcher.wait_for(watcher.is_well)


@pytest.fixture(scope="module")
def world(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all outages, each of which heals."""
    directory = tmp_path_factory.mktemp("outages")
    company, nobody = (Authority(tmp_path_factory.mktemp(name)) for name in ("company", "nobody"))
    with Network() as network, Internet(network, authority) as internet, ExitStack() as stack:
        world = World(internet, company, nobody, directory)
        for watcher in world.watchers:
            stack.enter_context(watcher)
        yield world


def break_first_address(world: World) -> None:
    """Let nothing through to the first address of two."""
    world.use(*IMAP)
    world.network.filter("r3", f"ip daddr {IMAP[0]} drop")


def silence_first_address(world: World) -> None:
    """Let the first address of two accept connections, and say nothing."""
    world.use(*IMAP)
    world.internet.behave(SILENT, "imap")


def refuse_imap(network: Network) -> None:
    """Let the server refuse IMAP, as it does where nothing listens."""
    network.filter("server", *(f"{each} tcp dport 993 reject with tcp reset" for each in GOOGLE))


def refuse(world: World) -> None:
    """The same, and Google says that it has an incident."""
    world.internet.incidents.append(INCIDENT)
    refuse_imap(world.network)


OUTAGES: Mapping[str, Callable[[World], None]] = {
    "The uplink is down": lambda w: w.network.cut_uplink(),
    "A black hole behind the third router": lambda w: w.network.filter("r3", "drop"),
    "The second router drops port 993": lambda w: w.network.filter("r2", "tcp dport 993 drop"),
    "The second router rejects port 993": lambda w: w.network.filter("r2", "tcp dport 993 reject with tcp reset"),
    "Only Google's network cannot be reached": lambda w: w.network.filter("r3", *(f"{each} drop" for each in GOOGLE)),
    "The resolver is silent": lambda w: w.internet.resolver.names.update(dict.fromkeys(NAMES, "silence")),
    "The resolver answers only for one name": lambda w: w.internet.resolver.names.update(
        {name: "servfail" for name in NAMES if name != "pop.gmail.com"}
    ),
    "The resolver lies": lambda w: w.internet.resolver.names.update({"imap.gmail.com": ["10.9.0.1"]}),
    "IPv6 is broken": lambda w: w.network.filter("r2", "meta nfproto ipv6 drop"),
    "One of two addresses does not connect": break_first_address,
    "One of two addresses connects, and is silent": silence_first_address,
    "The server refuses, and Google has an open incident": refuse,
    "The server acknowledges, and is silent": lambda w: w.internet.behave(SILENT, "imap", "imap_second"),
    "A proxy intercepts TLS, and this host trusts it": lambda w: w.internet.intercept(w.company),
    "A proxy intercepts TLS, and nobody trusts it": lambda w: w.internet.intercept(w.nobody),
    "A captive portal": lambda w: w.internet.capture(),
    "All file descriptors are used up": lambda w: w.used_up.touch(),
}

WELL: Mapping[str, Callable[[Watcher], object]] = {
    "IPv6 is broken": lambda watcher: watcher.values("gmail_probe_ip_fallback")["imap"],
    "One of two addresses does not connect": lambda watcher: watcher.last("imap")["dead_addresses"],
    "A proxy intercepts TLS, and this host trusts it": lambda watcher: (
        watcher.values("gmail_tls_public_root")["imap"] == 0 and "TLS is intercepted" in watcher.get("/").text
    ),
}
"""Outages in which everything is up, and what tells of them."""

EVIDENCE: Mapping[str, str] = {
    "The uplink is down": r"neutral \(9\.9\.9\.9:443\), which answered before",
    "A black hole behind the third router": r"This host's resolver resolves no name",
    "The second router drops port 993": r"Port 443 of the same address: hop 3 \(10\.0\.3\.2\) and the server, at hop 4",
    "The second router rejects port 993": r"from hop 3; port 443 of the same address answers from hop 4",
    "Only Google's network cannot be reached": r"other \(imap\.mail\.yahoo\.com:993\) answered",
    "The resolver is silent": r"The resolver 8\.8\.8\.8 says that imap\.gmail\.com is at ",
    "The resolver answers only for one name": r"The resolver 8\.8\.8\.8 says that imap\.gmail\.com is at ",
    "The resolver lies": r"this host's resolver gives 10\.9\.0\.1, which is not public",
    "One of two addresses connects, and is silent": r"1 of 1 other addresses answer as they should",
    "The server acknowledges, and is silent": r"All that was sent was acknowledged",
    "The server refuses, and Google has an open incident": r"from hop 4; port 443 of .* answers from hop 4",
    "A proxy intercepts TLS, and nobody trusts it": r"has a root that the public does not know",
    "A captive portal": r"A captive portal answers a plain request",
    "The clock is a day ahead": r"This host's clock is 86,\d\d\d s ahead",
    "All file descriptors are used up": r"This process may open \d more files",
}


def test_table() -> None:
    """It has every outage that is tried, and no other."""
    assert set(TABLE) == {*OUTAGES, "The clock is a day ahead"}
    assert set(EVIDENCE) | set(WELL) == set(TABLE)


@pytest.mark.parametrize("outage", OUTAGES)
def test_outage(world: World, outage: str, tmp_path: Path) -> None:
    """The page, the verdict, its evidence and the alert are those of the table."""
    try:
        happen(world, outage, tmp_path)
    except AssertionError:  # some evidence is gathered once in an outage: a busy machine may have been late with it
        happen(world, outage, tmp_path)


def happen(world: World, outage: str, directory: Path) -> None:
    """Heal, let the outage begin, and check what is told of it."""
    world.heal()
    OUTAGES[outage](world)
    check(TABLE[outage], world.full, world.plain, directory)


def test_clock(world: World, tmp_path: Path) -> None:
    """The same with a clock that is a day ahead from the start, and a certificate that ends within a day."""
    world.heal()
    now = datetime.now(UTC)
    ending = world.internet.authority.issue(
        *NAMES, not_before=now - timedelta(hours=12), not_after=now + timedelta(hours=12)
    )
    for name in ("imap", "imap_second"):
        world.internet.servers[name].context = ending.context
    library = FakeClock(tmp_path / "clock").environ["LD_PRELOAD"]
    ahead = {"LD_PRELOAD": library, "FAKETIME": "+1d", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
    with (
        Watcher(world.internet, world.directory, "full-ahead", WITH_CONTROLS, environ=ahead) as full,
        Watcher(world.internet, world.directory, "plain-ahead", BY_DEFAULT, environ=ahead) as plain,
    ):
        check(TABLE["The clock is a day ahead"], full, plain, tmp_path)


def check(row: Row, full: Watcher, plain: Watcher, directory: Path) -> None:
    """Wait until both daemons have their verdict, and all is as the row says."""
    for watcher, verdict in ((full, row.with_controls), (plain, row.by_default)):
        wait_for(watcher, row.outage, verdict.strip("`"))
        if row.outage not in WELL:  # for the alerts, which two failures of each endpoint need
            watcher.wait_for(lambda each=watcher: each.failing_for() > 5)  # type: ignore[misc]
    page = re.escape(row.page).replace("…", ".+")

    def is_as_the_row_says() -> None:
        assert re.fullmatch(page, full.sentence())
        found, by_default = full.verdict(), plain.verdict()
        if row.outage in WELL:
            assert found is by_default is None
        else:
            assert found is not None
            assert by_default is not None
            assert f"`{by_default['name']}`" == row.by_default
            assert any(re.search(EVIDENCE[row.outage], fact) for fact in found["facts"]), found["facts"]
        for watcher, expected in ((full, row.alert), (plain, row.alert_by_default)):
            fired = alerts(watcher, directory)
            assert sorted(not_inhibited(fired)) == sorted(re.findall(r"\w+", expected)), fired

    settle(is_as_the_row_says)


def wait_for(watcher: Watcher, outage: str, verdict: str) -> None:
    """Wait until a daemon has its verdict, or what tells of an outage in which everything is up."""
    if outage in WELL:
        watcher.wait_for(lambda: WELL[outage](watcher))
    elif verdict == "unknown":
        watcher.wait_for(lambda: is_settled(watcher))
    else:
        watcher.wait_for_verdict(verdict)


def is_settled(watcher: Watcher) -> bool:
    """Whether a verdict of `unknown` is not one that only waits for the next probe, or for evidence."""
    found = watcher.verdict()
    return found is not None and watcher.failing_for() > 6 and "to be confirmed" not in found["sentence"]


def alerts(watcher: Watcher, directory: Path) -> set[str]:
    """The alerts that fire where everything stays as the daemon exposes it now."""
    own = {"job": "gmail", "instance": "a:9993"}
    series = [
        {"series": f"{name}{{{','.join(f'{key}={value!s}' for key, value in quoted({**dict(labels), **own}))}}}",
         "values": f"{value}x60"}
        for (name, labels), value in watcher.samples().items() if name.startswith("gmail_")
    ]  # fmt: skip
    series.append({"series": 'up{job="gmail",instance="a:9993"}', "values": "1x60"})
    files = [PROMETHEUS / name for name in ("gmail-recording.yml", "gmail-alerts.yml")]
    groups = [group["name"] for file in files for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    wanted = "group by (alertname) (ALERTS{alertstate='firing'})"
    # Of the wrong result promtool prints the right one.
    case = {
        "rule_files": [str(file) for file in files],
        "evaluation_interval": "30s",
        "group_eval_order": groups,
        "tests": [{"interval": "30s", "input_series": series, "promql_expr_test": [
            {"expr": wanted, "eval_time": "25m", "exp_samples": [{"labels": '{alertname="x"}', "value": 1}]}
        ]}],
    }  # fmt: skip
    path = directory / "case.yml"
    path.write_text(yaml.safe_dump(case), "utf-8")
    ran = subprocess.run(
        [find_program("promtool", "prometheus"), "test", "rules", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"got:(.*)", ran.stdout + ran.stderr, re.DOTALL)
    assert found, ran.stdout + ran.stderr
    return set(re.findall(r'alertname=\\?"(\w+)', found[1]))


def quoted(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The labels as in PromQL."""
    for name, value in labels.items():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        yield name, f'"{escaped}"'


def not_inhibited(fired: set[str]) -> set[str]:
    """Those that none of the others inhibits, by the shipped rules: all are about the same endpoint and exporter."""

    def chosen(matchers: list[str]) -> set[str]:
        left = set(fired)
        for matcher in matchers:
            name, operator, value = re.fullmatch(r'(\w+)(=~|!=|=)"(.*)"', matcher).groups()  # type: ignore[union-attr]
            if name == "alertname":
                left = {each for each in left if bool(re.fullmatch(value, each)) is not (operator == "!=")}
            else:
                left = set()  # by severity: the same alert, twice
        return left

    inhibited: set[str] = set()
    for rule in SHIPPED["inhibit_rules"]:
        if source := chosen(rule["source_matchers"]):
            inhibited |= chosen(rule["target_matchers"]) - source
    return fired - inhibited
