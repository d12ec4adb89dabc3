"""The web configuration in force."""

from __future__ import annotations

from exporter.config.web import WebConfig
from exporter.web.server.websettings import WebSettings


async def test_without_a_file_everybody_is_answered_in_the_clear() -> None:
    """No TLS, no users, no headers."""
    settings = WebSettings()
    assert settings.config == WebConfig()
    assert (settings.config.tls, dict(settings.config.users), dict(settings.config.headers)) == (None, {}, {})


async def test_closed_settings_check_no_more_passwords() -> None:
    """`close` may be called twice."""
    settings = WebSettings()
    settings.close()
    settings.close()
