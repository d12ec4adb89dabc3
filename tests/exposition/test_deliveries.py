"""The metrics of deliveries."""

from __future__ import annotations

from exporter.exposition.deliveries import DELIVERY_FAMILIES, delivery_labels, delivery_samples
from exporter.exposition.text import labels_text, render
from exporter.model.delivery import DeliveryResult
from exporter.monitor.delivery_series import DeliverySeries
from tests.deliveries.results import DELIVERY, delivered, in_spam, missing, not_made

LABELS = 'delivery="ops-to-probe",from="ops",to="probe"'


def lines(*results: DeliveryResult) -> list[str]:
    """The lines of a delivery after these results, without the buckets."""
    series = DeliverySeries(DELIVERY, 2160.0)
    for result in results:
        series.add(result)
    rendered = render(labels_text(**delivery_labels(series)), delivery_samples(series))
    assert rendered.keys() <= {family.metric.name for family in DELIVERY_FAMILIES}
    text = b"".join(rendered.values()).decode()
    return [
        line.replace(f"{{{LABELS}}}", "").replace(f"{LABELS},", "")
        for line in text.splitlines()
        if "_bucket" not in line
    ]


def test_before_the_first() -> None:
    """Only what is configured is known."""
    assert lines() == [
        "gmail_delivery_interval_seconds 2160.0",
        "gmail_delivery_timeout_seconds 300.0",
        'gmail_deliveries_total{result="success"} 0.0',
        'gmail_deliveries_total{result="failure"} 0.0',
        'gmail_deliveries_total{result="not_made"} 0.0',
        "gmail_delivery_duration_seconds_count 0.0",
        "gmail_delivery_duration_seconds_sum 0.0",
    ]


def test_delivered() -> None:
    """A message in the inbox: times, folder, and what the receiver says."""
    assert lines(delivered())[2:] == [
        'gmail_deliveries_total{result="success"} 1.0',
        'gmail_deliveries_total{result="failure"} 0.0',
        'gmail_deliveries_total{result="not_made"} 0.0',
        "gmail_delivery_duration_seconds_count 1.0",
        "gmail_delivery_duration_seconds_sum 2.5",
        "gmail_delivery_last_run_timestamp_seconds 1.700000004e+09",
        "gmail_delivery_up 1.0",
        'gmail_delivery_stage_duration_seconds{stage="submit"} 0.5',
        'gmail_delivery_stage_duration_seconds{stage="transfer"} 2.5',
        'gmail_delivery_stage_duration_seconds{stage="cleanup"} 0.25',
        'gmail_delivery_folder{folder="inbox"} 1.0',
        'gmail_delivery_folder{folder="spam"} 0.0',
        'gmail_delivery_authentication{method="spf",result="pass"} 1.0',
        'gmail_delivery_authentication{method="dkim",result="fail"} 1.0',
        "gmail_delivery_leftover_messages 0.0",
    ]


def test_failures() -> None:
    """A message that is missing has no folder and no time; one in spam has both, and is a failure."""
    shown = lines(missing())
    assert 'gmail_delivery_failure_info{stage="transfer",reason="message_missing",blame="provider"} 1.0' in shown
    assert "gmail_delivery_up 0.0" in shown
    assert not any("folder" in line or 'stage="transfer"}' in line for line in shown)
    shown = lines(in_spam())
    assert 'gmail_delivery_folder{folder="spam"} 1.0' in shown
    assert "gmail_delivery_duration_seconds_count 1.0" in shown
    assert 'gmail_deliveries_total{result="failure"} 1.0' in shown


def test_not_made() -> None:
    """Where no message was sent, nothing is known of mail, whatever was known before."""
    shown = lines(delivered(), not_made())
    assert 'gmail_deliveries_total{result="not_made"} 1.0' in shown
    assert not any("_up" in line or "folder" in line or "failure_info" in line for line in shown)
    assert "gmail_delivery_last_run_timestamp_seconds 1.700000004e+09" in shown
