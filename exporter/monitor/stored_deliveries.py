"""What a restart must not cost of a delivery, as one line of text, and back.

Its last results, for the next one may be hours away. No secret is in them. What does not fit into a line is left out,
the oldest results first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from exporter.model.delivery import AuthResult, DeliveryFailure, DeliveryResult, Hop, Method, NotMade, Stage
from exporter.model.login import Denial
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Delivery, Role
from exporter.monitor.delivery_series import KEPT, DeliveryPast, DeliverySeries, way_of
from exporter.monitor.stored import DAY, GAP, NEVER, RIGHT, is_duration, text_of, time_of

MAX_HOPS = 20
MAX_FAILURES = 10
MAX_LEFTOVER = 1_000_000

_HEAD = 2048  # octets of a line without results: names, mailboxes, hosts

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredDeliveries:
    """The deliveries of a configuration, as a section of the file of the history."""

    deliveries: Iterable[DeliverySeries]
    kind: str = "delivery"

    @property
    def version(self) -> object:
        """What changes with each result."""
        return tuple((series.delivery.name, series.version) for series in self.deliveries)

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(1 for _ in self.deliveries)

    def lines(self, limit: int) -> Iterator[Fields]:
        """Yield what is stored of each delivery."""
        for series in self.deliveries:
            if series.results:
                yield encode(series, limit)

    def restore(self, fields: Fields) -> None:
        """Let a delivery go on with what is stored of it.

        Raises:
            ValueError, TypeError, LookupError, OverflowError: It cannot be read.
        """
        for series in self.deliveries:
            if series.delivery.name == fields["delivery"]:
                if past := decode(fields, series.delivery, series.interval, time.time()):
                    series.restore(past)
                return

    def restored(self) -> None:
        """Nothing follows from it."""


def encode(series: DeliverySeries, limit: int) -> Fields:
    """Return what is stored of a delivery, of `limit` octets of JSON at most."""
    left = limit - _HEAD
    results: list[Fields] = []
    for result in reversed(series.results):
        fields = _result(result)
        left -= len(json.dumps(fields)) + 2
        if left < 0:
            break
        results.insert(0, fields)
    delivery = series.delivery
    return {"delivery": delivery.name, "way": way_of(delivery), "since": series.since, "results": results}


def decode(fields: Fields, delivery: Delivery, interval: float, now: float) -> DeliveryPast | None:
    """Return what is stored of a delivery; None where the delivery is another one by now, or nothing is known.

    Raises:
        ValueError, TypeError, LookupError, OverflowError: It cannot be read.
    """
    if fields["way"] != way_of(delivery):
        return None
    until = now + DAY if now > RIGHT else NEVER  # as for a target
    results = [found for each in fields["results"][-KEPT:] if (found := _read(each, delivery, until))]
    if not results:
        return None
    since = time_of(fields["since"], until)
    is_recent = now - results[-1].ended_at <= max(GAP, 3 * interval)
    return DeliveryPast(results, since, is_recent=is_recent)


def _result(result: DeliveryResult) -> dict[str, object]:
    why = result.not_made
    return {
        "started_at": result.started_at,
        "ended_at": result.ended_at,
        "stages": dict(result.stages),
        "folder": result.folder,
        "found_over_pop3": result.found_over_pop3,
        "authentication": dict(result.authentication),
        "hops": [(hop.by, hop.seconds) for hop in result.hops],
        "failures": [(each.stage, each.reason, each.blame, each.detail) for each in result.failures[:MAX_FAILURES]],
        "not_made": why and (why.account, why.text, why.denial),
        "leftover": result.leftover,
    }


def _read(fields: Fields, delivery: Delivery, until: float) -> DeliveryResult | None:
    """Return a result; None where this version does not know a word of it, or its time is none."""
    started_at, ended_at = time_of(fields["started_at"], until), time_of(fields["ended_at"], until)
    try:
        stages = {Stage(name): float(seconds) for name, seconds in fields["stages"].items()}
        folder = Role(fields["folder"]) if fields["folder"] else None
        authentication = {Method(name): AuthResult(found) for name, found in fields["authentication"].items()}
        failures = [
            DeliveryFailure(Stage(stage), Reason(reason), Blame(blame), text_of(detail))
            for stage, reason, blame, detail in fields["failures"][:MAX_FAILURES]
        ]
        not_made = _not_made(*fields["not_made"]) if fields["not_made"] else None
    except ValueError:
        return None
    if started_at is None or ended_at is None or not all(map(is_duration, stages.values())):
        return None
    over_pop3, leftover = fields["found_over_pop3"], fields["leftover"]
    return DeliveryResult(
        delivery=delivery,
        started_at=started_at,
        ended_at=ended_at,
        stages=MappingProxyType(stages),
        folder=folder,
        found_over_pop3=over_pop3 if isinstance(over_pop3, bool) else None,
        authentication=MappingProxyType(authentication),
        hops=tuple(
            Hop(text_of(by), float(seconds))
            for by, seconds in fields["hops"][:MAX_HOPS]
            if is_duration(abs(float(seconds)))
        ),
        failures=tuple(failures),
        not_made=not_made,
        leftover=leftover if isinstance(leftover, int) and 0 <= leftover <= MAX_LEFTOVER else None,
    )


def _not_made(account: str, text: str, denial: str | None) -> NotMade:
    return NotMade(text_of(account), text_of(text), Denial(denial) if denial else None)
