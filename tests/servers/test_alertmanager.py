"""Alertmanager takes alerts, notifies and ends as `alertmanager.py` claims."""

from __future__ import annotations

import pytest

from tests.servers.alertmanager import Alertmanager
from tests.servers.process import ServerError, is_listening, is_running
from tests.servers.webhook import Webhook


def configuration(url: str) -> dict[str, object]:
    """One receiver, told at once; one alert silences another."""
    return {
        "route": {"receiver": "hook", "group_by": ["alertname"], "group_wait": "10ms", "group_interval": "50ms"},
        "receivers": [{"name": "hook", "webhook_configs": [{"url": f"{url}/hook"}]}],
        "inhibit_rules": [{"source_matchers": ["alertname=A"], "target_matchers": ["alertname=B"], "equal": ["place"]}],
    }


def alert(name: str, **more: object) -> dict[str, object]:
    """An alert as Prometheus sends it."""
    return {"labels": {"alertname": name, "place": "here"}, "annotations": {"summary": f"{name} is on"}, **more}


def test_alertmanager() -> None:
    """It notifies of an alert, tells which it suppresses and why it refused one, and leaves no process when stopped."""
    with Webhook() as webhook, Alertmanager(configuration(webhook.url)) as server:
        server.post([alert("A")])
        assert server.wait_for("A")[0]["annotations"] == {"summary": "A is on"}
        server.post([alert("B")])
        server.wait_for("B", "suppressed")
        notification = webhook.wait_for(lambda each: "A" in each.names)
        assert (notification.path, notification.status) == ("/hook", "firing")
        server.post([alert("A", endsAt="2020-01-01T00:00:00Z")])
        webhook.wait_for(lambda each: each.status == "resolved")

        with pytest.raises(ServerError, match="labels"):
            server.post([{}])
        with pytest.raises(ServerError, match="is not active"):
            server.wait_for("C", timeout=0)
        with pytest.raises(TimeoutError, match="firing"):
            webhook.wait_for(lambda each: "C" in each.names, timeout=0)

        members = server.members()
        server.stop()
        assert members
        assert not [pid for pid in members if is_running(pid)]
        assert not is_listening(server.port)


def test_bad_configuration() -> None:
    """What Alertmanager does not like about its configuration is in the failure."""
    with pytest.raises(ServerError, match="unknown_key"), Alertmanager({"unknown_key": 1}):
        pass
