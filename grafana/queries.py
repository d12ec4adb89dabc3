"""The parts of the dashboard's PromQL.

Queries use the exporter's own metrics, not recording rules, so the dashboard works without those. The one exception is
the error budget of 30 days.

Every query is filtered by the dashboard's variables. Only `gmail_endpoint_info` has tenant and account as labels, so
that filter is a set operation: `unless on (…)` the endpoints of all others. It adds no label, and many-to-many matches
are no error. "All" is the expression `.*` for every variable but `job`, so that a query stays short with a thousand
endpoints: then there are no others, and the right side is empty and cheap. Endpoints without a tenant or an account,
whose label is empty, are included.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

IDENTITY = "job, instance, endpoint, host, port, ip_family"
"""The labels that identify a series of an endpoint, whatever else it carries."""

EXPORTER = 'job=~"$job",instance=~"$instance"'
"""Matchers of an exporter's own metrics."""

ENDPOINT = f'{EXPORTER},protocol=~"$protocol",host=~"$host",endpoint=~"$endpoint"'
"""Matchers of an endpoint's metrics, without those that only `gmail_endpoint_info` has: tenant and account."""

SLO = 0.999
"""The availability that is promised: Google's service level agreement for Workspace says 99.9 %."""


def alerts(state: str, *matchers: str) -> str:
    """Alerts of the exporters and endpoints chosen. Alerts about several of them lack these labels and always show."""
    names = ("job", "instance", "tenant", "account", "protocol", "host", "endpoint")
    labels = (f'{name}=~"${name}|"' for name in names)
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


INFO = selector("gmail_endpoint_info", 'tenant=~"$tenant"', 'account=~"$account"')

BUDGET_30D = (
    'endpoint:gmail_error_budget:remaining30d{protocol=~"$protocol",host=~"$host",endpoint=~"$endpoint"}'
    f" and on (endpoint, protocol, host, port, tenant) {INFO}"
)
"""The error budget that is left, as recorded, for each endpoint of the endpoints and accounts chosen."""


def chosen(expression: str, at: str = "") -> str:
    """The part of an expression that belongs to the tenants and accounts chosen; `at` evaluates those elsewhere."""
    others = (of_exporter("gmail_endpoint_info", f'{name}!~"${name}"') + at for name in ("tenant", "account"))
    return f"({expression} unless on ({IDENTITY}) ({' or '.join(others)}))"


def with_account(expression: str) -> str:
    """The same, and with the labels `tenant` and `account`: for tables, once per row."""
    # Aggregated: when another part of an endpoint's configuration changes, two of its series may overlap.
    labels = "tenant, account"
    return f"({expression}) * on ({IDENTITY}) group_left ({labels}) max by ({IDENTITY}, {labels}) ({INFO})"


def endpoint(metric: str, *matchers: str) -> str:
    """An instant vector of the endpoints and accounts chosen."""
    return chosen(selector(metric, *matchers))


def over(function: str, metric: str, window: str, *matchers: str) -> str:
    """The same of a function over a range."""
    return chosen(f"{function}({selector(metric, *matchers)}[{window}])")


def one_provider(of: Callable[[str], str]) -> str:
    """The expression that `of` makes from a matcher of the blame, with the old blame `google` replaced by `provider`.

    Exporters older than 0.2.0 expose `google`. There are two selectors because one `label_replace` of all series fails
    where both values overlap. To be removed in 0.3.0.
    """
    new, old = of('blame!="google"'), of('blame="google"')
    return f'({new} or label_replace({old}, "blame", "provider", "", ""))'


FAILURES = one_provider(partial(selector, "gmail_failure_info"))
"""The failures of the endpoints chosen, whatever their account."""


def budget_left(availability: str) -> str:
    """The share of the error budget that is left at this availability: 1 is untouched, below 0 is overdrawn."""
    return f"1 - (1 - {availability}) / (1 - {SLO})"


def burn_rate(availability: str) -> str:
    """How many times faster than the SLO allows the budget is being spent."""
    return f"(1 - {availability}) / (1 - {SLO})"


_CHECKS = selector("gmail_check_success", 'check!="tls"')

STATE = (
    f"{selector('gmail_up')} * (1 + min without (check) ({_CHECKS}))"
    f" or 3 * max by ({IDENTITY}, protocol, host, port) ({selector('gmail_endpoint_info')})"
    f" unless on ({IDENTITY}) {selector('gmail_up')}"
)
"""0 down; 1 up, but the last login or its folders failed; 2 up; 3 not probed yet.

An exchange may be up with a certificate that is not trusted; of everything else, that is down.
"""
