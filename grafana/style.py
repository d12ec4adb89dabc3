"""Colours, words for values, and thresholds. Each meaning has one colour, and a word beside it.

The colours of parties and phases are from the palette of Okabe and Ito, for any kind of colour blindness; those of
states are Grafana's own, which follow its theme.
"""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.models import dashboard as model

from exporter.model.outcome import Phase
from exporter.model.reason import Blame, fill
from exporter.model.verdict import Verdict

GOOD, DOUBTFUL, BAD, UNKNOWN = "green", "orange", "red", "#808080"

_BLAME_COLOURS: Mapping[Blame, str] = {
    Blame.PROVIDER: "#CC79A7",
    Blame.NETWORK: "#0072B2",
    Blame.ACCOUNT: "#E69F00",
    Blame.TOKEN: "#F0E442",
    Blame.CLIENT: "#56B4E9",
    Blame.UNKNOWN: UNKNOWN,
}
BLAMES: Mapping[str, tuple[str, str]] = {
    blame: (fill(blame.label)[:1].upper() + fill(blame.label)[1:], colour) for blame, colour in _BLAME_COLOURS.items()
}
"""The label and the colour of each party."""

NOBODY = ("Nobody", "#009E73")

PHASES: Mapping[str, str] = {
    Phase.RESOLVE: "#56B4E9",
    Phase.CONNECT: "#0072B2",
    Phase.TLS: "#7B61A8",
    Phase.GREETING: "#D55E00",
    Phase.CAPABILITY: "#E69F00",
    Phase.STARTTLS: "#F0E442",
    Phase.LOGIN: "#CC79A7",
    Phase.FOLDERS: "#009E73",
    Phase.LOGOUT: "#808080",
}
"""The phases of a probe in the order of a session; network in blues, server in warm colours."""

SERVER_COLOUR = BLAMES[Blame.PROVIDER][1]
RTT_COLOUR = "#E15759"

Steps = tuple[tuple[float | None, str], ...]
"""Thresholds: from this value on, this colour; the first has no value."""

ANY_IS_BAD: Steps = ((None, GOOD), (1, BAD))
ANY_IS_DOUBTFUL: Steps = ((None, GOOD), (1, DOUBTFUL))
SECONDS: Steps = ((None, GOOD), (1, DOUBTFUL), (5, BAD))
"""Of a probe, whose deadline is 10 s by default. A mail client feels a second."""
AVAILABILITY: Steps = ((None, BAD), (0.995, DOUBTFUL), (0.999, GOOD))
BUDGET: Steps = ((None, BAD), (0, DOUBTFUL), (0.25, GOOD))
BURN: Steps = ((None, GOOD), (1, DOUBTFUL), (14.4, BAD))
"""At 14.4, a budget of 30 days is gone in 50 hours: 2 % of it in one hour."""
EXPIRY: Steps = ((None, BAD), (3 * 86400, DOUBTFUL), (21 * 86400, GOOD))
"""As in the alerts. Google's certificates are valid for 12 weeks and replaced weekly: 3 left are too few."""
TOKEN_EXPIRY: Steps = ((None, DOUBTFUL), (0, GOOD))
STALENESS: Steps = ((None, GOOD), (120, DOUBTFUL), (600, BAD))
LAG: Steps = ((None, GOOD), (0.1, DOUBTFUL), (1, BAD))
FULLNESS: Steps = ((None, GOOD), (0.9, DOUBTFUL), (0.97, BAD))
NEUTRAL: Steps = ((None, "text"),)
"""A number that is neither good nor bad."""

Words = Mapping[float, tuple[str, str]]
"""A text and a colour for each value."""

STATE: Words = {
    0: ("Down", BAD),
    1: ("Up, login fails", DOUBTFUL),
    2: ("Up", GOOD),
    3: ("Not probed yet", UNKNOWN),
}
VERDICTS: Mapping[str, tuple[str, str]] = {
    verdict: (fill(verdict.label)[:1].upper() + fill(verdict.label)[1:], _BLAME_COLOURS[verdict.blame])
    for verdict in Verdict
}
"""The label of each verdict, in the colour of the party at fault."""
SUCCESS: Words = {0: ("Fails", BAD), 1: ("OK", GOOD)}
ANSWERS: Words = {0: ("Does not answer", BAD), 1: ("Answers", GOOD)}
RELOAD: Words = {0: ("Refused: the old one runs", BAD), 1: ("OK", GOOD)}
STAMPS: Words = {0: ("This process", DOUBTFUL), 1: ("The kernel", GOOD)}
VISIBLE: Words = {0: ("Hidden", BAD), 1: ("Visible", GOOD)}
HELD: Words = {0: ("No", GOOD), 1: ("Held back", DOUBTFUL)}
NONE_DOWN: Words = {0: ("None is down", GOOD)}
NONE: Words = {0: ("None", GOOD)}
ALL_ANSWER: Words = {0: ("All answer", GOOD)}
NO_FAILURES: Words = {0: ("No failures", GOOD)}
NEVER: Words = {-1: ("Never", BAD)}
ALERT: Words = {1: ("Pending", DOUBTFUL), 2: ("Firing", BAD)}


def mapping(words: Words) -> list[model.ValueMapping]:
    """Return the value mapping of Grafana for these values."""
    results = {
        f"{value:g}": model.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [model.ValueMap(options=results)] if results else []


def text_mapping(words: Mapping[str, tuple[str, str]]) -> list[model.ValueMapping]:
    """The same for values that are texts."""
    results = {
        value: model.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [model.ValueMap(options=results)]


SEVERITY_WORDS = text_mapping({"critical": ("Critical", BAD), "warning": ("Warning", DOUBTFUL)})
BLAME_WORDS = text_mapping(BLAMES)
