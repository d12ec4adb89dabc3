"""Makes text from outside safe to show: no secret, no personal link, nothing invisible, bounded.

Text from outside is what servers say, and what the exceptions of libraries say. What `search` finds in it is taken out,
also where a secret is broken over several lines of a reply. Our own configuration and names never come here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from typing import TypeAlias

from exporter.model.certificate import Certificate, TlsFacts
from exporter.model.message import escape_invisible, is_visible
from exporter.model.outcome import MAX_DETAIL, Line
from exporter.model.settings import Endpoint
from exporter.probing.dialogue import Credential
from exporter.probing.links import brackets, may_have_links, personal_parts
from exporter.probing.pieces import Span, marks
from exporter.probing.search import NO_NAMES, NO_SECRETS, Names, Secrets, in_use
from exporter.probing.vocabulary import common_words

REDACTED = "[redacted]"

_MAX_TEXT = 2 * MAX_DETAIL  # characters that are searched at once; what is taken out leaves room for more
_OVERLAP = 64  # characters of the lines before them, which may hold the beginning of a piece
_FEW_LINES = 16  # of a dialogue, as most have: all of them are looked at in one step
_MAX_ESCAPE = 11  # characters of an escape that may stand at the end of a line
# What a line of a reply begins with; the secret of two lines stands behind it in the second.
_PREFIX = re.compile(
    r"\d{3}[ -](?:[245]\.\d{1,3}\.\d{1,3} )?|(?:\*|a\d{1,4}|bye) (?:OK|NO|BAD|BYE|PREAUTH) |[+-](?:OK|ERR)? ",
    re.IGNORECASE,
)
# The code that may follow; only of our vocabulary, for a secret may look like one.
_CODE = re.compile(r"\[([A-Z/-]{1,20})\] ", re.IGNORECASE)
# What may be the beginning of an escape such as 0x41, at the end of a line.
_BEGUN = re.compile(r"0(?:x[0-9a-f]?)?\Z", re.IGNORECASE)
# What a further line of a reply begins with in a detail, which is one line.
_STATUS = re.compile(r" (?:(?:OK|NO|BAD|BYE) (?:\[[A-Z-]{1,20}\] )?|[245]\.\d{1,3}\.\d{1,3} )", re.IGNORECASE)


class Redactor:
    """Redacts texts: what they hold of some secrets, where that is not also a piece of some names."""

    def __init__(self, secrets: Secrets = NO_SECRETS, names: Iterable[str] = ()) -> None:
        self._secrets = secrets
        self._names = Names(names)

    def text(self, text: str) -> str:
        """Return a text as it may be shown, of at most `MAX_DETAIL` characters."""
        text = _cut(text)
        return _shown(text, [*self._secrets.find(text, self._names), *self._find_over_lines(text)])

    def _find_over_lines(self, text: str) -> Iterator[Span]:
        """Yield what is found in a text of several lines without the words that each of them begins with."""
        breaks = [status.span() for status in _STATUS.finditer(text)] if self._secrets else []
        if breaks:
            begins = [0, *(end for _, end in breaks)]
            ends = [*(begin for begin, _ in breaks), len(text)]
            texts = [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
            found = _split(self._secrets.find("".join(texts), self._names), texts)
            for begin, spans in zip(begins, found, strict=True):
                yield from ((first + begin, last + begin) for first, last in spans)

    def words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return words of a server, such as its capabilities, as they may be shown."""
        if not self._secrets.are_in(whole := "\n".join(words)):
            return tuple(words) if _is_plain("".join(words)) else tuple(map(_shown, words))
        spans = _split(self._secrets.find(whole, self._names), [word + "\n" for word in words])
        return tuple(_shown(word, _whole_names(word, found)) for word, found in zip(words, spans, strict=True))

    def certificates(self, facts: TlsFacts) -> TlsFacts:
        """Return the facts of a handshake as they may be shown: a certificate may have anything in its names."""
        if not self._secrets:
            return facts
        texts = [text for one in facts.chain for text in (one.subject, one.issuer, one.serial_number, *one.names)]
        if not self._secrets.are_in("\n".join(texts)):
            return facts
        return replace(facts, issuer=self.text(facts.issuer), chain=tuple(map(self._certificate, facts.chain)))

    def _certificate(self, one: Certificate) -> Certificate:
        return replace(
            one,
            subject=self.text(one.subject),
            issuer=self.text(one.issuer),
            names=tuple(map(self.text, one.names)),
            serial_number=self.text(one.serial_number),
        )

    def may_show(self, lines: Sequence[Line]) -> bool:
        """Whether a dialogue may be shown as it is; False says nothing, True is what nearly every short one gives."""
        if self._secrets or len(lines) > _FEW_LINES:
            return False
        texts = [line.text for line in lines]
        return max(map(len, texts), default=0) <= MAX_DETAIL and _is_plain("".join(texts), MAX_DETAIL * _FEW_LINES)

    def lines(self, lines: Sequence[Line]) -> Iterator[Line]:
        """Yield the lines of a dialogue as they may be shown; what the client sent, as it is.

        A secret may be broken over the server's lines: they are searched as one text, without what each begins with.
        Each step is short, so that the caller can do something else between two of them.
        """
        spans: dict[int, list[Span]] = {}
        done = 0
        for first, end in _chunks(lines) if self._secrets else ():
            parts = [*_before(lines, first), *_said(lines, first, end)]
            texts = list(_joinable(text for _, _, text in parts))
            if found := list(self._secrets.find("".join(texts), self._names)):
                for (number, begin, _), in_part in zip(parts, _split(found, texts), strict=True):
                    spans.setdefault(number, []).extend((a + begin, b + begin) for a, b in in_part)
            # What comes next may still complete a piece that begins in this chunk, and none that begins before it.
            yield from (_shown_line(lines[number], spans.get(number, ())) for number in range(done, first))
            done = first
        yield from (_shown_line(lines[number], spans.get(number, ())) for number in range(done, len(lines)))


