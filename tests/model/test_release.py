"""How an account of this program is released."""

from __future__ import annotations

import shlex

import pytest

from exporter.model.release import NOWHERE, Way


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (NOWHERE, []),
        (
            Way(("gmail-exporter", "--config.file=/a b"), ("curl",), "http://x/"),
            ["gmail-exporter", "--config.file=/a b"],
        ),
        (Way((), ("curl", "-X", "POST"), "http://localhost:9993/gmail/"), ["curl", "-X", "POST"]),
        (Way((), (), "http://localhost:9993/"), []),
    ],
)
def test_way(way: Way, words: list[str]) -> None:
    """A command where there is a file of budgets, else a request where that is allowed, else nothing; for a shell."""
    account = "o'ps/ä"
    shown = shlex.split(way.of(account))
    assert shown[:-1] == words
    if words and words[0] == "curl":
        assert shown[-1] == "http://localhost:9993/gmail/accounts/o%27ps%2F%C3%A4/release"
    elif words:
        assert shown[-1] == account
