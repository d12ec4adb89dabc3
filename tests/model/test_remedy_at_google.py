"""Remedies at Google."""

from __future__ import annotations

import pytest

from exporter.model.reason import Reason
from exporter.model.remedy import remedy_of
from exporter.model.remedy_at_google import AT_GOOGLE
from exporter.model.settings import Account, OAuth2, SecretRef

SECRET = SecretRef(env="X")
PASSWORD = Account("ops", "ops@example.com", app_password=SECRET)
TOKENS = Account("ops", "ops@example.com", oauth2=OAuth2("id", SECRET, SECRET, "https://login.example.com/token"))


@pytest.mark.parametrize("reason", AT_GOOGLE)
def test_google(reason: Reason) -> None:
    """At Google, its own remedy is given, whole, and another than the general one."""
    remedy = remedy_of(reason, "imap.gmail.com", PASSWORD)
    assert remedy == AT_GOOGLE[reason].format(account="ops")
    assert remedy.endswith(".")
    assert "{" not in remedy
    assert remedy != remedy_of(reason, "mail.example.com", TOKENS)
