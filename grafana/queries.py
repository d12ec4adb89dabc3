"""The pieces that the dashboard's PromQL is made of.

Queries are on the exporter's own metrics, not on recording rules: the dashboard works without them. What looks back 30
days is the one exception.

Every query is narrowed down by the dashboard's variables. The account is a label of `gmail_endpoint_info` alone, so
that filter is a set operation: `unless on (…)` the endpoints of all other accounts. It adds no label, and is no error
where the sides match many to many. "All" is the expression `.*` for every variable but `job`, so that a query stays
short with a thousand endpoints: then there are no other accounts, the right side is empty, and costs nothing. Endpoints
without an account, whose label is empty, are there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

IDENTITY = "job, instance, endpoint, ip_family"
"""The labels that identify a series of an endpoint, whatever else it carries."""

EXPORTER = 'job=~"$job",instance=~"$instance"'
"""Matchers of what an exporter says of itself."""

ENDPOINT = f'{EXPORTER},protocol=~"$protocol",endpoint=~"$endpoint"'
"""Matchers of what it says of an endpoint; the account is missing."""

SLO = 0.999
"""The availability that is promised: Google's service level agreement for Workspace says 99.9 %."""


def alerts(state: str, *matchers: str) -> str:
    """Alerts of what is chosen. Those of many endpoints or instances at once lack labels, and always show."""
    labels = (f'{name}=~"${name}|"' for name in ("job", "instance", "account", "protocol", "endpoint"))
    return f'ALERTS{{alertname=~"Gmail.+",alertstate="{state}",{",".join((*labels, *matchers))}}}'


def of_exporter(metric: str, *matchers: str) -> str:
    """A selector of the exporters chosen."""
    return f"{metric}{{{','.join((EXPORTER, *matchers))}}}"


def of_account(metric: str, *matchers: str) -> str:
    """A selector of the accounts chosen, for the metrics whose base label is the account."""
    return of_exporter(metric, 'account=~"$account"', *matchers)


def selector(metric: str, *matchers: str) -> str:
    """A selector of the endpoints chosen, whatever their account."""
    return f"{metric}{{{','.join((ENDPOINT, *matchers))}}}"


INFO = selector("gmail_endpoint_info", 'account=~"$account"')

BUDGET_30D = (
    'endpoint:gmail_error_budget:remaining30d{protocol=~"$protocol",endpoint=~"$endpoint"}'
    f" and on (endpoint, protocol, host, port) {INFO}"
)
"""What the recording rules say is left of each endpoint's error budget, of the endpoints and accounts chosen."""

_OTHERS = of_exporter("gmail_endpoint_info", 'account!~"$account"')


def chosen(expression: str, at: str = "") -> str:
    """The part of an expression that is of the accounts chosen. `at` evaluates that elsewhere (`@ end()`)."""
    return f"({expression} unless on ({IDENTITY}) {_OTHERS}{at})"


def with_account(expression: str) -> str:
    """The same, and with the label `account`: for tables, once per row."""
    # Aggregated: where something else of an endpoint's configuration changes, two of its series may overlap.
    return f"({expression}) * on ({IDENTITY}) group_left (account) max by ({IDENTITY}, account) ({INFO})"


def endpoint(metric: str, *matchers: str) -> str:
    """An instant vector of the endpoints and accounts chosen."""
    return chosen(selector(metric, *matchers))


def over(function: str, metric: str, window: str, *matchers: str) -> str:
    """The same of a function over a range."""
    return chosen(f"{function}({selector(metric, *matchers)}[{window}])")


def one_provider(of: Callable[[str], str]) -> str:
    """What `of` makes of a matcher of the blame; series older than 0.1.0, which have `google`, as `provider`.

    Two selectors, because one `label_replace` of all fails where the two values overlap. To be dropped in 0.2.0.
    """
    new, old = of('blame!="google"'), of('blame="google"')
    return f'({new} or label_replace({old}, "blame", "provider", "", ""))'


FAILURES = one_provider(partial(selector, "gmail_failure_info"))
"""What fails, of the endpoints chosen, whatever their account."""


def budget_left(availability: str) -> str:
    """The share of the error budget that is left at this availability: 1 is untouched, below 0 is overdrawn."""
    return f"1 - (1 - {availability}) / (1 - {SLO})"


def burn_rate(availability: str) -> str:
    """How many times faster than the SLO allows the budget is being spent."""
    return f"(1 - {availability}) / (1 - {SLO})"


STATE = (
    f"{selector('gmail_up')} * (1 + min without (check) ({selector('gmail_check_success')}))"
    f" or 3 * max by ({IDENTITY}, protocol, host, port) ({selector('gmail_endpoint_info')})"
    f" unless on ({IDENTITY}) {selector('gmail_up')}"
)
"""0 down; 1 up, but the last login or its folders failed; 2 up; 3 not probed yet."""
