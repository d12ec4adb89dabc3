"""Comparisons, and how few of them are made. `bcrypt.checkpw` is the real one; it is only counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import bcrypt
import pytest

from exporter.web.server.passwords import KEPT, QUEUE, Busy, Passwords
from tests.examples import SENTINEL

ALICE = bcrypt.hashpw(SENTINEL.encode(), bcrypt.gensalt(4))
CHECK = bcrypt.checkpw
BOB = bcrypt.hashpw(b"bob's", bcrypt.gensalt(5))
USERS = {"alice": ALICE, "bob": BOB}


class Counted:
    """What was compared, and in which thread; while `gate` is closed it is being compared."""

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


async def test_who_knows_a_password_is_admitted(counted: Counted) -> None:
    """And nobody else; in another thread than the event loop's."""
    passwords = Passwords()
    assert await passwords.admits(USERS, "alice", SENTINEL.encode())
    assert await passwords.admits(USERS, "bob", b"bob's")
    assert not await passwords.admits(USERS, "alice", b"bob's")
    assert not await passwords.admits(USERS, "eve", SENTINEL.encode())
    assert threading.get_ident() not in counted.threads
    assert len(counted.threads) == 1


async def test_an_answer_is_remembered(counted: Counted) -> None:
    """A scrape every second is one comparison, right or wrong; a changed hash is another."""
    passwords = Passwords()
    for _ in range(5):
        assert await passwords.admits(USERS, "alice", SENTINEL.encode())
        assert not await passwords.admits(USERS, "alice", b"wrong")
    assert len(counted.against) == 2
    changed = {"alice": bcrypt.hashpw(b"new", bcrypt.gensalt(4))}
    assert not await passwords.admits(changed, "alice", SENTINEL.encode())
    assert SENTINEL not in repr(vars(passwords))
    assert SENTINEL.encode() not in [*passwords._right, *passwords._wrong]


async def test_an_unknown_user_costs_what_a_known_one_does(counted: Counted) -> None:
    """One comparison, with a hash of the file's, always the same for a name: no answer tells who is known."""
    passwords = Passwords()
    for number in range(20):
        assert not await passwords.admits(USERS, f"eve{number}", b"x")
        assert not await passwords.admits(USERS, f"eve{number}", b"y")
    assert len(counted.against) == 40
    assert counted.against[::2] == counted.against[1::2]
    assert set(counted.against) == {ALICE, BOB}


async def test_a_stand_in_s_password_opens_nothing() -> None:
    """Whoever guesses somebody's password still has to know whose it is."""
    only = {"alice": ALICE}
    assert not await Passwords().admits(only, "eve", SENTINEL.encode())
    assert await Passwords().admits(only, "alice", SENTINEL.encode())


async def test_an_answer_is_remembered_of_the_known_or_of_the_unknown() -> None:
    """A removed user is out, an added one in, also where another has the same hash and it is the stand-in."""
    passwords, both, only = Passwords(), {"alice": ALICE, "bob": ALICE}, {"alice": ALICE}
    assert await passwords.admits(both, "bob", SENTINEL.encode())
    assert not await passwords.admits(only, "bob", SENTINEL.encode())
    assert not await passwords.admits(only, "carol", SENTINEL.encode())
    assert await passwords.admits({**both, "carol": ALICE}, "carol", SENTINEL.encode())


@pytest.mark.parametrize("password", [b"x" * 73, b"x" * 72 + b"y", b"a\0b", b"", b"\xff\xfe", b"x" * 10_000])
async def test_what_bcrypt_does_not_look_at_is_no_password(counted: Counted, password: bytes) -> None:
    """Octets past the 72nd, or a NUL: compared as long as any other, and wrong."""
    users = {"alice": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))}
    assert not await Passwords().admits(users, "alice", password)
    assert len(counted.against) == 1


async def test_who_asks_the_same_meanwhile_waits_for_the_same(counted: Counted) -> None:
    """One comparison for all; and past a number of different ones nobody waits."""
    passwords = Passwords()
    counted.gate.clear()
    same = [asyncio.create_task(passwords.admits(USERS, "alice", SENTINEL.encode())) for _ in range(50)]
    others = [asyncio.create_task(passwords.admits(USERS, "alice", b"%d" % n)) for n in range(QUEUE - 1)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await passwords.admits(USERS, "alice", b"one too many")
    counted.gate.set()
    assert all(await asyncio.gather(*same))
    assert not any(await asyncio.gather(*others))
    assert len(counted.against) == QUEUE


async def test_the_end_waits_for_one_comparison_at_most(counted: Counted) -> None:
    """The one that is under way; those that wait for their turn are never made."""
    passwords = Passwords()
    counted.gate.clear()
    guesses = [asyncio.create_task(passwords.admits(USERS, "alice", b"%d" % n)) for n in range(QUEUE)]
    assert await asyncio.to_thread(counted.begun.wait, 5)
    passwords.close()
    counted.gate.set()
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, asyncio.CancelledError)] == [False]
    assert len(counted.against) == 1


async def test_guesses_push_nobody_out(counted: Counted) -> None:
    """The memory is bounded, and who was right stays in it."""
    passwords = Passwords()
    assert await passwords.admits(USERS, "alice", SENTINEL.encode())
    for number in range(KEPT + 10):
        passwords._wrong[b"%d" % number] = None
    assert not await passwords.admits(USERS, "alice", b"guess")
    assert len(passwords._wrong) == KEPT + 10
    compared = len(counted.against)
    assert await passwords.admits(USERS, "alice", SENTINEL.encode())
    assert len(counted.against) == compared
