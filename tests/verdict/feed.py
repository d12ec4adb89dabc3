"""Incidents as Google Workspace's status dashboard publishes them, for tests."""

from __future__ import annotations

import json
from typing import Any

GMAIL = {"title": "Gmail", "id": "prPt2Yra2CbGsbEm9cpC"}
DRIVE = {"title": "Google Drive", "id": "VHNA7p3Z5p3iakj5sD8V"}

NOTICE: dict[str, Any] = {
    "id": "B5V4MfnVp97nxoTYbxdX",
    "number": "9353823205405529898",
    "begin": "2026-09-18T05:00:00+00:00",
    "end": None,
    "created": "2026-09-22T21:38:51+00:00",
    "modified": "2026-09-23T03:05:44+00:00",
    "external_desc": "**Title:**\nGmail Android App users on the latest Gmail Android release may exper...",
    "severity": "low",
    "status_impact": "SERVICE_INFORMATION",
    "service_key": GMAIL["id"],
    "service_name": "Gmail",
    "affected_products": [GMAIL],
    "most_recent_update": {"when": "2026-09-23T02:56:03+00:00", "status": "SERVICE_INFORMATION", "text": "**Title:**"},
    "updates": [],
    "uri": "incidents/B5V4MfnVp97nxoTYbxdX",
}
"""An open incident as it was published: of an app on telephones, no outage of mail."""

OUTAGE: dict[str, Any] = {
    **NOTICE,
    "id": "aaaaaaaaaaaaaaaaaaaa",
    "begin": "2026-11-28T09:00:00+00:00",
    "external_desc": "**Title:**\nIMAP of [Gmail](https://mail.google.com) refuses\n\n**Description**\n* seen",
    "severity": "high",
    "status_impact": "SERVICE_OUTAGE",
    "service_name": "Google Drive",
    "service_key": DRIVE["id"],
    "affected_products": [DRIVE, GMAIL],
    "most_recent_update": {"when": "2026-11-28T09:30:00+00:00", "status": "SERVICE_DISRUPTION", "text": "x"},
    "uri": "incidents/aaaaaaaaaaaaaaaaaaaa",
}
"""An outage that also affects Gmail, and that is only a disruption by now."""

CLOSED: dict[str, Any] = {**OUTAGE, "id": "closed", "end": "2026-11-28T09:40:00+00:00"}
OTHER: dict[str, Any] = {**OUTAGE, "id": "other", "affected_products": [DRIVE]}


def without(incident: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return an incident without some of its keys."""
    return {key: value for key, value in incident.items() if key not in keys}


def encoded(*incidents: dict[str, Any]) -> bytes:
    """Return a file with these incidents."""
    return json.dumps(incidents).encode()
