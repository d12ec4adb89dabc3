"""The ledger: the login budgets of all mailboxes, kept over restarts, by one thread that alone uses the file.

Nothing else waits for the file: not the event loop, not a page, only a login, and that for a bounded time. While the
file cannot be used there is a `fault`, and no login is granted. The thread tries it again and again, so that logins go
on as soon as it can be used.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import structlog

from exporter.accounts.clock import Clock
from exporter.accounts.ledger_file import Grant, LedgerFile
from exporter.accounts.ledger_schema import LedgerError
from exporter.accounts.standing import Request, Standing, Verdict
from exporter.accounts.storage import Storage
from exporter.model.login import Denial
from exporter.model.mailbox import Mailbox
from exporter.model.release import Release

TICK = 2.0
"""Seconds between two looks at what other processes have written, and between two signs of life during a login."""

RETRIES = (1.0, 2.0, 4.0, 8.0)
"""Seconds after a fault in which the file is tried again: after the first one, the second, …; the last one repeats."""

STEADY = 60.0
"""Seconds without a fault after which the next one counts as the first."""

PATIENCE = 3.0
"""Seconds for which a command waits for the file, and the end of the program for what is left to write."""

Granted = tuple[Grant | Denial, str]
"""A grant, or why there is none; and the digest of the secret."""

FAULT = "a fault of this program, told in its log"

T = TypeVar("T")

log = structlog.get_logger("accounts")


@dataclass(slots=True, eq=False)
class Entry:
    """A mailbox and what is stored of it, which the ledger's thread keeps up to date; None before it was first read."""

    mailbox: Mailbox
    standing: Standing | None = None


