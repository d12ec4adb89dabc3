"""Variables are replaced as Grafana's documentation says."""

from __future__ import annotations

import pytest

from tests.grafana.substitution import ALL, View, seconds, substitute

VIEW = View(
    range=900,
    interval=20,
    chosen={
        "job": ALL,
        "instance": ALL,
        "endpoint": "a.b",
        "protocol": ["imap", "pop3"],
        "account": ["x"],
        "odd": r"x\y'z",
    },
    all_values={"instance": ".*"},
    options={"job": ["gmail", "mail"]},
)


@pytest.mark.parametrize(
    ("text", "min_step", "expected"),
    [
        ("[$__rate_interval]", None, "[60s]"),
        ("[$__rate_interval]", "30s", "[120s]"),
        ("[$__rate_interval]", "5m", "[1200s]"),
        ("[$__range:$__interval] * $__interval_ms", None, "[900s:20s] * 20000"),
        ("$__interval", "1m", "60s"),
        ("$__range_s", None, "900"),
        ('{job=~"$job"}', None, '{job=~"(gmail|mail)"}'),
        ('{job=~"$job|"}', None, '{job=~"(gmail|mail)|"}'),
        ('{instance=~"${instance}"}', None, '{instance=~".*"}'),
        ('{endpoint=~"$endpoint"}', None, '{endpoint=~"a\\\\.b"}'),
        ('{protocol=~"$protocol",account=~"$account"}', None, '{protocol=~"(imap|pop3)",account=~"x"}'),
        ("$odd", None, r"x\\\\y\\'z"),
        ("$unknown and ${unknown}", None, "$unknown and ${unknown}"),
    ],
)
def test_substitute(text: str, min_step: str | None, expected: str) -> None:
    """Built-in variables, All with an expression and without, one value, several values, and an unknown variable."""
    assert substitute(text, VIEW, min_step) == expected


def test_a_wide_step_widens_the_rate() -> None:
    """It is the step plus a scrape interval, if that is more than four scrape intervals."""
    assert substitute("$__rate_interval", View(range=86400, interval=120)) == "135s"


@pytest.mark.parametrize(("text", "expected"), [("500ms", 0.5), ("30s", 30), ("1m", 60), ("2h", 7200), ("1d", 86400)])
def test_seconds(text: str, expected: float) -> None:
    """Grafana's durations in seconds."""
    assert seconds(text) == expected
