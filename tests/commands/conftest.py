"""Servers in a background thread, a configuration for them, and the command line as a user calls it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from exporter.cli import main
from tests.examples import SENTINEL
from tests.servers.authority import Authority
from tests.servers.scripted import Behaviour, ScriptedServer, Security
from tests.waiting import PATIENCE


class Ran(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


class Site:
    """Scripted servers in a thread of their own, and a configuration of the endpoints that a test adds."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self.directory = directory
        self.authority = authority
        self.document: dict[str, Any] = {"accounts": {}, "endpoints": {}}
        self.servers: list[ScriptedServer] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def serve(self, behave: Behaviour, security: Security = "tls", **settings: Any) -> ScriptedServer:
        """Start a scripted server."""
        settings.setdefault("context", self.authority.issue().context)

        async def start() -> ScriptedServer:
            return await ScriptedServer(behave, security=security, **settings).__aenter__()

        server = asyncio.run_coroutine_threadsafe(start(), self._loop).result(PATIENCE)
        self.servers.append(server)
        return server

    def endpoint(self, name: str, port: int, protocol: str = "imap", **settings: Any) -> None:
        """Add an endpoint on localhost."""
        if settings.get("security") != "none":
            settings["tls"] = {"ca_file": str(self.authority.ca_file)}
        common = {"protocol": protocol, "host": "localhost", "port": port, "ip_family": "ipv4"}
        self.document["endpoints"][name] = {**common, **settings}

    def account(self, name: str, secret: str = SENTINEL, username: str = "probe@gmail.com") -> Path:
        """Add an account with an app password, and return the file of the password."""
        path = self.directory / f"{name}.secret"
        path.write_text(secret, "utf-8")
        self.document["accounts"][name] = {"username": username, "app_password": {"file": str(path)}}
        return path

    @property
    def config(self) -> Path:
        """The configuration file, written now."""
        path = self.directory / "gmail.yml"
        path.write_text(json.dumps(self.document), "utf-8")
        return path

    def command(self, *arguments: str) -> list[str]:
        """Return the command line with this configuration."""
        return [sys.executable, "-m", "exporter", *arguments, f"--config.file={self.config}"]

    def spawn(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Ran:
        """Run a command as a process of its own."""
        ran = subprocess.run(
            self.command(*arguments),
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, **(environ or {})},
            timeout=PATIENCE,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def close(self) -> None:
        """End every server."""
        for server in self.servers:
            asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def site(tmp_path: Path, authority: Authority) -> Iterator[Site]:
    """A configuration without endpoints."""
    site = Site(tmp_path, authority)
    yield site
    site.close()


class Run:
    """Runs a command in this process, and restores what it changes."""

    def __init__(self, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
        self._site = site
        self._capsys = capsys

    def __call__(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Ran:
        """Run it with the site's configuration."""
        self._capsys.readouterr()
        code = main([*arguments, f"--config.file={self._site.config}"], environ or {})
        return Ran(code, *self._capsys.readouterr())


@pytest.fixture
def run(site: Site, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Call it with arguments to run a command."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Run(site, capsys)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
