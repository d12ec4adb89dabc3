"""The settings: immutable, comparable, hashable."""

from dataclasses import FrozenInstanceError, replace
from types import MappingProxyType
from typing import Any

import pytest

from exporter.model.settings import PORTS, Account, Endpoint, Protocol, SecretRef, Security, Tls, service_of

ENDPOINT = Endpoint(name="a", protocol=Protocol.IMAP, host="h", port=993)


def test_equal_and_hashable() -> None:
    """Two endpoints with the same settings are one in a set, whatever the order of their labels."""
    one = replace(ENDPOINT, labels=MappingProxyType({"a": "1", "b": "2"}))
    same = replace(ENDPOINT, labels=MappingProxyType({"b": "2", "a": "1"}))
    assert len({one, same, ENDPOINT, replace(ENDPOINT)}) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"port": 994},
        {"labels": {"a": "1"}},
        {"interval": 31.0},
        {"tls": Tls(min_version="1.3")},
        {"account": Account(name="a", username="a", app_password=SecretRef(env="X"))},
    ],
)
def test_any_change_shows(change: dict[str, Any]) -> None:
    """An endpoint with one other setting is another."""
    assert replace(ENDPOINT, **change) != ENDPOINT


def test_change_of_account_shows() -> None:
    """An endpoint whose account changed is another."""
    accounts = [Account(name="a", username="a", app_password=SecretRef(env=env)) for env in ("X", "Y")]
    assert replace(ENDPOINT, account=accounts[0]) != replace(ENDPOINT, account=accounts[1])


def test_immutable() -> None:
    """An endpoint cannot be changed; test_load.py has the same for the labels of a loaded one."""
    with pytest.raises(FrozenInstanceError):
        ENDPOINT.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("protocol", "security", "port"),
    [
        ("imap", "tls", 993), ("imap", "starttls", 143), ("imap", "none", 143),
        ("pop3", "tls", 995), ("pop3", "starttls", 110), ("pop3", "none", 110),
        ("smtp", "tls", 465), ("smtp", "starttls", 587), ("smtp", "none", 25),
    ],
)  # fmt: skip
def test_default_port(protocol: str, security: str, port: int) -> None:
    """Every protocol has its port for every security."""
    assert PORTS[Protocol(protocol), Security(security)] == port


@pytest.mark.parametrize(
    ("port", "service"),
    [
        (993, ("imap", "tls")), (143, ("imap", "starttls")), (995, ("pop3", "tls")), (110, ("pop3", "starttls")),
        (465, ("smtp", "tls")), (587, ("smtp", "starttls")), (25, ("smtp", "starttls")), (994, None),
    ],
)  # fmt: skip
def test_service_of_a_port(port: int, service: tuple[str, str] | None) -> None:
    """A well-known port has a protocol and a security, but never `none`; another port has neither."""
    assert service_of(port) == service
