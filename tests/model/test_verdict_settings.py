"""The defaults of the section `verdict`."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from exporter.model.evidence import ControlKind
from exporter.model.verdict_settings import Control, StatusProvider, VerdictSettings


def test_defaults() -> None:
    """Google's web is compared with, and its incidents are read; paths are traced, within bounds."""
    made = VerdictSettings()
    assert dict(made.controls) == {"web": Control("web", ControlKind.PROVIDER_WEB, "www.google.com", 443)}
    assert (made.resolvers, made.status.provider) == ((), StatusProvider.GOOGLE)
    assert made.trace.on_failure
    assert made.trace.max_hops <= 64


def test_immutable() -> None:
    """Neither it nor its controls can be changed, and two that say the same are equal."""
    made = VerdictSettings()
    with pytest.raises(FrozenInstanceError):
        made.resolvers = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        made.controls["x"] = made.controls["web"]  # type: ignore[index]
    assert made == VerdictSettings()