_Part: TypeAlias = tuple[int, int, str]
"""The number of a line, the character from which on it is searched, and what the server says from there on."""


def _chunks(lines: Sequence[Line]) -> Iterator[Span]:
    """Yield the numbers of lines that are searched together: where they begin, and where they end."""
    first = length = 0
    for number, line in enumerate(lines):
        length += len(line.text)
        if length > _MAX_TEXT and number > first:
            yield first, number
            first, length = number, len(line.text)
    if lines:
        yield first, len(lines)


def _said(lines: Sequence[Line], first: int, end: int) -> Iterator[_Part]:
    """Yield what the server says in these lines, without what each begins with."""
    for number in range(first, end):
        _, speaker, text = lines[number]
        if speaker == "S":
            prefix = _PREFIX.match(text)
            begin = prefix.end() if prefix else 0
            code = _CODE.match(text, begin) if prefix else None
            if code and marks(code[1]) in common_words():
                begin = code.end()
            yield number, begin, text[begin:]


def _before(lines: Sequence[Line], first: int) -> list[_Part]:
    """Return the last that the server says before a line."""
    parts: list[_Part] = []
    left = _OVERLAP
    while first > 0 and left > 0:
        first -= 1
        for number, begin, text in _said(lines, first, first + 1):
            cut = max(len(text) - left, 0)
            parts.append((number, begin + cut, text[cut:]))
            left -= len(text) + 1
    return parts[::-1]


def _whole_names(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the names, without spaces, in which something was found: what is left of a name says nothing."""
    end = 0
    for first, last in sorted(spans):
        if last > end:
            begin = text.rfind(" ", end, first + 1) + 1 or end
            end = text.find(" ", last)
            end = len(text) if end < 0 else end
            yield begin, end


def _joinable(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts, each with a line end; without one where an escape may go on in the next, such as after %4."""
    end = ""
    for text in texts:
        end = (end + text)[-_MAX_ESCAPE:]
        is_open = "%" in end or "&" in end or "\\" in end or end[-2:-1] == "=" or bool(_BEGUN.search(end))
        yield text if is_open else text + "\n"
        end = end if is_open else ""


def _split(spans: Iterable[Span], texts: Sequence[str]) -> list[list[Span]]:
    """Return what was found in each of some texts, with its own places; the spans are of all of them together."""
    begins = [*accumulate(map(len, texts), initial=0)]
    split: list[list[Span]] = [[] for _ in texts]
    for begin, end in spans:
        number = bisect_right(begins, begin, hi=len(texts)) - 1
        while number < len(texts) and begins[number] < end:
            first = begins[number]
            split[number].append((max(begin, first) - first, min(end, begins[number + 1]) - first))
            number += 1
    return split


def redactor_of(endpoint: Endpoint, login: Credential | None = None, secrets: Secrets | None = None) -> Redactor:
    """Return a redactor for the probe of an endpoint: of `secrets`, by default of that of the login."""
    if secrets is None:
        secrets = _secrets_of(login.password) if login else NO_SECRETS
    if not secrets:
        return _NOTHING_TO_FIND
    users = {endpoint.account.username if endpoint.account else "", login.username if login else ""}
    return Redactor(secrets, filter(None, {endpoint.host, endpoint.tls.server_name, endpoint.client_name, *users}))


_NOTHING_TO_FIND = Redactor()


@lru_cache(maxsize=64)
def _secrets_of(password: str) -> Secrets:
    return Secrets([password])


def redact(text: str) -> str:
    """Return a text from outside as it may be shown, where no secret is known."""
    return _shown(_cut(text))


def redact_everything(text: str) -> str:
    """Return a text, as long as it is, without any secret that is in use in this process."""
    for secrets in in_use():
        text = "".join(_without(text, secrets.find(text, NO_NAMES)))
    return text


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def shortened(text: str) -> str:
    """Return a text of our own, which may hold what was redacted, printable and of at most `MAX_DETAIL` characters."""
    text = escape_invisible(text)
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"


def _shown_line(line: Line, secret: Iterable[Span]) -> Line:
    shown = _shown(line.text, secret) if line.speaker == "S" else shortened(line.text)
    return line if shown is line.text else line._replace(text=shown)


def _shown(text: str, secret: Iterable[Span] = ()) -> str:
    """Return a text without these parts and without personal links, printable, cut where it is long."""
    secret = list(secret)
    if not secret and _is_plain(text):
        return text
    parts = [*secret, *personal_parts(text)]
    shown = ""
    for piece in _without(text, parts, brackets(text)):
        shown += escape_invisible(piece[: MAX_DETAIL + 1])
        if len(shown) > MAX_DETAIL:
            break
    return shortened(shown)


def _is_plain(text: str, most: int = MAX_DETAIL) -> bool:
    """Whether nothing has to be taken out or escaped, which is so for nearly every text of a server."""
    return len(text) <= most and is_visible(text) and not may_have_links(text)


def _without(text: str, parts: Iterable[Span], superfluous: Iterable[Span] = ()) -> Iterator[str]:
    """Yield what is left of a text without some parts, and `REDACTED` in place of each of these; the rest goes too."""
    done, is_redacted = 0, False
    for begin, end, put in sorted([*((*part, REDACTED) for part in parts), *((*one, "") for one in superfluous)]):
        if begin > done:
            yield text[done:begin]
            is_redacted = False
        if put and begin < end and not is_redacted:
            yield REDACTED
            is_redacted = True
        done = max(done, end)
    yield text[done:]
