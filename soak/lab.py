"""The files, the servers and the other processes of a run."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import bcrypt

from bench.mailserver import MailServer
from soak.figures import HEALTHY
from tests.servers.authority import Authority, Certificate

HEALTHY_ENDPOINTS = 667
LOGIN_ENDPOINTS = 20
"""Of the healthy ones: each logs in, as a user of its own."""
HOSTILE_ENDPOINTS = 333
LOGIN_INTERVAL = 60.0
"""Seconds."""

USER, PASSWORD = "prometheus", "correct horse"


@dataclass(frozen=True)
class Lab:
    """What a run needs: where its files are, whose certificates, which ports."""

    directory: Path
    authority: Authority
    mail: int
    ports: Mapping[str, int]
    share: float = 1.0
    """Of the endpoints and of the clients: less than 1 only to see that it works."""

    def of(self, number: int) -> int:
        """Return the share of a number, at least one."""
        return max(1, round(number * self.share))

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.directory / "gmail.yml"

    def write(self, *, hostile: bool, turn: int = 0) -> None:
        """Write the configuration; each turn changes the interval of one healthy endpoint."""
        tls = {"ca_file": str(self.authority.ca_file), "server_name": "localhost"}
        common = {"host": "127.0.0.1", "ip_family": "ipv4", "timeout": "5s", "tls": tls}
        endpoints: dict[str, object] = {}
        for number in range(self.of(HEALTHY_ENDPOINTS - LOGIN_ENDPOINTS)):
            endpoints[f"{HEALTHY}-{number}"] = {"protocol": "imap", "port": self.mail, **common}
        changed = turn % self.of(HEALTHY_ENDPOINTS - LOGIN_ENDPOINTS)
        endpoints[f"{HEALTHY}-{changed}"] = {"protocol": "imap", "port": self.mail, **common, "interval": "29s"}
        for number in range(self.of(LOGIN_ENDPOINTS)):
            login = {"account": f"user-{number}", "login_interval": f"{LOGIN_INTERVAL:.0f}s"}
            endpoints[f"{HEALTHY}-login-{number}"] = {
                "protocol": "imap", "port": self.ports["login"], **common, **login,
            }  # fmt: skip
        for number in range(self.of(HOSTILE_ENDPOINTS) if hostile else 0):
            protocol = ("imap", "pop3", "smtp")[number % 3]
            endpoints[f"hostile-{number}"] = {"protocol": protocol, "port": self.ports[protocol], **common}
        secret = {"file": str(self.directory / "password")}
        accounts = {
            f"user-{number}": {
                "username": f"user-{number}@example.com", "app_password": secret, "max_logins_per_day": 10000,
            }
            for number in range(self.of(LOGIN_ENDPOINTS))
        }  # fmt: skip
        new = self.config.with_suffix(".new")
        new.write_text(json.dumps({"accounts": accounts, "endpoints": endpoints}))
        new.rename(self.config)

    def flags(self, port: int) -> list[str]:
        """Write the other files, and return the flags of the daemon."""
        (self.directory / "password").write_text("not a secret")
        web = self.directory / "web.yml"
        web.write_text(
            json.dumps({"basic_auth_users": {USER: bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()}})
        )
        return [f"--config.file={self.config}", f"--web.config.file={web}", f"--web.listen-address=127.0.0.1:{port}"]


class Helper:
    """Another process of this package, which ends with its input."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = [sys.executable, "-m", module, *arguments]

    def __enter__(self) -> Self:
        self._popen = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.__exit__(None, None, None)

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self._popen.stdout is not None
        return self._popen.stdout.readline()

    def ask(self) -> str:
        """Send it a line, and return the one that it answers."""
        assert self._popen.stdin is not None
        self._popen.stdin.write("\n")
        self._popen.stdin.flush()
        return self.line()


@contextmanager
def laboratory(share: float) -> Iterator[tuple[Lab, Helper]]:
    """Start the servers; the second of them is the one that counts logins."""
    with tempfile.TemporaryDirectory(prefix="soak-") as made:
        directory = Path(made)
        authority = Authority(directory)
        certificate: Certificate = authority.issue()
        files = str(certificate.chain_file), str(certificate.key_file)
        with (
            MailServer(certificate) as mail,
            Helper("soak.servers", "hostile", *files) as hostile,
            Helper("soak.servers", "login", *files) as login,
        ):
            ports = {**json.loads(hostile.line()), **json.loads(login.line())}
            yield Lab(directory, authority, mail.port, ports, share), login
