"""Makes a server's text safe to show: no secret, no personal link, no control character, bounded."""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from exporter.model.outcome import MAX_DETAIL
from exporter.probing.dialogue import Credential
from exporter.probing.sasl import mechanisms

REDACTED = "[redacted]"

# Google's sign-in links contain `plt=`, which is personal; SMTP replies break them over several lines, up to a ">".
_PERSONAL_LINK = re.compile(
    r"<(https?://accounts\.google\.com/[^?>]*)\?[^>]*(?:>|$)|(https?://accounts\.google\.com/[^?\s\]>]*)\?[^\s\]>]*",
    re.IGNORECASE,
)
_PERSONAL_PARAMETER = re.compile(r"plt=[^\s\]>&]*", re.IGNORECASE)
# A line that continues such a link; the lines of a reply are shown one by one.
_PERSONAL_REST = re.compile(r"^(534-5\.7\.14 )(?:[\w%&=.~+-]{16,}|[^\s<>]+(?=>))")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

MAX_TEXT = 16 * MAX_DETAIL
"""Characters of a server's text that are searched: Gmail's texts have a few hundred, a hostile one millions."""

_MIN_INNER = 8
"""Base64 digits of a secret within a longer text that are searched for: fewer may be there by chance."""


def secrets_of(credential: Credential) -> tuple[str, ...]:
    """Return every spelling of a credential's secret that a server could send back, the longest first."""
    sent = {answer for mechanism in mechanisms(credential) for answer in mechanism.answers}
    sent -= {credential.username.encode("utf-8", "replace")}  # LOGIN's first answer, which is no secret
    return spellings(credential.password, sent)


def spellings(secret: str, messages: Iterable[bytes] = ()) -> tuple[str, ...]:
    """Return every spelling of a secret, and the base64 of the messages that contain it, the longest first."""
    quoted = secret.replace("\\", "\\\\").replace('"', '\\"')
    texts = {secret, quoted, quote(secret, errors="replace"), quote(secret, safe="", errors="replace")}
    texts.add(quote_plus(secret, errors="replace"))  # as a form sends it
    encoded = {code for text in texts for code in _encodings(text.encode("utf-8", "replace"))}
    encoded |= {b64encode(message).decode() for message in messages}
    return tuple(sorted(texts | encoded, key=len, reverse=True))


def _encodings(raw: bytes) -> Iterator[str]:
    """Yield the base64 of a text, alone and within any other text, in both alphabets (RFC 4648 §4, §5)."""
    for encode in b64encode, urlsafe_b64encode:
        yield encode(raw).decode()
        for before in range(3):
            # A digit has 6 bits: the first and the last may have bits of the text around it.
            inner = encode(b"\0" * before + raw)[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
            if len(inner) >= _MIN_INNER:
                yield inner.decode()


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without secrets and personal links, printable, of at most `MAX_DETAIL` characters."""
    if pattern := "|".join(re.escape(secret) for secret in secrets if secret):
        text = re.sub(pattern, REDACTED, text)
    if _is_plain(text):
        return text
    text = _PERSONAL_REST.sub(rf"\1{REDACTED}", text[:MAX_TEXT])
    text = _PERSONAL_LINK.sub(lambda link: f"{link[1] or link[2]}?{REDACTED}", text)
    text = _PERSONAL_PARAMETER.sub(f"plt={REDACTED}", text)
    text = _UNPRINTABLE.sub(lambda character: repr(character[0])[1:-1], text)
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"


def _is_plain(text: str) -> bool:
    """Whether no pattern can match, which is so for nearly every text of a server."""
    return (
        len(text) <= MAX_DETAIL
        and text.isascii()  # so that lower() is enough to compare without case
        and text.isprintable()
        and not text.startswith("534-")
        and "://" not in text
        and "plt=" not in text.lower()
    )
