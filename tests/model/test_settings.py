"""The models: immutable, comparable, hashable, and strict."""

import copy
import pickle
from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.model.frozen import FrozenMapping
from exporter.model.settings import PORTS, Account, Endpoint, Protocol, SecretRef, Security, service_of
from tests.config.conftest import SENTINEL

SECRET = SecretRef(env="X")


def endpoint(**changes: object) -> Endpoint:
    return Endpoint.model_validate({"name": "a", "protocol": "imap", "host": "h", "port": 993, **changes})


def test_equal_and_hashable() -> None:
    """Two endpoints that say the same are one in a set, the order of their labels aside."""
    one, same = endpoint(labels={"a": "1", "b": "2"}), endpoint(labels={"b": "2", "a": "1"})
    assert len({one, same, endpoint()}) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"port": 994},
        {"labels": {"a": "1"}},
        {"interval": 31.0},
        {"tls": {"min_version": "1.3"}},
        {"account": Account(name="a", username="a", app_password=SECRET)},
    ],
)
def test_any_change_shows(change: dict[str, object]) -> None:
    """An endpoint of which anything changed is another."""
    assert endpoint(**change) != endpoint()


def test_change_of_account_shows() -> None:
    """An endpoint whose account changed is another."""
    accounts = [Account(name="a", username="a", app_password=SecretRef(env=env)) for env in ("X", "Y")]
    assert endpoint(account=accounts[0]) != endpoint(account=accounts[1])


def test_immutable() -> None:
    """Nothing of an endpoint can be changed in place."""
    one = endpoint(labels={"a": "1"})
    with pytest.raises(ValidationError):
        one.port = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        one.labels["a"] = "2"  # type: ignore[index]


def test_copies() -> None:
    """An endpoint survives copying, pickling and its own dump."""
    one = endpoint(labels={"a": "1"})
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert endpoint(**one.model_dump()) == one


@pytest.mark.parametrize("places", [{}, {"file": Path("x"), "env": "X"}])
def test_secret_in_one_place(places: dict[str, object]) -> None:
    """A secret is in a file or in a variable, not in both and not nowhere."""
    with pytest.raises(ValidationError, match="exactly one of file and env is needed"):
        SecretRef.model_validate(places)


@pytest.mark.parametrize("credentials", [{}, {"app_password": SECRET, "service_account": SECRET}])
def test_account_has_one_credential(credentials: dict[str, object]) -> None:
    """An account has one credential, not several and not none."""
    with pytest.raises(ValidationError, match="exactly one of app_password, oauth2 and service_account"):
        Account.model_validate({"name": "a", "username": "a", **credentials})


def test_errors_hide_values() -> None:
    """An error of a model does not show what it was given."""
    with pytest.raises(ValidationError) as caught:
        Account.model_validate({"name": "a", "username": "a", "app_password": SENTINEL})
    assert SENTINEL not in str(caught.value)


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
    """A port alone never means a connection in the clear."""
    assert service_of(port) == service


def test_frozen_mapping() -> None:
    """A frozen mapping is a mapping: ordered, equal to a dict with the same items, and nothing else."""
    mapping = FrozenMapping({"b": 1, "a": 2})
    assert list(mapping.items()) == [("b", 1), ("a", 2)]
    assert mapping == {"a": 2, "b": 1}
    assert mapping != 1
    assert len(FrozenMapping()) == 0
    assert repr(mapping) == "{'b': 1, 'a': 2}"
