"""Checks of passwords, and how few comparisons they take. `bcrypt.checkpw` is the real one, and is counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import bcrypt
import pytest

from exporter.web.server.passwords import (
    FORGIVEN_SECONDS,
    MAX_GUESSERS,
    MAX_REMEMBERED,
    MAX_WAITING,
    REST,
    Busy,
    Passwords,
)
from tests.examples import SENTINEL, Clock
from tests.waiting import PATIENCE

ALICE = bcrypt.hashpw(SENTINEL.encode(), bcrypt.gensalt(4))
CHECK = bcrypt.checkpw
BOB = bcrypt.hashpw(b"bob's", bcrypt.gensalt(5))
USERS = {"alice": ALICE, "bob": BOB}


class Counted:
    """The comparisons, and their threads; while `gate` is closed, a comparison is under way."""

    def __init__(self) -> None:
        self.against: list[bytes] = []
        self.threads: set[int] = set()
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, password: bytes, expected: bytes) -> bool:
        self.begun.set()
        self.gate.wait(PATIENCE)
        self.against.append(expected)
        self.threads.add(threading.get_ident())
        return CHECK(password, expected)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """Every comparison."""
    counting = Counted()
    monkeypatch.setattr(bcrypt, "checkpw", counting)
    yield counting
    counting.gate.set()


async def test_a_right_password_is_accepted(counted: Counted) -> None:
    """And no other; it is compared in another thread than the event loop's."""
    passwords = Passwords()
    assert await passwords.check(USERS, "alice", SENTINEL.encode())
    assert await passwords.check(USERS, "bob", b"bob's")
    assert not await passwords.check(USERS, "alice", b"bob's")
    assert not await passwords.check(USERS, "eve", SENTINEL.encode())
    assert threading.get_ident() not in counted.threads
    assert len(counted.threads) == 1


async def test_a_result_is_remembered(counted: Counted) -> None:
    """A scrape every second is one comparison, right or wrong; a changed hash is another."""
    passwords = Passwords()
    for _ in range(5):
        assert await passwords.check(USERS, "alice", SENTINEL.encode())
        assert not await passwords.check(USERS, "alice", b"wrong")
    assert len(counted.against) == 2
    changed = {"alice": bcrypt.hashpw(b"new", bcrypt.gensalt(4))}
    assert not await passwords.check(changed, "alice", SENTINEL.encode())
    assert SENTINEL not in repr(vars(passwords))
    assert SENTINEL.encode() not in [*passwords._right, *passwords._wrong]


async def test_an_unknown_user_costs_what_a_known_one_does(counted: Counted) -> None:
    """One comparison, with a hash of the file, always the same for a name: the time reveals no user."""
    passwords = Passwords()
    for number in range(20):
        assert not await passwords.check(USERS, f"eve{number}", b"x")
        assert not await passwords.check(USERS, f"eve{number}", b"y")
    assert len(counted.against) == 40
    assert counted.against[::2] == counted.against[1::2]
    assert set(counted.against) == {ALICE, BOB}


async def test_the_password_of_another_user_is_wrong() -> None:
    """Also for an unknown user who is compared with that user's hash."""
    only = {"alice": ALICE}
    assert not await Passwords().check(only, "eve", SENTINEL.encode())
    assert await Passwords().check(only, "alice", SENTINEL.encode())


async def test_a_result_is_remembered_for_known_and_unknown_users_apart() -> None:
    """A removed user is refused, an added one accepted, also where another user has the same hash."""
    passwords, both, only = Passwords(), {"alice": ALICE, "bob": ALICE}, {"alice": ALICE}
    assert await passwords.check(both, "bob", SENTINEL.encode())
    assert not await passwords.check(only, "bob", SENTINEL.encode())
    assert not await passwords.check(only, "carol", SENTINEL.encode())
    assert await passwords.check({**both, "carol": ALICE}, "carol", SENTINEL.encode())


