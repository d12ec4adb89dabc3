"""Cases made of seeds."""

from __future__ import annotations

from random import Random

import pytest

from fuzz.mutation import MAX_CASE, SEEDS, Mutator, dictionary

SEEDS_OF_TEST = [b'a1 OK done\r\n* LIST (\\Sent) "/" x\r\n', b"250-AUTH PLAIN\r\n250 SIZE 35882577\r\n", b""]


def test_cases_differ() -> None:
    """Of many cases most are new, and each is bounded."""
    mutator, random = Mutator(SEEDS_OF_TEST, [b"word"], [b"line\r\n"]), Random(1)
    cases = [mutator(random) for _ in range(2000)]
    assert len(set(cases)) > 1000
    assert max(map(len, cases)) <= MAX_CASE
    for piece in (b"word", b"line\r\n", b"9" * 5000, b"\xff", b"OK done\r\n250"):
        assert any(piece in case for case in cases), piece


def test_same_random_numbers() -> None:
    """The same random numbers give the same cases."""
    mutator = Mutator(SEEDS_OF_TEST)
    one, two = ([mutator(random) for _ in range(100)] for random in (Random(7), Random(7)))
    assert one == two


@pytest.mark.parametrize("path", sorted(SEEDS.glob("*.[wl]*s")), ids=lambda path: path.name)
def test_dictionaries(path: object) -> None:
    """Every line of a file of words is octets, none of them twice; a line of a file of lines has its end."""
    name = str(path).rpartition("/")[2]
    pieces = dictionary(name)
    assert len(pieces) == len(set(pieces)) > 5
    assert b"" not in pieces
    if name.endswith(".lines"):
        assert all(b"\n" in piece for piece in pieces)
