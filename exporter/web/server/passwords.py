"""Passwords against bcrypt hashes, without holding up the event loop, and not for every request anew."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

KEPT = 256
"""Right passwords, and as many wrong ones, whose comparison is remembered."""

QUEUE = 16
"""Comparisons that may wait for their turn; past that whoever comes is sent away."""

_LONGEST = 72  # octets that bcrypt looks at: a longer password would be as good as its beginning


class Busy(Exception):
    """So many passwords are being compared that one more would wait for too long."""


class Passwords:
    """Who may ask.

    One comparison at a time, in a thread of its own: it costs a tenth of a second of CPU on purpose, and whoever sends
    a thousand guesses must not have it a thousand times at once. What was compared is remembered by a keyed hash: the
    memory of this process holds neither a password nor a hash of one that could be guessed at.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        # Apart, so that guesses push nobody out who knows the password.
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bcrypt")
        self._comparing: dict[bytes, asyncio.Future[bool]] = {}

    async def admits(self, users: Mapping[str, bytes], user: str, password: bytes) -> bool:
        """Whether this is the user's password. An unknown user takes as long as a known one.

        Raises:
            Busy: Nobody knows: too many are being compared.
        """
        known = users.get(user)
        expected = known if known is not None else self._stand_in(users, user)
        # Whether the user is known is a part of it: two users may have the same hash, and the one be removed.
        digest = self._digest(b"known" if known is not None else b"unknown", user.encode(), expected, password)
        for remembered, answer in ((self._right, True), (self._wrong, False)):
            if digest in remembered:
                remembered.move_to_end(digest)
                return answer
        matches = await self._compare(digest, password, expected)
        right = matches and known is not None
        remembered = self._right if right else self._wrong
        remembered[digest] = None
        if len(remembered) > KEPT:
            remembered.popitem(last=False)
        return right

    def close(self) -> None:
        """Compare no more. What is being compared at this moment is the last: nobody waits for the others."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _compare(self, digest: bytes, password: bytes, expected: bytes) -> bool:
        """Compare; whoever asks the same meanwhile gets the same answer."""
        comparing = self._comparing.get(digest)
        if comparing is None:
            if len(self._comparing) >= QUEUE:
                raise Busy
            comparing = asyncio.get_running_loop().run_in_executor(self._thread, _matches, password, expected)
            self._comparing[digest] = comparing
            comparing.add_done_callback(lambda _: self._comparing.pop(digest, None))
        return await asyncio.shield(comparing)

    def _stand_in(self, users: Mapping[str, bytes], user: str) -> bytes:
        """Return the hash of somebody, always the same one for a name: it is as slow as theirs."""
        hashes = sorted(users.values())
        return hashes[int.from_bytes(self._digest(user.encode())[:8]) % len(hashes)]

    def _digest(self, *parts: bytes) -> bytes:
        # Each with its length, so that no two rows of parts are the same octets.
        message = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._key, message, hashlib.sha256)


def _matches(password: bytes, expected: bytes) -> bool:
    import bcrypt  # noqa: PLC0415 (only where there are passwords)

    # bcrypt would refuse to look at these. It looks at what can be looked at: that takes the same time.
    fit = len(password) <= _LONGEST and b"\0" not in password
    return bcrypt.checkpw(password if fit else b"-", expected) and fit
