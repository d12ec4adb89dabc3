"""The configuration in effect."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from exporter.cli import main
from exporter.config import load
from exporter.web.app import application
from exporter.web.effective import Effective
from tests.examples import SENTINEL

TEXT = """
accounts:
  ops: {username: probe@gmail.com, app_password: {env: OPS_PASSWORD}}
endpoints:
  imap: {protocol: imap, host: imap.gmail.com, account: ops}
  pop3: {protocol: pop3, host: pop.gmail.com}
"""


async def test_it_is_what_the_command_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Byte for byte, as text that a browser shows, and without a secret."""
    path = tmp_path / "gmail.yml"
    path.write_text(TEXT, "utf-8")
    environ = {"OPS_PASSWORD": SENTINEL}
    transport = httpx.ASGITransport(application(Effective(lambda: load(path, environ))))
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        answer = await client.get("/config")
    assert main(["config", f"--config.file={path}"], environ) == 0
    assert answer.text == capsys.readouterr().out
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "env: OPS_PASSWORD" in answer.text
    assert SENTINEL not in answer.text
