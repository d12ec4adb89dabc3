"""Deliveries of the daemon, from the mailbox to the alert: the servers are real, and the rules are the shipped ones."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import yaml

from exporter.config.dump import dump
from exporter.model.settings import Delivery
from tests.deliveries.conftest import Lab
from tests.deliveries.test_daemon import LABELS, OFTEN
from tests.deploy.test_rules import PROMETHEUS
from tests.servers.dovecot import OPS_PASSWORD
from tests.servers.exporter import UNPLANNED, Exporter
from tests.servers.process import ServerError
from tests.servers.prometheus import Prometheus
from tests.servers.rspamd import Rspamd
from tests.waiting import PATIENCE

QUICK = f"""
{UNPLANNED}
{OFTEN}
import exporter.deliveries.finding as finding
finding.POLL = 0.2
"""

TIMEOUT = 5.0
AT_ONCE = ("GmailDelivery", "GmailLoginFailing")
"""The alerts that fire as soon as their expression holds; the tests of the rules are about how long it has to."""

BRIDGE = "[5m1s]"
"""For how long these alerts go by what was there before a restart; here, it is a second."""


class Watch:
    """A daemon that makes one delivery, and a Prometheus with the shipped rules."""

    def __init__(self, lab: Lab) -> None:
        senders = replace(lab.accounts["ops"], max_sends_per_day=2000, max_logins_per_day=10_000)
        readers = replace(lab.accounts["probe"], max_logins_per_day=10_000)
        lab.accounts |= {"ops": senders, "probe": readers}
        lab.endpoints |= {name: lab.submission(name) for name in ("signed", "advertising")}
        for name, endpoint in lab.endpoints.items():
            owner = senders if endpoint.account and endpoint.account.name == "ops" else readers
            lab.endpoints[name] = replace(endpoint, account=owner)
        self.lab = lab
        self.file = lab.directory / "gmail.yml"
        self._write("signed")
        flags = [f"--storage.path={lab.directory / 'daemon.db'}"]
        self.exporter = Exporter(lab.directory / "log", self.file, *flags, before=QUICK)

    @contextmanager
    def __call__(self) -> Iterator[Prometheus]:
        """Start both."""
        rules = [_at_once(path, self.lab.directory) for path in PROMETHEUS.glob("gmail-*.yml")]
        with self.exporter:
            address = self.exporter.url.removeprefix("http://")
            scrape = {"job_name": "gmail", "scrape_interval": "250ms", "static_configs": [{"targets": [address]}]}
            scrape["scrape_timeout"] = scrape["scrape_interval"]
            with Prometheus([scrape], rule_files=rules) as self.prometheus:
                yield self.prometheus

    def deliver_by(self, via: str) -> None:
        """Let the daemon submit at another endpoint from now on."""
        self._write(via)
        self.exporter.send(signal.SIGHUP)

    def wait_for(self, *alerts: str) -> None:
        """Wait until these alerts, and no others, are firing."""
        self.prometheus.wait_for(
            "count by (alertname) (ALERTS{alertstate='firing'})",
            lambda found: {each.labels["alertname"] for each in found} == {*alerts},
        )

    def value(self, name: str, **more: str) -> float | None:
        """A sample of the delivery."""
        return self.exporter.samples().get((name, frozenset({**LABELS, **more}.items())))

    def _write(self, via: str) -> None:
        lab = self.lab
        delivery: Delivery = lab.delivery(via=lab.endpoints[via], timeout=TIMEOUT)
        self.file.write_text(dump(replace(lab.config, deliveries={delivery.name: delivery})), "utf-8")


def _at_once(path: Path, directory: Path) -> Path:
    document = yaml.safe_load(path.read_text("utf-8"))
    for group in document["groups"]:
        group["interval"] = "500ms"
        for rule in group["rules"]:
            if rule.get("alert", "").startswith(AT_ONCE):
                rule.pop("for", None)
                rule["expr"] = rule["expr"].replace(BRIDGE, "[1s]")
    quick = directory / path.name
    quick.write_text(json.dumps(document), "utf-8")
    return quick


async def test_from_the_mailbox_to_the_alert(lab: Lab, rspamd: Rspamd) -> None:
    """Each thing that goes wrong with mail raises its own alert and no other, which ends with what is wrong."""
    await asyncio.to_thread(_go_through_everything, lab, rspamd)
    log = (lab.directory / "log").read_text("utf-8")
    for event in ("delivered", "delivery failed", "delivery not made"):
        assert event in log
    assert OPS_PASSWORD not in log


def _go_through_everything(lab: Lab, rspamd: Rspamd) -> None:
    watch = Watch(lab)
    with watch() as prometheus:
        prometheus.wait_for("gmail_delivery_up == 1")
        watch.wait_for()
        assert watch.value("gmail_delivery_folder", folder="inbox") == 1
        assert watch.value("gmail_delivery_leftover_messages") == 0
        assert watch.value("gmail_delivery_authentication", method="dkim", result="pass") == 1
        assert "Found in the inbox after" in watch.exporter.get("/deliveries").text

        rspamd.sign(with_right_key=False)
        watch.wait_for("GmailDeliveryUnauthenticated")
        assert watch.value("gmail_delivery_up") == 1
        rspamd.sign(with_right_key=True)
        watch.wait_for()

        with _queue_stopped(lab):
            watch.wait_for("GmailDeliveryFailing")
            failed = {"stage": "transfer", "reason": "message_missing", "blame": "provider"}
            assert watch.value("gmail_delivery_failure_info", **failed) == 1
            assert watch.value("gmail_delivery_folder", folder="inbox") is None
            _wait_until_one_is_late(lab)
        while not _was_slow(prometheus):  # this host was too busy to let it come in time
            with _queue_stopped(lab):
                _wait_until_one_is_late(lab)
        watch.wait_for()
        assert watch.value("gmail_delivery_up") == 1

        watch.deliver_by("advertising")
        watch.wait_for("GmailDeliveryInSpam")
        result = watch.exporter.get("/api/v1/deliveries").json()["deliveries"][0]["results"][-1]
        assert result["folder"] == "spam"
        watch.deliver_by("signed")
        watch.wait_for()

        (lab.directory / "ops.password").write_text("wrong", "utf-8")
        watch.wait_for("GmailLoginFailing")
        (alert,) = prometheus.query("ALERTS{alertname='GmailLoginFailing'}")
        assert (alert.labels["endpoint"], alert.labels["blame"]) == ("signed", "account")
        before = watch.value("gmail_deliveries_total", result="not_made") or 0
        prometheus.wait_for(f"gmail_deliveries_total{{result='not_made'}} > {before + 1}")
        assert not prometheus.query("gmail_delivery_up")
        assert not prometheus.query("ALERTS{alertname=~'GmailDelivery.*'}")


@contextmanager
def _queue_stopped(lab: Lab) -> Iterator[None]:
    lab.postfix.hold()
    try:
        yield
    finally:
        lab.postfix.release()


def _wait_until_one_is_late(lab: Lab) -> None:
    """Wait until one more message has waited in the queue for half of the time-out."""
    before, deadline = lab.postfix.deferred, time.monotonic() + PATIENCE
    while not lab.postfix.deferred > before:
        assert time.monotonic() < deadline, lab.postfix.log_text()[-2000:]
        time.sleep(0.02)
    time.sleep(0.5 * TIMEOUT)


def _was_slow(prometheus: Prometheus) -> bool:
    prometheus.wait_for("gmail_delivery_up == 1")
    with suppress(ServerError):
        prometheus.wait_for("count_over_time(ALERTS{alertname='GmailDeliverySlow',alertstate='firing'}[5m])", timeout=2)
        return True
    return False
