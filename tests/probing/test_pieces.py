"""Pieces of secrets are found by what is common to two texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probing.pieces import Pieces, letters, letters_at, marks, marks_at

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("aA1 -_!é\u0301\u200b\uff41\uff21\ufb01ß\n")), max_size=40)


@pytest.mark.parametrize(
    ("text", "as_letters", "as_marks"),
    [
        ("Ab 1-c!", "ab1c", "ab1-c!"),
        ("a\u200bb\u00adc\ufe0fd\u3164e\U000e0041f", "abcdef", "abcdef"),
        ("\uff21\uff22\uff23\uff11", "abc1", "abc1"),
        ("\ufb01le ² \u210c", "file2h", "file2h"),
        ("É e\u0301", "ee", "e\u0301e\u0301"),
        ("Straße STRASSE", "strassestrasse", "strassestrasse"),
        ("ПАРОЛЬ", "пароль", "пароль"),
        ("🔒_😀", "", "🔒_😀"),
        ("\0\x1b\x7f\x85", "", ""),
        ("", "", ""),
    ],
    ids=ascii,
)
def test_forms(text: str, as_letters: str, as_marks: str) -> None:
    """What looks or means the same is the same, and what cannot be seen is nothing."""
    assert letters(text) == as_letters
    assert marks(text) == as_marks


@given(TEXTS)
def test_places(text: str) -> None:
    """Every character of a form has its place in the text, and places rise."""
    for form, places in (letters(text), letters_at(text)), (marks(text), marks_at(text)):
        assert len(form) == len(places)
        assert places == sorted(places)
        assert all(0 <= place < len(text) for place in places)


@given(TEXTS)
def test_ascii_is_no_exception(text: str) -> None:
    """The fast way for ASCII gives what the way for all texts gives."""
    text = text.encode("ascii", "ignore").decode()
    assert letters(f"{text}п") == letters(text) + "п"
    assert marks(f"{text}п") == marks(text) + "п"


def found(texts: list[str], text: str) -> list[str]:
    """The runs of pieces in a text."""
    pieces = Pieces(texts)
    assert pieces.may_be_in(text) or not list(pieces.runs(text))
    return [text[begin:end] for begin, end in pieces.runs(text)]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("xxabcdefxx", ["abcdef"]),
        ("abcdexx", []),
        ("abcdefghij", ["abcdefghij"]),
        ("cdefghijxxabcdefgx", ["cdefghij", "abcdefg"]),
        ("abcdefabcdef", ["abcdef", "abcdef"]),
        ("efghijabcdef", ["efghij", "abcdef"]),
        ("fedcba", []),
        ("", []),
    ],
)
def test_runs(text: str, runs: list[str]) -> None:
    """Pieces of six characters and more are found, each as long as it can be."""
    assert found(["abcdefghij"], text) == runs


def test_several() -> None:
    """Pieces of several texts are found; a text that is shorter than a piece has none."""
    assert found(["abcdef", "uvwxyz", "short"], "abcdefshortuvwxyz") == ["abcdef", "uvwxyz"]
    assert not Pieces(["short", ""])
    assert Pieces(["abcdef"])
    assert not Pieces([]).may_be_in("abcdef")


def test_split() -> None:
    """A text that comes several times without anything between is as many parts."""
    pieces = Pieces(["abcabc"])
    [run] = pieces.runs("xabcabcabcabcabc")
    assert run == (1, 16)
    assert list(pieces.split(run)) == [(1, 7), (7, 13), (13, 16)]


@given(
    secret=st.text("abc", min_size=6, max_size=12),
    many=st.lists(st.text("abcd", min_size=6, max_size=60), max_size=40),
    text=st.text("abcd", max_size=60),
)
def test_may_be_in_is_sure(secret: str, many: list[str], text: str) -> None:
    """Where it is said fast that there is no piece, there is none, for few texts and for many."""
    for pieces in Pieces([secret]), Pieces([secret, *many]):
        expected = [at for at in range(len(text) - 5) if any(text[at : at + 6] in one for one in pieces._texts)]
        covered = {at for begin, end in pieces.runs(text) for at in range(begin, end - 5)}
        assert set(expected) <= covered
        assert pieces.may_be_in(text) or not expected
