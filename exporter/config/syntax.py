"""Why a text is not YAML, in texts of our own.

The parser's messages quote the text around the mistake, which may be a secret: only the kind is taken from them.
"""

import yaml

from exporter.config.mistake import NOWHERE, Position

# A piece of the parser's message → the text, and whether its position is the start of what is broken, or the break.
# The first that fits counts. The pieces are short, because libyaml and PyYAML's own parser have different messages.
_KINDS = (
    ("unexpected end of stream", "the quote that opens here is never closed", True),
    ("document indicator", "the quote that opens here is never closed", True),
    ("document separator", "the quote that opens here is never closed", True),
    ("',' or ']'", "the list that opens here is never closed, or lacks a comma", True),
    ("',' or '}'", "the mapping that opens here is never closed, or lacks a comma", True),
    (
        "mapping values are not allowed",
        'a ": " cannot stand here: put the text in quotes, or correct the indentation',
        False,
    ),
    ("mapping keys are not allowed", 'a "? " cannot stand here: put the text in quotes', False),
    ("could not find expected ':'", 'a ":" and a space are missing after the key that starts here', True),
    (
        "cannot start any token",
        "a tab, or one of % @ `, cannot start a value: use spaces, or put the text in quotes",
        False,
    ),
    ("tab character", "a tab cannot indent: use spaces", False),
    ("'-' indicator", 'an item of the list is missing its "- ", or the indentation is wrong', False),
    ("escape", "no such escape in double quotes: write \\\\ for a backslash, or use single quotes", False),
    ("hexdecimal", "no such escape in double quotes: write \\\\ for a backslash, or use single quotes", False),
    ("hexadecimal", "no such escape in double quotes: write \\\\ for a backslash, or use single quotes", False),
    ("tag", "tags are not used here: remove it, or put the text in quotes", False),
    ("directive", "no such directive: the only one in use is %YAML 1.2", False),
    ("incompatible YAML", "only YAML 1.1 and 1.2 can be read", False),
    ("version", "only YAML 1.1 and 1.2 can be read", False),
    ("comment or line break", "only an indentation, + or - may follow the | or > here", False),
    ("indentation indicator", "only an indentation, + or - may follow the | or > here", False),
)
_OTHER = "is not YAML from here on: a bracket, a quote or the indentation is wrong"


def explain(error: yaml.YAMLError) -> tuple[Position, str]:
    """Return where the text stops being YAML, and why, without any part of the text itself."""
    problem = getattr(error, "problem", None) or ""
    breaks = getattr(error, "problem_mark", None)
    starts = getattr(error, "context_mark", None) or breaks
    for piece, text, at_start in _KINDS:
        if piece in problem:
            return _position(starts if at_start else breaks), text
    return _position(breaks), _OTHER


def _position(mark: yaml.Mark | None) -> Position:
    return NOWHERE if mark is None else Position(mark.line + 1, mark.column + 1)
