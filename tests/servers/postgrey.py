"""Debian's Postgrey: the policy service that lets Postfix send away a message of a stranger, and take it later."""

from __future__ import annotations

import getpass
import grp
import os
import pwd
import signal
import tempfile
from pathlib import Path
from typing import Final

from tests.servers.process import Process, Server, ServerError, find_program, is_listening, send_signal

ACCOUNT: Final = "postgrey"
"""Debian's own account for it; as root, Postgrey drops to it."""

DELAY: Final = 2
"""Seconds before which a message does not come in."""


class Postgrey(Server):
    """One Postgrey at a port of 127.0.0.1. Who has waited once is known until it stops."""

    def __init__(self, port: int) -> None:
        self.program = find_program("postgrey", "postgrey")
        self.port = port
        self.directory = Path(tempfile.mkdtemp(prefix="postgrey-"))
        self.log_file = self.directory / "output"
        (self.directory / "nobody").touch()
        if os.geteuid() == 0:
            account = pwd.getpwnam(ACCOUNT)
            os.chown(self.directory, account.pw_uid, account.pw_gid)

    def start(self) -> None:
        """As every server does."""
        if self._process is not None:
            raise ServerError("Postgrey runs already")
        if os.geteuid() == 0:
            user, group = ACCOUNT, "nogroup"
        else:
            user, group = getpass.getuser(), grp.getgrgid(os.getegid()).gr_name
        argv = [
            *(self.program, f"--inet=127.0.0.1:{self.port}", f"--dbdir={self.directory}", f"--delay={DELAY}"),
            *(f"--user={user}", f"--group={group}"),
            *(f"--whitelist-clients={self.directory}/nobody", f"--whitelist-recipients={self.directory}/nobody"),
        ]
        process = Process(argv, output=self.log_file)
        process.wait_until(lambda: is_listening(self.port), log=str)
        self._process = process

    def stop(self) -> None:
        """As every server does."""
        if self._process is not None:
            # It misses a SIGTERM now and then, and has nothing to lose.
            send_signal(self._process.pid, signal.SIGKILL)
            self._process.stop()
            self._process = None
