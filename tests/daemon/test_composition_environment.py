"""Secrets in the environment of the daemon: no child has them, and a reload still finds them."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.servers.authority import Authority
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, PROBE_PASSWORD, PROBE_USER, Dovecot
from tests.servers.exporter import EACH_SECOND, LENIENT, Exporter

CHILDREN = """
import subprocess, threading, time
def children():
    while True:
        with open({path!r} + ".new", "wb") as file:
            subprocess.run(["env"], stdout=file, check=True)
        __import__("os").rename({path!r} + ".new", {path!r})
        time.sleep(0.05)
threading.Thread(target=children, daemon=True).start()
"""
"""Writes again and again what a child of the daemon has in its environment."""


def test_variables_of_secrets(tmp_path: Path, authority: Authority, dovecot: Dovecot) -> None:
    """Each is taken when a configuration names it; a reload that names another one, or the first one again, logs in."""
    config, seen = tmp_path / "config.yml", tmp_path / "env"

    def configure(user: str, variable: str) -> None:
        account = {"username": user, "app_password": {"env": variable}, "max_logins_per_day": 10_000}
        endpoint = {"protocol": "imap", "host": "127.0.0.1", "port": dovecot.imaps_port, "account": "probed"}
        endpoint["tls"] = {"ca_file": str(authority.ca_file)}
        document = {"defaults": dict(EACH_SECOND), "accounts": {"probed": account}, "endpoints": {"imap": endpoint}}
        config.write_text(json.dumps(document), "utf-8")

    configure(PROBE_USER, "FIRST")
    secrets = {"FIRST": PROBE_PASSWORD, "SECOND": OPS_PASSWORD, "GMAIL_EXPORTER_APP_PASSWORD": "unused"}
    environ = {**secrets, "PLAIN": "1"}
    before = LENIENT + CHILDREN.format(path=str(seen))
    with Exporter(tmp_path / "log", config, environ=environ, before=before) as exporter:

        def has_logged_in() -> bool:
            return exporter.values("gmail_logins_total", result="success").get("imap", 0) >= 1

        def names() -> set[str]:
            return {line.partition("=")[0] for line in seen.read_text().splitlines()} & set(environ)

        exporter.wait_for(has_logged_in)
        exporter.wait_for(lambda: names() == {"SECOND", "PLAIN"})
        for user, variable in ((OPS_USER, "SECOND"), (PROBE_USER, "FIRST")):
            configure(user, variable)
            reloads = exporter.log_text().count("event=reloaded")
            exporter.send(signal.SIGHUP)
            exporter.wait_for(lambda reloads=reloads: exporter.log_text().count("event=reloaded") > reloads)  # type: ignore[misc]
            exporter.wait_for(lambda: names() == {"PLAIN"})
            exporter.wait_for(has_logged_in)  # a mailbox logs in every eleven seconds at most
        assert exporter.values("gmail_logins_total", result="failure") == {"imap": 0}


def test_the_built_in_configuration_is_reloaded(tmp_path: Path) -> None:
    """Its account is still there, though its variable is not."""
    environ = {"GMAIL_EXPORTER_USERNAME": OPS_USER, "GMAIL_EXPORTER_APP_PASSWORD": OPS_PASSWORD}
    with Exporter(tmp_path / "log", environ=environ) as exporter:
        exporter.send(signal.SIGHUP)
        exporter.wait_for(lambda: "event=reloaded" in exporter.log_text())
        assert OPS_USER in exporter.get("/config").text
        assert OPS_PASSWORD not in exporter.get("/config").text + exporter.log_text()
