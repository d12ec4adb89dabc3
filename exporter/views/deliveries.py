"""Results of deliveries for people and for programs: what pages, the terminal and the JSON have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from exporter.model.delivery import DeliveryResult, Stage
from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Delivery, Role
from exporter.monitor.delivery_series import DeliverySeries, Made
from exporter.monitor.history import HistoryEntry
from exporter.views import chart
from exporter.views.state import State

_FOLDER = {Role.INBOX: "inbox", Role.SPAM: "spam"}


class Step(NamedTuple):
    """A step of a delivery on its line: what it is, how it went (`ok`, `bad`, `unknown`), and how long it took."""

    name: str
    mark: str
    text: str


def steps(result: DeliveryResult | None, delivery: Delivery) -> tuple[Step, ...]:
    """Return the line of a delivery from the sender to the folder."""
    failed = {failure.stage: failure for failure in result.failures} if result else {}
    made = {} if result is None else result.stages
    shown = [
        Step(delivery.sender.name, "ok" if Stage.SUBMIT in made else "unknown", delivery.via.name),
        _step(Stage.SUBMIT, "accepted", made, failed),
        _step(Stage.TRANSFER, "visible", made, failed),
    ]
    if delivery.pop3 is not None:
        found = result.found_over_pop3 if result else None
        text = {True: "found", False: "not found", None: "not looked for"}[found]
        shown.append(Step("over POP3", "unknown" if found is None else "ok" if found else "bad", text))
    folder = _FOLDER.get(result.folder, "") if result and result.folder else ""
    in_place = bool(folder) and not (folder == "spam" and delivery.expect.value == "inbox")
    shown.append(Step(delivery.recipient.name, "ok" if in_place else "bad" if folder else "unknown", folder or "?"))
    return tuple(shown)


def _step(stage: Stage, name: str, made: Mapping[Stage, float], failed: Mapping[Stage, Any]) -> Step:
    if stage in made:
        return Step(name, "ok", span(made[stage]))
    return Step(name, "bad", failed[stage].reason.value) if stage in failed else Step(name, "unknown", "?")


def strip(series: DeliverySeries) -> chart.Strip:
    """Return the last results as bars, the newest on the right: a message is as high as the time that it took."""
    return chart.strip(map(_entry, series.results), ())


def _entry(result: DeliveryResult) -> HistoryEntry:
    """Return a result as that of a probe: one that was not made is drawn as a login that failed."""
    phase = {True: Phase.LOGOUT, False: Phase.CONNECT, None: Phase.LOGIN}[_made(result)]
    reason = Reason.OK if result.up else Reason.MESSAGE_MISSING
    return HistoryEntry(result.started_at, {phase: result.duration or 0.0}, phase, reason)


def _made(result: DeliveryResult) -> bool | None:
    """Return how a run ended; None where no message was sent."""
    return None if result.not_made else result.up


def history(series: DeliverySeries) -> str:
    """Return in words what `strip` shows."""
    found = Counter(map(_made, series.results))
    texts = {True: "arrived", False: "failed", None: "not made"}
    return f"The last {len(series.results)}: " + ", ".join(f"{found[up]} {text}" for up, text in texts.items())


def span(seconds: float) -> str:
    """Return a duration for people, in milliseconds below a second."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def sentence(result: DeliveryResult) -> str:
    """Return in a sentence how a delivery ended."""
    if result.not_made:
        return f"Not made: {result.not_made}."
    failures = [failure for failure in result.failures if failure.stage is not Stage.CLEANUP]
    if failures:
        return "; ".join(f"{failure.stage}: {result.summary(failure)}" for failure in failures) + "."
    where = _FOLDER.get(result.folder, "") if result.folder else ""
    return f"Found in the {where} after {span(result.duration or 0.0)}."


def result_to_json(result: DeliveryResult) -> dict[str, Any]:
    """Return a result as JSON values; times are Unix seconds."""
    delivery = result.delivery
    return {
        "delivery": delivery.name,
        "from": delivery.sender.name,
        "to": delivery.recipient.name,
        "started_at": result.started_at,
        "ended_at": result.ended_at,
        "up": result.up,
        "duration_seconds": result.duration,
        "stages": {stage.value: seconds for stage, seconds in result.stages.items()},
        "folder": _FOLDER.get(result.folder) if result.folder else None,
        "found_over_pop3": result.found_over_pop3,
        "authentication": {method.value: found.value for method, found in result.authentication.items()},
        "hops": [{"by": hop.by, "seconds": hop.seconds} for hop in result.hops],
        "failures": [
            {
                "stage": failure.stage.value,
                "reason": failure.reason.value,
                "blame": failure.blame.value,
                "detail": failure.detail,
                "remedy": result.remedy(failure),
            }
            for failure in result.failures
        ],
        "not_made": _not_made(result),
        "leftover_messages": result.leftover,
    }


def _not_made(result: DeliveryResult) -> dict[str, Any] | None:
    if result.not_made is None:
        return None
    denial = result.not_made.denial
    return {
        "account": result.not_made.account,
        "denial": denial.value if denial else None,
        "text": result.not_made.text,
    }


def series_to_json(series: DeliverySeries) -> dict[str, Any]:
    """Return what is known of a delivery as JSON values, with its last results, the oldest first."""
    return {
        "delivery": series.delivery.name,
        "interval_seconds": series.interval,
        "next_at": series.next_at or None,
        "since": series.since,
        "runs": {made.value: series.counts[made] for made in Made},
        "results": [result_to_json(result) for result in series.results],
    }


def state_of(series: DeliverySeries) -> State:
    """Return the state of a delivery, as one of an endpoint: a login that fails is no outage of mail."""
    if series.last is None:
        return State.PENDING
    if series.last.up is None:
        return State.LOGIN
    return State.UP if series.last.up else State.DOWN


def failing(all_series: Iterable[DeliverySeries]) -> list[DeliverySeries]:
    """Return the deliveries whose last message did not arrive where it should."""
    return [series for series in all_series if series.last is not None and series.last.up is False]
