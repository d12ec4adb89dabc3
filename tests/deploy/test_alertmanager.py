"""The Alertmanager example is valid, routes by amtool, and inhibits in the real Alertmanager."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_rules import ALERTS
from tests.servers.alertmanager import Alertmanager
from tests.servers.process import find_program
from tests.servers.webhook import Webhook

PATH = Path(__file__).parent.parent.parent / "deploy" / "alertmanager" / "alertmanager.yml"
SHIPPED: dict[str, Any] = yaml.safe_load(PATH.read_text("utf-8"))


def amtool(*arguments: str) -> str:
    """Return the standard output of amtool, which must succeed."""
    run = subprocess.run(
        [find_program("amtool", "prometheus-alertmanager"), *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_amtool_accepts_it() -> None:
    """Receivers, routes and inhibition are valid, and the secret is in a field that Alertmanager treats as one."""
    assert "SUCCESS" in amtool("check-config", str(PATH))
    for receiver in SHIPPED["receivers"]:
        [telephone] = receiver["discord_configs"]
        assert set(telephone["http_config"]["authorization"]) == {"credentials_file"}


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=GmailEndpointDown severity=critical", "page"),
        ("alertname=GmailDownEverywhere severity=critical", "page"),
        ("alertname=GmailExporterDown severity=critical blame=client", "page"),
        ("alertname=GmailLoginFailing severity=critical blame=provider", "page"),
        ("alertname=GmailLoginFailing severity=critical blame=google", "page"),  # of rules older than 0.2.0
        ("alertname=GmailLoginFailing severity=warning blame=account", "accounts"),
        ("alertname=GmailTokenRefreshFailing severity=warning blame=token", "accounts"),
        ("alertname=GmailLoginFailing severity=warning blame=client", "exporter"),
        ("alertname=GmailProbeStalled severity=warning blame=client", "exporter"),
        ("alertname=GmailTokenRefreshFailing severity=warning blame=provider", "tickets"),
        ("alertname=GmailTokenRefreshFailing severity=warning blame=google", "tickets"),
        ("alertname=GmailUnreachableFromOneSite severity=warning", "tickets"),
        ("alertname=GmailNetworkDown severity=critical blame=network", "page"),
        ("alertname=GmailProviderIncident severity=warning blame=provider", "tickets"),
    ],
)
def test_receiver(labels: str, receiver: str) -> None:
    """By severity, then by blame."""
    routed = amtool("config", "routes", "test", f"--config.file={PATH}", *labels.split())
    assert routed.split() == [receiver]


def test_exactly_the_critical_alerts_are_pages() -> None:
    """Routed with the labels that each rule sets."""
    for rule in ALERTS:
        given = {name: "any" if "{{" in value else value for name, value in rule["labels"].items()}
        labels = [f"{name}={value}" for name, value in {"alertname": rule["alert"], **given}.items()]
        routed = amtool("config", "routes", "test", f"--config.file={PATH}", *labels).split()
        assert (routed == ["page"]) is (rule["labels"]["severity"] == "critical"), rule["alert"]


def uncommented() -> str:
    """Return the file with the example of a customer in it, which has a # before each of its lines."""
    text, lines = re.subn(r"^( +)#(?=[- ] )", r"\1", PATH.read_text("utf-8"), flags=re.MULTILINE)
    assert lines == 12
    return text


def test_a_customer_is_told_of_its_own_endpoints(tmp_path: Path) -> None:
    """By the label `tenant`, as the comments show; who looks after all of them is told as well."""
    path = tmp_path / "alertmanager.yml"
    path.write_text(uncommented(), "utf-8")
    assert "SUCCESS" in amtool("check-config", str(path))

    def routed(*labels: str) -> list[str]:
        return amtool("config", "routes", "test", f"--config.file={path}", *labels).strip().split(",")

    down = ("alertname=GmailEndpointDown", "severity=critical")
    assert routed(*down, "tenant=acme") == ["acme", "page"]
    assert routed(*down, "tenant=other") == routed(*down) == ["page"]
    assert routed("alertname=GmailLoginFailing", "blame=account", "tenant=acme") == ["acme", "accounts"]


