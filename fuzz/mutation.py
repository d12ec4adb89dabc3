"""New cases made of seeds: lines and words moved, repeated and replaced, octets changed.

A case depends on the seeds and on the random numbers alone, so that a seed number and a chunk number give it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

SEEDS = Path(__file__).parent / "seeds"

MAX_CASE = 16 << 10
"""Octets of a case; more than that only takes time."""

ODD_NUMBERS = (
    b"0", b"-1", b"1", b"00", b"255", b"256", b"65535", b"65536", b"99999", b"2147483648", b"4294967296",
    b"9999999999", b"18446744073709551616", b"1e9", b"0x10", b"\xd9\xa3", b"9" * 40, b"9" * 5000,
)  # fmt: skip
"""Where programs and libraries change their minds; Python refuses to convert more than 4,300 digits."""

ODD_OCTETS = (
    b"\0", b"\r", b"\n", b"\r\n", b"\r\r\n", b"\t", b" ", b"  ", b"\x1b[2J", b"\x7f", b"\x80", b"\xff", b"\xc3\xa9",
    b"\xe2\x80\xae", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b'"', b"'", b"\\", b"{", b"}", b"[", b"]",
    b"(", b")", b"<", b">", b"%", b"%00", b"&", b"*", b"+", b"-", b",", b".", b"/", b"..", b":", b"::", b";", b"=",
    b"?", b"@", b"#", b"|", b"~", b"$", b"A" * 70, b"A" * 600, b"x" * 9000,
)  # fmt: skip

_WORD = re.compile(rb"[^\s:=,;(){}\[\]\"]+")
_NUMBER = re.compile(rb"\d+")


def dictionary(name: str) -> list[bytes]:
    """Return the octets of each line of a file of words or of lines, where they are escaped as in Python."""
    lines = (SEEDS / name).read_text("ascii").splitlines()
    return [line.encode().decode("unicode_escape").encode("latin-1") for line in lines]


class Mutator:
    """Makes cases of seeds. `words` are put in the place of other words, `lines` among the lines."""

    def __init__(self, seeds: Sequence[bytes], words: Sequence[bytes] = (), lines: Sequence[bytes] = ()) -> None:
        self.seeds = seeds
        self._words = [*words, *ODD_NUMBERS]
        self._lines = [*lines, *(line for seed in seeds for line in seed.splitlines(keepends=True))]

    def __call__(self, random: Random) -> bytes:
        """Return a new case: a seed with one change or a few."""
        return self.change(random, random.choice(self.seeds))

    def change(self, random: Random, case: bytes) -> bytes:
        """Return the case with one change or a few."""
        for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4, 8))):
            case = random.choice(_CHANGES)(self, random, case)
        return case[:MAX_CASE]

    def _change_lines(self, random: Random, case: bytes) -> bytes:
        lines = case.splitlines(keepends=True)
        if not lines:
            return case
        at = random.randrange(len(lines))
        match random.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines[at:at] = [lines[at]] * random.choice((1, 1, 2, 5, 40))
            case 2:
                other = random.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = random.choice(self._lines)
            case 4:
                lines.insert(at, random.choice(self._lines))
        return b"".join(lines)

    def _change_word(self, random: Random, case: bytes) -> bytes:
        words = list(_WORD.finditer(case, random.randrange(len(case) + 1)))[:8] or list(_WORD.finditer(case))
        if not words:
            return case
        word = random.choice(words)
        new = random.choice((b"", word[0] * 2, word[0].upper(), word[0].lower(), *random.choices(self._words, k=6)))
        return case[: word.start()] + new + case[word.end() :]

    def _change_number(self, random: Random, case: bytes) -> bytes:
        numbers = list(_NUMBER.finditer(case))
        if not numbers:
            return case
        number = random.choice(numbers)
        return case[: number.start()] + random.choice(ODD_NUMBERS) + case[number.end() :]

    def _change_octets(self, random: Random, case: bytes) -> bytes:
        at = random.randrange(len(case) + 1)
        match random.randrange(5):
            case 0:
                return case[:at] + random.choice(ODD_OCTETS) + case[at:]
            case 1:
                return case[:at] + random.randbytes(random.choice((1, 1, 2, 4, 16))) + case[at + 1 :]
            case 2:
                return case[:at] + case[at + random.choice((1, 1, 2, 8, 64)) :]
            case 3:
                return case[:at]
            case _:
                size = random.choice((1, 4, 32))
                return case[:at] + case[at : at + size] * random.choice((2, 3, 50)) + case[at + size :]

    def _splice(self, random: Random, case: bytes) -> bytes:
        other = random.choice(self.seeds)
        return case[: random.randrange(len(case) + 1)] + other[random.randrange(len(other) + 1) :]


_CHANGES: tuple[Callable[[Mutator, Random, bytes], bytes], ...] = (
    Mutator._change_lines,
    Mutator._change_lines,
    Mutator._change_word,
    Mutator._change_word,
    Mutator._change_number,
    Mutator._change_octets,
    Mutator._change_octets,
    Mutator._splice,
)
