"""Postgrey does what `postgrey.py` claims, in the language of Postfix's policy services."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from tests.servers.postgrey import DELAY
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.servers.postgrey import Postgrey


def test_delay(postgrey: Postgrey) -> None:
    """A stranger is sent away, and let in once the delay is over; then it is let in at once, as nobody else is."""
    assert ask(postgrey, "ops@example.com").startswith("action=DEFER_IF_PERMIT Greylisted")
    began = time.monotonic()
    while ask(postgrey, "ops@example.com").startswith("action=DEFER"):
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.1)
    assert time.monotonic() - began > DELAY - 1  # it counts whole seconds
    assert ask(postgrey, "ops@example.com") == "action=DUNNO"
    assert ask(postgrey, "other@example.com").startswith("action=DEFER")


def ask(postgrey: Postgrey, sender: str) -> str:
    """What it answers for a message of this sender."""
    request = {
        "request": "smtpd_access_policy",
        "protocol_state": "RCPT",
        "client_address": "192.0.2.1",
        "client_name": "unknown",
        "sender": sender,
        "recipient": "probe@example.com",
    }
    text = "".join(f"{key}={value}\n" for key, value in request.items()) + "\n"
    with socket.create_connection(("127.0.0.1", postgrey.port), timeout=PATIENCE) as client:
        client.sendall(text.encode())
        return client.makefile("r").readline().strip()
