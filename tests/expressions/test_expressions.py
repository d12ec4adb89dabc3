"""No text can make a regular expression of the program slow: its steps grow as the text does, not faster.

Steps are counted, not seconds, so that the answer is the same on every machine: a text is doubled, and its steps may
double. Every expression of the program is tried, also one that nobody has thought of here.
"""

from __future__ import annotations

import math
import re
from itertools import islice

import pytest

from tests.expressions.attacks import Attack, attacks
from tests.expressions.found import Expression, expressions, unseen
from tests.expressions.matcher import Matcher, Method, TooManySteps

DOUBLED = 2.6
"""Times the steps for a text of twice the length, at most; a square has 4."""

SHORT, LONG = 64, 1000
"""Characters that are doubled; the second where gaps of a fixed length make the first too short to tell."""


def growth(matcher: Matcher, attack: Attack, method: Method, length: int) -> float:
    """How many times the steps grow when the text is doubled."""
    times = max(4, length // len(attack.pump))
    steps = []
    for text in attack.text(times), attack.text(2 * times):
        try:
            matcher.run(text, method)
        except TooManySteps:
            return math.inf
        steps.append(matcher.steps)
    return steps[1] / max(steps[0], length)  # a text that is done at once says nothing


def slow(pattern: str | bytes, flags: int, method: Method) -> Attack | None:
    """The first attack on an expression that succeeds."""
    found = (
        attack
        for matcher in Matcher.of(pattern, flags).alternatives()
        for attack in attacks(matcher)
        if growth(matcher, attack, method, SHORT) > DOUBLED and growth(matcher, attack, method, LONG) > DOUBLED
    )
    return next(found, None)


UNIQUE = list({(one.pattern, one.flags, one.methods): one for one in expressions()}.values())


@pytest.mark.parametrize("expression", UNIQUE, ids=str)
def test_linear(expression: Expression) -> None:
    """Twice the text, twice the steps, for each way in which the program uses the expression."""
    for method in expression.methods:
        assert not slow(expression.pattern, expression.flags, method)


def test_all_are_seen() -> None:
    """Every expression of the program is among these: a call whose expression is made at run time would not be."""
    assert unseen() == []
    assert len(expressions()) > 100


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"(a+)+$", "match"),
        (r"(a|a)*$", "match"),
        (r"(a|aa)+$", "match"),
        (r"(.*)*x", "match"),
        (r"a*a*b", "match"),
        (r"[0-9_]*[0-9][0-9_]*", "fullmatch"),
        (r" +$", "findall"),
        (r"\s+$", "search"),
        (r"<[^>]*>", "findall"),
        (r"https://accounts\.google\.com/[^?\s]*\?", "search"),
        (r"(?=.*_)[0-9_]+", "search"),
        (r"x*?y*?z", "search"),
        (r'"(?:[^"\\]|\\.|\\)*"', "match"),
        (r"a.*b.*c", "match"),
        (r"\w+@\w+", "search"),
    ],
)
def test_slow_expressions_are_found(pattern: str, method: Method) -> None:
    """The usual mistakes are found, and so is the one that stopped the event loop for seconds."""
    assert slow(pattern, 0, method)


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"(?:a+b)+$", "match"),
        (r"[0-9]+:[0-9]+", "fullmatch"),
        (r"<[^<>]{0,100}>", "findall"),
        (r'"(?:[^"\\]|\\.)*"', "match"),
        (r"abc|abd|[^a]x", "findall"),
        (r"(?<=a)b", "findall"),
        (r"^a.{0,300}b", "search"),
        (r"(?>a+)a", "match"),
        (r"a++a", "match"),
    ],
)
def test_fast_expressions_are_not(pattern: str, method: Method) -> None:
    """What only looks like them is fast."""
    assert not slow(pattern, 0, method)


@pytest.mark.parametrize("expression", UNIQUE, ids=str)
def test_matcher(expression: Expression) -> None:
    """The matcher that counts finds what Python's finds, so that it counts the steps of the right expression."""
    pattern, matcher = (
        re.compile(expression.pattern, expression.flags),
        Matcher.of(expression.pattern, expression.flags),
    )
    for attack in islice(attacks(matcher), 0, None, 11):
        text = attack.text(3)
        if isinstance(expression.pattern, bytes) and not text.isascii():
            continue
        subject = text.encode() if isinstance(expression.pattern, bytes) else text
        expected = [found.span() for found in pattern.finditer(subject) if found[0]]  # type: ignore[arg-type]
        assert [span for span in matcher.run(text, "findall") if span[0] < span[1]] == expected, text


@pytest.mark.parametrize(
    ("pattern", "flags", "text"),
    [
        (r"(\w)\1", 0, "abba"),
        (r"\Aa|b\Z|^c", re.MULTILINE, "a\nc\nb"),
        (r"a$", re.MULTILINE, "a\nba\n"),
        (r"a??b", 0, "ab b"),
        (r"(?!a)\w(?<!c)", 0, "abcd"),
        (r"[^\W\d]+\B", 0, "ab1 cd"),
        (r"a{2,3}+a|a{2,}?", 0, "aaaa aaa"),
        (r".", re.DOTALL, "a\nb"),
        (r"\d\D\s\S", re.ASCII, "1a b٣x y"),
    ],
)
def test_matcher_of_anything(pattern: str, flags: int, text: str) -> None:
    """It knows what no expression of the program has so far."""
    expected = [found.span() for found in re.finditer(pattern, text, flags)]
    assert Matcher.of(pattern, flags).run(text, "findall") == expected
    one = re.search(pattern, text, flags)
    assert Matcher.of(pattern, flags).run(text, "search") == ([one.span()] if one else [])
    whole = re.fullmatch(pattern, text, flags)
    assert Matcher.of(pattern, flags).run(text, "fullmatch") == ([whole.span()] if whole else [])


@pytest.mark.parametrize("pattern", ["(?i:a)b", "(a)?(?(1)b|c)", "(?<=a|bc)d"])
def test_what_the_matcher_does_not_know(pattern: str) -> None:
    """An expression whose steps it cannot count is an error, not one that is linear."""
    with pytest.raises((NotImplementedError, KeyError, re.error)):
        slow(pattern, 0, "search")
