"""Secrets in the environment of the daemon: no child has them, and a reload still finds them."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.servers.authority import Authority
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, Dovecot
from tests.servers.exporter import Exporter

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
    """Each is taken when a configuration names it; logins go on, also after a reload that names another one."""
    config, seen = tmp_path / "config.yml", tmp_path / "env"

    def configure(variable: str) -> None:
        account = {"username": OPS_USER, "app_password": {"env": variable}}
        endpoint = {"protocol": "imap", "host": "127.0.0.1", "port": dovecot.imaps_port, "account": "ops"}
        endpoint["tls"] = {"ca_file": str(authority.ca_file)}
        often = {"interval": "1s", "timeout": "900ms", "login_interval": "1s"}
        document = {"defaults": often, "accounts": {"ops": account}, "endpoints": {"imap": endpoint}}
        config.write_text(json.dumps(document), "utf-8")

    configure("FIRST")
    environ = {"FIRST": OPS_PASSWORD, "SECOND": OPS_PASSWORD, "GMAIL_EXPORTER_APP_PASSWORD": OPS_PASSWORD, "PLAIN": "1"}
    with Exporter(tmp_path / "log", config, environ=environ, before=CHILDREN.format(path=str(seen))) as exporter:

        def logins() -> float:
            return exporter.values("gmail_logins_total", result="success").get("imap", 0)

        def names() -> set[str]:
            return {line.partition("=")[0] for line in seen.read_text().splitlines()} & set(environ)

        exporter.wait_for(lambda: logins() >= 1)
        exporter.wait_for(lambda: names() == {"SECOND", "PLAIN"})
        for variable, left in (("SECOND", {"PLAIN"}), ("FIRST", {"PLAIN"})):
            configure(variable)
            exporter.send(signal.SIGHUP)
            exporter.wait_for(lambda left=left: names() == left)  # type: ignore[misc]
            before = logins()
            exporter.wait_for(lambda before=before: logins() > before + 1)  # type: ignore[misc]
        assert exporter.values("gmail_logins_total", result="failure") == {"imap": 0}


def test_the_built_in_configuration_is_reloaded(tmp_path: Path) -> None:
    """Its account is still there, though its variable is not."""
    environ = {"GMAIL_EXPORTER_USERNAME": OPS_USER, "GMAIL_EXPORTER_APP_PASSWORD": OPS_PASSWORD}
    with Exporter(tmp_path / "log", environ=environ) as exporter:
        exporter.send(signal.SIGHUP)
        exporter.wait_for(lambda: "event=reloaded" in exporter.log_text())
        assert OPS_USER in exporter.get("/config").text
        assert OPS_PASSWORD not in exporter.get("/config").text + exporter.log_text()
