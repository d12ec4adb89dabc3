"""A mail domain in the daemon: BIND has its records, Postfix is one of its exchanges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.authority import Authority
from tests.servers.bind import Bind
from tests.servers.exporter import EACH_SECOND, LENIENT, Exporter
from tests.servers.postfix import Postfix
from tests.web.test_api import VALIDATOR

ASK_BIND = """
from exporter.probing import resolve
asked = resolve.Resolver.__init__
resolve.Resolver.__init__ = lambda self, nameservers=None: asked(self, ["{address}"])
"""


@pytest.fixture
def bind() -> Iterator[Bind]:
    """Two exchanges: Postfix, and one that nobody runs; and a domain that takes no mail."""
    zone = "@ MX 10 postfix\n@ MX 20 gone\npostfix A 127.0.0.1\ngone A 127.0.0.9\nnull MX 0 ."
    with Bind({"example.com": zone}) as server:
        yield server


@pytest.fixture
def exporter(tmp_path: Path, bind: Bind, authority: Authority, postfix: Postfix) -> Iterator[Exporter]:
    """A daemon that probes both domains every second."""
    common = {"protocol": "smtp", "port": postfix.smtp_port, "tls": {"ca_file": str(authority.ca_file)}}
    endpoints = {
        "mx": {**common, "domain": "example.com", "expect": ["gone.example.com", "postfix.example.com"]},
        "null": {**common, "domain": "null.example.com"},
    }
    config = tmp_path / "config.yml"
    config.write_text(json.dumps({"defaults": dict(EACH_SECOND), "endpoints": endpoints}), "utf-8")
    before = LENIENT + ASK_BIND.format(address=bind.address)
    with Exporter(tmp_path / "log", config, "--web.enable-lifecycle", before=before) as running:
        yield running


def test_a_restart(tmp_path: Path, bind: Bind, authority: Authority, postfix: Postfix) -> None:
    """The exchanges are probed also where the name server fails at the start, and a change meanwhile is told."""
    endpoint = {"protocol": "smtp", "port": postfix.smtp_port, "tls": {"ca_file": str(authority.ca_file)}}
    defaults = dict(EACH_SECOND)
    config = tmp_path / "config.yml"
    config.write_text(
        json.dumps({"defaults": defaults, "endpoints": {"mx": {**endpoint, "domain": "example.com"}}}), "utf-8"
    )

    def daemon(number: int) -> Exporter:
        return Exporter(
            tmp_path / f"log{number}",
            config,
            f"--storage.path={tmp_path / 'ledger.db'}",
            before=LENIENT + ASK_BIND.format(address=bind.address),
        )

    with daemon(1) as exporter:
        exporter.wait_for(lambda: len(exporter.values("gmail_up", "host")) == 2)
        began = exporter.get("/api/v1/endpoints/mx").json()["endpoints"][0]["history"][0]["started_at"]
        assert exporter.stop()[0] == 0
    bind.stop()
    with daemon(2) as exporter:
        exporter.wait_for(lambda: len(exporter.values("gmail_up", "host")) == 2)
        exporter.wait_for(lambda: "dns_error" in exporter.values("gmail_mx_failure_info", "reason"))
        history = exporter.get("/api/v1/endpoints/mx").json()["endpoints"][0]["history"]
        assert history[0]["started_at"] == began
        assert "mx_records_changed" not in exporter.values("gmail_mx_failure_info", "reason")
        assert exporter.stop()[0] == 0
    bind.start()
    bind.put("example.com", "MX", "10 second.example.com.")
    bind.put("second.example.com", "A", "127.0.0.1")
    with daemon(3) as exporter:
        exporter.wait_for(lambda: exporter.values("gmail_up", "host") == {"second.example.com": 1.0})
        assert exporter.values("gmail_mx_failure_info", "reason") == {"mx_records_changed": 1.0}
        assert "10 postfix.example.com, 20 gone.example.com before" in exporter.get("/endpoints/mx").text


def test_domain(exporter: Exporter, bind: Bind, postfix: Postfix) -> None:
    """Its exchanges are series of their own; it is up while one of them is; they come and go with the records."""
    hosts = {"postfix.example.com": 1.0, "gone.example.com": 0.0}
    exporter.wait_for(lambda: exporter.values("gmail_up", "host", endpoint="mx") == hosts)
    assert exporter.values("gmail_mx_up") == {"mx": 1.0, "null": 0.0}
    preferences = {"postfix.example.com": 10.0, "gone.example.com": 20.0}
    assert exporter.values("gmail_mx_preference", "host") == preferences
    assert exporter.values("gmail_mx_as_expected") == {"mx": 1.0}
    # Postfix has no certificate for this name: senders without a policy take it all the same.
    assert exporter.values("gmail_check_success", "host", check="tls") == {"postfix.example.com": 0.0}
    assert exporter.values("gmail_mx_failure_info", "reason") == {"mx_null": 1.0}

    index, page = exporter.get("/").text, exporter.get("/endpoints/mx").text
    assert "example.com · mail exchanges" in index
    assert "the domain says that it takes no mail" in index.lower()
    assert "1 of 2 mail exchanges is up" in page
    assert "its certificate is for another name" in page
    one = exporter.get("/endpoints/mx?host=postfix.example.com")
    assert one.status_code == 200
    assert "mx: postfix.example.com" in one.text
    assert "gone.example.com" not in one.text
    assert exporter.get("/endpoints/mx?host=never.example.com").status_code == 404
    assert exporter.get("/endpoints/null").status_code == 200
    document = exporter.get("/api/v1/endpoints").json()
    VALIDATOR.validate(document)
    assert {each["endpoint"]: each["up"] for each in document["domains"]} == {"mx": True, "null": False}
    assert exporter.post("/endpoints/mx/probe", Origin=exporter.url).status_code == 303

    bind.put("example.com", "MX", "10 second.example.com.")
    bind.put("second.example.com", "A", "127.0.0.1")
    exporter.wait_for(lambda: exporter.values("gmail_up", "host", endpoint="mx") == {"second.example.com": 1.0})
    assert "postfix.example.com" not in exporter.get("/metrics").text
    assert exporter.values("gmail_mx_as_expected") == {"mx": 0.0}
    assert exporter.values("gmail_mx_failure_info", "reason", endpoint="mx") == {"mx_records_changed": 1.0}

    bind.stop()
    exporter.wait_for(lambda: len(exporter.values("gmail_mx_failure_info", "reason", endpoint="mx")) >= 2)
    VALIDATOR.validate(exporter.get("/api/v1/endpoints").json())
    assert exporter.values("gmail_mx_preference", "host") == {"second.example.com": 10.0}, "those of the last look-up"
    assert exporter.values("gmail_mx_as_expected") == {"mx": 0.0}
    exporter.wait_for(lambda: exporter.values("gmail_mx_up") == {"mx": 0.0, "null": 0.0})
    bind.start()
    exporter.wait_for(lambda: exporter.values("gmail_mx_up")["mx"] == 1.0)
    log = exporter.log_text()
    assert "event=exchanges" in log
    assert 'event="domain failing"' in log
    assert "Traceback" not in log