def with_short_waits(url: str, group_wait: str = "500ms", group_interval: str = "500ms") -> dict[str, Any]:
    """Return the shipped configuration with short waits, and with each receiver at a path of its name below `url`."""
    waits = {"group_wait": group_wait, "group_interval": group_interval}
    routes = [{**route, **waits} for route in SHIPPED["route"]["routes"]]
    route = {**SHIPPED["route"], **waits, "routes": routes}
    receivers = [
        {"name": receiver["name"], "webhook_configs": [{"url": f"{url}/{receiver['name']}"}]}
        for receiver in SHIPPED["receivers"]
    ]
    return {**SHIPPED, "templates": [], "route": route, "receivers": receivers}


@pytest.fixture
def running() -> Iterator[tuple[Alertmanager, Webhook]]:
    """A real Alertmanager with that configuration."""
    with Webhook() as webhook, Alertmanager(with_short_waits(webhook.url)) as alertmanager:
        yield alertmanager, webhook


def alert(name: str, endpoint: str = "imap", instance: str = "a:9993", **labels: str) -> dict[str, Any]:
    """Return an alert as the rules make it."""
    severity = next(rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name)
    base = {"severity": severity, "job": "gmail", "instance": instance, "endpoint": endpoint}
    base |= {"protocol": "imap", "host": f"{endpoint}.gmail.com", "port": "993"}
    return {"labels": {"alertname": name, **base, **labels}}


def without(one: dict[str, Any], *labels: str) -> dict[str, Any]:
    """Return the alert without some labels."""
    return {"labels": {name: value for name, value in one["labels"].items() if name not in labels}}


def of_domain(name: str, endpoint: str = "mx") -> dict[str, Any]:
    """Return an alert of a mail domain itself."""
    return without(alert(name, endpoint, domain="example.com", blame="unknown"), "protocol", "host", "port")


ONE_ENDPOINT = ("job", "instance", "endpoint", "protocol", "port")


def test_an_outage_of_gmail_is_one_page(running: tuple[Alertmanager, Webhook]) -> None:
    """Four endpoints, three sites and all alerts that follow are one page; a wrong password elsewhere is sent, too."""
    alertmanager, webhook = running
    endpoints = ("imap", "pop3", "smtps", "submission")
    everywhere = [without(alert("GmailDownEverywhere", each), "job", "instance") for each in endpoints]
    sites = [alert("GmailEndpointDown", each, site) for each in endpoints for site in ("a:9993", "b:9993", "c:9993")]
    login = alert("GmailLoginFailing", blame="provider", reason="timeout")
    burning = without(alert("GmailErrorBudgetBurningFast", window="1h"), "job", "instance")
    elsewhere = alert("GmailLoginFailing", "other", blame="account", reason="auth_invalid_credentials")
    alertmanager.post([*everywhere, *sites, login, burning, elsewhere])
    notified = webhook.wait_for(lambda each: each.path == "/accounts")
    assert {each["labels"]["endpoint"] for each in notified.alerts} == {"other"}
    page = webhook.wait_for(lambda each: each.path == "/page")
    assert page.names == {"GmailDownEverywhere"}
    assert {each["labels"]["endpoint"] for each in page.alerts} == set(endpoints)
    assert len(alertmanager.wait_for("GmailEndpointDown", "suppressed")) == len(sites)
    alertmanager.wait_for("GmailErrorBudgetBurningFast", "suppressed")
    assert [each.path for each in webhook.received].count("/page") == 1
    assert {each.path for each in webhook.received} == {"/page", "/accounts"}


