"""systemd accepts the unit, and the unit works under a real systemd."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import cli
from exporter.accounts.storage import SYSTEM
from exporter.config.load import load
from tests.deploy.conftest import Built
from tests.deploy.debian import ROOT, as_root
from tests.deploy.image import boot
from tests.examples import SENTINEL
from tests.servers.process import find_program

UNIT = ROOT / "deploy/systemd/gmail-exporter.service"

SOCKET = ROOT / "deploy/systemd/gmail-exporter.socket"

EXPOSURE = 1.1
"""Exposure on systemd's scale from 0 to 10, as in docs/deployment.md. The rest is the network."""


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze; it needs no running systemd."""
    program = find_program("systemd-analyze", "systemd")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)


def section(name: str) -> list[tuple[str, str]]:
    """Return the settings of a section, in order; a setting may occur more than once."""
    text = UNIT.read_text("utf-8").replace("\\\n", " ")
    body = text.split(f"[{name}]\n", 1)[1].split("\n[", 1)[0]
    pairs = [line.split("=", 1) for line in body.splitlines() if line and not line.startswith("#")]
    return [(key, value) for key, value in pairs]


def test_verify_finds_nothing(tmp_path: Path) -> None:
    """With the program of this checkout; every key and every value is valid."""
    copy = tmp_path / UNIT.name
    program = Path(sys.executable).with_name("gmail-exporter")
    copy.write_text(
        UNIT.read_text("utf-8").replace("/opt/gmail-exporter/.venv/bin/gmail-exporter", str(program)), "utf-8"
    )
    checked = analyze("verify", "--man=no", copy)
    assert (checked.returncode, checked.stderr) == (0, "")
    copy.write_text(copy.read_text("utf-8").replace("ProtectHome=yes", "ProtectHome=perhaps"), "utf-8")
    assert "perhaps" in analyze("verify", "--man=no", copy).stderr


def test_the_socket(tmp_path: Path) -> None:
    """It is a valid unit, and the drop-in of the documentation has flags that exist."""
    page = (ROOT / "docs/deployment.md").read_text("utf-8").partition("### A socket of systemd")[2]
    drop_in = page.partition("```ini\n")[2].partition("```")[0]
    *_, command = re.findall(r"^ExecStart=(.*)$", drop_in, re.MULTILINE)
    _, *arguments = command.split()
    assert cli._parser().parse_args(arguments).systemd_socket
    program = Path(sys.executable).with_name("gmail-exporter")
    for name, text in (
        (SOCKET.name, SOCKET.read_text("utf-8")),
        (UNIT.name, UNIT.read_text("utf-8")),
        (f"{UNIT.name}.d/socket.conf", drop_in),
    ):
        copy = tmp_path / name
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(text.replace("/opt/gmail-exporter/.venv/bin/gmail-exporter", str(program)), "utf-8")
    checked = analyze("verify", "--man=no", tmp_path / SOCKET.name, tmp_path / UNIT.name)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_exposure(tmp_path: Path) -> None:
    """The figure of systemd is below the threshold, and is the figure in the documentation."""
    checked = analyze("security", "--offline=true", f"--threshold={round(EXPOSURE * 10)}", "--no-pager", UNIT)
    assert checked.returncode == 0, checked.stdout
    assert f"Overall exposure level for {UNIT.name}: {EXPOSURE} OK" in checked.stdout
    page = (ROOT / "docs/deployment.md").read_text("utf-8")
    assert f"exposure level: {EXPOSURE}" in page
    rows = json.loads(analyze("security", "--offline=true", "--json=short", UNIT).stdout)
    assert {row["json_field"] for row in rows if row["exposure"]} == {
        "DeviceAllow",  # /dev/rtc, which ProtectClock= itself allows
        "IPAddressDeny",
        "PrivateNetwork",
        "ProcSubset",  # the name of the boot
        "RestrictAddressFamilies_AF_INET_INET6",
        "RestrictAddressFamilies_AF_UNIX",  # for notifications
        "RootDirectoryOrRootImage",
    }


def test_the_program_accepts_its_command(tmp_path: Path) -> None:
    """Its flags exist, and the login budgets are in the directory that the unit may write to, for commands too."""
    service = dict(section("Service"))
    _, *arguments = service["ExecStart"].split()
    options = cli._parser().parse_args(arguments)
    assert (options.storage_path, options.storage_none) == (None, False)
    assert str(SYSTEM) == f"/var/lib/{service['StateDirectory']}"
    assert service["ExecReload"] == "kill -HUP $MAINPID"
    assert (service["Type"], service["DynamicUser"]) == ("notify", "yes")
    assert service["WatchdogSec"]
    assert service["LimitCORE"] == "0"  # a core dump would hold the secrets


def test_a_configuration_can_name_credentials(tmp_path: Path) -> None:
    """A configuration accepts the path in the unit's comment."""
    comment = next(line for line in UNIT.read_text("utf-8").splitlines() if "app_password:" in line).lstrip("# ")
    path = tmp_path / "gmail.yml"
    path.write_text(
        f"accounts:\n  ops:\n    username: probe@gmail.com\n    {comment}\n"
        "endpoints:\n  imap: {protocol: imap, host: imap.gmail.com, account: ops}\n",
        "utf-8",
    )
    secret = load(path, {}).accounts["ops"].app_password
    assert secret is not None
    assert str(secret.file) == f"/run/credentials/{UNIT.name}/ops"


