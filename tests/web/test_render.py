"""The templates and their filters."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from exporter.web import render


def test_environment() -> None:
    """Every value is escaped, whatever the template's name, and an undefined name is an error."""
    environment = render.environment()
    assert environment.autoescape is True
    assert environment.from_string("{{ text }}").render(text="<script>'\"&") == "&lt;script&gt;&#39;&#34;&amp;"
    with pytest.raises(UndefinedError):
        environment.from_string("{{ undefined_name }}").render()


def test_templates() -> None:
    """No template marks a value as safe, or has an inline script or style, which the policy would block."""
    environment = render.environment()
    assert environment.loader is not None
    for name in environment.list_templates():
        source = environment.loader.get_source(environment, name)[0]
        assert "safe" not in source
        assert " style=" not in source
        assert " on" not in [word[:3] for word in source.split("<") if word.startswith("script")]
        assert "<style" not in source


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "500ms"), (30, "30s"), (90, "1m30s"), (900, "15m"), (7200, "2h"), (86400, "1d")],
)
def test_durations(seconds: float, text: str) -> None:
    """A duration is written as in the configuration."""
    assert render.environment().from_string("{{ seconds | duration }}").render(seconds=seconds) == text
