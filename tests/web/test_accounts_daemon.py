"""Releasing an account of a running daemon, at a real mail server, with login budgets in memory and in a file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from exporter.cli import main
from tests.servers.authority import Authority
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, Dovecot
from tests.servers.exporter import EACH_SECOND, LENIENT, Exporter
from tests.waiting import PATIENCE


def configuration(directory: Path, authority: Authority, dovecot: Dovecot) -> Path:
    """Write the configuration of two endpoints of one account, whose password is wrong."""
    (directory / "secret").write_text("wrong", "utf-8")
    common = {"host": "localhost", "ip_family": "ipv4", "account": "ops", "tls": {"ca_file": str(authority.ca_file)}}
    document = {
        "defaults": dict(EACH_SECOND),
        "accounts": {"ops": {"username": OPS_USER, "app_password": {"file": str(directory / "secret")}}},
        "endpoints": {
            "imap": {"protocol": "imap", "port": dovecot.imaps_port, **common},
            "pop3": {"protocol": "pop3", "port": dovecot.pop3s_port, **common},
        },
    }
    path = directory / "gmail.yml"
    path.write_text(json.dumps(document), "utf-8")
    return path


def post(exporter: Exporter, name: str = "ops") -> httpx.Response:
    """Ask it for a release."""
    return httpx.post(f"{exporter.url}/accounts/{name}/release", timeout=PATIENCE)


@pytest.mark.parametrize("is_stored", [False, True], ids=["in-memory", "in-a-file"])
def test_release(
    tmp_path: Path,
    authority: Authority,
    dovecot: Dovecot,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    is_stored: bool,
) -> None:
    """A wrong password is tried once, a release permits one more; the next is possible after twice the time."""
    monkeypatch.setattr("exporter.config.rules._contradict", lambda *_: None)  # as in the daemon: see `LENIENT`
    config = configuration(tmp_path, authority, dovecot)
    storage = f"--storage.path={tmp_path / 'ledger.db'}" if is_stored else "--storage.none"
    before = dovecot.login_count(OPS_USER, accepted=False)
    with Exporter(tmp_path / "log", config, storage, "--web.enable-lifecycle", before=LENIENT) as exporter:

        def is_held() -> bool:
            return exporter.values("gmail_login_suspended") == {"imap": 1.0, "pop3": 1.0}

        def failures() -> float:
            return sum(exporter.values("gmail_logins_total", result="failure").values())

        exporter.wait_for(is_held)
        assert failures() == 1
        answer = post(exporter)
        assert (answer.status_code, answer.text[:17]) == (200, "ops is released: ")
        exporter.wait_for(lambda: failures() == 2)
        exporter.wait_for(is_held)
        early = post(exporter)
        assert early.status_code == 429
        assert 1780 < int(early.headers["retry-after"]) <= 1800
        assert "The next release is possible in 30 min, at " in early.text
        if is_stored:
            assert main(["accounts", "release", "ops", storage, f"--config.file={config}"], {}) == 1
            assert "The next release is possible in 30 min, at " in capsys.readouterr().out
        # At the next probe of that endpoint.
        exporter.wait_for(lambda: "possible again <time" in exporter.get("/endpoints/imap").text)
        (tmp_path / "secret").write_text(OPS_PASSWORD, "utf-8")
        exporter.wait_for(lambda: 1.0 in exporter.values("gmail_check_success", check="login").values())
        assert failures() == 2
        log = exporter.log_text()
    assert dovecot.login_count(OPS_USER, accepted=False) == before + 2
    assert re.search(r'event="release requested".* answer=released|answer=released.* client=127\.0\.0\.1', log)
    shown = "accounts release --storage.path=" if is_stored else "curl -X POST http://127.0.0.1:"
    assert shown in next(line for line in log.splitlines() if "logins suspended" in line)


def test_without_the_flag(tmp_path: Path, authority: Authority, dovecot: Dovecot) -> None:
    """403, and the page shows that only a restart does it, or the flag."""
    config = configuration(tmp_path, authority, dovecot)
    with Exporter(tmp_path / "log", config, before=LENIENT) as exporter:
        exporter.wait_for(lambda: exporter.values("gmail_login_suspended") == {"imap": 1.0, "pop3": 1.0})
        answer = post(exporter)
        assert (answer.status_code, "--web.enable-lifecycle" in answer.text) == (403, True)
        assert "start the exporter again" in exporter.get("/endpoints/imap").text
