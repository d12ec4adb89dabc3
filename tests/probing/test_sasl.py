"""SASL mechanisms as data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.settings import MechanismChoice
from exporter.probing.dialogue import Credential
from exporter.probing.sasl import choose

CREDENTIAL = Credential("probe@gmail.com", "sentinelsentinel")


@pytest.mark.parametrize(
    ("choice", "offered", "name"),
    [
        (MechanismChoice.AUTO, ["LOGIN", "PLAIN"], "PLAIN"),
        (MechanismChoice.AUTO, ["LOGIN", "XOAUTH2"], "LOGIN"),
        (MechanismChoice.AUTO, ["XOAUTH2", "PLAIN-CLIENTTOKEN", "CRAM-MD5"], None),
        (MechanismChoice.AUTO, [], None),
        (MechanismChoice.AUTO, ["plain"], None),
        (MechanismChoice.PLAIN, ["PLAIN", "LOGIN"], "PLAIN"),
        (MechanismChoice.PLAIN, ["LOGIN"], None),
        (MechanismChoice.LOGIN, ["PLAIN", "LOGIN"], "LOGIN"),
        (MechanismChoice.LOGIN, ["PLAIN"], None),
        (MechanismChoice.XOAUTH2, ["XOAUTH2", "PLAIN", "LOGIN"], None),
        (MechanismChoice.OAUTHBEARER, ["OAUTHBEARER", "PLAIN", "LOGIN"], None),
    ],
)
def test_choose(choice: MechanismChoice, offered: list[str], name: str | None) -> None:
    """The best mechanism that both sides admit is taken; a password is never sent by one that was not asked for."""
    mechanism = choose(choice, offered, CREDENTIAL)
    assert (mechanism.name if mechanism else None) == name


def test_plain() -> None:
    """PLAIN is one answer that may go with the command: an empty authorization identity, user name, password."""
    mechanism = choose(MechanismChoice.PLAIN, ["PLAIN"], CREDENTIAL)
    assert mechanism is not None
    assert mechanism.answers == (b"\0probe@gmail.com\0sentinelsentinel",)
    assert mechanism.client_first


def test_login() -> None:
    """LOGIN answers two prompts, and says nothing before the first."""
    mechanism = choose(MechanismChoice.LOGIN, ["LOGIN"], CREDENTIAL)
    assert mechanism is not None
    assert mechanism.answers == (b"probe@gmail.com", b"sentinelsentinel")
    assert not mechanism.client_first


@given(username=st.text(st.characters(codec="utf-8")), password=st.text(st.characters(codec="utf-8")))
def test_any_credential(username: str, password: str) -> None:
    """Any text goes out in UTF-8, whole and unchanged."""
    plain = choose(MechanismChoice.PLAIN, ["PLAIN"], Credential(username, password))
    login = choose(MechanismChoice.LOGIN, ["LOGIN"], Credential(username, password))
    assert plain is not None
    assert login is not None
    assert plain.answers == (b"\0" + b"\0".join(login.answers),)
    assert [answer.decode() for answer in login.answers] == [username, password]


def test_repr() -> None:
    """Neither a credential nor a mechanism shows the password."""
    for name in ("PLAIN", "LOGIN"):
        mechanism = choose(MechanismChoice.AUTO, [name], CREDENTIAL)
        assert name in repr(mechanism)
        assert CREDENTIAL.password not in repr(mechanism)
    assert repr(CREDENTIAL) == "Credential(username='probe@gmail.com', is_token=False)"