@pytest.mark.parametrize("name", ["Unit", "Service", "Install"])
def test_no_setting_occurs_twice(name: str) -> None:
    """Except for the filter of system calls: one line for what is allowed, one for what is not."""
    keys = [key for key, _ in section(name)]
    assert {key for key in keys if keys.count(key) > 1} <= {"SystemCallFilter"}


CONFIGURATION = """
accounts:
  ops:
    username: probe@gmail.com
    app_password: {file: /run/credentials/gmail-exporter.service/ops}
endpoints:
  imap: {protocol: imap, host: 127.0.0.1, account: ops}
"""

DROP_IN = """
[Service]
LoadCredential=ops:/etc/gmail-exporter/secrets/ops
# Only for the test: the watchdog works in the same way, but sooner.
WatchdogSec=6s
RestartSec=100ms
"""


def test_a_real_systemd_runs_it(built: Built, tmp_path: Path) -> None:
    """Booted in namespaces: it starts in its sandbox, reloads, is restarted when it hangs, and stops cleanly."""
    files = {
        "gmail.yml": CONFIGURATION,
        "secrets/ops": SENTINEL,
        "drop-in.conf": DROP_IN,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    with built.building.mounted(built.building.prepare_systemd()) as root:
        # At the unit's path; .venv is the directory itself.
        script = """
            set -e
            cp -a "$1/opt/gmail-exporter" "$2/opt/" && ln -s . "$2/opt/gmail-exporter/.venv"
            cd "$2/etc/systemd/system" && cp "$4" . && mkdir -p gmail-exporter.service.d multi-user.target.wants
            cp "$3/drop-in.conf" gmail-exporter.service.d/ && ln -s ../gmail-exporter.service multi-user.target.wants/
            ln -sf /lib/systemd/system/multi-user.target default.target
            install -D -m 644 "$3/gmail.yml" "$2/etc/gmail-exporter/gmail.yml"
            install -D -m 400 "$3/secrets/ops" "$2/etc/gmail-exporter/secrets/ops"
        """
        as_root("sh", "-c", script, "sh", built.root, root, tmp_path, UNIT)
        seen = boot(root)
    status = seen["status"]
    assert int(status["Uid"].split()[0]) >= 61184  # systemd's range for dynamic users
    assert (int(status["CapEff"], 16), status["NoNewPrivs"], status["Seccomp"]) == (0, "1", "2")
    assert seen["credential"] == SENTINEL
    assert 'gmail_probe_interval_seconds{endpoint="imap"' in seen["metrics"]
    assert seen["restarts"] == ["0", "1"]
    assert (seen["Result"], seen["ExecMainStatus"], seen["ActiveState"]) == ("success", "0", "inactive")
    assert "storage=/var/lib/gmail-exporter/ledger.db" in seen["journal"]
    of_the_process = r"event=(started|reloaded|stopping|stopped)\b"
    assert re.findall(of_the_process, seen["journal"]) == [
        "started",
        "reloaded",
        "started",
        "stopping",
        "stopped",
    ]
    assert "Traceback" not in seen["journal"]
    assert SENTINEL not in seen["journal"]
