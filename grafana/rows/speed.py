"""How fast is it, in which phase, in the network or in the server?"""

from __future__ import annotations

from exporter.model.outcome import Phase
from grafana import links, style
from grafana.panels import About, Builder, Graph, Query, Size, graph, heat
from grafana.queries import IDENTITY, chosen, endpoint, over, selector

TITLE = "Speed: how fast, and is it the network or the server?"

STEP = "30s"
"""An endpoint is probed every 30 s by default: a shorter window of a rate would miss probes."""
BARS = "5m"
"""Each bar counts its own step, which must hold several scrapes."""

_BUCKETS = over("increase", "gmail_probe_duration_seconds_bucket", "$__rate_interval")
_PROBED = f"count({endpoint('gmail_up')})"
_DIALOGUE = 'phase=~"greeting|capability|starttls|login|folders"'
_PHASE = selector("gmail_phase_duration_seconds", _DIALOGUE)
_BEYOND_RTT = chosen(
    # A greeting that comes with the end of the handshake takes less than a round trip.
    f"clamp_min({_PHASE} - on ({IDENTITY}) group_left () {selector('gmail_tcp_rtt_seconds')}, 0)"
)
_PHASES = {phase: (phase, colour) for phase, colour in style.PHASES.items()}


def _mean(expression: str) -> str:
    return f"{expression} / on () group_left () {_PROBED}"


def panels() -> list[Builder]:
    """From left to right, from top to bottom."""
    return [_quantiles(), _heatmap(), _phases(), _network_or_server(), _slow_phases(), _slowest(), _sent_again()]


def _quantiles() -> Builder:
    return graph(
        About(
            "Duration of a probe",
            "How long does a session take, from name resolution to logout?",
            "Of all successful probes chosen, half are faster than the median, and one in a hundred is slower than the "
            "99th centile; these are estimates from histogram buckets. Failed probes are not counted here, but in the "
            "row on failures.",
            "if all rise, see which phase does; if the 99th alone rises, see the slowest endpoints.",
        ),
        Size(12, 8),
        *(
            Query(f"histogram_quantile({quantile}, sum by (le) ({_BUCKETS}))", name, STEP)
            for quantile, name in ((0.5, "Median"), (0.95, "95th centile"), (0.99, "99th centile"))
        ),
        unit="s",
        drawn=Graph(
            steps=style.SECONDS,
            series={
                "Median": ("Median", "#009E73"),
                "95th centile": ("95th centile", "#E69F00"),
                "99th centile": ("99th centile", "#D55E00"),
            },
            calcs=("lastNotNull", "mean", "max"),
        ),
    )


def _heatmap() -> Builder:
    return heat(
        About(
            "How many probes took how long",
            "Did everything get slower, or did a part?",
            "The stronger the colour, the more probes. One band that moves: everything changed. A second band above "
            "the first: some endpoints, or one address of a host, are slow, and the rest is not.",
            "choose endpoints above until one band is left.",
        ),
        Size(12, 8),
        Query(f"sum by (le) ({_BUCKETS})", "{{le}}", STEP),
    )


def _phases() -> Builder:
    return graph(
        About(
            "Where the time goes",
            "Which phase makes up the duration?",
            "The mean duration of each phase in the last probe of each endpoint, stacked in the order of a session; "
            "the top is the mean duration of a probe. Logins appear when one was made.",
            "resolve: the resolver. connect: the network. tls: both. From greeting on: the server, and one round trip "
            "for each phase.",
        ),
        Size(12, 9),
        # One query each: in one query they would be stacked in alphabetical order.
        *(
            Query(_mean(f"sum({endpoint('gmail_phase_duration_seconds', matcher)})"), phase, STEP)
            for phase, matcher in ((phase.value, f'phase="{phase}"') for phase in Phase)
        ),
        unit="s",
        drawn=Graph(stacked=True, series=_PHASES, calcs=("lastNotNull", "mean", "max")),
    )


