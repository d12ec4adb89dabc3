"""The examples of docs/migrating-from-blackbox.md in a real Prometheus: only addresses are replaced."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config.load import load
from exporter.exposition import blackbox
from tests.servers.authority import Authority
from tests.servers.blackbox import Blackbox
from tests.servers.dovecot import Dovecot
from tests.servers.exporter import Exporter
from tests.servers.process import find_program, free_port
from tests.servers.prometheus import Prometheus

DOCS = Path(__file__).parents[2] / "docs" / "migrating-from-blackbox.md"
MODULES, JOB, ALERTS, BETTER_ALERTS, DOMAIN_MODULE, DOMAIN_JOB, SHARDS = re.findall(
    r"```yaml\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL
)

SHARDED = ("imap.gmail.com", "imap.googlemail.com", "mail.example.com", "mail.example.org")


def shard_of(target: str) -> int:
    """Return the shard (of two) of a target by Prometheus' hashmod: the last eight octets of its MD5."""
    return int.from_bytes(hashlib.md5(target.encode()).digest()[8:], "big") % 2


def shared_out(targets: Iterable[str]) -> list[str]:
    """Four of the targets, two for each shard."""
    kept: dict[int, list[str]] = {0: [], 1: []}
    for target in targets:
        kept[shard_of(target)].append(target)
    return sorted(kept[0][:2] + kept[1][:2])


class Site:
    """A real Dovecot in Gmail's place and an address that is closed, probed by two exporters and a blackbox_exporter.

    Prometheus scrapes them by the documented jobs, the first of them once from either.
    """

    def __init__(self, directory: Path, authority: Authority, port: int) -> None:
        self.target = f"localhost:{port}"
        self.closed = f"localhost:{free_port()}"
        self.shards = shared_out(f"{number}.localhost:{port}" for number in range(99))
        config = yaml.safe_load(MODULES)
        config["modules"]["imap_tls"]["tls"] = {"ca_file": str(authority.ca_file)}
        config["probe"]["allow"] = [self.target, self.closed, *self.shards]
        path = directory / "config.yml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        self.exporters = [Exporter(directory / f"log{number}", path) for number in range(2)]
        module = {"prober": "tcp", "tcp": {"tls": True, "tls_config": {"ca_file": str(authority.ca_file)}}}
        self.blackbox = Blackbox({"imap_tls": module})
        self.rules = []
        for number, text in enumerate((ALERTS, BETTER_ALERTS)):
            self.rules.append(directory / f"rules{number}.yml")
            self.rules[-1].write_text(text.replace("86400 * 14", "86400 * 400"), "utf-8")  # they are valid for a year

    def address(self, number: int) -> str:
        """Return the address of an exporter."""
        return self.exporters[number].url.removeprefix("http://")

    def jobs(self) -> list[dict[str, Any]]:
        """Return the documented jobs with our addresses, and the first also as it was before."""
        targets = f"{self.target}\n          - {self.closed}"
        before = replaced(JOB, {"imap.gmail.com:993": targets, "localhost:9993": self.blackbox.address})
        after = replaced(JOB, {"imap.gmail.com:993": targets, "localhost:9993": self.address(0)})
        assert [key for key in before if before[key] != after[key]] == ["relabel_configs"]
        addresses = {f"{host}:993": ours for host, ours in zip(SHARDED, self.shards, strict=True)}
        addresses |= {f"exporter-{number}:9993": self.address(number) for number in range(2)}
        return [{**before, "job_name": "before"}, after, {**replaced(SHARDS, addresses), "job_name": "shards"}]