class Ledger:
    """The login budgets in a file or, without a path, in memory."""

    def __init__(self, store: Storage | None = None, clock: Clock | None = None) -> None:
        self.store = store or Storage()
        self.clock = clock or Clock()
        self.fault = ""
        """Why the file cannot be used; empty where it can."""
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._entries: tuple[Entry, ...] = ()
        # What follows is used by the thread alone.
        self._file: LedgerFile | None = None
        self._was_open = False
        self._granted: set[str] = set()
        self._unwritten: list[tuple[Grant, Verdict]] = []
        self._tend_at = 0.0
        self._failed_at = -math.inf
        self._faults = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path | None:
        """The file; None for memory."""
        return self.store.path

    def close(self) -> None:
        """Write what is left to write, and close the file; it takes `PATIENCE` seconds at most."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(PATIENCE)

    def watch(self, entries: Iterable[Entry]) -> None:
        """Keep exactly these entries up to date."""
        self._entries = tuple(entries)
        if self._entries:
            self._submit(partial(self._attempt, self._configure))

    def grant(self, entry: Entry, request: Request, secret: tuple[str, ...], *, force: bool = False) -> Future[Granted]:
        """Grant a login, or say why it may not be made: see `LedgerFile.grant`. The future may have a LedgerError."""
        return self._submit(partial(self._grant, entry, request, secret, force=force))

    def settle(self, grant: Grant, verdict: Verdict) -> Future[None]:
        """End a login that was granted. What cannot be written now is written before the next login is granted."""
        return self._submit(partial(self._settle, grant, verdict))

    def token_key(self) -> Future[bytes]:
        """Return the key of the tokens in test messages. The future may have a LedgerError."""
        return self._submit(partial(self._use, lambda file: file.token_key))

    def release(self, mailbox: Mailbox, secrets: Collection[tuple[str, ...]] | None = None) -> Future[Release]:
        """Permit a mailbox one login: see `LedgerFile.release`. The future may have a LedgerError."""

        def release(file: LedgerFile) -> Release:
            self._write_to(file)
            released = file.release(mailbox, secrets)
            self._read(file, self._alike(mailbox))
            return released

        return self._submit(partial(self._use, release))

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        """Let the thread do it; while it waits, it can be cancelled."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 (raised where the result is awaited)
                future.set_exception(error)
            else:
                future.set_result(result)

        self._jobs.put(run)
        if self._thread is None:
            # A daemon thread: where a file system hangs, the end of the program does not wait for it.
            self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
            self._thread.start()
        return future

    def _run(self) -> None:
        while (job := self._next()) is not None:
            job()
        while not self._jobs.empty():  # a login that was granted to a probe that had been cancelled is taken back
            if last := self._jobs.get():
                last()
        if self._unwritten:
            self._attempt(self._use, self._write_to)
        if self._file:
            self._file.close()

    def _next(self) -> Callable[[], None] | None:
        """Return the next job, or None at the end; do meanwhile what is due."""
        while True:
            if self.path is not None and (self._entries or self.fault):
                self._tend()
                wait: float | None = max(0.0, self._tend_at - time.monotonic())
            else:
                wait = None
            with suppress(queue.Empty):
                return self._jobs.get(timeout=wait)

    def _tend(self) -> None:
        """Every `TICK`, give a sign of life and see what other processes have written; or try the file again."""
        if time.monotonic() >= self._tend_at:
            self._tend_at = time.monotonic() + TICK
            self._attempt(self._use, self._look_after)

    def _attempt(self, work: Callable[..., object], *arguments: object) -> None:
        """Do what nobody waits for; a fault has been told."""
        with suppress(LedgerError):
            work(*arguments)

    def _use(self, work: Callable[[LedgerFile], T]) -> T:
        """Return what `work` does with the file, which is opened where it is not open.

        Raises:
            LedgerError: The file cannot be used. It is closed then, and tried again later.
        """
        try:
            result = work(self._file or self._open())
        except LedgerError as error:
            self._fail(str(error))
            raise
        except Exception:  # whatever it is, no login is made that is not stored, and the thread goes on
            log.exception("fault in the ledger")
            self._fail(FAULT)
            raise LedgerError(FAULT) from None
        if self.fault:
            self.fault = ""
            log.info("login budgets are stored again", path=str(self.path))
        return result

    def _open(self) -> LedgerFile:
        # Where a file that was open is missing now, its file system may be: a new file would know nothing.
        may_create = self.store.may_create and not self._was_open
        self._file = LedgerFile(replace(self.store, may_create=may_create), self.clock)
        self._was_open = True
        self._file.configure(entry.mailbox for entry in self._entries)
        self._read(self._file, self._entries)
        self._write_to(self._file)
        return self._file

    def _fail(self, fault: str) -> None:
        if self._file:
            self._file.close()
            self._file = None
        now = time.monotonic()
        self._faults = self._faults + 1 if now - self._failed_at < STEADY else 1
        self._failed_at = now
        self._tend_at = now + RETRIES[min(self._faults, len(RETRIES)) - 1]
        if fault != self.fault:
            self.fault = fault
            log.error("login budgets cannot be stored, so no login is made", path=str(self.path), error=fault)

    def _configure(self) -> None:
        if self.fault:
            return  # done when the file is opened again

        def configure(file: LedgerFile) -> None:
            file.configure(entry.mailbox for entry in self._entries)
            self._read(file, self._entries)

        self._use(configure)

    def _look_after(self, file: LedgerFile) -> None:
        self._write_to(file)
        if self._granted:
            file.beat(self._granted)
        if file.has_changed():
            self._read(file, self._entries)

    def _grant(self, entry: Entry, request: Request, secret: tuple[str, ...], *, force: bool) -> Granted:
        if self.fault:
            raise LedgerError(self.fault)  # else each login would wait for a lock

        def grant(file: LedgerFile) -> Granted:
            self._write_to(file)
            granted, digest = file.grant(entry.mailbox, request, secret, force=force)
            if isinstance(granted, Grant):
                self._granted.add(granted.id)
            try:
                self._read(file, self._alike(entry.mailbox))
            except LedgerError:
                if isinstance(granted, Grant):
                    self._unwritten.append((granted, Verdict(is_made=False)))
                raise
            return granted, digest

        return self._use(grant)

    def _settle(self, grant: Grant, verdict: Verdict) -> None:
        self._unwritten.append((grant, verdict))
        if not self.fault:
            self._attempt(self._use, self._write_to)

    def _write_to(self, file: LedgerFile) -> None:
        """Write the results that have not been written."""
        while self._unwritten:
            grant, verdict = self._unwritten[0]
            file.settle(grant, verdict)
            del self._unwritten[0]
            self._granted.discard(grant.id)
            self._read(file, self._alike(grant.mailbox))

    def _alike(self, mailbox: Mailbox) -> list[Entry]:
        """The entries of a user: in the file, more of them may be one mailbox than in this configuration."""
        return [entry for entry in self._entries if entry.mailbox.username == mailbox.username]

    def _read(self, file: LedgerFile, entries: Sequence[Entry]) -> None:
        for entry, standing in zip(
            entries, file.standings([entry.mailbox for entry in entries], self._granted), strict=True
        ):
            entry.standing = standing
