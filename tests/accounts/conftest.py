"""Accounts whose secrets are files, and a token server whose certificate is trusted through SSL_CERT_FILE."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.model.settings import Account, OAuth2, SecretRef
from tests.servers.tokens import TokenServer


@pytest.fixture(scope="session")
def service_key(token_server: TokenServer) -> Mapping[str, str]:
    """The key of a service account for the two users of the tests, made once, for it takes long."""
    return token_server.service_account("probe@example.com", "ops@example.com")


@pytest.fixture
def trusted(tokens: TokenServer, monkeypatch: pytest.MonkeyPatch) -> TokenServer:
    """The token server, its authority in SSL_CERT_FILE."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tokens.ca_file))
    return tokens


class Secrets:
    """Writes secrets to files, and makes accounts with these files."""

    def __init__(self, directory: Path, tokens: TokenServer, key: Mapping[str, str]) -> None:
        self.directory = directory
        self.tokens = tokens
        self.key = key
        self.written: list[str] = []
        """Every secret so far."""

    def write(self, name: str, text: str) -> SecretRef:
        """Write a secret to the file of that name."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        self.written.append(text)
        return SecretRef(file=path)

    def password(self, user: str, password: str, name: str = "password") -> Account:
        """An account with an app password."""
        return Account(name=name, username=user, app_password=self.write(f"{name}.password", password))

    def refresh(self, user: str, name: str = "refresh", **changes: Any) -> Account:
        """An account with a new refresh token of the user."""
        client_id, client_secret, refresh_token = self.tokens.client(user)
        oauth2 = OAuth2(
            client_id=client_id,
            client_secret=self.write(f"{name}.client", client_secret),
            refresh_token=self.write(f"{name}.refresh", refresh_token),
            token_uri=self.tokens.token_uri,
        )
        return Account(name=name, username=user, oauth2=replace(oauth2, **changes))

    def service(
        self, user: str, name: str = "service", key: Mapping[str, str] | None = None, **changes: str
    ) -> Account:
        """An account with the key of a service account."""
        key = {**(key or self.key), **changes}
        self.written.append(key["private_key"])
        return Account(name=name, username=user, service_account=self.write(f"{name}.json", json.dumps(key)))


@pytest.fixture
def secrets(tmp_path: Path, trusted: TokenServer, service_key: Mapping[str, str]) -> Secrets:
    """Secrets in a directory of the test's own."""
    return Secrets(tmp_path, trusted, service_key)
