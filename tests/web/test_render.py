"""Templates, numbers and times."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from exporter.model.outcome import Phase
from exporter.web import render
from tests.examples import success


def test_everything_is_escaped_and_nothing_is_missing() -> None:
    """In every template, whatever its name; a name that none knows is an error."""
    environment = render.environment()
    assert environment.autoescape is True
    assert environment.from_string("{{ said }}").render(said="<script>'\"&") == "&lt;script&gt;&#39;&#34;&amp;"
    with pytest.raises(UndefinedError):
        environment.from_string("{{ nobody }}").render()


def test_no_template_says_that_something_is_safe() -> None:
    """Nor has it a script or a style of its own, which the Content-Security-Policy would stop."""
    environment = render.environment()
    assert environment.loader is not None
    for name in environment.list_templates():
        source = environment.loader.get_source(environment, name)[0]
        assert "safe" not in source
        assert " style=" not in source
        assert " on" not in [word[:3] for word in source.split("<") if word.startswith("script")]
        assert "<style" not in source


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 ms"), (0.00049, "0.5 ms"), (0.0127, "13 ms"), (1.2345, "1,234 ms"), (10.04, "10.0 s")],
)
def test_milliseconds(seconds: float, words: str) -> None:
    """Two or three digits."""
    assert render.milliseconds(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.5, "500ms"), (30, "30s"), (90, "1m30s"), (900, "15m"), (7200, "2h"), (86400, "1d")],
)
def test_durations(seconds: float, words: str) -> None:
    """As the configuration has them."""
    assert render.environment().from_string("{{ seconds | duration }}").render(seconds=seconds) == words


def test_times() -> None:
    """UTC, to the second; a half second does not become a date of its own."""
    assert render.iso(1_700_000_000.7) == "2023-11-14T22:13:21Z"
    assert render.utc(1_700_000_000) == "2023-11-14 22:13:20 UTC"
    assert (render.short(1_700_000_000), render.clock(1_700_000_000)) == ("11-14 22:13", "22:13")


def test_packed_phases_keep_their_places() -> None:
    """One for each phase there is, empty where it was not reached."""
    fields = render.packed(success()).split(",")
    assert len(fields) == len(Phase)
    assert fields[:5] == ["1", "10", "20", "30", "10"]
    assert (fields[list(Phase).index(Phase.LOGIN)], fields[-1]) == ("", "10")
