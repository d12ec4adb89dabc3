"""Text as it may be written in a configuration, and as it is shown, whoever wrote it: every character visible."""

from __future__ import annotations

import json
import re
import unicodedata

# Unicode's Default_Ignorable_Code_Point, as far as they are in no category of format characters or spaces; and an empty
# cell of Braille, a filler of Khitan, a note without a head. `str.isprintable` takes them for letters or marks.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00016fe4\U0001d159\U000e0000-\U000e0fff]"
)
_BLANK_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
_SHAPING = frozenset("\u200c\u200d\ufe0e\ufe0f")
"""Joiners and variation selectors: behind a character that is not ASCII they belong to it, as in an emoji."""

QUOTES = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb\u2039\u203a\uff02\uff07"
"""Typographic quotation marks, which word processors put in place of those of a keyboard."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SHOWN_LENGTH = 64


class Unacceptable(ValueError):
    """A value is not accepted. The message says what is accepted, and never has a secret."""


def check_text(text: str) -> str:
    """Return the text, if it is not empty and every character of it can be seen.

    Raises:
        Unacceptable: It is empty, or has a control character, a lone surrogate or an invisible character.
    """
    if not text:
        raise Unacceptable("must not be empty")
    if _CONTROL.search(text):
        raise Unacceptable("must not hold control characters")
    if found := invisible_in(text):
        raise Unacceptable(f"must not hold an invisible character: {found}")
    return text


def check_identity(text: str) -> str:
    """Return the name of a user or of a client, which nothing stands around.

    Raises:
        Unacceptable: As `check_text`; or it begins or ends with a space, or is in typographic quotation marks.
    """
    check_text(text)
    if text != text.strip(" "):
        raise Unacceptable(f"must not {'end' if text[-1] == ' ' else 'begin'} with a space")
    if text[0] in QUOTES and text[-1] in QUOTES:
        raise Unacceptable("must not be in typographic quotation marks")
    return text


def is_invisible(character: str) -> bool:
    """Whether nobody can see a character, or tell it from a space; a space itself is not one of them."""
    return character != " " and (unicodedata.category(character) in _BLANK_CATEGORIES or bool(_BLANK.match(character)))


def invisible_in(text: str, allowed: str = "") -> str:
    """Return the first invisible character of a text that is not `allowed`, by number, name and place; else "".

    Nothing else of the text is in it: the text may be a secret.
    """
    if text.isascii() and text.isprintable():
        return ""
    for at, character in enumerate(text):
        if not is_invisible(character) or character in allowed:
            continue
        if character in _SHAPING and at and not text[at - 1].isascii() and not is_invisible(text[at - 1]):
            continue
        return f"{code_point(character)} at character {at + 1}"
    return ""


def code_point(character: str) -> str:
    """Return the number and the name of a character."""
    name = "tab" if character == "\t" else unicodedata.name(character, "a control character").lower()
    return f"U+{ord(character):04X} ({name})"


def show(text: str) -> str:
    """Return the text in double quotes on one line; a long one is cut."""
    return _quote(text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "…")


def one_line(text: str) -> str:
    """Return the whole text; if it has a character that is not visible or could break a line, quoted and escaped."""
    return text if is_visible(text) else _quote(text)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=not is_visible(text))


def is_visible(text: str) -> bool:
    """Whether every character of it can be seen, and none controls how others are shown; a space can be seen."""
    return text.isprintable() and (text.isascii() or _BLANK.search(text) is None)


def escape_invisible(text: str) -> str:
    """Return the text with every character that cannot be seen in the escapes of Python's literals."""
    if is_visible(text):
        return text
    return "".join(one if is_visible(one) else one.encode("unicode_escape").decode() for one in text)
