"""The ledger's thread: what it writes and when, and that nothing else waits for the file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.accounts import budget as budget_module
from exporter.accounts import ledger as module
from exporter.accounts.budget import Budget
from exporter.accounts.clock import Clock
from exporter.accounts.ledger import FAULT, Ledger
from exporter.accounts.ledger_file import LedgerFile
from exporter.accounts.ledger_schema import LedgerError
from exporter.accounts.storage import Storage
from exporter.model.login import Denial
from exporter.model.reason import Reason
from exporter.model.release import Answer, Release
from tests.accounts.ledgers import IMAP, POP3, SECRET, budget_in, granted, ledger_of, log_in, refused
from tests.examples import Clock as Given
from tests.examples import success
from tests.waiting import PATIENCE, until


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten looks a second, rather than one in two."""
    monkeypatch.setattr(module, "TICK", 0.1)
    monkeypatch.setattr(module, "RETRIES", (0.1,))
    monkeypatch.setattr("exporter.accounts.ledger_file.LOCK_TIMEOUT", 0.1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the file."""
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """A ledger in that file."""
    with Ledger(Storage(path)) as ledger:
        yield ledger


@pytest.fixture
def budget(ledger: Ledger) -> Budget:
    """The budget of a mailbox."""
    return budget_in(ledger)


class Lock:
    """A lock on the file, as of another process."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("BEGIN EXCLUSIVE")

    def end(self) -> None:
        """Give it back."""
        self._database.close()


async def test_release_in_another_process(path: Path, budget: Budget) -> None:
    """It is noticed without a login, and permits one; of all processes, once in a while."""
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    with Ledger(Storage(path)) as command:
        assert command.release(budget.entry.mailbox).result(PATIENCE) == Release(Answer.RELEASED)
    await until(lambda: budget.denial(POP3) is None)
    assert budget.denial(IMAP) is Denial.HOLD, "its interval is not over"
    assert budget.status(IMAP).has_trial
    await log_in(budget, POP3, refused(POP3, Reason.AUTH_INVALID_CREDENTIALS))
    assert budget.denial(POP3) is Denial.HOLD
    assert (await budget.release()).answer is Answer.TOO_EARLY
    next_release_at = budget.status(POP3).next_release_at
    assert next_release_at is not None
    assert 1700 < next_release_at - time.time() < 1801


async def test_refusal_in_another_process(path: Path, budget: Budget) -> None:
    """It is noticed, and the secret is not sent again, whoever is faster."""
    await log_in(budget, IMAP, success(IMAP, login=True))
    with Ledger(Storage(path)) as other:
        await log_in(budget_in(other), POP3, refused(POP3, Reason.AUTH_INVALID_CREDENTIALS))
    assert await budget.ask(POP3, SECRET) is Denial.HOLD
    await until(lambda: budget.denial(IMAP) is Denial.HOLD)


async def test_login_in_another_process(path: Path, budget: Budget) -> None:
    """Never two at once; after the end of one the other may begin."""
    grant = await granted(budget, IMAP)
    with Ledger(Storage(path)) as ledger:
        other = budget_in(ledger)
        assert await other.ask(POP3, SECRET) is Denial.BUSY
        await budget.report(grant, success(IMAP, login=True))
        await granted(other, POP3)


async def test_signs_of_life_during_a_login(path: Path) -> None:
    """Another process waits for a login that takes hours, as long as its process lives."""
    given = Given()
    with ledger_of(given, Storage(path)) as mine, ledger_of(given, Storage(path)) as ledger:
        grant = await granted(budget := budget_in(mine), IMAP)
        other = budget_in(ledger)
        for _ in range(5):
            given.advance(40)
            await until(lambda: _beat(path) >= given.now)
            assert await other.ask(POP3, SECRET) is Denial.BUSY
        await budget.report(grant, success(IMAP, login=True))
        await granted(other, POP3)


def _exists(path: Path) -> bool:
    return path.exists()


def _beat(path: Path) -> float:
    database = sqlite3.connect(path)
    (beat,) = database.execute("SELECT beat FROM grant").fetchone()
    database.close()
    return float(beat)


async def test_nothing_is_opened_where_nothing_logs_in(ledger: Ledger, path: Path) -> None:
    """Without an account there is no file, and no thread."""
    ledger.watch([])
    assert ledger._thread is None
    assert not _exists(path)


async def test_file_that_is_locked(path: Path, budget: Budget, ledger: Ledger) -> None:
    """No login, and nobody waits for it twice. Once it is free, logins go on by themselves."""
    await log_in(budget, IMAP, success(IMAP, login=True))
    lock = Lock(path)
    with capture_logs() as logs:
        assert await budget.ask(POP3, SECRET) is Denial.STORAGE
        began = time.perf_counter()
        for _ in range(100):
            assert await budget.ask(POP3, SECRET) is Denial.STORAGE
            assert budget.status(IMAP).held_by is Denial.STORAGE
        assert time.perf_counter() - began < 10
        await asyncio.sleep(0.5)
        lock.end()
        await until(lambda: not ledger.fault)
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("error", "login budgets cannot be stored, so no login is made"),
        ("info", "login budgets are stored again"),
    ]
    assert (logs[0]["path"], logs[0]["error"]) == (str(path), "database is locked")
    await granted(budget, POP3)


