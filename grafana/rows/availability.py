"""How available is it, and how much of the error budget is left?"""

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
                "How available were the endpoints chosen, over the range on this page?",
                f"The mean share of time that endpoints were up, of the time that they were monitored. {_promise()}",
                "if it is below the objective, see the timeline for when, and the failures for why.",
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
                "How much of the error budget is left, over the range on this page?",
                f"{_promise()} The rest of the time is the budget: 100 % is untouched, 0 % is used up, below 0 it is "
                "overdrawn.",
                "with little left, postpone changes of network, resolvers and accounts.",
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
                "The least budget left of any endpoint, whatever the range on this page. As in the alerts, an outage "
                "that only one of several sites sees does not count. To query 30 days each minute takes too long: this "
                "needs the recording rules in deploy/prometheus/gmail-recording.yml.",
                "below 0 the promise is broken for these 30 days: tell those to whom it was made.",
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
                "above 14.4 somebody should work on it now.",
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
            "When was each endpoint down",
            "When did each endpoint fail, and did others fail at the same time?",
            f"The {SHOWN} endpoints that were down longest in this range; each step shows its worst state. Down is "
            "red, up with a failing login orange, up green; in a gap the state is unknown: the exporter did not run, "
            "or was not scraped.",
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
            "The share of endpoints that were up in each step. Mail clients read by IMAP and POP3, and send by SMTP.",
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
            "The burn rate, a multiple of what the objective allows, over one hour and over six. The dashed lines: at "
            "1 the budget of 30 days lasts 30 days, at 14.4 it lasts two.",
            "both above 14.4: emergency. Six hours above 6 and one hour low: it is over for now, find the cause the "
            "next day.",
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
            "down in all, and how much of their own budget is left.",
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