def replaced(text: str, addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return the scrape configuration in a text, with these addresses replaced."""
    for documented, ours in addresses.items():
        assert documented in text
        text = text.replace(documented, ours)
    (job,) = yaml.safe_load(text)["scrape_configs"]
    return dict(job)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority, dovecot_server: Dovecot) -> Iterator[Site]:
    """All programs started, except for Prometheus."""
    site = Site(tmp_path_factory.mktemp("migration"), authority, dovecot_server.imaps_port)
    with ExitStack() as stack:
        stack.enter_context(site.blackbox)
        for exporter in site.exporters:
            stack.enter_context(exporter)
        yield site


@pytest.fixture(scope="module")
def server(site: Site) -> Iterator[Prometheus]:
    """A Prometheus that has scraped every target."""
    with Prometheus(site.jobs(), rule_files=site.rules) as started:
        started.wait_for("up", lambda found: len(found) == 8 and all(sample.value == 1 for sample in found))
        yield started


def test_the_documented_job_for_mail_domains(tmp_path: Path) -> None:
    """The module is a configuration, and Prometheus takes the job, which names it."""
    file = tmp_path / "config.yml"
    file.write_text(DOMAIN_MODULE, "utf-8")
    module = load(file, {}).modules["mx"]
    assert (module.domain, module.port, module.security) == (True, 25, "starttls")
    (job,) = yaml.safe_load(DOMAIN_JOB)["scrape_configs"]
    assert job["params"] == {"module": [module.name]}
    assert module.timeout < float(job["scrape_timeout"].removesuffix("s"))
    scraping = tmp_path / "prometheus.yml"
    scraping.write_text(DOMAIN_JOB, "utf-8")
    subprocess.run([find_program("promtool", "prometheus"), "check", "config", str(scraping)], check=True)


def test_the_documented_modules_are_a_configuration(tmp_path: Path) -> None:
    """Unchanged."""
    (tmp_path / "gmail.yml").write_text(MODULES, "utf-8")
    modules = load(tmp_path / "gmail.yml", {}).modules
    assert {name: module.port for name, module in modules.items()} == {
        "imap_tls": 993,
        "pop3_tls": 995,
        "smtp_starttls": 587,
    }


def test_a_job_moves_by_changing_its_address(site: Site, server: Prometheus) -> None:
    """Every metric of blackbox_exporter exists, and those about targets have the same values."""
    same = 'probe_success{job="mail"} == on (instance) probe_success{job="before"}'
    assert {
        sample.labels["instance"]: sample.value for sample in server.wait_for(same, lambda found: len(found) == 2)
    } == {
        site.target: 1,
        site.closed: 0,
    }
    same = 'probe_ssl_earliest_cert_expiry{job="mail"} == on (instance) probe_ssl_earliest_cert_expiry{job="before"}'
    assert [sample.labels["instance"] for sample in server.query(same)] == [site.target]
    names = server.get("/api/v1/label/__name__/values", **{"match[]": '{job="before"}'})
    ours = server.get("/api/v1/label/__name__/values", **{"match[]": '{job="mail"}'})
    assert {name for name in names if name.startswith("probe_")} <= set(ours)
    assert {name for name in ours if name.startswith("probe_")} <= {family.metric.name for family in blackbox.FAMILIES}
    assert {"probe_failure_info", "probe_phase_duration_seconds"} <= set(ours)


def test_the_usual_alerts_evaluate(site: Site, server: Prometheus) -> None:
    """They fire as before, for a failed probe and an expiring certificate."""
    expected = {("ProbeFailed", site.closed), ("CertificateExpiresSoon", site.target)}
    for job in ("before", "mail"):
        # A busy machine may be slow, too.
        firing = f'ALERTS{{job="{job}",alertname!~".*Slow.*"}}'
        found = server.wait_for(firing, lambda alerts: len(alerts) >= 2)
        assert {(alert.labels["alertname"], alert.labels["instance"]) for alert in found} == expected
    assert len(server.query('avg_over_time(probe_duration_seconds{job="mail"}[5m])')) == 2
    rules = [rule for group in server.get("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert len(rules) == 5
    assert {rule["health"] for rule in rules} == {"ok"}


def test_targets_are_spread_by_their_hash(site: Site, server: Prometheus) -> None:
    """With the documented hashmod each target has one exporter, and each exporter has targets."""
    asked = {
        (target["labels"]["instance"], target["scrapeUrl"].split("/")[2]): target["health"]
        for target in server.targets()
        if target["labels"]["job"] == "shards"
    }
    assert asked == {(target, site.address(shard_of(target))): "up" for target in site.shards}
    found = server.query('probe_success{job="shards"}')
    assert sorted(sample.labels["instance"] for sample in found) == site.shards
