"""A plain HTTP request to the provider's web: whether a captive portal answers it, and what time it says it is.

A captive portal lets nobody out before a click on its own page, and answers every plain request with that. Google's web
servers answer `/generate_204` with 204 and no content (as Android and Chrome ask). The `Date` of the answer is a clock
that no certificate is needed for: where this host's own is wrong, no certificate would be valid.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from exporter.model.address import Address
from exporter.model.reason import GOOGLE, provider_of
from exporter.probing.http_client import Answer, Bounds, NoAnswer, get
from exporter.probing.resolve import NameResolver

HTTP = 80
PATH = "/generate_204"

_OCTETS = 256 << 10
"""A portal's page may be large, and nothing of it is used."""


class Plain(NamedTuple):
    """What a plain request shows; None where it shows nothing."""

    portal: bool | None = None
    """Whether somebody else answered."""
    date_skew: float | None = None
    """Seconds by which this host's clock is ahead of the answer's Date (RFC 9110 §6.6.1), to half a second."""


async def ask(host: str, resolver: NameResolver, *, port: int = HTTP, seconds: float = 5.0) -> Plain:
    """Ask a web server of the provider."""
    url = f"http://{Address(host, None if port == HTTP else port)}{PATH}"
    began = time.time()
    try:
        answer = await get(url, resolver, Bounds(seconds, _OCTETS))
    except NoAnswer:
        return Plain()
    return read_answer(host, answer, (began + time.time()) / 2)


def read_answer(host: str, answer: Answer, now: float) -> Plain:
    """Return what an answer shows that came at `now`, in Unix seconds."""
    portal = is_portal(host, answer)
    # Whose clock the Date of a portal is, nobody knows.
    return Plain(portal, _skew(answer, now) if portal is False else None)


def is_portal(host: str, answer: Answer) -> bool | None:
    """Whether an answer is that of a captive portal; None where it cannot be told.

    It is where it shows a page (200), says so (511, RFC 6585 §6), or leads to a host that is not the provider's.
    """
    if answer.status == 204:
        return False
    if answer.status in (200, 511):
        return True
    if 300 <= answer.status < 400 and "location" in answer.headers:
        try:
            to = urlsplit(answer.headers["location"]).hostname or host
        except ValueError:
            return None
        return to != host and not (provider_of(to) == GOOGLE == provider_of(host))
    return None


def _skew(answer: Answer, now: float) -> float | None:
    try:
        # Whole seconds, cut off.
        return now - parsedate_to_datetime(answer.headers.get("date", "")).timestamp() - 0.5
    except (ValueError, OverflowError):
        return None
