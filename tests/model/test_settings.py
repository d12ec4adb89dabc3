"""The settings: immutable, comparable, hashable."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from exporter.model.evidence import ControlKind
from exporter.model.settings import PORTS, Account, Config, Endpoint, Protocol, SecretRef, Security, Tls, service_of
from exporter.model.verdict_settings import Control, StatusProvider, StatusSettings, VerdictSettings

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


WEB = Control("web", ControlKind.PROVIDER_WEB, "www.google.com", 443)
OTHER = Control("other", ControlKind.SAME_PORT, "imap.example.com", 993)


def test_what_is_for_google_is_in_force_only_there() -> None:
    """A file without a host of Google's contacts nobody of Google's; what it names itself is in force."""
    own = Config(endpoints={"a": ENDPOINT}, verdict=VerdictSettings({"web": WEB, "other": OTHER}))
    assert (own.controls, own.status_provider) == ((OTHER,), StatusProvider.NONE)
    exchanges = replace(own, endpoints={"a": replace(ENDPOINT, host="", domain="gmail.com")})
    assert exchanges.watches_google
    gmail = replace(own, endpoints={"a": ENDPOINT, "b": replace(ENDPOINT, host="IMAP.gmail.com.")})
    assert (gmail.controls, gmail.status_provider) == ((WEB, OTHER), StatusProvider.GOOGLE)
    quiet = replace(gmail, verdict=VerdictSettings({}, status=StatusSettings(StatusProvider.NONE)))
    assert (quiet.controls, quiet.status_provider) == ((), StatusProvider.NONE)


def test_without_a_file_nobody_but_google_is_contacted() -> None:
    """The default has one control, and it is Google's."""
    assert Config(endpoints={"a": replace(ENDPOINT, host="imap.gmail.com")}).controls == (WEB,)
    assert Config(endpoints={"a": ENDPOINT}).controls == ()


@pytest.mark.parametrize(
    ("host", "tls", "security", "needed"),
    [
        ("imap.gmail.com", Tls(), Security.TLS, True),
        ("mail.example.com", Tls(), Security.TLS, False),
        ("mail.example.com", Tls(public_root=True), Security.STARTTLS, True),
        ("imap.gmail.com", Tls(ca_file=Path("ca.pem")), Security.TLS, False),
        ("imap.gmail.com", Tls(), Security.NONE, False),
    ],
)
def test_who_must_have_a_public_root(host: str, tls: Tls, security: Security, needed: bool) -> None:
    """Google's hosts, and those of which the file says so; not where it names the authorities itself."""
    assert replace(ENDPOINT, host=host, tls=tls, security=security).needs_public_root is needed