def _network_or_server() -> Builder:
    phase = "gmail_phase_duration_seconds"
    matchers = (f'phase="{Phase.RESOLVE}"', 'phase!~"resolve|tls|logout"', f'phase="{Phase.TLS}"')
    resolve, dialogue, tls = (f"sum({endpoint(phase, matcher)})" for matcher in matchers)
    return graph(
        About(
            "Network or server",
            "Is it the network that is slow, or the server?",
            "The mean probe without its logout, split by where the time is spent. Network: the TCP handshake, and one "
            "round trip for each step of the dialogue, as the kernel measures it. Server: the rest of those steps. TLS "
            "is one or two round trips and the server's cryptography.",
            "if the network grows, compare instances, and ask your Internet provider; if the server does, see the mail "
            "provider's status page.",
        ),
        Size(12, 9),
        Query(_mean(resolve), "Name resolution", STEP),
        Query(_mean(f"({dialogue} - sum({_BEYOND_RTT}))"), "Network", STEP),
        Query(_mean(tls), "TLS", STEP),
        Query(_mean(f"sum({_BEYOND_RTT})"), "Server", STEP),
        unit="s",
        drawn=Graph(
            stacked=True,
            series={
                "Name resolution": ("Name resolution", style.PHASES[Phase.RESOLVE]),
                "Network": ("Network", style.PHASES[Phase.CONNECT]),
                "TLS": ("TLS", style.PHASES[Phase.TLS]),
                "Server": ("Server", style.SERVER_COLOUR),
            },
            calcs=("lastNotNull", "mean", "max"),
        ),
    )


def _slow_phases() -> Builder:
    return graph(
        About(
            "Phases of the slow endpoints, and the round trip",
            "Which phase is slow at the slow endpoints?",
            "The 95th centile across endpoints of each phase of the last probe, and, dashed, of the round trip. A "
            "phase of the dialogue cannot be faster than the dashed line; the time above it is the server's.",
            "name the phase that rises when you ask for help: it shows whom to ask.",
        ),
        Size(12, 9),
        Query(f"quantile by (phase) (0.95, {endpoint('gmail_phase_duration_seconds')})", "{{phase}}", STEP),
        Query(f"quantile(0.95, {endpoint('gmail_tcp_rtt_seconds')})", "Round trip", STEP),
        unit="s",
        drawn=Graph(
            steps=style.SECONDS,
            series={**_PHASES, "Round trip": ("Round trip", style.RTT_COLOUR)},
            dashed=("Round trip",),
        ),
    )


def _slowest() -> Builder:
    mean = " / ".join(
        f"increase({selector(f'gmail_probe_duration_seconds_{part}')}[$__range] @ end())" for part in ("sum", "count")
    )
    return graph(
        About(
            "The ten slowest endpoints",
            "Which endpoints are slow?",
            "The last probe of the ten endpoints with the greatest mean over the whole range on the page, so that they "
            "stay the same ten from left to right.",
            "one endpoint: open its page on the exporter. All endpoints of one host or instance: it is that host or "
            "site.",
        ),
        Size(12, 9),
        Query(
            f"sum without (phase) ({selector('gmail_phase_duration_seconds')}) and on ({IDENTITY})"
            f" topk(10, {chosen(f'{mean} > 0', ' @ end()')})",
            "{{endpoint}} {{ip_family}}, by {{instance}}",
            STEP,
        ),
        unit="s",
        drawn=Graph(steps=style.SECONDS, calcs=("lastNotNull", "mean", "max"), links=links.of_series()),
    )


def _sent_again() -> Builder:
    most = f"increase({selector('gmail_tcp_retransmits_total')}[$__range] @ end())"
    return graph(
        About(
            "Segments sent again",
            "Does the network lose packets?",
            "Segments that the exporter's kernel had to send again, at the ten endpoints with most of them in this "
            "range. Each costs 0.2 s or more, a second while connecting. Kernels that do not tell have no bars.",
            "one host: the path to it loses packets, or it is overloaded. All hosts of an instance: its own line.",
        ),
        Size(24, 8),
        Query(
            f"{over('increase', 'gmail_tcp_retransmits_total', '$__interval')} and on ({IDENTITY})"
            f" topk(10, {chosen(f'{most} > 0', ' @ end()')})",
            "{{endpoint}} {{ip_family}}, by {{instance}}",
            BARS,
        ),
        unit="short",
        drawn=Graph(stacked=True, bars=True, calcs=("sum",), links=links.of_series()),
    )
