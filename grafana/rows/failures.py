"""Which failures were there, by reason and by the party at fault?"""

from __future__ import annotations

from functools import partial

from grafana import links, style
from grafana.panels import About, Builder, Column, Graph, Query, Size, graph, rows, timeline
from grafana.queries import FAILURES, IDENTITY, chosen, endpoint, one_provider, over, selector

TITLE = "Failures: which, and whose fault?"

STEP = "30s"
SHOWN = 20
"""Endpoints on the timeline of verdicts."""
BARS = "5m"
"""Each bar counts its own step, which must hold several scrapes."""

_FAILING = chosen(FAILURES)
_PHASES = {phase: (phase, colour) for phase, colour in style.PHASES.items()}


def panels() -> list[Builder]:
    """From left to right, from top to bottom."""
    return [_by_blame(), _by_reason(), _verdicts(), _by_phase(), _ratio(), _table()]


def _by_blame() -> Builder:
    return graph(
        About(
            "Failing endpoints by whose fault",
            "Whose fault were the failures, and when?",
            "How many endpoints fail at each time, failing logins included, by the party at fault. Each party has one "
            "colour on the whole page.",
            "the mail provider alone: it has an outage. The network at one instance: that site. The account or the "
            "grant: ask their administrator.",
        ),
        Size(12, 8),
        Query(f"count by (blame) ({_FAILING})", "{{blame}}", STEP),
        unit="none",
        drawn=Graph(stacked=True, series=style.BLAMES),
    )


def _by_reason() -> Builder:
    longest = f"topk(10, sum by (reason) (count_over_time({selector('gmail_failure_info')}[$__range] @ end())))"
    return graph(
        About(
            "Failing endpoints by reason",
            "Why do endpoints fail, and when did that begin?",
            "How many endpoints fail at each time, for each of the ten reasons that lasted longest in this range.",
            "the table below links each reason to its remedy.",
        ),
        Size(12, 8),
        Query(f"count by (reason) ({endpoint('gmail_failure_info')}) and on (reason) {longest}", "{{reason}}", STEP),
        unit="none",
        drawn=Graph(stacked=True),
    )


def _verdicts() -> Builder:
    down = f"1 - avg_over_time({selector('gmail_up')}[$__range] @ end())"
    longest = f"topk({SHOWN}, {chosen(down, ' @ end()')})"
    numbered = " or ".join(
        f"{number} * max by ({IDENTITY}) ({selector('gmail_verdict_info', matcher)})"
        for number, matcher in enumerate(f'verdict="{verdict}"' for verdict in style.VERDICTS)
    )
    return timeline(
        About(
            "Verdicts",
            "What did the evidence show at each time?",
            f"The {SHOWN} endpoints that were down longest in this range, and the verdict while they failed, in the "
            "colour of the party at fault. A verdict is told after two probes that agree; until then, and where the "
            "evidence shows nothing or contradicts itself, it is not known.",
            "the page of the endpoint has the evidence: what the probe saw, the controls, the path.",
        ),
        Size(24, 10),
        Query(f"({numbered}) and on ({IDENTITY}) {longest}", "{{endpoint}} {{ip_family}}, by {{instance}}", STEP),
        {float(number): words for number, words in enumerate(style.VERDICTS.values())},
        tuple(
            (float(number) if number else None, colour) for number, (_, colour) in enumerate(style.VERDICTS.values())
        ),
        links.of_series(),
    )


def _by_phase() -> Builder:
    return graph(
        About(
            "Failed probes by phase",
            "In which step do probes end?",
            "Failed probes as the exporter counts them, also between two scrapes. The first failure of a kind since "
            "the exporter started is missing: its counter begins with it, so Prometheus sees no increase. The panels "
            "above include it.",
            "resolve and connect: the network. tls: interception or a wrong clock. greeting and capability: the "
            "server. login and folders: the account.",
        ),
        Size(12, 8),
        Query(
            f"sum by (phase) ({over('increase', 'gmail_probe_failures_total', '$__interval')})",
            "{{phase}}",
            BARS,
        ),
        unit="short",
        drawn=Graph(stacked=True, bars=True, series=_PHASES, calcs=("sum",)),
    )


def _ratio() -> Builder:
    failed, made = (
        f"sum by (protocol) ({over('rate', 'gmail_probes_total', '$__rate_interval', *matchers)})"
        for matchers in (('result="failure"',), ())
    )
    return graph(
        About(
            "Share of probes that fail",
            "Which part of all probes fails?",
            "By protocol; probes with a failing login included. Unlike the number of failing endpoints it also shows "
            "failures that are rare.",
            "a few per cent all the time: packets are lost, or one of several addresses does not work. See the slowest "
            "endpoints.",
        ),
        Size(12, 8),
        Query(f"{failed} / {made}", "{{protocol}}", STEP),
        unit="percentunit",
        drawn=Graph(
            steps=((None, style.GOOD), (0.01, style.DOUBTFUL), (0.1, style.BAD)),
            series={"imap": ("IMAP", "#0072B2"), "pop3": ("POP3", "#E69F00"), "smtp": ("SMTP", "#009E73")},
            calcs=("lastNotNull", "mean", "max"),
        ),
    )


def _table() -> Builder:
    kind = "phase, reason, blame"
    failed = one_provider(partial(over, "count_over_time", "gmail_failure_info", "$__range"))
    return rows(
        About(
            "What failed in this range",
            "What failed, for how long, and at how many endpoints?",
            "A row for each kind of failure. “Failing for” adds up the time of all endpoints: two endpoints for a "
            "minute are two minutes. It is sampled once in each step of the range on this page.",
            "start at the top: that affected users most. The reason links to its remedy.",
        ),
        Size(24, 8),
        Column("Whose fault", "blame", texts=style.BLAME_WORDS, width=210),
        Column("Reason", "reason", links=[links.remedy()]),
        Column("In", "phase", width=120),
        Column(
            "Failing for",
            expression=f"sum by ({kind}) (count_over_time({_FAILING}[$__range:$__interval])) * $__interval_ms / 1000",
            unit="dtdurations",
            steps=((None, "text"), (60, style.DOUBTFUL), (600, style.BAD)),
            width=160,
        ),
        Column(
            "Endpoints",
            expression=f"count by ({kind}) ({failed})",
            decimals=0,
            width=110,
        ),
        sort="Failing for",
        descending=True,
        no_value="Nothing failed",
    )
