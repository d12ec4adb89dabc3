"""Text as it may be written in a configuration and printed in a message."""

from __future__ import annotations

import json
import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SHOWN_LENGTH = 64


class Unacceptable(ValueError):
    """A value is not accepted. The message says what is accepted, and never has a secret."""


def check_text(text: str) -> str:
    """Return the text, if it is not empty and has no control characters or lone surrogates.

    Raises:
        Unacceptable: It is empty, or has such a character.
    """
    if not text:
        raise Unacceptable("must not be empty")
    if _CONTROL.search(text):
        raise Unacceptable("must not hold control characters")
    return text


def show(text: str) -> str:
    """Return the text in double quotes on one line; a long one is cut."""
    shown = text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "…"
    return json.dumps(shown, ensure_ascii=not text.isprintable())


def one_line(text: str) -> str:
    """Return the text; if it has a character that could break a line or a terminal, quoted and escaped."""
    return text if text.isprintable() else show(text)
