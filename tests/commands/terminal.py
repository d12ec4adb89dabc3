"""A terminal: runs a program on a pty, and has the screen at the end."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence

from tests.waiting import PATIENCE

_PIECE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Terminal:
    """A program on a terminal with `columns`.

    Attributes:
        written: All output of the program, with control codes.
        code: Its exit code.
    """

    def __init__(self, argv: Sequence[str], columns: int, environ: Mapping[str, str] | None = None) -> None:
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
        self._popen = subprocess.Popen(
            argv,
            stdin=its,
            stdout=its,
            stderr=its,
            env={**inherited, "TERM": "xterm-256color", **(environ or {})},
            start_new_session=True,
        )
        os.close(its)
        self._ours = ours
        self.written = ""
        self.code = -1

    def wait_for(self, text: str) -> None:
        """Read until this was written."""
        while text not in self.written and self._read():
            pass
        assert text in self.written

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.kill(self._popen.pid, signal.SIGINT)

    def wait(self) -> list[str]:
        """Wait for the end, and return the lines on the screen."""
        while self._read():
            pass
        os.close(self._ours)
        self.code = self._popen.wait(PATIENCE)
        return screen(self.written)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], PATIENCE)
        assert ready, f"nothing more came after {self.written[-500:]!r}"
        try:
            data = os.read(self._ours, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # Linux: the other side has closed
                raise
            return False
        self.written += data.decode("utf-8", "replace")
        return bool(data)


def screen(written: str) -> list[str]:
    """The lines on the screen after these characters and control codes were written."""
    lines, row, column = [""], 0, 0
    for number, letter, control, text in _PIECE.findall(written):
        if text:
            lines[row] = lines[row].ljust(column)[:column] + text + lines[row][column + len(text) :]
            column += len(text)
        elif control == "\r":
            column = 0
        elif control == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif letter == "A":
            row -= int(number or 1)
        elif letter == "K":
            lines[row] = ""
        else:
            assert letter in "mhl", letter  # colours; the cursor hidden and shown
    return [line.rstrip() for line in lines]
