"""A delivery as a line of text, and back."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.model.delivery import DeliveryFailure, DeliveryResult, Hop, NotMade, Stage
from exporter.model.login import Denial
from exporter.model.reason import Blame, Reason
from exporter.model.settings import ExpectedFolder
from exporter.monitor.archive import Archive
from exporter.monitor.delivery_series import KEPT, DeliveryPast, DeliverySeries
from exporter.monitor.store import Store
from exporter.monitor.stored_deliveries import StoredDeliveries, decode, encode
from tests.deliveries.results import DELIVERY, IMAP, SENDER, VIA, delivered, in_spam, missing, not_made
from tests.waiting import until

NOW = 1_700_000_060.0
LIMIT = 64 * 1024
INTERVAL = 1800.0


def series_of(*results: DeliveryResult) -> DeliverySeries:
    """A delivery with these results."""
    series = DeliverySeries(DELIVERY, INTERVAL)
    for result in results:
        series.add(result)
    return series


def fields_of(series: DeliverySeries, limit: int = LIMIT) -> dict[str, Any]:
    """Its line."""
    line = json.dumps(encode(series, limit))
    assert len(line) <= limit
    found: dict[str, Any] = json.loads(line)
    return found


def restored(fields: dict[str, Any], now: float = NOW) -> DeliveryPast:
    """What the line says of the delivery."""
    past = decode(fields, DELIVERY, INTERVAL, now)
    assert past is not None
    return past


async def test_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each delivery goes on with its own results; one that was never made has no line, one that is gone loses it."""
    monkeypatch.setattr("exporter.monitor.stored_deliveries.time.time", lambda: NOW)
    first = [DeliverySeries(replace(DELIVERY, name=name), INTERVAL) for name in ("kept", "gone", "never")]
    for series in first[:2]:
        series.add(missing(delivery=series.delivery))
    stored = StoredDeliveries(first)
    await _live(tmp_path, stored)
    assert [fields["delivery"] for fields in stored.lines(LIMIT)] == ["kept", "gone"]
    again = [DeliverySeries(replace(DELIVERY, name=name), INTERVAL) for name in ("new", "kept")]
    await _live(tmp_path, StoredDeliveries(again))
    new, kept = again
    assert (kept.last, kept.since) == (first[0].last, missing().ended_at)
    assert (new.last, list(new.results)) == (None, [])


async def _live(directory: Path, stored: StoredDeliveries) -> None:
    """Restore what is in the file, and write it, as a process does from its start to its end."""
    archive = Archive(directory / "ledger.db", [stored])
    keeping = asyncio.create_task(archive.keep(Store()))
    await until(lambda: archive._may_write)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await archive.close(Store())
    assert archive._lock is not None
    os.close(archive._lock)


def test_version() -> None:
    """It changes with each result."""
    series = series_of()
    stored = StoredDeliveries([series])
    before = stored.version
    series.add(delivered())
    assert stored.version != before


def test_round_trip() -> None:
    """Every result is the same, and the time since when mail does not arrive."""
    refused = NotMade("ops", "user name or password is refused: no")
    late = missing(started_at=NOW - 20, ended_at=NOW - 10)
    results = [delivered(), in_spam(), not_made(), delivered(not_made=refused), late]
    series = series_of(*results)
    past = restored(fields_of(series))
    assert list(past.results) == results
    assert (past.since, past.is_recent) == (late.ended_at, True)


def test_limit() -> None:
    """The oldest results are left out where they do not fit; never more are stored than are kept."""
    series = series_of(*(delivered(started_at=NOW - number) for number in range(KEPT)))
    few = restored(fields_of(series, 4096)).results
    assert 3 < len(few) < KEPT
    assert list(few) == list(series.results)[-len(few) :]
    fields = fields_of(series)
    fields["results"] *= 3
    assert len(restored(fields).results) == KEPT


