"""Can mail reach each domain, and do its policies let it in?"""

from __future__ import annotations

from functools import partial

from grafana import links, style
from grafana.panels import About, Builder, Column, Graph, Query, Size, graph, rows
from grafana.queries import EXPORTER, of_exporter, one_provider

TITLE = "Mail domains: can mail reach each, and do its policies let it in?"

STEP = "1m"

_OF = "job, instance, endpoint, domain"
_HOST = 'host=~"$host"'
_OF_EXCHANGE = f"{_OF}, host, port"
_AT_HOST = "job, instance, endpoint, host, port"

_STATES: style.Words = {
    0: ("No exchange answers", style.BAD),
    1: ("Mail arrives", style.GOOD),
    2: ("Not known yet", style.UNKNOWN),
}
_EXCHANGE: style.Words = {0: ("Down", style.BAD), 1: ("Up", style.GOOD), 2: ("Not probed yet", style.UNKNOWN)}
_YES: style.Words = {0: ("No", style.BAD), 1: ("Yes", style.GOOD)}
_MAY: style.Words = {0: ("No", style.DOUBTFUL), 1: ("Yes", style.GOOD)}
_TAKEN: style.Words = {0: ("They object", style.DOUBTFUL), 1: ("They take it", style.GOOD)}
_MODES = style.text_mapping(
    {"enforce": ("Enforce", style.GOOD), "testing": ("Testing", style.DOUBTFUL), "none": ("None", style.UNKNOWN)}
)


def of_domain(metric: str, *matchers: str) -> str:
    """A vector of the domains chosen. One without an exchange is one of any host, and of any protocol."""
    named = ",".join((EXPORTER, 'endpoint=~"$endpoint"', *matchers))
    others = [of_exporter("gmail_mx_info", f'{name}!~"${name}"') for name in ("tenant", "account")]
    exchanges = of_exporter("gmail_mx_preference")
    others.append(f"{exchanges} unless on ({_OF}) {of_exporter('gmail_mx_preference', _HOST)}")
    of_another_protocol = of_exporter("gmail_endpoint_info", 'protocol!~"$protocol"')
    others.append(f"{exchanges} and on ({_AT_HOST}) {of_another_protocol}")
    return f"({metric}{{{named}}} unless on ({_OF}) ({' or '.join(others)}))"


def by(labels: str, expression: str, how: str = "max") -> str:
    """Only these labels: a label that relabelling adds must not make rows of its own."""
    return f"{how} by ({labels}) ({expression})"


_PREFERENCE = of_domain("gmail_mx_preference")


def _at_exchange(expression: str) -> str:
    """What a metric of endpoints says of each exchange; where it says nothing, nothing."""
    return f"0 * {by(_OF_EXCHANGE, _PREFERENCE)} + on ({_AT_HOST}) group_left () {by(_AT_HOST, expression)}"


def _named(metric: str, *matchers: str) -> str:
    """The same for a metric of the domain that has the exchange as `host`, but no port."""
    value = by(f"{_OF}, host", of_domain(metric, *matchers))
    return f"0 * {by(_OF_EXCHANGE, _PREFERENCE)} + on ({_OF}, host) group_left () {value}"


_UP = _at_exchange(of_exporter("gmail_up"))


def panels() -> list[Builder]:
    """From left to right, from top to bottom."""
    return [_domains(), _exchanges(), _wrong(), _changes(), _share(), _faults()]


def _domains() -> Builder:
    base = by(_OF, of_domain("gmail_mx_info"))
    mode = by(f"{_OF}, mode", of_domain("gmail_mta_sts_mode"))
    return rows(
        About(
            "Domains",
            "Can mail reach each domain?",
            "A row for each domain and each exporter that looks at it. Mail arrives while one exchange is up. “In the "
            "policy”: its MTA-STS policy names every exchange; servers deliver to no other one where it is enforced.",
            "no exchange answers: the next table says why. A policy that is soon over cannot be fetched any more: "
            "repair the policy host before then.",
        ),
        Size(24, 7),
        Column("State", expression=f"{by(_OF, of_domain('gmail_mx_up'))} or 2 * {base}", words=_STATES, width=150),
        Column("Domain", "domain"),
        Column("Endpoint", "endpoint", links=links.of_endpoint()),
        Column("Seen by", "instance", links=[links.status_page()]),
        Column("Exchanges", expression=by(_OF, _PREFERENCE, "count"), decimals=0, width=90),
        Column("Up", expression=by(_OF, _UP, "sum"), decimals=0, width=60),
        Column("As expected", expression=by(_OF, of_domain("gmail_mx_as_expected")), words=_YES, width=100),
        Column("Policy", "mode", texts=_MODES, width=90),
        Column("Policy counts", expression=mode, hidden=True),
        Column(
            "Policy is over in",
            expression=f"{by(_OF, of_domain('gmail_mta_sts_policy_expiry_timestamp_seconds'))} - time()",
            unit="dtdurations",
            steps=style.TOKEN_EXPIRY,
            width=130,
        ),
        Column(
            "In the policy",
            expression=by(_OF, of_domain("gmail_mta_sts_mx_covered"), "min"),
            words=_YES,
            width=100,
        ),
        Column("Reports", expression=by(_OF, of_domain("gmail_tls_rpt")), words=_MAY, width=80),
        Column(
            "DNSSEC",
            expression=by(_OF, of_domain("gmail_dns_authenticated", 'record="mx"'), "min"),
            words=_MAY,
            width=80,
        ),
        sort="State",
        no_value="No mail domain is configured",
    )


