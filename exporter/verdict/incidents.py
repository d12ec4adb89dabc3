"""Google Workspace's own account of its incidents: incidents.json → those of Gmail that are open.

The file has a list of incidents, the open and the closed ones (its form: incidents.schema.json beside it). There is no
word for "all is well": no open incident of Gmail is what there is. So a file of another form must never be taken for
one without incidents, and is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from exporter.model.evidence import Incident
from exporter.probing.redact import redact

DASHBOARD = "https://www.google.com/appsstatus/dashboard/"

GMAIL = "prPt2Yra2CbGsbEm9cpC"
"""Gmail's product (products.json). An incident of several products may have the name of another one."""

MAX_KEPT = 10
"""Open incidents that are kept, of each kind."""

_MAX_TEXT = 4000
_NO_TEXT = "it does not say more"
_SEVERITIES = frozenset({"low", "medium", "high"})
_IMPACTS = {
    "SERVICE_INFORMATION": "information",
    "SERVICE_DISRUPTION": "disruption",
    "SERVICE_OUTAGE": "outage",
}
_STATUSES = {**_IMPACTS, "AVAILABLE": "available"}
_OUTAGES = frozenset({"disruption", "outage"})
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_URI = re.compile(r"incidents/[A-Za-z0-9_-]{1,64}")
_LINK = re.compile(r"\[([^\[\]]{1,200})\]\([^()\s]{0,1000}\)")
_MARKS = re.compile(r"\*\*|__|`|^\s*(?:#{1,6}|[>*+-])\s+", re.MULTILINE)
_TITLE = re.compile(r"(?:Incident began at.{0,200}? )?Title: ?", re.IGNORECASE)


class FormChanged(Exception):
    """The file is not of the form that is known; `str` says where it differs, in one line for people."""


class Open(NamedTuple):
    """What is open, the newest first."""

    incidents: tuple[Incident, ...] = ()
    notices: tuple[Incident, ...] = ()
    """No outage: notices, such as one of an app on a telephone, and incidents that have recovered."""


def read(body: bytes) -> Open:
    """Return the incidents of Gmail that are open.

    Raises:
        FormChanged: the file is not JSON, or not of the form that is known.
    """
    try:
        everything = json.loads(body)
    except (ValueError, RecursionError):
        raise FormChanged("it is not JSON") from None
    if not isinstance(everything, list):
        raise FormChanged("it is not a list of incidents")
    found: dict[str, Incident] = {}
    for number, one in enumerate(everything):
        if not isinstance(one, dict):
            raise FormChanged(f"entry {number} is not an incident")
        if _is_of_gmail(one, number) and _is_open(one, number):
            incident = _incident(one, number)
            # One that is there twice is an outage where either says so.
            known = found.setdefault(incident.id, incident)
            if known.status not in _OUTAGES and incident.status in _OUTAGES:
                found[incident.id] = incident
    newest = sorted(found.values(), key=lambda incident: -incident.begin)
    return Open(
        tuple(incident for incident in newest if incident.status in _OUTAGES)[:MAX_KEPT],
        tuple(incident for incident in newest if incident.status not in _OUTAGES)[:MAX_KEPT],
    )


def _is_of_gmail(one: Mapping[str, Any], number: int) -> bool:
    products, service = one.get("affected_products"), one.get("service_key")
    if products:
        if not isinstance(products, list) or not all(isinstance(product, dict) for product in products):
            raise FormChanged(f"affected_products of incident {number} is not a list of products")
        ids = [product.get("id") for product in products]
        if not all(isinstance(each, str) for each in ids):
            raise FormChanged(f"affected_products of incident {number} has a product without an id")
        return GMAIL in ids
    if not isinstance(service, str):
        raise FormChanged(f"incident {number} has neither affected_products nor service_key")
    return service == GMAIL


def _is_open(one: Mapping[str, Any], number: int) -> bool:
    if one.get("end") is None:
        return True
    _time(one, "end", number)
    return False


def _incident(one: Mapping[str, Any], number: int) -> Incident:
    """Return an incident of which nothing is taken that is not of the form."""
    update = one.get("most_recent_update") or {}
    if not isinstance(update, dict):
        raise FormChanged(f"most_recent_update of incident {number} is not an update")
    impact = _word(one, "status_impact", _IMPACTS, number)
    uri = one.get("uri")
    return Incident(
        id=_text(one, "id", _ID, number),
        severity=_word(one, "severity", {word: word for word in _SEVERITIES}, number),
        impact=impact,
        status=_word(update, "status", _STATUSES, number) if "status" in update else impact,
        begin=_time(one, "begin", number),
        text=_plain(one.get("external_desc")) or _plain(update.get("text")) or _NO_TEXT,
        url=DASHBOARD + (uri if isinstance(uri, str) and _URI.fullmatch(uri) else ""),
    )


def _word(of: Mapping[str, Any], key: str, words: Mapping[str, str], number: int) -> str:
    said = of.get(key)
    if not isinstance(said, str) or said not in words:
        raise FormChanged(f"{key} of incident {number} is none of {', '.join(sorted(words))}")
    return words[said]


def _text(of: Mapping[str, Any], key: str, pattern: re.Pattern[str], number: int) -> str:
    said = of.get(key)
    if not isinstance(said, str) or not pattern.fullmatch(said):
        raise FormChanged(f"{key} of incident {number} is not one")
    return said


def _time(of: Mapping[str, Any], key: str, number: int) -> float:
    said = of.get(key)
    try:
        at = datetime.fromisoformat(said if isinstance(said, str) else "")
        return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        raise FormChanged(f"{key} of incident {number} is not a time") from None


def _plain(markdown: object) -> str:
    """Return a text from outside in one line, without the marks of Markdown, printable, of a bounded length."""
    text = markdown[:_MAX_TEXT] if isinstance(markdown, str) else ""
    text = _MARKS.sub("", _LINK.sub(r"\1", text))
    text = " ".join(text.split())
    if title := _TITLE.match(text):
        text = text[title.end() :]
    return redact(text)
