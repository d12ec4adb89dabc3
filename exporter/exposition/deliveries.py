"""The series of deliveries → samples of the `gmail_delivery_` metrics, all of which are declared here."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from exporter.exposition.text import Family, Samples
from exporter.model.delivery import DeliveryResult
from exporter.model.settings import Role
from exporter.monitor.delivery_series import DURATION_BUCKETS, DeliverySeries, Made

# fmt: off
UP = Family("gmail_delivery_up", "gauge",
    "Whether the last message was accepted, and found where it is expected; absent where none was sent, unless that "
    "waits for the refusal of the last one.")
DURATION = Family("gmail_delivery_duration_seconds", "histogram",
    "From the acceptance of a message until it was visible over IMAP, in the inbox or in spam.")
STAGE_DURATION = Family("gmail_delivery_stage_duration_seconds", "gauge",
    "Duration of each stage of the last delivery: submit (the session up to the acceptance), transfer (from there "
    "until it was visible), cleanup.", "stage")
FOLDER = Family("gmail_delivery_folder", "gauge",
    "1 for the folder in which the last message was found.", "folder")
AUTHENTICATION = Family("gmail_delivery_authentication", "gauge",
    "1 for what the receiver said of the sender of the last message (RFC 8601).", "method", "result")
DELIVERIES = Family("gmail_deliveries", "counter",
    "Runs by result; not_made: no message was sent, or it could not be looked for, because of a login or a budget.",
    "result")
FAILURE_INFO = Family("gmail_delivery_failure_info", "gauge",
    "1 while the last delivery failed: at which stage, why, and the party at fault.", "stage", "reason", "blame")
LEFTOVER = Family("gmail_delivery_leftover_messages", "gauge",
    "Test messages that are still in the recipient's inbox, or in spam after 30 days.")
LAST_RUN = Family("gmail_delivery_last_run_timestamp_seconds", "gauge",
    "When the last run ended, whether a message was sent or not.")
INTERVAL = Family("gmail_delivery_interval_seconds", "gauge",
    "Seconds from one run to the next, as planned.")
TIMEOUT = Family("gmail_delivery_timeout_seconds", "gauge",
    "Seconds after which a message that is not visible is missing, as configured.")
# fmt: on

DELIVERY_FAMILIES = (
    *(UP, DURATION, STAGE_DURATION, FOLDER, AUTHENTICATION, DELIVERIES, FAILURE_INFO, LEFTOVER, LAST_RUN, INTERVAL),
    TIMEOUT,
)
"""Families of a delivery. Their base labels are `delivery`, `from` and `to`."""

DELIVERY_LABELS = ("delivery", "from", "to")

_HISTOGRAM = DURATION.histogram(DURATION_BUCKETS)


def delivery_labels(series: DeliverySeries) -> dict[str, str]:
    """Return the labels that every sample of a delivery has: its name, and the names of both accounts."""
    delivery = series.delivery
    return dict(zip(DELIVERY_LABELS, (delivery.name, delivery.sender.name, delivery.recipient.name), strict=True))


def delivery_samples(series: DeliverySeries) -> Iterator[Samples]:
    """Yield every sample of a delivery. A value that is not known has no sample."""
    yield INTERVAL.sample(series.interval)
    yield TIMEOUT.sample(series.delivery.timeout)
    for made in Made:
        yield DELIVERIES.sample(series.counts[made], result=made.value)
    yield _HISTOGRAM, (*accumulate(series.buckets), sum(series.buckets), series.duration_sum)
    if series.last:
        yield LAST_RUN.sample(series.last.ended_at)
        yield from _last(series.last)


def _last(last: DeliveryResult) -> Iterator[Samples]:
    if last.up is not None:
        yield UP.sample(last.up)
    for stage, seconds in last.stages.items():
        yield STAGE_DURATION.sample(seconds, stage=stage.value)
    if last.folder:
        for role in (Role.INBOX, Role.SPAM):
            yield FOLDER.sample(last.folder is role, folder=role.value)
    for method, result in last.authentication.items():
        yield AUTHENTICATION.sample(1, method=method.value, result=result.value)
    for failure in last.failures:
        reason, blame = failure.reason.value, failure.blame.value
        yield FAILURE_INFO.sample(1, stage=failure.stage.value, reason=reason, blame=blame)
    if last.leftover is not None:
        yield LEFTOVER.sample(last.leftover)
