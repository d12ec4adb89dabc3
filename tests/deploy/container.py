"""As root, in mount and network namespaces of its own: run an image's command, inspect it, end it, print the results.

The host's network is not visible, so the daemon can listen on its default port even if that is in use outside.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

SECONDS = 60

WRITE = """
import os
for path in ("/x", "/tmp/x", "/opt/gmail-exporter/x", "/var/lib/gmail-exporter/x"):
    try:
        open(path, "w")
    except OSError as error:
        print(path, os.strerror(error.errno))
    else:
        print(path, "written")
"""


def main() -> None:
    """See above."""
    request = json.loads(sys.argv[1])
    root, user = request["root"], request["user"]
    _run("ip", "link", "set", "lo", "up")
    _run("mount", "--bind", root, root)
    _run("mount", "-o", "remount,bind,ro", root)
    inside = ["chroot", f"--userspec={user}", "--groups=", root]
    with tempfile.TemporaryFile("w+") as log:
        # A process namespace, in which the command is process 1, as in a container.
        container = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={root}/proc", *inside, *request["command"]],
            env=request["environ"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        metrics = _metrics(container)
        found: dict[str, Any] = {"started": container.poll() is None, "metrics": metrics}
        if found["started"]:
            children = Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text()
            command = children.split()[0]
            within = ["nsenter", f"--target={command}", "--mount", "--pid", *inside]
            found |= _inspect(command, within, request)
            os.kill(int(command), signal.SIGTERM)
        found["exit_code"] = container.wait(SECONDS)
        outside = subprocess.run(
            [*inside, *request["health"]], env=request["environ"], capture_output=True, check=False
        )
        found["health_when_stopped"] = outside.returncode
        log.seek(0)
        found["log"] = log.read()
    sys.stdout.write(json.dumps(found))


def _metrics(container: subprocess.Popen[bytes]) -> str:
    """Wait for the metrics and return them; empty if the process ends before."""
    deadline = time.monotonic() + SECONDS
    while container.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen("http://127.0.0.1:9993/metrics", timeout=SECONDS) as answer:
                text: str = answer.read().decode()
                return text
        except urllib.error.URLError:
            time.sleep(0.05)
    return ""


def _inspect(command: str, within: list[str], request: dict[str, Any]) -> dict[str, Any]:
    health = subprocess.run(
        [*within, *request["health"]], env=request["environ"], capture_output=True, text=True, check=False
    )
    writes = subprocess.run(
        [*within, "python", "-c", WRITE], env=request["environ"], capture_output=True, text=True, check=False
    )
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{command}/status").read_text().splitlines())
    return {
        "health": (health.returncode, health.stdout + health.stderr),
        "writes": writes.stdout.splitlines(),
        "uid": status["Uid"].split()[0],
        "privileges": status["CapEff"].strip(),
    }


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


if __name__ == "__main__":
    main()
