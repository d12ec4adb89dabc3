"""How available, and how much of the error budget is left?"""

from __future__ import annotations

from grafana import links, style
from grafana.panels import About, Builder, Column, Graph, Query, Size, graph, number, rows, timeline
from grafana.queries import (
    BUDGET_30D,
    IDENTITY,
    SLO,
    budget_left,
    burn_rate,
    chosen,
    over,
    selector,
    with_account,
)

TITLE = "Availability: how much, when not, and what is left of the budget?"

STEP = "1m"
"""Not below the interval of a scrape: every step must hold a sample."""

WORST, SHOWN = 20, 20
"""Endpoints in the table and on the timeline: of a thousand, those that were down longest."""

_AVAILABILITY = f"avg({over('avg_over_time', 'gmail_up', '$__range')})"
_WINDOW = f"avg_over_time({selector('gmail_up')}[$__range] @ end())"


def _promise() -> str:
    return f"The objective is {100 * SLO:g} % of the time, Google's own promise for Workspace."


def panels() -> list[Builder]:
    """From left to right, from top to bottom."""
    return [*_numbers(), _timeline(), _over_time(), _burn(), _worst()]


def _numbers() -> list[Builder]:
    return [
        number(
            About(
                "Availability in this range",
                "How available was what is chosen, over the range on this page?",
                f"The mean share of time that endpoints were up, of the time that was watched. {_promise()}",
                "below it, see the timeline for when, and the failures for why.",
            ),
            Size(6, 4),
            Query(_AVAILABILITY),
            unit="percentunit",
            steps=style.AVAILABILITY,
            decimals=3,
        ),
        number(
            About(
                "Budget left in this range",
                "How much of what may fail has not failed yet, over the range on this page?",
                f"{_promise()} The rest is the budget: 100 % is untouched, 0 % is used up, below 0 it is overdrawn.",
                "with little left, put off changes of network, resolvers and accounts.",
            ),
            Size(6, 4),
            Query(budget_left(_AVAILABILITY)),
            unit="percentunit",
            steps=style.BUDGET,
            decimals=1,
        ),
        number(
            About(
                "Least budget left of 30 days",
                "Will the promise of 99.9 % be kept over 30 days?",
                "What is left to the endpoint that has least, whatever the range on this page. As the alerts see it: a "
                "site that is cut off alone does not count. 30 days are too long to ask anew each minute: this needs "
                "the recording rules in deploy/prometheus/gmail-recording.yml.",
                "below 0 the promise is broken for this month: say so to whom it was made.",
            ),
            Size(6, 4),
            Query(f"min({BUDGET_30D})"),
            unit="percentunit",
            steps=style.BUDGET,
            decimals=1,
            no_value="No data: are the recording rules loaded?",
        ),
        number(
            About(
                "Budget being spent",
                "How fast is the budget being spent right now?",
                "Over the last hour: at 1 a budget of 30 days lasts 30 days, at 14.4 it lasts two, at 0 nothing fails.",
                "above 14.4 someone should be looking at it now.",
            ),
            Size(6, 4),
            Query(burn_rate(f"avg({over('avg_over_time', 'gmail_up', '1h')})")),
            unit="suffix:x",
            steps=style.BURN,
            decimals=1,
        ),
    ]


def _timeline() -> Builder:
    worst = f"topk({SHOWN}, {chosen(f'1 - {_WINDOW}', ' @ end()')})"
    checks = f"min_over_time({selector('gmail_check_success')}[$__interval])"
    up = f"min_over_time({selector('gmail_up')}[$__interval])"
    return timeline(
        About(
            "When was what down",
            "When did each endpoint fail, and did others fail at the same time?",
            f"The {SHOWN} endpoints that were down longest in this range; each step shows the worst within it. Down is "
            "red, up with a failing login orange, up green; a gap is unknown: the exporter did not run, or was not "
            "scraped.",
            "red in all rows at once: a common cause (this host's network, or the mail provider). In one row: that "
            "endpoint.",
        ),
        Size(24, 14),
        Query(
            f"({up} * (1 + min without (check) ({checks}))) and on ({IDENTITY}) {worst}",
            "{{endpoint}} {{ip_family}}, by {{instance}}",
            STEP,
        ),
        {state: words for state, words in style.STATE.items() if state < 3},
        ((None, style.BAD), (1, style.DOUBTFUL), (2, style.GOOD)),
        links.of_series(),
    )


def _over_time() -> Builder:
    return graph(
        About(
            "Availability by protocol",
            "Is it all of Gmail, or one protocol?",
            "The share of endpoints that were up in each step. IMAP and POP3 are read by mail clients, SMTP sends.",
            "if one protocol alone dips, it is not the network: see the failures, and the mail provider's status page.",
        ),
        Size(8, 9),
        Query(
            f"avg by (protocol) ({over('avg_over_time', 'gmail_up', '$__interval')})",
            "{{protocol}}",
            STEP,
        ),
        unit="percentunit",
        drawn=Graph(
            steps=style.AVAILABILITY,
            series={"imap": ("IMAP", "#0072B2"), "pop3": ("POP3", "#E69F00"), "smtp": ("SMTP", "#009E73")},
            least=None,
            most=1,
            calcs=("lastNotNull", "min"),
        ),
    )


def _burn() -> Builder:
    return graph(
        About(
            "How fast the budget is spent",
            "Is this an emergency, or a slow leak?",
            "Multiples of what the objective allows, over an hour and over six. The dashed lines: at 1 the budget "
            "lasts as long as it should, at 14.4 that of 30 days is gone in two.",
            "both above 14.4: emergency. Six hours above 6 and one hour low: over for now, find out why in the "
            "morning.",
        ),
        Size(8, 9),
        Query(burn_rate(f"avg({over('avg_over_time', 'gmail_up', '1h')})"), "Last hour", "5m"),
        Query(burn_rate(f"avg({over('avg_over_time', 'gmail_up', '6h')})"), "Last 6 hours", "5m"),
        unit="suffix:x",
        drawn=Graph(
            steps=style.BURN,
            series={"Last hour": ("Last hour", "#D55E00"), "Last 6 hours": ("Last 6 hours", "#0072B2")},
        ),
    )


def _worst() -> Builder:
    availability = f"bottomk({WORST}, {over('avg_over_time', 'gmail_up', '$__range')})"
    return rows(
        About(
            "Least available",
            "Which endpoints were down longest?",
            f"The {WORST} least available endpoints of this range: the share of time they were up, how long they were "
            "down in all, and what that leaves of their own budget.",
            "follow the link of an endpoint to its history.",
        ),
        Size(8, 9),
        Column("Endpoint", "endpoint", links=links.of_endpoint()),
        Column("IP", "ip_family", width=50),
        Column("Seen by", "instance", links=[links.status_page()]),
        Column(
            "Up",
            expression=with_account(availability),
            unit="percentunit",
            steps=style.AVAILABILITY,
            decimals=2,
            width=80,
        ),
        Column("Down for", expression=with_account(f"(1 - {availability}) * $__range_s"), unit="dtdurations", width=90),
        Column(
            "Budget left",
            expression=with_account(budget_left(availability)),
            unit="percentunit",
            steps=style.BUDGET,
            decimals=0,
            width=90,
        ),
        sort="Up",
    )
