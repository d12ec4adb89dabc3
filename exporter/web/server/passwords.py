"""Passwords are checked against bcrypt hashes: in a thread, and each of them once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

MAX_REMEMBERED = 256
"""Right passwords, and as many wrong ones, whose result is remembered."""

MAX_WAITING = 16
"""Comparisons that are under way or wait; one more is refused."""

_MAX_PASSWORD = 72  # octets; bcrypt ignores the rest, so that the beginning of a longer password would be enough


class Busy(Exception):
    """Too many passwords are being compared: one more would wait too long."""


class Passwords:
    """Checks passwords.

    One comparison at a time, in one thread: each costs a tenth of a second of CPU on purpose, and a client that sends a
    thousand guesses must not cause a thousand at once. A result is remembered under a keyed hash: the memory of this
    process holds neither a password nor a hash of one that could be attacked.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        # Separate, so that wrong guesses do not displace right passwords.
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bcrypt")
        self._comparing: dict[bytes, asyncio.Future[bool]] = {}

    async def check(self, users: Mapping[str, bytes], user: str, password: bytes) -> bool:
        """Whether this is the user's password. The check of an unknown user takes as long as that of a known one.

        Raises:
            Busy: It was not checked: too many are being compared.
        """
        known = users.get(user)
        expected = known if known is not None else self._stand_in(users, user)
        # Whether the user is known is a part of it: two users may have the same hash, and one of them be removed.
        digest = self._digest(b"known" if known is not None else b"unknown", user.encode(), expected, password)
        for remembered, answer in ((self._right, True), (self._wrong, False)):
            if digest in remembered:
                remembered.move_to_end(digest)
                return answer
        matches = await self._compare(digest, password, expected)
        right = matches and known is not None
        remembered = self._right if right else self._wrong
        remembered[digest] = None
        if len(remembered) > MAX_REMEMBERED:
            remembered.popitem(last=False)
        return right

    def close(self) -> None:
        """Compare no more; only the comparison under way is completed."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _compare(self, digest: bytes, password: bytes, expected: bytes) -> bool:
        """Return whether they match; requests for the same comparison share one."""
        comparing = self._comparing.get(digest)
        if comparing is None:
            if len(self._comparing) >= MAX_WAITING:
                raise Busy
            comparing = asyncio.get_running_loop().run_in_executor(self._thread, _matches, password, expected)
            self._comparing[digest] = comparing
            comparing.add_done_callback(lambda _: self._comparing.pop(digest, None))
        return await asyncio.shield(comparing)

    def _stand_in(self, users: Mapping[str, bytes], user: str) -> bytes:
        """Return the hash of some user, always the same for a name: a comparison with it takes as long as any."""
        hashes = sorted(users.values())
        return hashes[int.from_bytes(self._digest(user.encode())[:8]) % len(hashes)]

    def _digest(self, *parts: bytes) -> bytes:
        # Each part with its length, so that no two sequences of parts have the same octets.
        message = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._key, message, hashlib.sha256)


def _matches(password: bytes, expected: bytes) -> bool:
    import bcrypt  # noqa: PLC0415 (only where there are passwords)

    # bcrypt would raise for these at once. Another password is compared in its place, which takes the usual time.
    is_valid = len(password) <= _MAX_PASSWORD and b"\0" not in password
    return bcrypt.checkpw(password if is_valid else b"-", expected) and is_valid
