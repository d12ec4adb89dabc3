"""ntfy takes, renders and refuses messages as `ntfy.py` claims."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from urllib.parse import quote

import helm_python as helm
import pytest

from tests.servers.ntfy import LIMIT, Ntfy, go_template
from tests.waiting import PATIENCE


def post(url: str, body: bytes) -> int:
    """Return the status of the answer."""
    request = urllib.request.Request(url, body, {"Authorization": "Bearer tk_1"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_ntfy() -> None:
    """It renders title and message from the JSON of the body; it refuses what is too long, or no JSON."""
    query = (
        f"template=yes&title={quote('{{.of}}')}&message={quote('{{(index .list 0).text}}')}&priority=urgent&tags=key"
    )
    with Ntfy() as ntfy:
        assert (
            post(f"{ntfy.url}/topic?{query}", json.dumps({"of": "A", "list": [{"text": "ü\n{{b}}"}]}).encode()) == 200
        )
        shown = ntfy.wait_for(lambda each: each.topic == "topic")
        assert (shown.title, shown.text, shown.priority, shown.tags) == ("A", "ü\n{{b}}", "urgent", "key")
        assert shown.token == "tk_1"
        long = json.dumps({"of": "A", "list": [{"text": "x" * (LIMIT + 1)}]}).encode()
        assert post(f"{ntfy.url}/topic?{query}", long) == 413
        assert post(f"{ntfy.url}/topic?{query}", b"no JSON") == 400
        assert post(f"{ntfy.url}/topic?template=alertmanager", b"{}") == 400
        assert len(ntfy.refused) == 3
        with pytest.raises(TimeoutError, match="octets"):
            ntfy.wait_for(lambda each: each.title == "B", timeout=0)


def test_templates_are_go_templates() -> None:
    """The engine is Go's own: conditions, and errors."""
    assert go_template("{{if .a}}yes{{else}}no{{end}} {{len .b}}", {"a": True, "b": [1, 2]}) == "yes 2"
    with pytest.raises(helm.HelmError):
        go_template("{{(index .a 0)", {"a": []})
