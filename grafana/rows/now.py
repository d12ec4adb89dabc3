"""Is everything up now, and if not, whose fault is it?"""

from __future__ import annotations

from grafana import links, style
from grafana.panels import About, Builder, Column, Query, Size, number, rows
from grafana.queries import (
    FAILURES,
    IDENTITY,
    INFO,
    STATE,
    alerts,
    chosen,
    endpoint,
    of_exporter,
    selector,
    with_account,
)

TITLE = "Now: is everything up, and if not, whose fault is it?"

_UP = endpoint("gmail_up")
_LOGIN = 'check=~"login|folders"'
_STALLED = chosen(
    # The age when the sample was scraped: a slow scrape is not a stalled probe.
    f"(timestamp({selector('gmail_probe_last_run_timestamp_seconds')})"
    f" - {selector('gmail_probe_last_run_timestamp_seconds')})"
    f" > bool 3 * {selector('gmail_probe_interval_seconds')}"
)
_SINCE = (
    f"({FAILURES} * on ({IDENTITY}) group_left () (time() - {selector('gmail_probe_last_success_timestamp_seconds')}))"
)


def panels() -> list[Builder]:
    """From left to right, from top to bottom."""
    return [*_numbers(), _failing(), _endpoints(), _alerts()]


def _numbers() -> list[Builder]:
    return [
        number(
            About(
                "Down",
                "How many endpoints do not work right now?",
                "Endpoints whose last probe could not connect, secure the connection or get a greeting, counted for "
                "each exporter chosen; with `ip_family: both`, for each address family. A refused login is not an "
                "outage.",
                "see whose fault it is beside this, and the reason in the table below; follow its link to the remedy.",
            ),
            Size(4, 4),
            Query(f"sum(1 - {_UP})"),
            unit="none",
            steps=style.ANY_IS_BAD,
            words=style.NONE_DOWN,
            decimals=0,
        ),
        number(
            About(
                "Whose fault",
                "Whose fault are the failures of this moment?",
                "Present failures by the party at fault, failing logins included, as the evidence shows it. The mail "
                "provider: our packets reach its server. The network: what is between, your own included. The account, "
                "the OAuth grant, this exporter: the mail server works. Not known: the evidence shows nothing yet.",
                "the mail provider: see its status page, tell users, wait. The network: compare instances in the table "
                "below; if one alone fails, it is that site's. Others: follow the remedy of the reason.",
            ),
            Size(6, 4),
            Query(
                f"count by (blame) ({chosen(FAILURES)})"
                f" or label_replace(0 * count({_UP}) unless on () {endpoint('gmail_failure_info')},"
                ' "blame", "nobody", "", "")',
                "{{blame}}",
            ),
            unit="none",
            words=style.NO_FAILURES,
            series={**style.BLAMES, "nobody": style.NOBODY},
            decimals=0,
        ),
        number(
            About(
                "Up",
                "How many endpoints work, and how many are configured?",
                "An endpoint counts once for each exporter that probes it, and for each address family of "
                "`ip_family: both`.",
                "if fewer are configured than you expect, check the exporter's configuration and the variables above.",
            ),
            Size(4, 4),
            Query(f"sum({_UP})", "Up"),
            Query(f"count({INFO})", "Configured"),
            unit="none",
            series={"Up": ("Up", style.GOOD), "Configured": ("Configured", "text")},
            decimals=0,
        ),
        number(
            About(
                "Logins failing",
                "How many endpoints refuse the login, or hide a folder?",
                "Endpoints whose last login, or the check of the folders after it, failed. Logins are rare on purpose "
                "(15 minutes apart at least by default): this is as old as the last login.",
                "see the row on accounts below. Users with the same setting have the same problem; the servers work.",
            ),
            Size(3, 4),
            Query(f"sum(1 - min without (check) ({endpoint('gmail_check_success', _LOGIN)}))"),
            unit="none",
            steps=style.ANY_IS_DOUBTFUL,
            words=style.NONE,
            decimals=0,
            no_value="No logins",
        ),
        number(
            About(
                "Probes stalled",
                "Are the numbers on this page fresh?",
                "Endpoints that were not probed for three intervals. Their results are old, so “up” may be wrong.",
                "read /-/healthy and the log of the exporter; then the row on the exporter.",
            ),
            Size(3, 4),
            Query(f"sum({_STALLED})"),
            unit="none",
            steps=style.ANY_IS_BAD,
            words=style.NONE,
            decimals=0,
        ),
        number(
            About(
                "Exporters silent",
                "Does every exporter answer Prometheus?",
                "Exporters chosen that Prometheus could not scrape. The state of their endpoints is unknown: they are "
                "missing from all panels about this moment, which does not mean that Gmail is down.",
                "start the exporter, or let Prometheus reach it; Prometheus' page of targets shows the error.",
            ),
            Size(4, 4),
            Query(f"sum(1 - {of_exporter('up')})"),
            unit="none",
            steps=style.ANY_IS_BAD,
            words=style.ALL_ANSWER,
            decimals=0,
        ),
    ]


