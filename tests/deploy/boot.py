"""As root, in mount and network namespaces of its own: boot systemd, inspect the unit, print the results.

The root directory that it is given holds systemd, the exporter, its unit, its configuration and a credential.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

UNIT = "gmail-exporter.service"

SECONDS = 120

BOOT = """
set -e
cd "$1"
mount --bind . . && cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "dev/${node%:*}" c 1 "${node#*:}"; done
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mkdir -p old
pivot_root . old
cd /
umount -l /old
# As on any host booted by systemd: credentials are mounted elsewhere and appear by mount propagation.
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system
"""


def main() -> None:
    """See above."""
    root = sys.argv[1]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        group = _cgroup(Path(directory))
        namespaces = "unshare --mount --pid --cgroup --uts --ipc --fork --kill-child"
        machine = subprocess.Popen(
            [
                "sh",
                "-c",
                f'echo $$ >"$1" && exec {namespaces} sh -c "$2" sh "$3"',
                "sh",
                group / "cgroup.procs",
                BOOT,
                root,
            ],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        try:
            found = _Machine(machine).run()
        finally:
            machine.kill()
            machine.wait()
            _wait(lambda: "populated 0" in (group / "cgroup.events").read_text())
            for each, _, _ in os.walk(group, topdown=False):
                Path(each).rmdir()
            subprocess.run(["umount", "--quiet", directory], check=False)
    sys.stdout.write(json.dumps(found))


def _cgroup(directory: Path) -> Path:
    """Create a control group of version 2 for the processes of the machine."""
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", directory], check=True)
    # Not by process id: one in a namespace of its own may be in use outside.
    return Path(tempfile.mkdtemp(prefix="gmail-exporter-", dir=directory))


class _Machine:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def run(self) -> dict[str, Any]:
        """Run it from start to stop."""
        _wait(lambda: self._show("ActiveState") == "active")
        process = self._show("MainPID")
        status = self._inside("cat", f"/proc/{process}/status")
        found: dict[str, Any] = {
            "status": dict(line.split(":\t", 1) for line in status.splitlines()),
            "credential": self._inside(
                *("nsenter", f"--target={process}", "--mount", f"--setuid={self._show('UID')}"),
                *("cat", f"/run/credentials/{UNIT}/ops"),
            ),
        }
        with urllib.request.urlopen("http://127.0.0.1:9993/metrics", timeout=SECONDS) as answer:
            found["metrics"] = answer.read().decode()
        self._inside("systemctl", "reload", UNIT)
        _wait(lambda: "event=reloaded" in self._journal())
        found["restarts"] = [self._show("NRestarts")]
        self._inside("systemctl", "kill", "--signal=STOP", UNIT)
        _wait(lambda: self._show("NRestarts") == "1" and self._show("ActiveState") == "active")
        found["restarts"].append(self._show("NRestarts"))
        self._inside("systemctl", "stop", UNIT)
        found |= {name: self._show(name) for name in ("Result", "ExecMainStatus", "ActiveState")}
        found["journal"] = self._journal()
        return found

    def _journal(self) -> str:
        return self._inside("journalctl", "--no-pager", "--output=cat")

    def _show(self, name: str) -> str:
        return self._inside("systemctl", "show", f"--property={name}", "--value", UNIT, check=False).strip()

    def _inside(self, *argv: str, check: bool = True) -> str:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            return ""  # it has not begun yet, or has ended
        within = ["nsenter", f"--target={children[0]}", "--mount", "--pid", "--cgroup", "--uts", "--ipc"]
        done = subprocess.run([*within, *argv], capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise SystemExit(f"{' '.join(argv)}: {done.stderr or done.stdout}\n{self._journal()}")
        return done.stdout


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("not in time")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
