"""Can the figures on this page be trusted: does the exporter itself work?"""

from __future__ import annotations

from grafana import links, style
from grafana.panels import About, Builder, Column, Graph, Query, Size, graph, rows
from grafana.queries import of_exporter, over

TITLE = "The exporter: can these numbers be trusted?"

STEP = "30s"
BARS = "5m"
"""Each bar counts its own step, which must hold several scrapes."""


def panels() -> list[Builder]:
    """From left to right, from top to bottom."""
    health = [_cpu(), _memory(), _files(), _scrapes()]
    return [_instances(), _probes(), _missed(), _lag(), *health, _in_flight(), _requests(), _samples()]


def _instances() -> Builder:
    return rows(
        About(
            "Exporters",
            "Which exporters run, since when, and with which configuration?",
            "Exporters that do not answer are first. If the last reload was refused, the configuration before it still "
            "runs. Instances that should be equal have the same version and the same hash of their configuration. "
            "Times that the kernel takes are right even where the exporter is late.",
            "no answer: see Prometheus' page of targets. Reload refused: the exporter's log names file, line and "
            "column.",
        ),
        Size(24, 7),
        Column("State", expression=of_exporter("up"), words=style.ANSWERS, width=140),
        Column("Instance", "instance", links=[links.status_page()]),
        Column("Job", "job"),
        Column("Version", "version", width=90),
        Column("Python", "python_version", width=90),
        Column(
            "Last reload",
            expression=f"max without () ({of_exporter('gmail_exporter_config_last_reload_successful')})",
            words=style.RELOAD,
            width=210,
        ),
        Column(
            "Configured since",
            expression=f"time() - {of_exporter('gmail_exporter_config_last_reload_success_timestamp_seconds')}",
            unit="dtdurations",
            width=150,
        ),
        Column(
            "Hash of the configuration",
            expression=f"max without () ({of_exporter('gmail_exporter_config_hash')})",
            unit="hex",
            width=180,
        ),
        Column(
            "Running since",
            expression=f"time() - {of_exporter('process_start_time_seconds')}",
            unit="dtdurations",
            width=140,
        ),
        Column(
            "Endpoints",
            expression=f"count by (job, instance) ({of_exporter('gmail_probe_interval_seconds')})",
            decimals=0,
            width=90,
        ),
        Column(
            "Times taken by",
            expression=f"max without () ({of_exporter('gmail_exporter_kernel_timestamps')})",
            words=style.STAMPS,
            width=120,
        ),
        Column(
            "Log lines lost",
            expression=f"max without () ({of_exporter('gmail_exporter_log_lines_dropped_total')})",
            decimals=0,
            width=110,
        ),
        Column("Build", expression=of_exporter("gmail_exporter_build_info"), hidden=True),
        sort="State",
        no_value="No exporter is scraped",
    )


def _probes() -> Builder:
    return graph(
        About(
            "Probes made",
            "How many probes does the exporter make?",
            "Probes a second of the endpoints chosen, by result.",
            "if it changes suddenly without a change of the configuration, an exporter is down or has stalled.",
        ),
        Size(8, 8),
        Query(f"sum by (result) ({over('rate', 'gmail_probes_total', '$__rate_interval')})", "{{result}}", STEP),
        unit="ops",
        drawn=Graph(
            stacked=True, series={"success": ("OK", style.NOBODY[1]), "failure": ("Failed", "#D55E00")}, calcs=("mean",)
        ),
    )


def _missed() -> Builder:
    return graph(
        About(
            "Probes missed and overdue",
            "Does the exporter keep up?",
            "Probes that were due and not made, because the exporter had stalled or the previous probe was still "
            "running; and probes that should have been completed by now.",
            "see CPU and the event loop's lag beside this; spread the endpoints over more exporters, or raise "
            "interval.",
        ),
        Size(8, 8),
        Query(
            f"increase({of_exporter('gmail_exporter_probes_missed_total')}[$__interval])",
            "{{instance}}",
            BARS,
        ),
        Query(of_exporter("gmail_exporter_probes_overdue"), "{{instance}}: overdue now"),
        unit="short",
        drawn=Graph(bars=True, steps=style.ANY_IS_DOUBTFUL, calcs=("sum",)),
    )


