"""Passwords are checked against bcrypt hashes: in a thread, and each of them once.

A comparison takes a tenth of a second, and anyone can ask for one. The next one is that of the client with the fewest
wrong guesses; where too many wait, the one with the most loses its own. Between those of clients with wrong guesses
the thread rests. So a flood of guesses does not keep another client waiting, nor take a processor from the probes, and
a password that was right once is never compared again.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

MAX_REMEMBERED = 256
"""Right passwords, and as many wrong ones, whose result is remembered."""

MAX_WAITING = 16
"""Comparisons that are under way or wait."""

MAX_GUESSERS = 1024
"""Clients whose wrong guesses are counted."""

FORGIVEN_SECONDS = 600.0
"""Seconds after its last wrong guess until a client's guesses are forgotten."""

REST = 4.0
"""Times the length of the last comparison until a client with wrong guesses has one: a fifth of a core is theirs."""

MAX_REST = 10.0
"""Seconds that it is at most."""

_MAX_PASSWORD = 72  # octets; bcrypt ignores the rest, so that the beginning of a longer password would be enough


class Busy(Exception):
    """Too many passwords are being compared: one more would wait too long."""


@dataclass(eq=False, slots=True)
class _Comparison:
    """One that waits or is under way, for a client; its result is None where it lost its place."""

    client: str
    password: bytes
    expected: bytes
    result: asyncio.Future[bool | None]


class Passwords:
    """Checks passwords.

    One comparison at a time, in one thread: each costs a tenth of a second of CPU on purpose, and a client that sends a
    thousand guesses must not cause a thousand at once. A result is remembered under a keyed hash: the memory of this
    process holds neither a password nor a hash of one that could be attacked.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        # Separate, so that wrong guesses do not displace right passwords.
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bcrypt")
        self._comparisons: dict[bytes, _Comparison] = {}
        """In the order in which they were asked for."""
        self._under_way: bytes | None = None
        self._began_at = self._ended_at = 0.0
        """When the last comparison began and ended, by the event loop's clock."""
        self._resting: asyncio.TimerHandle | None = None
        self._guesses: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Wrong guesses of each client, and when it made the last one."""

    async def check(self, users: Mapping[str, bytes], user: str, password: bytes, client: str = "") -> bool:
        """Whether this is the user's password. The check of an unknown user takes as long as that of a known one.

        Args:
            users: Hashes by user.
            user: As the client has sent it.
            password: As the client has sent it.
            client: Who asks, as `clients.client_of` returns it.

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
        matches = await self._compare(digest, password, expected, client)
        right = matches and known is not None
        remembered = self._right if right else self._wrong
        remembered[digest] = None
        if len(remembered) > MAX_REMEMBERED:
            remembered.popitem(last=False)
        if not right:
            self._count(client)
        return right

    def close(self) -> None:
        """Compare no more; only the comparison under way is completed."""
        self._thread.shutdown(wait=False)
        self._stop_resting()
        for digest in [digest for digest in self._comparisons if digest != self._under_way]:
            self._comparisons.pop(digest).result.cancel()

    async def _compare(self, digest: bytes, password: bytes, expected: bytes, client: str) -> bool:
        """Return whether they match; requests for the same comparison share one."""
        comparison = self._comparisons.get(digest)
        if comparison is None:
            self._make_room(client)
            result: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
            comparison = self._comparisons[digest] = _Comparison(client, password, expected, result)
            self._begin_next()
        elif self._guesses_of(client) < self._guesses_of(comparison.client):
            comparison.client = client
            self._begin_next()
        matches = await asyncio.shield(comparison.result)
        if matches is None:
            raise Busy
        return matches

    def _make_room(self, client: str) -> None:
        """Let the client that has earned it least lose its last comparison, where too many wait.

        Raises:
            Busy: That is this client.
        """
        if len(self._comparisons) < MAX_WAITING:
            return
        waiting = Counter(one.client for digest, one in self._comparisons.items() if digest != self._under_way)
        last = {one.client: digest for digest, one in self._comparisons.items() if digest != self._under_way}
        worst = max(last, key=lambda one: (self._guesses_of(one), waiting[one]))
        if (self._guesses_of(client), waiting[client] + 1) > (self._guesses_of(worst), waiting[worst]):
            raise Busy
        self._comparisons.pop(last[worst]).result.set_result(None)

    def _begin_next(self) -> None:
        if self._under_way is not None or not self._comparisons:
            return
        first = min(self._comparisons, key=lambda digest: self._guesses_of(self._comparisons[digest].client))
        comparison = self._comparisons[first]
        loop = asyncio.get_running_loop()
        self._stop_resting()
        if self._guesses_of(comparison.client):
            until = self._ended_at + min(REST * (self._ended_at - self._began_at), MAX_REST)
            if loop.time() < until:
                self._resting = loop.call_at(until, self._begin_next)
                return
        self._under_way, self._began_at = first, loop.time()
        done = loop.run_in_executor(self._thread, _matches, comparison.password, comparison.expected)
        done.add_done_callback(partial(self._end, self._under_way))

    def _end(self, digest: bytes, done: asyncio.Future[bool]) -> None:
        result = self._comparisons.pop(digest).result
        if done.cancelled():
            result.cancel()
        elif (fault := done.exception()) is not None:
            result.set_exception(fault)
        else:
            result.set_result(done.result())
        self._under_way, self._ended_at = None, asyncio.get_running_loop().time()
        self._begin_next()

    def _stop_resting(self) -> None:
        if self._resting:
            self._resting.cancel()
            self._resting = None

    def _guesses_of(self, client: str) -> int:
        count, at = self._guesses.get(client, (0, 0.0))
        return count if self._clock() - at < FORGIVEN_SECONDS else 0

    def _count(self, client: str) -> None:
        self._guesses[client] = self._guesses_of(client) + 1, self._clock()
        self._guesses.move_to_end(client)
        if len(self._guesses) > MAX_GUESSERS:
            self._guesses.popitem(last=False)

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
