"""Words that are no secret."""

from __future__ import annotations

import pytest

from exporter.model.reason import Reason
from exporter.model.remedy import REMEDIES
from exporter.probing.pieces import LEAST, letters, marks
from exporter.probing.vocabulary import common_letters, common_marks, common_words
from tests.probing.catalogue import CATALOGUE


@pytest.mark.parametrize(
    "word",
    [
        "password",
        "Username",
        "credentials",
        "XOAUTH2",
        "AUTHENTICATE",
        "SPECIAL-USE",
        "starttls",
        "auth_account_lookup_failed",
    ],
)
def test_words(word: str) -> None:
    """The words of the protocols, of servers and of our own reasons are there, and so are pieces of them."""
    assert letters(word) in common_letters()
    assert marks(word) in common_marks()
    assert letters(word)[1:7] in common_letters()
    assert marks(word) in common_words()


def test_no_words() -> None:
    """What is random is not there."""
    assert "xqzdef" not in common_letters()
    assert "" not in common_words() - {""}
    assert all(text.isprintable() for text in common_marks().splitlines())


def test_reasons() -> None:
    """Every text of a reason is there."""
    for reason in Reason:
        assert letters(reason.summary) in common_letters()
        assert letters(REMEDIES[reason]) in common_letters()


def test_what_gmail_says() -> None:
    """The words of the catalogue of Gmail's refusals are there, so that it stays readable with nearly any password."""
    words = {
        letters(word)
        for rows in CATALOGUE.values()
        for row in rows
        for word in row.text.split()
        if len(letters(word)) >= LEAST and not any(map(str.isdigit, word)) and not {"/", "["} & set(word)
    }
    assert len(words) > 100
    assert len({word for word in words if word not in common_letters()}) < len(words) / 20
