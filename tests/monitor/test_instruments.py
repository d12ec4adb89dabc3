"""The exporter's own metrics."""

from __future__ import annotations

from exporter.model.settings import Config
from exporter.monitor.instruments import ExporterMetrics


def test_reload_metrics() -> None:
    """After a refused reload, the time and the hash of the running configuration are unchanged."""
    metrics = ExporterMetrics()
    config = Config(accounts={}, endpoints={}, source="x.yml", digest="ff" * 32)
    metrics.loaded(config, at=1_700_000_000.0)
    value = metrics.registry.get_sample_value
    assert value("gmail_exporter_config_last_reload_successful") == 1
    assert value("gmail_exporter_config_hash") == 0xFFFFFFFFFFFF
    metrics.load_failed()
    assert value("gmail_exporter_config_last_reload_successful") == 0
    assert value("gmail_exporter_config_last_reload_success_timestamp_seconds") == 1_700_000_000
    assert value("gmail_exporter_probes_missed_total") == 0


def test_dropped_log_lines() -> None:
    """They are counted where they are dropped."""
    dropped = 0
    value = ExporterMetrics(log_lines_dropped=lambda: dropped).registry.get_sample_value
    assert value("gmail_exporter_log_lines_dropped_total") == 0
    dropped = 7
    assert value("gmail_exporter_log_lines_dropped_total") == 7


def test_the_address_of_the_pages() -> None:
    """There is a sample only where the flag gives the address."""
    labels = {"external_url": "https://monitoring.example.com/"}
    value = ExporterMetrics(external_url=labels["external_url"]).registry.get_sample_value
    assert value("gmail_exporter_web_info", labels) == 1
    samples = [sample for family in ExporterMetrics().registry.collect() for sample in family.samples]
    assert not any(sample.name.startswith("gmail_exporter_web_info") for sample in samples)