async def test_result_that_cannot_be_written(path: Path, budget: Budget, ledger: Ledger) -> None:
    """No login is granted before it is written, and another process sees it."""
    grant = await granted(budget, IMAP)
    lock = Lock(path)
    await budget.report(grant, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert budget.status(IMAP).held_by is Denial.STORAGE
    lock.end()
    await until(lambda: not ledger.fault)
    assert budget.denial(POP3) is Denial.HOLD
    assert not ledger._granted
    with Ledger(Storage(path)) as other:
        assert await budget_in(other).ask(POP3, SECRET) is Denial.HOLD


async def test_result_that_is_written_at_the_end(path: Path) -> None:
    """Where the file is free by then."""
    ledger = Ledger(Storage(path))
    grant = await granted(budget := budget_in(ledger), IMAP)
    lock = Lock(path)
    await budget.report(grant, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    lock.end()
    ledger.close()
    with Ledger(Storage(path)) as other:
        assert await budget_in(other).ask(POP3, SECRET) is Denial.HOLD


async def test_end_while_the_file_is_locked(path: Path, budget: Budget, ledger: Ledger) -> None:
    """It takes a bounded time; the login then counts as one whose result is not known."""
    grant = await granted(budget, IMAP)
    lock = Lock(path)
    await budget.report(grant, None)
    began = time.perf_counter()
    ledger.close()
    assert time.perf_counter() - began < PATIENCE / 2
    lock.end()
    with Ledger(Storage(path)) as other:
        assert await budget_in(other).ask(POP3, SECRET) is Denial.BUSY


async def test_end_while_the_file_system_hangs(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program ends all the same."""
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    go = threading.Event()
    ledger._submit(lambda: go.wait(PATIENCE))
    began = time.perf_counter()
    ledger.close()
    assert 0.15 < time.perf_counter() - began < PATIENCE / 2
    go.set()


async def test_release_while_the_file_system_hangs(
    budget: Budget, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails within a bounded time, and does not happen later."""
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    monkeypatch.setattr(budget_module, "PATIENCE", 0.2)
    go = threading.Event()
    ledger._submit(lambda: go.wait(PATIENCE))
    with pytest.raises(LedgerError, match="no answer within 0.2 s"):
        await budget.release()
    go.set()
    monkeypatch.undo()
    assert (await budget.release()).answer is Answer.RELEASED


async def test_login_that_is_granted_at_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a probe that is cancelled when the daemon stops: it is taken back before the file is closed."""
    granting, go = threading.Event(), threading.Event()
    grant = LedgerFile.grant

    def slow(*arguments: object, **named: object) -> object:
        granting.set()
        go.wait(PATIENCE)
        return grant(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(LedgerFile, "grant", slow)
    ledger = Ledger(Storage(path))
    asking = asyncio.create_task(budget_in(ledger).ask(IMAP, SECRET))
    await until(granting.is_set)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    closing = asyncio.create_task(asyncio.to_thread(ledger.close))
    await asyncio.sleep(0)
    go.set()
    await closing
    monkeypatch.setattr(LedgerFile, "grant", grant)
    with Ledger(Storage(path)) as other:
        await granted(budget_in(other), IMAP)


def _directory(path: Path) -> Callable[[], None]:
    path.mkdir()
    return path.rmdir


def _no_directory(path: Path) -> Callable[[], None]:
    kept = path.parent.rename(path.parent.with_name("away"))

    def repair() -> None:
        kept.rename(path.parent)

    return repair


def _of_another_program(path: Path) -> Callable[[], None]:
    path.write_text("something else" * 100, "utf-8")
    return path.unlink


@pytest.mark.parametrize("prepare", [_directory, _no_directory, _of_another_program])
async def test_file_that_cannot_be_used_at_the_start(path: Path, prepare: Callable[[Path], Callable[[], None]]) -> None:
    """No login is made; once it can be, logins are made, and it is created."""
    repair = prepare(path)
    with Ledger(Storage(path)) as ledger:
        budget = budget_in(ledger)
        assert await budget.ask(IMAP, SECRET) is Denial.STORAGE
        assert budget.status(IMAP).held_by is Denial.STORAGE
        repair()
        await until(lambda: not ledger.fault)
        await granted(budget, IMAP)
        assert _exists(path)


@pytest.mark.parametrize("comes_back", [True, False])
async def test_file_that_goes(path: Path, budget: Budget, ledger: Ledger, *, comes_back: bool) -> None:
    """As with a file system that is unmounted: no login, and no new file, which would know nothing of a hold."""
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    away = [each.rename(each.with_name(f"away-{each.name}")) for each in path.parent.iterdir()]
    assert await budget.ask(IMAP, ("new",)) is Denial.STORAGE
    await until(lambda: ledger._faults >= 3)
    assert not _exists(path)
    assert ledger.fault == "No such file or directory"
    if comes_back:
        for each in away:
            each.rename(each.with_name(each.name.removeprefix("away-")))
        await until(lambda: not ledger.fault)
        assert await budget.ask(POP3, SECRET) is Denial.HOLD
        await granted(budget, IMAP, ("new",))


async def test_file_that_is_replaced(path: Path, budget: Budget, ledger: Ledger) -> None:
    """By a backup, for example: what that one has holds from then on."""
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS), ("one",))
    backup = path.with_name("backup.db")
    with Ledger(Storage(backup)) as other:
        await log_in(budget_in(other), IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS), ("other",))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    os.rename(backup, path)  # noqa: PTH104 (a coroutine may not use the methods of a path)
    await until(lambda: ledger._faults and not ledger.fault)
    assert await budget.ask(POP3, ("other",)) is Denial.HOLD
    await granted(budget, POP3, ("one",))


async def test_fault_of_this_program(budget: Budget, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged with its traceback, no login is made without a budget, and the thread goes on."""
    await log_in(budget, POP3, success(POP3, login=True))

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault on purpose")

    with monkeypatch.context() as broken_grant, capture_logs() as logs:
        broken_grant.setattr(LedgerFile, "grant", broken)
        assert await budget.ask(IMAP, SECRET) is Denial.STORAGE
        assert ledger.fault == FAULT
    assert logs[0]["event"] == "fault in the ledger"
    assert logs[0]["exc_info"]
    await until(lambda: not ledger.fault)
    await granted(budget, IMAP)


async def test_standing_that_cannot_be_read_after_a_grant(
    path: Path, budget: Budget, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grant is taken back: nobody makes that login."""
    await log_in(budget, POP3, success(POP3, login=True))
    standings = LedgerFile.standings

    def broken(*_: object) -> None:
        raise LedgerError("disk I/O error")

    with monkeypatch.context() as once:
        once.setattr(LedgerFile, "standings", broken)
        assert await budget.ask(IMAP, SECRET) is Denial.STORAGE
    assert LedgerFile.standings is standings
    await until(lambda: not ledger.fault)
    assert budget.status(IMAP).logins_of_day == 1
    await granted(budget, IMAP)


async def test_retries_come_more_slowly(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that fails for long is not tried all the time, and its fault is told once."""
    _directory(path)
    tries: list[float] = []
    made = LedgerFile.__init__

    def counted(*arguments: object) -> None:
        tries.append(time.monotonic())
        made(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(LedgerFile, "__init__", counted)
    monkeypatch.setattr(module, "RETRIES", (0.05, 0.1, 0.2))
    with capture_logs() as logs, Ledger(Storage(path)) as ledger:
        budget_in(ledger)
        await until(lambda: len(tries) >= 6)
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert [gap >= least for gap, least in zip(gaps, (0.05, 0.1, 0.2, 0.2, 0.2), strict=False)] == [True] * 5
    assert len(logs) == 1


async def test_two_entries_that_are_one_mailbox_in_the_file(ledger: Ledger) -> None:
    """Another configuration may know that. A login of one is seen by the other at once."""
    one, other = budget_in(ledger, IMAP), Budget(ledger, budget_in(ledger, IMAP).entry.mailbox)
    ledger.watch([one.entry, other.entry])
    await log_in(one, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert other.denial(IMAP) is Denial.HOLD


def test_clock() -> None:
    """By default that of this system."""
    assert isinstance(Ledger().clock, Clock)
