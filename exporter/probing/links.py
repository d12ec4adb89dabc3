"""Google's sign-in links, whose query is personal: `plt=` in it signs its reader in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto

from exporter.probing.pieces import Span

# What begins a link, and what may end its path or its query.
_TOKEN = re.compile(r"<?https?://accounts\.google\.com/|[?>\]\s]", re.IGNORECASE)
_PARAMETER = re.compile(r"plt=([^\s\]>&]+)", re.IGNORECASE)
# A line that continues such a link; the lines of a reply are shown one by one.
_REST = re.compile(r"534-5\.7\.14 ([\w%&=.~+-]{16,}|[^\s<>]+(?=>))")


class _In(Enum):
    """Where the text is: in no link, in the path of one or in its query."""

    TEXT = auto()
    PATH = auto()
    QUERY = auto()


def may_have_links(text: str) -> bool:
    """Whether `personal_parts` may find something; False is certain, and what nearly every text gives."""
    return "://" in text or "534-" in text or "plt=" in text.lower()


def personal_parts(text: str) -> Iterator[Span]:
    """Yield the parts of a text that are personal: the query of a sign-in link, and every value of `plt`."""
    if rest := _REST.match(text):
        yield rest.span(1)
    for begin, end, _ in _queries(text):
        yield begin, end
    for parameter in _PARAMETER.finditer(text):
        yield parameter.span(1)


def brackets(text: str) -> Iterator[Span]:
    """Yield the angle brackets around the links whose query `personal_parts` takes out: without it they have no use."""
    for _, end, bracket in _queries(text):
        if bracket is not None:
            yield bracket, bracket + 1
            if text[end : end + 1]:
                yield end, end + 1


def _queries(text: str) -> Iterator[tuple[int, int, int | None]]:
    """Yield where each query begins and ends, and where the bracket before its link is.

    In SMTP replies a link stands between brackets and is broken over several lines: it then ends at the `>` only.
    """
    where, bracket, begin = _In.TEXT, None, 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if len(mark) > 1:
            # A link between brackets may contain anything but its end; one without them ends where such a link begins.
            if where is _In.TEXT or (mark[0] == "<" and bracket is None):
                if where is _In.QUERY:
                    yield begin, token.start(), bracket
                where, bracket = _In.PATH, token.start() if mark[0] == "<" else None
        elif where is _In.PATH and mark == "?":
            where, begin = _In.QUERY, token.end()
        elif where is not _In.TEXT and (mark == ">" or (mark != "?" and bracket is None)):
            if where is _In.QUERY:
                yield begin, token.start(), bracket
            where = _In.TEXT
    if where is _In.QUERY:
        yield begin, len(text), bracket
