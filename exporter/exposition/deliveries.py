"""The series of deliveries → samples of the `gmail_delivery_` metrics, all of which are declared here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.utils import floatToGoString

from exporter.exposition.text import Family, Labels, Sample
from exporter.model.delivery import DeliveryResult
from exporter.model.settings import Role
from exporter.monitor.delivery_series import DURATION_BUCKETS, DeliverySeries, Made

# fmt: off
UP = Family.of("gmail_delivery_up", "gauge",
    "Whether the last message was accepted, and found where it is expected; absent where none was sent.")
DURATION = Family.of("gmail_delivery_duration_seconds", "histogram",
    "From the acceptance of a message until it was visible over IMAP, in the inbox or in spam.")
STAGE_DURATION = Family.of("gmail_delivery_stage_duration_seconds", "gauge",
    "Duration of each stage of the last delivery: submit (the session up to the acceptance), transfer (from there "
    "until it was visible), cleanup.", "stage")
FOLDER = Family.of("gmail_delivery_folder", "gauge",
    "1 for the folder in which the last message was found.", "folder")
AUTHENTICATION = Family.of("gmail_delivery_authentication", "gauge",
    "1 for what the receiver said of the sender of the last message (RFC 8601).", "method", "result")
DELIVERIES = Family.of("gmail_deliveries", "counter",
    "Runs by result; not_made: no message was sent, or it could not be looked for, because of a login or a budget.",
    "result")
FAILURE_INFO = Family.of("gmail_delivery_failure_info", "gauge",
    "1 while the last delivery failed: at which stage, why, and the party at fault.", "stage", "reason", "blame")
LEFTOVER = Family.of("gmail_delivery_leftover_messages", "gauge",
    "Test messages that are still in the recipient's inbox, or in spam after 30 days.")
LAST_RUN = Family.of("gmail_delivery_last_run_timestamp_seconds", "gauge",
    "When the last run ended, whether a message was sent or not.")
INTERVAL = Family.of("gmail_delivery_interval_seconds", "gauge",
    "Seconds from one run to the next, as planned.")
TIMEOUT = Family.of("gmail_delivery_timeout_seconds", "gauge",
    "Seconds after which a message that is not visible is missing, as configured.")
# fmt: on

DELIVERY_FAMILIES = (
    *(UP, DURATION, STAGE_DURATION, FOLDER, AUTHENTICATION, DELIVERIES, FAILURE_INFO, LEFTOVER, LAST_RUN, INTERVAL),
    TIMEOUT,
)
"""Families of a delivery. Their base labels are `delivery`, `from` and `to`."""

DELIVERY_LABELS = ("delivery", "from", "to")

_NO_LABELS = Labels()
_BOUNDS = [Labels(le=str(floatToGoString(bound))) for bound in (*DURATION_BUCKETS, math.inf)]  # type: ignore[no-untyped-call]


def delivery_labels(series: DeliverySeries) -> Labels:
    """Return the labels that every sample of a delivery has: its name, and the names of both accounts."""
    delivery = series.delivery
    return Labels(zip(DELIVERY_LABELS, (delivery.name, delivery.sender.name, delivery.recipient.name), strict=True))


def delivery_samples(series: DeliverySeries) -> Iterator[Sample]:
    """Yield every sample of a delivery. A value that is not known has no sample."""
    yield Sample(INTERVAL, "", _NO_LABELS, series.interval)
    yield Sample(TIMEOUT, "", _NO_LABELS, series.delivery.timeout)
    for made in Made:
        yield Sample(DELIVERIES, "_total", Labels(result=made.value), series.counts[made])
    for bound, count in zip(_BOUNDS, accumulate(series.buckets), strict=True):
        yield Sample(DURATION, "_bucket", bound, count)
    yield Sample(DURATION, "_count", _NO_LABELS, sum(series.buckets))
    yield Sample(DURATION, "_sum", _NO_LABELS, series.duration_sum)
    if series.last:
        yield Sample(LAST_RUN, "", _NO_LABELS, series.last.ended_at)
        yield from _last(series.last)


def _last(last: DeliveryResult) -> Iterator[Sample]:
    if last.up is not None:
        yield Sample(UP, "", _NO_LABELS, last.up)
    for stage, seconds in last.stages.items():
        yield Sample(STAGE_DURATION, "", Labels(stage=stage.value), seconds)
    if last.folder:
        for role in (Role.INBOX, Role.SPAM):
            yield Sample(FOLDER, "", Labels(folder=role.value), last.folder is role)
    for method, result in last.authentication.items():
        yield Sample(AUTHENTICATION, "", Labels(method=method.value, result=result.value), 1)
    for failure in last.failures:
        labels = Labels(stage=failure.stage.value, reason=failure.reason.value, blame=failure.blame.value)
        yield Sample(FAILURE_INFO, "", labels, 1)
    if last.leftover is not None:
        yield Sample(LEFTOVER, "", _NO_LABELS, last.leftover)