def _lag() -> Builder:
    lag = "histogram_quantile(0.99, sum by (instance, le) (rate(%s[$__rate_interval])))"
    return graph(
        About(
            "Lag",
            "Is the exporter itself late, so that servers look slow?",
            "The 99th centile of how late probes start, and of how late the event loop runs a timer. The second is the "
            "most that this exporter can add to any time it reports.",
            "above 0.1 s, give it a CPU of its own, or fewer endpoints.",
        ),
        Size(8, 8),
        Query(lag % of_exporter("gmail_exporter_schedule_lag_seconds_bucket"), "Schedule, {{instance}}", STEP),
        Query(lag % of_exporter("gmail_exporter_event_loop_lag_seconds_bucket"), "Event loop, {{instance}}", STEP),
        unit="s",
        drawn=Graph(steps=style.LAG),
    )


def _cpu() -> Builder:
    return graph(
        About(
            "CPU",
            "How busy is the exporter?",
            "Seconds of CPU a second. It runs on one core: it cannot use more than 1.",
            "from about 0.7 on, waiting inside the exporter adds to the times; use more exporters.",
        ),
        Size(6, 8),
        Query(f"rate({of_exporter('process_cpu_seconds_total')}[$__rate_interval])", "{{instance}}", STEP),
        unit="percentunit",
        drawn=Graph(steps=((None, style.GOOD), (0.7, style.DOUBTFUL), (0.9, style.BAD))),
    )


def _memory() -> Builder:
    return graph(
        About(
            "Memory",
            "Does the exporter leak?",
            "Resident memory. It grows during the first hundred probes of each endpoint, whose history it keeps, and "
            "then stays.",
            "if it keeps growing, report it with the version.",
        ),
        Size(6, 8),
        Query(of_exporter("process_resident_memory_bytes"), "{{instance}}", STEP),
        unit="bytes",
    )


def _files() -> Builder:
    return graph(
        About(
            "Open files",
            "Can the exporter open more connections?",
            "Open files as a share of the limit. Each probe and each HTTP client needs one.",
            "near 100 %, raise the limit (LimitNOFILE in systemd).",
        ),
        Size(6, 8),
        Query(f"{of_exporter('process_open_fds')} / {of_exporter('process_max_fds')}", "{{instance}}", STEP),
        unit="percentunit",
        drawn=Graph(steps=style.FULLNESS),
    )


def _scrapes() -> Builder:
    return graph(
        About(
            "Scrapes",
            "Does Prometheus get its answer in time?",
            "How long Prometheus waits for /metrics. Its timeout is 10 s by default.",
            "if it grows, there are more endpoints, or the host has too little CPU.",
        ),
        Size(6, 8),
        Query(of_exporter("scrape_duration_seconds"), "{{instance}}", STEP),
        unit="s",
        drawn=Graph(steps=((None, style.GOOD), (2, style.DOUBTFUL), (8, style.BAD))),
    )


def _in_flight() -> Builder:
    return graph(
        About(
            "Probes in flight",
            "Do probes take longer than they should, or pile up?",
            "How many probes run at the moment of a scrape.",
            "more of them at the same rate of probes: servers are slower, or the exporter is; see its lag.",
        ),
        Size(8, 7),
        Query(of_exporter("gmail_exporter_probes_in_flight"), "{{instance}}", STEP),
        unit="short",
    )


def _requests() -> Builder:
    return graph(
        About(
            "Requests of /probe",
            "What are the results of the probes that scrapes of /probe ask for?",
            "Requests a second, by result; none if no modules are configured, or /probe is not scraped.",
            "busy: raise probe.max_concurrent, or use more exporters. refused: a target that no module allows; the "
            "answer names it. abandoned: the scrape's timeout is shorter than the module's.",
        ),
        Size(8, 7),
        Query(
            f"sum by (result) (rate({of_exporter('gmail_exporter_probe_requests_total')}[$__rate_interval]))",
            "{{result}}",
            STEP,
        ),
        unit="reqps",
    )


def _samples() -> Builder:
    return graph(
        About(
            "Samples",
            "How many samples does the exporter expose?",
            "Samples that one scrape returns: about fifty for an endpoint.",
            "a sudden change means a new configuration or a restart; report growth without either.",
        ),
        Size(8, 7),
        Query(of_exporter("scrape_samples_scraped"), "{{instance}}", STEP),
        unit="short",
    )
