"""Checks of passwords, and how few comparisons they take. `bcrypt.checkpw` is the real one, and is counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import bcrypt
import pytest

from exporter.web.server.passwords import MAX_REMEMBERED, MAX_WAITING, Busy, Passwords
from tests.examples import SENTINEL

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
        self.gate.wait(10)
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