@pytest.mark.parametrize("password", [b"x" * 73, b"x" * 72 + b"y", b"a\0b", b"", b"\xff\xfe", b"x" * 10_000])
async def test_a_password_that_bcrypt_would_cut_is_wrong(counted: Counted, password: bytes) -> None:
    """More than 72 octets, or a NUL: it takes as long as any other."""
    users = {"alice": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))}
    assert not await Passwords().check(users, "alice", password)
    assert len(counted.against) == 1


async def test_equal_checks_share_a_comparison(counted: Counted) -> None:
    """One comparison for all of them; past a number of different ones the next check is refused."""
    passwords = Passwords()
    counted.gate.clear()
    same = [asyncio.create_task(passwords.check(USERS, "alice", SENTINEL.encode())) for _ in range(50)]
    others = [asyncio.create_task(passwords.check(USERS, "alice", b"%d" % n)) for n in range(MAX_WAITING - 1)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await passwords.check(USERS, "alice", b"one too many")
    counted.gate.set()
    assert all(await asyncio.gather(*same))
    assert not any(await asyncio.gather(*others))
    assert len(counted.against) == MAX_WAITING


async def test_the_end_waits_for_one_comparison_at_most(counted: Counted) -> None:
    """The one that is under way; those in the queue are never made."""
    passwords = Passwords()
    counted.gate.clear()
    guesses = [asyncio.create_task(passwords.check(USERS, "alice", b"%d" % n)) for n in range(MAX_WAITING)]
    assert await asyncio.to_thread(counted.begun.wait, 5)
    passwords.close()
    counted.gate.set()
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, asyncio.CancelledError)] == [False]
    assert len(counted.against) == 1


async def test_wrong_guesses_displace_no_right_password(counted: Counted) -> None:
    """The memory is bounded, and a right password stays in it."""
    passwords = Passwords()
    assert await passwords.check(USERS, "alice", SENTINEL.encode())
    for number in range(MAX_REMEMBERED + 10):
        passwords._wrong[b"%d" % number] = None
    assert not await passwords.check(USERS, "alice", b"guess")
    assert len(passwords._wrong) == MAX_REMEMBERED + 10
    compared = len(counted.against)
    assert await passwords.check(USERS, "alice", SENTINEL.encode())
    assert len(counted.against) == compared