def _exchanges() -> Builder:
    base = by(_OF_EXCHANGE, _PREFERENCE)
    reasons = by(f"{_AT_HOST}, reason, phase, blame", one_provider(partial(of_exporter, "gmail_failure_info")))
    failing = f"{reasons} * on ({_AT_HOST}) group_left (domain) (0 * {base} + 1)"
    first = f"topk by ({_OF_EXCHANGE}) (1, {failing})"
    return rows(
        About(
            "Exchanges",
            "Which exchange of a domain is down, and would servers that demand TLS deliver to the others?",
            "The lowest preference is tried first. A server without a policy takes any certificate; one that goes by "
            "MTA-STS or DANE objects to a certificate that is not trusted or does not match.",
            "one exchange that is down delays mail; all of them keep it from the domain. Follow the link of the reason "
            "to its remedy. If port 25 fails everywhere, this network lets nobody out: see the blame.",
        ),
        Size(24, 8),
        Column("Domain", "domain"),
        Column("Preference", expression=base, decimals=0, width=100),
        Column("Exchange", "host"),
        Column("Endpoint", "endpoint", links=links.of_endpoint()),
        Column("Seen by", "instance", links=[links.status_page()]),
        Column("State", expression=f"{_UP} or 2 + 0 * {base}", words=_EXCHANGE, width=130),
        Column("Reason", "reason", links=[links.remedy()], width=170),
        Column("In", "phase", width=90),
        Column("Whose fault", "blame", texts=style.BLAME_WORDS, width=130),
        Column("Failing", expression=first, hidden=True),
        Column(
            "Servers that demand TLS",
            expression=_at_exchange(of_exporter("gmail_check_success", 'check="tls"')),
            words=_TAKEN,
            width=170,
        ),
        Column("In the policy", expression=_named("gmail_mta_sts_mx_covered"), words=_YES, width=100),
        Column("DANE matches", expression=_named("gmail_dane_match"), words=_YES, width=110),
        sort="Preference",
        no_value="No mail exchange is known",
    )


def _wrong() -> Builder:
    labels = f"{_OF}, host, reason, blame"
    return rows(
        About(
            "What is wrong with a domain",
            "Which record or policy is wrong, and at which exchange?",
            "A row for each fault of the domain itself, for as long as it lasts; a change is told for an hour.",
            "follow the link of the reason to its remedy. What a policy demands and an exchange does not have makes "
            "servers refuse, without a word to the domain: repair that first.",
        ),
        Size(16, 7),
        Column(
            "State",
            expression=by(labels, of_domain("gmail_mx_failure_info")),
            words={1: ("Wrong", style.DOUBTFUL)},
            width=80,
        ),
        Column("Reason", "reason", links=[links.remedy()], width=230),
        Column("Domain", "domain"),
        Column("Exchange", "host"),
        Column("Whose fault", "blame", texts=style.BLAME_WORDS, width=130),
        Column("Endpoint", "endpoint", links=links.of_endpoint()),
        Column("Seen by", "instance", links=[links.status_page()]),
        sort="Reason",
        no_value="Nothing is wrong",
    )


def _changes() -> Builder:
    changed = by(f"{_OF}, record", of_domain("gmail_mx_changed_timestamp_seconds"))
    return rows(
        About(
            "Changes",
            "What did somebody change, and when?",
            "The last change of the MX records, the MTA-STS policy and the TLSA records of each domain. The exporter's "
            "log and its page say how it was before.",
            "ask who did it, if an outage began then.",
        ),
        Size(8, 7),
        Column("Ago", expression=f"time() - {changed}", unit="dtdurations", width=120),
        Column("Records", "record", width=90),
        Column("Domain", "domain"),
        Column("Seen by", "instance", links=[links.status_page()]),
        sort="Ago",
        no_value="No change was seen",
    )


def _share() -> Builder:
    each = by("job, instance, domain", _UP, "avg")
    return graph(
        About(
            "Exchanges that are up",
            "Which domain had exchanges down, and when?",
            "The share of a domain's exchanges that are up, as the exporter sees it that reaches fewest; the ten "
            "lowest domains.",
            "at 0, no mail arrives. One exporter alone: compare the next panel, and its network.",
        ),
        Size(12, 8),
        Query(f"bottomk(10, min by (domain) ({each}))", "{{domain}}", STEP),
        unit="percentunit",
        drawn=Graph(most=1, calcs=("lastNotNull", "min")),
    )


def _faults() -> Builder:
    return graph(
        About(
            "Faults of domains",
            "Since when is it wrong, and at how many domains?",
            "Domains with each fault, as the exporter sees it that finds most.",
            "many domains at once: what they share, such as a policy host or a resolver.",
        ),
        Size(12, 8),
        Query(
            f"max by (reason) (count by (job, instance, reason) "
            f"({by(f'{_OF}, reason', of_domain('gmail_mx_failure_info'))}))",
            "{{reason}}",
            STEP,
        ),
        unit="short",
        drawn=Graph(bars=True, stacked=True, steps=style.ANY_IS_DOUBTFUL, calcs=("lastNotNull",)),
    )
