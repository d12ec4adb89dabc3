"""What stands behind a key → its value, or what it must be instead, in our own words."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from exporter.config.document import Node, Scalar, Sequence, describe
from exporter.config.duration import format_duration, parse_duration
from exporter.model.address import check_host
from exporter.model.text import Unacceptable, check_text

E = TypeVar("E", bound=StrEnum)

NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,62}")
"""What an endpoint or an account can be called: it becomes a label value and a part of a URL."""


def read_text(node: Node) -> str:
    """Return text that is not empty and that no control character can smuggle a second line into."""
    if not isinstance(node, Scalar):
        raise Unacceptable(f"must be text, not {describe(node)}")
    if not isinstance(node.value, str):
        raise Unacceptable("must be text: put it in quotes")
    return check_text(node.value)


def read_choice(choices: type[E]) -> Callable[[Node], E]:
    """Return a reader of one of the words of an enumeration."""
    by_word: dict[object, E] = {str(choice): choice for choice in choices}

    def read(node: Node) -> E:
        if isinstance(node, Scalar) and node.value in by_word:
            return by_word[node.value]
        raise Unacceptable(f"must be {alternatives(choices)}, not {describe(node)}")

    return read


def alternatives(words: type[StrEnum]) -> str:
    """Return `a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}"


def read_switch(node: Node) -> bool:
    """Return true or false."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    raise Unacceptable(f"must be true or false, not {describe(node)}")


def read_whole(most: int) -> Callable[[Node], int]:
    """Return a reader of whole numbers from 1 to `most`."""

    def read(node: Node) -> int:
        # A bool is an int to Python, not to people.
        if isinstance(node, Scalar) and type(node.value) is int and 1 <= node.value <= most:
            return node.value
        raise Unacceptable(f"must be a whole number from 1 to {most}, not {describe(node)}")

    return read


read_port = read_whole(65535)


def read_https(node: Node) -> str:
    """Return an address that begins with https://. Nothing of a bad one is shown: addresses carry passwords."""
    text = read_text(node)
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.fragment:
        raise Unacceptable("must be an address such as https://oauth2.googleapis.com/token")
    return text


def read_duration(at_least: float, at_most: float | None = None) -> Callable[[Node], float]:
    """Return a reader of durations, in seconds, within bounds that are themselves allowed."""

    def read(node: Node) -> float:
        if isinstance(node, Scalar) and type(node.value) in {int, float} and node.value != 0:
            raise Unacceptable(f"must have a unit, as in 30s or 1h30m, not {describe(node)}")
        try:
            seconds = parse_duration(node.text if isinstance(node, Scalar) else "")
        except ValueError:
            raise Unacceptable(f"must be a duration such as 30s or 1h30m, not {describe(node)}") from None
        if seconds < at_least or (at_most is not None and seconds > at_most):
            bounds = f"at least {format_duration(at_least)}"
            if at_most is not None:
                bounds = f"from {format_duration(at_least)} to {format_duration(at_most)}"
            raise Unacceptable(f"must be {bounds}, not {describe(node)}")
        return seconds

    return read


def read_min_version(node: Node) -> Literal["1.2", "1.3"]:
    """Return the oldest version of TLS that is accepted."""
    if isinstance(node, Scalar):
        if node.value == "1.2":
            return "1.2"
        if node.value == "1.3":
            return "1.3"
        if isinstance(node.value, float):
            raise Unacceptable('must be "1.2" or "1.3" in quotes; without them it is a number')
    raise Unacceptable(f'must be "1.2" or "1.3", not {describe(node)}')


def read_host(node: Node) -> str:
    """Return a host name or an IP address, as written. What stands there instead is not shown: a URL has passwords."""
    if isinstance(node, Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        raise Unacceptable("must be a host name or an IP address, not a number")
    return check_host(read_text(node))


def read_list(example: str) -> Callable[[Node], list[Node]]:
    """Return a reader of the items of a list such as `example`."""

    def read(node: Node) -> list[Node]:
        if isinstance(node, Sequence):
            return node.items
        raise Unacceptable(f"must be a list such as [{example}], not {describe(node)}")

    return read