@pytest.mark.parametrize("later", [-100.0, 0.0, 3 * INTERVAL - 10, 3 * INTERVAL + 10])
def test_what_tells_of_the_present(later: float) -> None:
    """After three intervals the last result is one of the past."""
    ended_at = delivered().ended_at
    assert restored(fields_of(series_of(delivered())), ended_at + later).is_recent is (later < 3 * INTERVAL)


def test_another_delivery() -> None:
    """One between other mailboxes, or by other servers, begins again; one with another interval or timeout does not."""
    fields = fields_of(series_of(delivered()))
    for other in (
        replace(DELIVERY, sender=replace(SENDER, username="other@gmail.com")),
        replace(DELIVERY, via=replace(VIA, host="smtp.example.com")),
        replace(DELIVERY, read_at=(IMAP,)),
    ):
        assert decode(fields, other, INTERVAL, NOW) is None
    same = replace(DELIVERY, timeout=60.0, interval=3600.0, expect=ExpectedFolder.ANY)
    past = decode(fields, same, INTERVAL, NOW)
    assert past
    assert past.results[0].delivery is same


def _set(*path: str | int, to: object) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        at: Any = fields["results"][0]
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("started_at", to=None),
        _set("ended_at", to=NOW + 1e6),
        _set("stages", to={"flight": 1.0}),
        _set("stages", to={"submit": -1.0}),
        _set("stages", to={"submit": float("nan")}),
        _set("folder", to="attic"),
        _set("authentication", to={"spf": "maybe"}),
        _set("failures", to=[["transfer", "not_a_reason", "provider", ""]]),
        _set("not_made", to=["ops", "why", "not_a_denial"]),
    ],
)
def test_what_this_version_does_not_know(change: Callable[[dict[str, Any]], None]) -> None:
    """Such a result is dropped, and no other."""
    fields = fields_of(series_of(delivered(started_at=NOW - 30), missing()))
    change(fields)
    assert list(restored(fields).results) == [missing()]
    del fields["results"][1]
    assert decode(fields, DELIVERY, INTERVAL, NOW) is None


@pytest.mark.parametrize(
    "change",
    [
        _set("stages", to=[1]),
        _set("stages", to={"submit": "long"}),
        _set("stages", to={"submit": 10**400}),
        _set("hops", to=[["a"]]),
        _set("failures", to=[["transfer"]]),
        _set("not_made", to=["ops"]),
        _set("authentication", to=None),
        lambda fields: fields.pop("way"),
        lambda fields: fields.update(results=None),
        lambda fields: fields.update(since="long ago", results=[1]),
    ],
)
def test_what_cannot_be_read(change: Callable[[dict[str, Any]], None]) -> None:
    """It is dropped, or the line cannot be read, which the file counts."""
    fields = fields_of(series_of(delivered()))
    change(fields)
    try:
        past = decode(fields, DELIVERY, INTERVAL, NOW)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        return
    assert past is None


def test_values_that_are_no_measurement() -> None:
    """Texts are cut and made visible, numbers have bounds, lists have an end."""
    failure = DeliveryFailure(Stage.SUBMIT, Reason.SERVER_REFUSED, Blame.PROVIDER, "\x1b]0;x\x07" + "x" * 10_000)
    fields = fields_of(series_of(delivered(failures=(failure,) * 5, hops=(Hop("mx", 1.0),))))
    result = fields["results"][0]
    result["hops"] = [["\u202emx", -2.0], ["far", float("inf")], *[["mx", 1.0]] * 100]
    result["failures"] *= 10
    result |= {"leftover": 10**400, "found_over_pop3": "yes"}
    (found,) = restored(fields).results
    assert found.hops[0] == Hop("\ufffdmx", -2.0)
    assert len(found.hops) == 19
    assert len(found.failures) == 10
    assert len(found.failures[0].detail) == 512
    assert found.failures[0].detail.isprintable()
    assert (found.leftover, found.found_over_pop3) == (None, None)


def test_why_none_was_made() -> None:
    """A denial is a word that is known, or none."""
    denied = restored(fields_of(series_of(not_made()))).results[0].not_made
    assert denied == NotMade("ops", Denial.HOLD.meaning, Denial.HOLD)
