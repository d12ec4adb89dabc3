"""Standard output, which may be a pipe whose reader has left, or a file on a full disk."""

from __future__ import annotations

import os
import sys


class CannotWrite(Exception):
    """Standard output takes no more; the message says why, and is empty where its reader has seen enough."""


def write(text: str, encoding: str = "utf-8") -> None:
    """Write to standard output now; a character that the encoding does not have becomes a question mark.

    Raises:
        CannotWrite: it could not be written.
    """
    left = memoryview(text.encode(encoding, "replace"))
    try:
        while left:  # where PYTHONUNBUFFERED is set, a write may take only a part
            left = left[sys.stdout.buffer.write(left) :]
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is still in the buffer would be tried again, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CannotWrite("" if isinstance(error, BrokenPipeError) else str(error.strerror)) from None
