"""A webhook that Alertmanager notifies: what a telephone would show, by receiver and in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.servers.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Notification:
    """One request: the path that the receiver's address has, and the body as Alertmanager documents it."""

    path: str
    body: Mapping[str, Any]

    @property
    def status(self) -> str:
        """`firing` while any of its alerts is, else `resolved`."""
        return str(self.body["status"])

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Its alerts: `labels`, `annotations`, `status`, `startsAt` and so on."""
        alerts: list[dict[str, Any]] = self.body["alerts"]
        return alerts

    @property
    def names(self) -> set[str]:
        """The names of its alerts."""
        return {alert["labels"]["alertname"] for alert in self.alerts}


class Webhook(Receiver[Notification]):
    """Takes every notification and keeps it."""

    def take(self, path: str, authorization: str, body: bytes) -> int:
        """As every receiver does."""
        self.received.append(Notification(path, json.loads(body)))
        return 204

    def summary(self) -> str:
        """As every receiver does."""
        return str([(each.path, each.status, sorted(each.names)) for each in self.received])
