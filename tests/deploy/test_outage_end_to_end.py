"""From an outage in a network of its own to the notification: the network's fault, then the provider's."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path

from tests.daemon.outages import WITH_CONTROLS, Watcher
from tests.daemon.test_outages import refuse_imap
from tests.deploy.test_alertmanager import with_short_waits
from tests.deploy.test_end_to_end import divide_rules
from tests.deploy.test_page import check, configuration
from tests.deploy.test_rules import PROMETHEUS
from tests.servers.alertmanager import Alertmanager
from tests.servers.authority import Authority
from tests.servers.internet import Internet
from tests.servers.network import Network
from tests.servers.ntfy import Ntfy
from tests.servers.prometheus import Prometheus
from tests.servers.webhook import Webhook


def test_the_network_then_the_provider(network: Network, authority: Authority, tmp_path: Path) -> None:
    """The uplink is cut: one notification, for the exporter. Then imap alone is refused: another; both are resolved."""
    (tmp_path / "trusted.pem").write_bytes(authority.ca_file.read_bytes())
    (tmp_path / "token").write_text("tk_0123", "utf-8")
    rules = [tmp_path / path.name for path in PROMETHEUS.glob("gmail-*.yml")]
    for path in rules:
        path.write_text(json.dumps(divide_rules(PROMETHEUS / path.name)), "utf-8")
    with ExitStack() as stack:
        internet = stack.enter_context(Internet(network, authority))
        webhook, ntfy = stack.enter_context(Webhook()), stack.enter_context(Ntfy())
        routed = with_short_waits(webhook.url, group_wait="5s", group_interval="3s")
        shown = configuration(ntfy.url, tmp_path / "token")
        for receiver, telephone in zip(routed["receivers"], shown["receivers"], strict=True):
            receiver["discord_configs"] = telephone["discord_configs"]
        alertmanager = stack.enter_context(Alertmanager({**routed, "templates": shown["templates"]}))
        exporter = stack.enter_context(Watcher(internet, tmp_path, "watcher", WITH_CONTROLS))
        exporter.wait_for(exporter.is_well)
        scrape = {
            "job_name": "gmail",
            "scrape_interval": "750ms",
            "scrape_timeout": "700ms",
            "static_configs": [{"targets": [exporter.url.removeprefix("http://")]}],
        }
        prometheus = stack.enter_context(Prometheus([scrape], rule_files=rules, alertmanagers=[alertmanager.address]))
        prometheus.wait_for("sum(gmail_up) == 3")

        network.cut_uplink()
        page = webhook.wait_for(lambda each: "GmailNetworkDown" in each.names)
        assert check(ntfy.wait_for(lambda each: each.priority == "urgent")).startswith("Our network is down.\n")
        time.sleep(4)  # the next time at which it could send another one
        assert webhook.received == [page]
        assert len(page.alerts) == 1
        internet.heal()
        webhook.wait_for(lambda each: "GmailNetworkDown" in each.names and each.status == "resolved")
        ntfy.wait_for(lambda each: each.text.startswith("Resolved: "))
        prometheus.wait_for("sum(ALERTS) or vector(0)", lambda found: found[0].value == 0)
        webhook.received.clear()
        ntfy.received.clear()

        refuse_imap(network)
        page = webhook.wait_for(lambda each: "GmailEndpointDown" in each.names)
        [alert] = page.alerts
        assert alert["labels"]["endpoint"] == "imap"
        assert alert["annotations"]["description"].startswith("Verdict: provider down, our network is fine. imap at ")
        first = check(ntfy.wait_for(lambda each: each.priority == "urgent")).splitlines()[0]
        assert first == "The mail provider is at fault; our network is fine."
        internet.heal()
        webhook.wait_for(lambda each: "GmailEndpointDown" in each.names and each.status == "resolved")
        assert {name for each in webhook.received for name in each.names} == {"GmailEndpointDown"}