def _failing() -> Builder:
    return rows(
        About(
            "What fails now",
            "What fails, where, in which step, why, and whose fault is it?",
            "A row for each endpoint that fails and each exporter that sees it. “Last good probe” is how long ago a "
            "probe succeeded; if only the login fails, the probes between two logins succeed.",
            "follow the link of the reason to its remedy, and the link of the endpoint to the server's own words. One "
            "endpoint at many instances: it is down. Many endpoints at one instance: that site has no connection.",
        ),
        Size(24, 8),
        Column("Whose fault", "blame", texts=style.BLAME_WORDS, width=190),
        Column("Reason", "reason", links=[links.remedy()], width=230),
        Column("In", "phase", width=100),
        Column("Endpoint", "endpoint", links=links.of_endpoint()),
        Column("Tenant", "tenant"),
        Column("Account", "account"),
        Column("Host", "host"),
        Column("Port", "port", width=70),
        Column("IP", "ip_family", width=70),
        Column("Seen by", "instance", links=[links.status_page()]),
        Column(
            "Last good probe",
            expression=f"{with_account(_SINCE)} or -1 * {with_account(FAILURES)}",
            unit="dtdurations",
            steps=style.STALENESS,
            words=style.NEVER,
            width=150,
        ),
        sort="Last good probe",
        descending=True,
        no_value="Nothing fails",
    )


def _endpoints() -> Builder:
    return rows(
        About(
            "Every endpoint",
            "In what state is each endpoint, and how fast is it?",
            "Failing endpoints first. “Probe” is the duration of the last probe; “Round trip” is the network's part, "
            "as measured by the kernel. “Probed” is how long ago it was: red from ten minutes on, which is too long "
            "unless the interval is longer.",
            "follow the link of an endpoint to its history, its certificate and its last dialogue.",
        ),
        Size(15, 10),
        Column("State", expression=with_account(STATE), words=style.STATE, width=130),
        Column("Endpoint", "endpoint", links=links.of_endpoint()),
        Column("Account", "account"),
        Column("Protocol", "protocol", width=80),
        Column("IP", "ip_family", width=60),
        Column("Seen by", "instance", links=[links.status_page()]),
        Column(
            "Probe",
            expression=with_account(f"sum without (phase) ({selector('gmail_phase_duration_seconds')})"),
            unit="s",
            steps=style.SECONDS,
            width=90,
        ),
        Column(
            "Round trip",
            expression=with_account(f"max without () ({selector('gmail_tcp_rtt_seconds')})"),
            unit="s",
            width=90,
        ),
        Column(
            "Probed",
            expression=with_account(f"time() - {selector('gmail_probe_last_run_timestamp_seconds')}"),
            unit="dtdurations",
            steps=style.STALENESS,
            width=100,
        ),
        sort="State",
    )


def _alerts() -> Builder:
    labels = "alertname, severity, endpoint, host, instance"
    firing = f"2 * max by ({labels}) ({alerts('firing')})"
    pending = f"max by ({labels}) ({alerts('pending')})"
    return rows(
        About(
            "Alerts",
            "Which alerts fire, or are about to?",
            "As Prometheus sees them, before Alertmanager groups, silences or inhibits. An alert without endpoint or "
            "instance is about several of them.",
            "follow the link of the alert to its runbook. Start with the most general alert: the others may follow "
            "from it.",
        ),
        Size(9, 10),
        Column("Alert", "alertname", links=[links.runbook()]),
        Column("State", expression=f"{firing} or {pending}", words=style.ALERT, width=80),
        Column("Severity", "severity", texts=style.SEVERITY_WORDS, width=80),
        Column("Endpoint", "endpoint"),
        Column("Host", "host"),
        Column("Instance", "instance"),
        sort="State",
        descending=True,
        no_value="No alert is firing or pending",
    )
