"""From the mail servers to the notification: all programs are real, with the shipped rules and routes.

Dovecot and Postfix → the daemon → Prometheus → Alertmanager → a webhook. Time runs twenty times as fast: only durations
in the rules are divided; probes are a second apart, and Alertmanager waits less.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config.duration import parse_duration
from tests.deploy.test_alertmanager import with_short_waits
from tests.deploy.test_page import check, configuration
from tests.deploy.test_rules import PROMETHEUS
from tests.servers.alertmanager import Alertmanager
from tests.servers.authority import Authority
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, Dovecot
from tests.servers.exporter import EACH_SECOND, UNPLANNED, Exporter
from tests.servers.ntfy import Ntfy
from tests.servers.postfix import Postfix
from tests.servers.prometheus import Prometheus
from tests.servers.webhook import Notification, Webhook

FASTER = 20
EVALUATION = "15s"
"""The job of the example configuration."""


LABELS = {"tenant": "acme", "floor": "3"}
"""The own labels of one endpoint."""


def divide(duration: str) -> str:
    """Return a duration of Prometheus, divided."""
    return f"{round(parse_duration(duration) * 1000 / FASTER)}ms"


def divide_rules(path: Path) -> dict[str, Any]:
    """Return a file of rules with intervals, waits, windows and offsets divided."""
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    for group in document["groups"]:
        group["interval"] = divide(group.get("interval", EVALUATION))
        for rule in group["rules"]:
            for key in ("for", "keep_firing_for"):
                if key in rule:
                    rule[key] = divide(rule[key])
            rule["expr"] = re.sub(
                r"(?<=\[)\w+|(?<=\boffset )\w+|(?<=:)\d\w*(?=\])", lambda found: divide(found[0]), rule["expr"]
            )
    return document


class Site:
    """All programs, from the mail servers to the receiver."""

    def __init__(self, directory: Path, authority: Authority, dovecot: Dovecot, postfix: Postfix) -> None:
        self.secret = directory / "secret"
        self.secret.write_text(OPS_PASSWORD, "utf-8")
        common = {"host": "localhost", "tls": {"ca_file": str(authority.ca_file)}, "ip_family": "ipv4"}
        imap = {"protocol": "imap", "port": dovecot.imaps_port, "account": "ops", "labels": LABELS, **common}
        pop3 = {"protocol": "pop3", "port": dovecot.pop3s_port, "account": "ops", **common}
        # The port for other servers: it does not use Dovecot.
        mx = {"protocol": "smtp", "port": postfix.smtp_port, "security": "starttls", **common}
        config = directory / "gmail.yml"
        document = {
            "defaults": dict(EACH_SECOND),
            "accounts": {"ops": {"username": OPS_USER, "app_password": {"file": str(self.secret)}}},
            "endpoints": {"imap": imap, "pop3": pop3, "mx": mx},
        }
        config.write_text(json.dumps(document), "utf-8")
        self.exporter = Exporter(directory / "log", config, before=UNPLANNED)
        self.webhook = Webhook()
        self.ntfy = Ntfy()
        routed = with_short_waits(self.webhook.url, group_wait="5s", group_interval="3s")
        token = directory / "token"
        token.write_text("tk_0123", "utf-8")
        shown = configuration(self.ntfy.url, token)
        for receiver, telephone in zip(routed["receivers"], shown["receivers"], strict=True):
            receiver["discord_configs"] = telephone["discord_configs"]
        self.alertmanager = Alertmanager({**routed, "templates": shown["templates"]})
        self.rule_files = []
        for path in PROMETHEUS.glob("gmail-*.yml"):
            quick = directory / path.name
            quick.write_text(json.dumps(divide_rules(path)), "utf-8")
            self.rule_files.append(quick)

    def start(self, stack: ExitStack) -> None:
        """Start all programs, the receiver first."""
        stack.enter_context(self.webhook)
        stack.enter_context(self.ntfy)
        stack.enter_context(self.alertmanager)
        stack.enter_context(self.exporter)
        target = self.exporter.url.removeprefix("http://")
        scrape = {
            "job_name": "gmail",
            "scrape_interval": "750ms",
            "scrape_timeout": "700ms",
            "static_configs": [{"targets": [target]}],
        }
        self.prometheus = stack.enter_context(
            Prometheus([scrape], rule_files=self.rule_files, alertmanagers=[self.alertmanager.address])
        )

    def wait_until_all_is_well(self) -> None:
        """Wait until Prometheus has every endpoint up and the login accepted, and no alert pending or firing."""
        self.prometheus.wait_for("sum(gmail_up) == 3 and sum(gmail_check_success{check='login'}) == 2")
        self.prometheus.wait_for("sum(ALERTS) or vector(0)", lambda found: found[0].value == 0)

    def notification(self, name: str, status: str = "firing") -> Notification:
        """Return the first notification with that alert and that status."""
        return self.webhook.wait_for(lambda each: name in each.names and each.status == status)


@pytest.fixture(scope="module")
def whole_site(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, dovecot_server: Dovecot, postfix_server: Postfix
) -> Iterator[Site]:
    """One chain for three tests: Prometheus needs five seconds to find its targets."""
    with ExitStack() as stack:
        site = Site(tmp_path_factory.mktemp("site"), authority, dovecot_server, postfix_server)
        site.start(stack)
        yield site


@pytest.fixture
def site(whole_site: Site, dovecot: Dovecot, postfix: Postfix) -> Site:
    """All endpoints are up, and there was no notification."""
    whole_site.wait_until_all_is_well()
    whole_site.webhook.received.clear()
    whole_site.ntfy.received.clear()
    return whole_site


def test_only_durations_are_divided() -> None:
    """Everything else in the rules is unchanged."""
    for path in PROMETHEUS.glob("gmail-*.yml"):
        shipped = [rule for group in yaml.safe_load(path.read_text("utf-8"))["groups"] for rule in group["rules"]]
        quick = [rule for group in divide_rules(path)["groups"] for rule in group["rules"]]
        for before, after in zip(shipped, quick, strict=True):
            for key in before.keys() - {"for", "keep_firing_for", "expr"}:
                assert before[key] == after[key]
            plain = r"\[[^\]]*\]|offset \w+"
            assert re.split(plain, before["expr"]) == re.split(plain, after["expr"])
            assert all("ms" in window for window in re.findall(plain, after["expr"]))


def test_a_wrong_password_is_no_outage(site: Site) -> None:
    """The receiver for accounts is notified with the reason, once; there is no page, for everything answers.

    The account's other endpoint is held back, and has no alert of its own.
    """
    site.secret.write_text("wrong", "utf-8")
    notification = site.notification("GmailLoginFailing")
    assert notification.path == "/accounts"
    [alert] = notification.alerts
    refused = alert["labels"]["endpoint"]
    own = LABELS if refused == "imap" else {}
    assert alert["labels"].items() >= {"severity": "warning", "blame": "account", **own}.items()
    site.prometheus.wait_for(f"count(gmail_login_held_info{{cause_endpoint='{refused}'}}) == 2")
    suspended = "ALERTS{alertname='GmailLoginSuspended',alertstate='firing'}"
    site.prometheus.wait_for(f"{suspended[:-1]},endpoint='{refused}'}}")
    time.sleep(4)  # the next time at which Alertmanager could send another one
    assert [found.labels["endpoint"] for found in site.prometheus.query(suspended)] == [refused]
    assert site.webhook.received == [notification]
    assert alert["labels"]["reason"] == "auth_invalid_credentials"
    assert "with the account ops. Reason: auth_invalid_credentials" in alert["annotations"]["description"]
    site.secret.write_text(OPS_PASSWORD, "utf-8")
    assert site.notification("GmailLoginFailing", "resolved").path == "/accounts"
    told = {name for each in site.webhook.received if each.status == "firing" for name in each.names}
    assert told == {"GmailLoginFailing"}
    assert not site.prometheus.query("count_over_time(ALERTS{alertname='GmailEndpointDown'}[1h])")


def test_an_outage_is_one_page(site: Site, dovecot: Dovecot) -> None:
    """Dovecot stops: one page with the endpoints and the reasons. It starts: the page is resolved."""
    dovecot.stop()
    page = site.notification("GmailEndpointDown")
    # The next time at which it could send another one.
    time.sleep(4)
    assert site.webhook.received == [page]
    assert page.path == "/page"
    assert {alert["labels"]["endpoint"] for alert in page.alerts} == {"imap", "pop3"}
    assert "error expanding template" not in json.dumps(page.body)
    assert {alert["labels"].get("tenant"): alert["labels"].get("floor") for alert in page.alerts} == {
        "acme": "3",
        None: None,
    }
    for alert in page.alerts:
        labels, annotations = alert["labels"], alert["annotations"]
        assert labels.items() >= {"severity": "critical", "host": "localhost", "job": "gmail"}.items()
        assert labels["endpoint"] in annotations["summary"]
        assert "Reason: refused in connect. Blame: provider." in annotations["description"]
        assert annotations["runbook_url"].endswith("/GmailEndpointDown.md")
    shown = site.ntfy.wait_for(lambda each: each.priority == "urgent")
    assert shown.title == "GmailEndpointDown (2)"
    first, second = check(shown).splitlines()[:2]
    assert first == "The mail server on the exporter's own host is at fault."
    assert re.fullmatch(r"(imap|pop3) \(localhost:\d+\) does not answer \S+ \(and 1 more: (imap|pop3)\)", second)
    assert "\nRemedy: Start the mail server on the exporter's own host" in shown.text
    for group in site.prometheus.get("/api/v1/rules")["groups"]:
        assert [rule["name"] for rule in group["rules"] if rule["health"] != "ok"] == []
    dovecot.start()
    resolved = site.notification("GmailEndpointDown", "resolved")
    assert resolved.path == "/page"
    assert check(site.ntfy.wait_for(lambda each: each.title.startswith("Resolved: ")))
    assert {name for each in site.webhook.received for name in each.names} == {"GmailEndpointDown"}


def test_an_exporter_that_is_down_is_the_only_alert(site: Site) -> None:
    """It is the only notification."""
    assert site.exporter.stop()[0] == 0
    page = site.notification("GmailExporterDown")
    time.sleep(4)
    assert site.webhook.received == [page]
    assert page.path == "/page"
    [alert] = page.alerts
    assert alert["labels"].items() >= {"severity": "critical", "blame": "client", "job": "gmail"}.items()
    assert alert["labels"]["instance"] in alert["annotations"]["summary"]
