"""Templates, numbers and times."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from exporter.web import render


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
    [(0.5, "500ms"), (30, "30s"), (90, "1m30s"), (900, "15m"), (7200, "2h"), (86400, "1d")],
)
def test_durations(seconds: float, words: str) -> None:
    """As the configuration has them."""
    assert render.environment().from_string("{{ seconds | duration }}").render(seconds=seconds) == words
