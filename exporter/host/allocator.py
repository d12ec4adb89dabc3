"""The allocator of the C library: large blocks go back to the kernel when they are freed.

glibc takes a block of 128 KiB or more from the kernel and gives it back when it is freed, but raises that threshold to
the size of each such block (mallopt(3)). After the first scrape of a thousand endpoints its blocks would come from the
heap, which shrinks only at its end: what a crowd of clients has taken would stay with the process.
"""

from __future__ import annotations

MMAP_THRESHOLD = 128 << 10
"""Octets of a block; glibc's own value, which stays as it is once it is set."""

_M_MMAP_THRESHOLD = -3  # malloc.h


def give_back() -> None:
    """Fix the threshold.

    Raises:
        AttributeError: Another C library than glibc has no such option.
        ValueError: The C library has refused it.
    """
    import ctypes  # noqa: PLC0415 (only the daemon needs it)

    if not ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD):
        raise ValueError("mallopt has refused the threshold")
