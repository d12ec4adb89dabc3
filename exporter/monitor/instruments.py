"""The exporter's own metrics: every one whose name begins with `gmail_exporter_`."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, Metric

from exporter import __version__
from exporter.model.settings import Config
from exporter.model.shard import Shard

PROBE_RESULTS = ("answered", "refused", "busy", "abandoned")
_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class ExporterMetrics:
    """The exporter's own metrics, in a registry of their own.

    Args:
        shard: Which part of the configuration this process probes.
        log_lines_dropped: Returns the number of log lines that were dropped.
        external_url: The address by which people reach the pages; "" where it is not given.
    """

    def __init__(
        self, shard: Shard | None = None, log_lines_dropped: Callable[[], int] = int, external_url: str = ""
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which no Prometheus before 2.50 uses
        self.registry = CollectorRegistry(auto_describe=False)
        _Process(registry=self.registry)
        build = Gauge(
            "gmail_exporter_build_info",
            "Always 1: the version that runs, and the Python that it runs on.",
            ("version", "python_version"),
            registry=self.registry,
        )
        build.labels(__version__, platform.python_version()).set(1)
        web = Gauge(
            "gmail_exporter_web_info",
            "Always 1: the address of the pages, from --web.external-url; without that flag there is no sample.",
            ("external_url",),
            registry=self.registry,
        )
        if external_url:
            web.labels(external_url).set(1)
        shard = shard or Shard()
        part = Gauge(
            "gmail_exporter_shard_info",
            "Always 1: which part of the configuration this process probes, counted from 0.",
            ("shard", "shards"),
            registry=self.registry,
        )
        part.labels(str(shard.number), str(shard.count)).set(1)
        self._gauge("shards", "Shards that share the configuration; if fewer report, one is missing.").set(shard.count)
        self._reload_successful = self._gauge(
            "config_last_reload_successful", "Whether the last attempt to load the configuration succeeded."
        )
        self._reload_success_time = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When the configuration was last loaded."
        )
        self._config_hash = self._gauge(
            "config_hash", "Hash of the effective configuration, to tell whether instances run the same."
        )
        self.kernel_timestamps = self._gauge(
            "kernel_timestamps",
            "Whether the kernel stamps what arrives; 0: this process takes the time when it reads, which may be later.",
        )
        self.probes_in_flight = self._gauge("probes_in_flight", "Probes that are running.")
        self.probes_missed = Counter(
            "gmail_exporter_probes_missed",
            "Probes that were due but not started: the exporter was stalled, or the last probe was still running.",
            registry=self.registry,
        )
        self.probes_overdue = self._gauge("probes_overdue", "Probes that should have been completed by now.")
        self.probe_requests = Counter(
            "gmail_exporter_probe_requests",
            "Requests of /probe: answered; refused (invalid or not allowed); busy (max_concurrent); abandoned.",
            ("result",),
            registry=self.registry,
        )
        for result in PROBE_RESULTS:
            self.probe_requests.labels(result)
        self.schedule_lag = Histogram(
            "gmail_exporter_schedule_lag_seconds",
            "How late probes start.",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )
        self.event_loop_lag = Histogram(
            "gmail_exporter_event_loop_lag_seconds",
            "How late the event loop wakes a timer: what is added to any wait of this exporter.",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )

        self.registry.register(
            _CountedElsewhere(
                "gmail_exporter_log_lines_dropped",
                "Log lines that were not written: they were not read in time, or could not be written.",
                log_lines_dropped,
            )
        )

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"gmail_exporter_{name}", text, registry=self.registry)

    def loaded(self, config: Config, at: float) -> None:
        """Record that `config` was applied at `at`, in Unix seconds."""
        self._reload_successful.set(1)
        self._reload_success_time.set(at)
        self._config_hash.set(int(config.digest[:12], 16))  # 48 bits: a float holds them exactly

    def load_failed(self) -> None:
        """Record that a reload was refused."""
        self._reload_successful.set(0)


class _Process(ProcessCollector):
    """The metrics of any process, where the system tells them in the way that is usual on Linux."""

    def collect(self) -> Iterable[Metric]:
        """Return them; none where one cannot be read: a scrape must not fail for that."""
        try:
            return super().collect()
        except (ValueError, LookupError, NameError):  # NameError: the library found no limit of open files
            return ()


@dataclass(frozen=True, slots=True)
class _CountedElsewhere:
    """A counter whose value is kept where it is counted."""

    name: str
    text: str
    value: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        """Yield it."""
        yield CounterMetricFamily(self.name, self.text, value=self.value())