class Guessing:
    """Checks that are under way, in a queue whose first comparison has begun; opening the gate lets all of them end."""

    def __init__(self, counted: Counted) -> None:
        self.clock = Clock()
        self.passwords = Passwords(self.clock)
        self.counted = counted
        self.tasks: list[asyncio.Task[bool]] = []
        counted.gate.clear()

    async def guess(self, client: str, *guesses: bytes) -> list[asyncio.Task[bool]]:
        """Ask for these checks."""
        tasks = [asyncio.create_task(self.passwords.check(USERS, "alice", one, client)) for one in guesses]
        await asyncio.sleep(0)
        self.tasks += tasks
        return tasks

    async def end(self) -> list[bool | BaseException]:
        """The results of all of them."""
        self.counted.gate.set()
        return await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_a_flood_of_guesses_keeps_nobody_else_waiting(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right password of another client is compared next, although the queue is full."""
    order: list[bytes] = []

    def check(password: bytes, expected: bytes) -> bool:
        order.append(password)
        return counted(password, expected)

    monkeypatch.setattr(bcrypt, "checkpw", check)
    guessing = Guessing(counted)
    counted.gate.set()
    for number in range(3):
        assert not await guessing.passwords.check(USERS, "alice", b"early %d" % number, "guesser")
    counted.gate.clear()
    await guessing.guess("guesser", *(b"%d" % number for number in range(MAX_WAITING)))
    (right,) = await guessing.guess("prometheus", SENTINEL.encode())
    results = await guessing.end()
    assert await right
    assert SENTINEL.encode() in order[3:5]  # at most the one under way comes before it
    assert [type(result) for result in results].count(Busy) == 1
    assert type(results[MAX_WAITING - 1]) is Busy  # the last guess had to give its place


async def test_guesses_take_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a comparison the thread rests before that of a client with wrong guesses, not before that of another."""
    times: dict[bytes, tuple[float, float]] = {}

    def check(password: bytes, expected: bytes) -> bool:
        began = time.monotonic()
        time.sleep(0.02)
        result = CHECK(password, expected)
        times[password] = began, time.monotonic()
        return result

    monkeypatch.setattr(bcrypt, "checkpw", check)
    passwords = Passwords()
    assert not await passwords.check(USERS, "alice", b"first", "guesser")
    guess = asyncio.create_task(passwords.check(USERS, "alice", b"second", "guesser"))
    await asyncio.sleep(0)
    assert await passwords.check(USERS, "alice", SENTINEL.encode(), "prometheus")
    assert b"second" not in times
    assert not await guess
    began, ended = times[SENTINEL.encode()]
    assert times[b"second"][0] - ended > 0.9 * REST * (ended - began)


@pytest.mark.parametrize("is_shared", [False, True])
async def test_the_end_of_a_rest(counted: Counted, *, is_shared: bool) -> None:
    """What waits for it is compared at once where another client asks for the same; it ends with the daemon."""
    passwords = Passwords()
    passwords._guesses["guesser"] = 5, time.monotonic()
    passwords._began_at, passwords._ended_at = 0.0, asyncio.get_running_loop().time() + 3600
    waiting = asyncio.create_task(passwords.check(USERS, "alice", SENTINEL.encode(), "guesser"))
    await asyncio.sleep(0)
    assert vars(passwords)["_resting"]
    if is_shared:
        assert await passwords.check(USERS, "alice", SENTINEL.encode(), "prometheus")
        assert await waiting
    else:
        passwords.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert vars(passwords)["_resting"] is None
    assert len(counted.against) == is_shared


async def test_several_clients_share_the_queue(counted: Counted) -> None:
    """One that is new takes the place of the one that waits for the most; one that waits for as many is refused."""
    guessing = Guessing(counted)
    await guessing.guess("crowd", *(b"%d" % number for number in range(MAX_WAITING)))
    for client in ("a", "b"):
        await guessing.guess(client, client.encode())
    (refused,) = await guessing.guess("crowd", b"one too many")
    with pytest.raises(Busy):
        await refused
    results = await guessing.end()
    assert [type(result) for result in results].count(Busy) == 3


async def test_guesses_are_forgiven(counted: Counted) -> None:
    """Some minutes after the last of them; and only so many clients are known."""
    clock = Clock()
    passwords = Passwords(clock)
    for number in range(2):
        assert not await passwords.check(USERS, "alice", b"%d" % number, "guesser")
    assert passwords._guesses_of("guesser") == 2
    clock.advance(FORGIVEN_SECONDS)
    assert passwords._guesses_of("guesser") == 0
    assert await passwords.check(USERS, "alice", SENTINEL.encode(), "guesser")
    known = [(f"client {number}", (1, clock())) for number in range(MAX_GUESSERS)]
    passwords._guesses.update(known)
    assert not await passwords.check(USERS, "alice", b"x", "one more")
    assert len(passwords._guesses) == MAX_GUESSERS + 1


async def test_a_shared_comparison_is_that_of_the_better_client(counted: Counted) -> None:
    """The same password of two clients: it is compared as early as the better one has earned."""
    guessing = Guessing(counted)
    guessing.passwords._guesses["guesser"] = 5, guessing.clock()
    await guessing.guess("guesser", b"first", b"second", SENTINEL.encode())
    await guessing.guess("prometheus", SENTINEL.encode())
    (comparison,) = [one for one in guessing.passwords._comparisons.values() if one.password == SENTINEL.encode()]
    assert comparison.client == "prometheus"
    assert (await guessing.end())[2:] == [True, True]


async def test_a_fault_of_a_comparison_reaches_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue goes on."""

    def fail(_password: bytes, _expected: bytes) -> bool:
        raise ValueError("a fault")

    passwords = Passwords()
    monkeypatch.setattr(bcrypt, "checkpw", fail)
    with pytest.raises(ValueError, match="a fault"):
        await passwords.check(USERS, "alice", b"x")
    monkeypatch.setattr(bcrypt, "checkpw", CHECK)
    assert await passwords.check(USERS, "alice", SENTINEL.encode())
