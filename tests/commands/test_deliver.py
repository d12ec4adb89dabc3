"""`check --delivery` as a user calls it, on the real servers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

from exporter.config.dump import dump
from tests.commands.conftest import Ran
from tests.deliveries.conftest import Lab, lab
from tests.waiting import PATIENCE

__all__ = ["lab"]  # a fixture


async def call(lab: Lab, *arguments: str) -> Ran:
    """Call the command with the configuration of the lab, and a ledger of its own."""
    delivery = lab.delivery()
    config = replace(lab.config, deliveries={delivery.name: delivery})
    file = lab.directory / "gmail.yml"
    file.write_text(dump(config), "utf-8")
    flags = (f"--config.file={file}", f"--storage.path={lab.directory / 'commands.db'}")
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "exporter", *flags, "check", *arguments],
        capture_output=True,
        timeout=PATIENCE,
    )
    return Ran(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


async def test_delivered(lab: Lab) -> None:
    """A line from the sender to the folder, and exit code 0; as JSON, everything that is known."""
    code, out, _ = await call(lab, "--delivery", "ops-to-probe")
    assert code == 0
    assert "ops-to-probe  Found in the inbox after " in out
    assert "✔ ops submission  ✔ accepted " in out
    assert "✔ over POP3 found  ✔ probe inbox" in out
    code, out, _ = await call(lab, "--delivery", "ops-to-probe", "--output=json")
    assert code == 0
    (result,) = json.loads(out)
    assert (result["delivery"], result["from"], result["to"]) == ("ops-to-probe", "ops", "probe")
    assert (result["up"], result["folder"], result["failures"], result["not_made"]) == (True, "inbox", [], None)
    assert result["stages"].keys() == {"submit", "transfer", "cleanup"}
    assert len(lab.messages("Trash")) == 2


async def test_not_made(lab: Lab) -> None:
    """Where the sender cannot log in, that is said, and nothing of its password; the exit code is 1."""
    (lab.directory / "ops.password").write_text("s3ntinel-hunter2", "utf-8")
    ended = await call(lab, "--delivery", "ops-to-probe")
    assert ended.code == 1
    assert "Not made: ops: user name or password is refused" in ended.out
    assert "hunter2" not in ended.out + ended.err


async def test_usage(lab: Lab) -> None:
    """A name that is none, and endpoints beside it, are errors of usage."""
    ended = await call(lab, "--delivery", "ops-to-prob")
    assert ended.code == 2
    assert 'there is no delivery "ops-to-prob"; did you mean "ops-to-probe"?' in ended.err
    ended = await call(lab, "imap", "--delivery", "ops-to-probe")
    assert ended.code == 2
    assert "--delivery excludes endpoints" in ended.err