@pytest.mark.parametrize(
    ("source", "inhibited", "notified"),
    [
        (
            alert("GmailExporterDown", blame="client"),
            [alert("GmailEndpointDown"), alert("GmailCertificateInvalid"), alert("GmailProbeStalled", blame="client")],
            [alert("GmailEndpointDown", instance="b:9993")],
        ),
        (
            without(alert("GmailNetworkDown", blame="network"), *ONE_ENDPOINT[2:], "host"),
            [
                *(alert(name, each) for name in ("GmailEndpointDown", "GmailPortBlocked") for each in ("imap", "pop3")),
                alert("GmailResolverFailing"),
                alert("GmailUnreachableFromOneSite"),
                alert("GmailCertificateInvalid"),
                alert("GmailLoginFailing", blame="account"),
                alert("GmailExchangeDown", "mx", domain="example.com"),
                *(of_domain(name) for name in ("GmailDomainDown", "GmailDomainPolicyFailing")),
            ],
            [
                alert("GmailEndpointDown", instance="b:9993"),
                without(alert("GmailHostDown", host="mail.example.com"), *ONE_ENDPOINT),
                alert("GmailProbeStalled", blame="client"),
            ],
        ),
        *(
            (
                alert(name, blame="network"),
                [alert("GmailEndpointDown"), alert("GmailUnreachableFromOneSite"), alert("GmailEndpointSlow")],
                [alert("GmailEndpointDown", "pop3"), alert("GmailEndpointDown", instance="b:9993")],
            )
            for name in ("GmailPortBlocked", "GmailResolverFailing")
        ),
        *(
            (
                alert(name, "mx", blame="network"),
                [alert("GmailExchangeDown", "mx", domain="example.com"), of_domain("GmailDomainDown")],
                [of_domain("GmailDomainDown", "other"), of_domain("GmailDomainPolicyFailing")],
            )
            for name in ("GmailPortBlocked", "GmailResolverFailing")
        ),
        (
            alert("GmailResolverFailing", blame="network"),
            [of_domain("GmailDomainLookupFailing")],
            [of_domain("GmailDomainDown"), of_domain("GmailDomainPolicyFailing")],
        ),
        (
            of_domain("GmailDomainDown"),
            [alert("GmailExchangeDown", "mx", domain="example.com"), of_domain("GmailDomainLookupFailing")],
            [alert("GmailExchangeDown", "other", domain="example.net")],
        ),
        (
            alert("GmailExchangeDown", "mx", domain="example.com"),
            [
                alert("GmailEndpointSlow", "mx"),
                without(alert("GmailErrorBudgetBurningFast", "mx"), "job", "instance"),
            ],
            [alert("GmailEndpointSlow", "mx", host="other.example.com"), of_domain("GmailDomainPolicyFailing")],
        ),
        (
            alert("GmailAddressDown"),
            [alert("GmailUnreachableFromOneSite"), alert("GmailEndpointSlow"), alert("GmailEndpointFlapping")],
            [alert("GmailEndpointDown", "pop3"), alert("GmailMailboxNearlyFull", blame="account")],
        ),
        (
            alert("GmailTLSIntercepted", blame="network"),
            [],
            [alert("GmailEndpointSlow"), alert("GmailLoginFailing", blame="account")],
        ),
        (
            alert("GmailCertificateInvalid"),
            [
                alert("GmailEndpointDown"),
                alert("GmailLoginFailing"),
                alert("GmailCertificateExpiring"),
                alert("GmailTLSIntercepted"),
            ],
            [
                alert("GmailEndpointDown", "pop3"),
                alert("GmailEndpointDown", host="other.example.com"),
                alert("GmailMailboxNearlyFull", blame="account"),
            ],
        ),
        (
            without(alert("GmailHostDown", host="mail.example.com"), *ONE_ENDPOINT),
            [
                alert("GmailEndpointDown", "pop3", host="mail.example.com"),
                without(alert("GmailDownEverywhere", host="mail.example.com"), "job", "instance"),
            ],
            [alert("GmailEndpointDown"), alert("GmailCertificateInvalid", host="mail.example.com")],
        ),
        (
            without(alert("GmailDownEverywhere", tenant="acme"), "job", "instance"),
            [alert("GmailEndpointDown", tenant="acme", customer="north"), alert("GmailEndpointSlow", tenant="acme")],
            [alert("GmailEndpointDown", tenant="other"), alert("GmailEndpointDown", host="other.example.com")],
        ),
        (
            alert("GmailEndpointDown"),
            [
                alert("GmailLoginFailing", blame="account"),
                alert("GmailLoginSuspended", blame="account"),
                alert("GmailFolderHidden", blame="account"),
                alert("GmailEndpointFlapping"),
                alert("GmailIPv6OnlyFailing"),
                without(alert("GmailErrorBudgetBurningSlowly"), "job", "instance"),
            ],
            [
                alert("GmailLoginFailing", "pop3", blame="account"),
                alert("GmailLoginFailing", host="other.example.com", blame="account"),
                alert("GmailCertificateExpiring"),
            ],
        ),
        (
            alert("GmailUnreachableFromOneSite"),
            [alert("GmailLoginFailing", blame="account"), alert("GmailEndpointSlow")],
            [alert("GmailLoginFailing", instance="b:9993", blame="account")],
        ),
        (
            without(
                alert("GmailTokenRefreshFailing", account="ops", reason="oauth_grant_revoked"),
                "endpoint", "protocol", "host", "port",
            ),
            [alert("GmailLoginFailing", reason="oauth_grant_revoked", blame="token")],
            [alert("GmailLoginFailing", reason="auth_invalid_credentials", blame="account")],
        ),
        (
            alert("GmailLoginFailing", blame="account"),
            [alert("GmailLoginSuspended", blame="account")],
            [alert("GmailLoginSuspended", "pop3", blame="account"), alert("GmailFolderHidden", blame="account")],
        ),
        (
            without(alert("GmailDeliveryFailing", delivery="ops-to-probe"), *ONE_ENDPOINT[2:], "host"),
            [without(alert("GmailDeliverySlow", delivery="ops-to-probe"), *ONE_ENDPOINT[2:], "host")],
            [
                without(alert("GmailDeliverySlow", delivery="other"), *ONE_ENDPOINT[2:], "host"),
                without(alert("GmailDeliveryInSpam", delivery="ops-to-probe"), *ONE_ENDPOINT[2:], "host"),
            ],
        ),
        (
            alert("GmailCertificateExpiring", severity="critical"),
            [alert("GmailCertificateExpiring", severity="warning")],
            [alert("GmailCertificateExpiring", "pop3", severity="warning")],
        ),
        (
            without(alert("GmailErrorBudgetBurningFast"), "job", "instance"),
            [without(alert("GmailErrorBudgetBurningSlowly"), "job", "instance")],
            [without(alert("GmailErrorBudgetBurningSlowly", "pop3"), "job", "instance")],
        ),
    ],
    ids=lambda value: value["labels"]["alertname"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_inhibition(
    running: tuple[Alertmanager, Webhook],
    source: dict[str, Any],
    inhibited: list[dict[str, Any]],
    notified: list[dict[str, Any]],
) -> None:
    """An alert inhibits the alerts that follow from it, and no others."""
    alertmanager, webhook = running
    alertmanager.post([source, *inhibited, *notified])

    def received() -> list[dict[str, Any]]:
        return [each["labels"] for notification in webhook.received for each in notification.alerts]

    for expected in (source, *notified):
        webhook.wait_for(lambda _, expected=expected: expected["labels"] in received())  # type: ignore[misc]
    assert not [each["labels"] for each in inhibited if each["labels"] in received()]
    held = [each["labels"] for each in alertmanager.alerts() if each["status"]["state"] == "suppressed"]
    assert all(each["labels"] in held for each in inhibited)
