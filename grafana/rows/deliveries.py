"""Does mail arrive, how long does it take, and is it in the inbox?"""

from __future__ import annotations

from grafana import style
from grafana.panels import About, Builder, Column, Graph, Query, Size, graph, rows
from grafana.queries import of_exporter

TITLE = "Deliveries: does mail arrive, and where?"

STEP = "5m"
"""A message is sent each half an hour by default."""

_IN_SPAM = of_exporter("gmail_delivery_folder", 'folder="spam"')
_TRANSFER = of_exporter("gmail_delivery_stage_duration_seconds", 'stage="transfer"')
_STATES: style.Words = {0: ("Does not arrive", style.BAD), 1: ("Arrives", style.GOOD)}


def panels() -> list[Builder]:
    """From left to right, from top to bottom."""
    return [_deliveries(), _time(), _stages(), _failures(), _runs(), _authentication()]


def _deliveries() -> Builder:
    return rows(
        About(
            "Deliveries",
            "Does mail arrive?",
            "Each delivery with its last message. Without a state no message was sent, because of a login or a budget.",
            "the page /deliveries of the exporter has the remedy of each failure.",
        ),
        Size(24, 7),
        Column("State", expression=of_exporter("gmail_delivery_up"), words=_STATES, width=140),
        Column("Delivery", "delivery"),
        Column("From", "from"),
        Column("To", "to"),
        Column("Instance", "instance"),
        Column(
            "In spam",
            expression=f"max without (folder) ({_IN_SPAM})",
            words={0: ("No", style.GOOD), 1: ("Yes", style.BAD)},
            width=90,
        ),
        Column(
            "Visible after",
            expression=f"max without (stage) ({_TRANSFER})",
            unit="s",
            width=120,
        ),
        Column("Left over", expression=of_exporter("gmail_delivery_leftover_messages"), decimals=0, width=90),
        Column("Each", expression=of_exporter("gmail_delivery_interval_seconds"), unit="dtdurations", width=110),
        Column(
            "Last run",
            expression=f"time() - {of_exporter('gmail_delivery_last_run_timestamp_seconds')}",
            unit="dtdurations",
            width=130,
        ),
        sort="State",
        no_value="No delivery is configured",
    )


def _time() -> Builder:
    bucket = f"rate({of_exporter('gmail_delivery_duration_seconds_bucket')}[6h])"
    return graph(
        About(
            "Time until a message is visible",
            "How long does mail take?",
            "From the acceptance of a message until it is visible over IMAP: half of the messages of six hours are "
            "faster than the median, one in ten is slower than the 90th centile; estimates from histogram buckets.",
            "the page of the delivery shows at which server the message waited.",
        ),
        Size(12, 8),
        *(
            Query(
                f"histogram_quantile({quantile}, sum by (delivery, le) ({bucket}))", f"{{{{delivery}}}}: {name}", STEP
            )
            for quantile, name in ((0.5, "median"), (0.9, "90th centile"))
        ),
        unit="s",
    )


def _stages() -> Builder:
    return graph(
        About(
            "Stages of the last message",
            "Which stage takes how long?",
            "Of the last message: submit is the session of the sender up to the acceptance, transfer the time from "
            "there until the message is visible, cleanup the moving to the trash.",
            "submit: the sender's server. transfer: the way, and the receiver's filters.",
        ),
        Size(12, 8),
        Query(of_exporter("gmail_delivery_stage_duration_seconds"), "{{delivery}}: {{stage}}", STEP),
        unit="s",
    )


def _failures() -> Builder:
    return graph(
        About(
            "Failures",
            "At which stage does it fail, and why?",
            "A bar while the last delivery failed so.",
            "Make one now, by gmail-exporter check --delivery NAME: it says what to do.",
        ),
        Size(8, 8),
        Query(of_exporter("gmail_delivery_failure_info"), "{{delivery}}: {{reason}} in {{stage}} ({{blame}})", STEP),
        unit="short",
        drawn=Graph(bars=True, steps=style.ANY_IS_DOUBTFUL, calcs=("lastNotNull",)),
    )


def _runs() -> Builder:
    return graph(
        About(
            "Runs",
            "How many messages were sent?",
            "Runs by result. not_made: no message was sent, or it could not be looked for, because of a login or a "
            "budget.",
            "Where messages are not_made, see the row on accounts.",
        ),
        Size(8, 8),
        Query(f"sum by (result) (increase({of_exporter('gmail_deliveries_total')}[$__interval]))", "{{result}}", STEP),
        unit="short",
        drawn=Graph(bars=True, stacked=True, calcs=("sum",)),
    )


def _authentication() -> Builder:
    return graph(
        About(
            "What the receiver says of the sender",
            "Does the receiver believe the sender?",
            "SPF, DKIM and DMARC of the last message, as the receiver's own Authentication-Results say.",
            "anything but pass: the administrator of the domain that sends checks its DNS records and its signer.",
        ),
        Size(8, 8),
        Query(of_exporter("gmail_delivery_authentication"), "{{delivery}}: {{method}}={{result}}", STEP),
        unit="short",
        drawn=Graph(bars=True, calcs=("lastNotNull",)),
    )
