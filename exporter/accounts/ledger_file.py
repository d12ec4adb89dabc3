"""The file of the login budgets: every decision is one transaction, so that processes that share it agree.

It is used in one thread. Whatever is wrong with the file is a `LedgerError`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from exporter.accounts import storage
from exporter.accounts.clock import Clock
from exporter.accounts.ledger_schema import APPLICATION_ID, LedgerError, prepare, take_old
from exporter.accounts.ledger_tables import Tables
from exporter.accounts.ledger_time import Boots
from exporter.accounts.standing import Request, Standing, Verdict
from exporter.accounts.storage import Storage
from exporter.model.login import Denial
from exporter.model.mailbox import Mailbox
from exporter.model.release import Answer, Release

LOCK_TIMEOUT = 1.0
"""Seconds to wait for a lock that another process has on the file."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A login that may be made, until its result is reported."""

    id: str
    mailbox: Mailbox
    request: Request
    secret: str
    """The digest of its secret."""


class LedgerFile:
    """An open file, or memory.

    Args:
        store: Where it is.
        clock: The time by which budgets go.

    Raises:
        LedgerError: It cannot be opened or written, is not of this program, or of a later version of it.
    """

    digest: Callable[[tuple[str, ...]], str]
    """Tells the secrets of an account apart."""
    token_key: bytes
    """The key of the tokens in test messages: who does not have this file cannot make one."""

    def __init__(self, store: Storage, clock: Clock) -> None:
        self._path = store.path
        self._data_version = 0
        with _faults():
            self._identity = _make(store)
            self._database = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=rw" if self._path else ":memory:",
                uri=True,
                isolation_level=None,
                timeout=LOCK_TIMEOUT,
            )
        try:
            self._open(clock)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close it."""
        self._database.close()

    def configure(self, mailboxes: Iterable[Mailbox]) -> None:
        """Join what is stored of mailboxes that are now known to be one, and take over what 0.1 stored of them."""
        with self._writing():
            for mailbox in mailboxes:
                self._tables.join(mailbox)
                places = {"/".join(target): place for target, place in mailbox.places.items()}
                for account in mailbox.accounts if mailbox.providers else ():
                    if old := take_old(self._database, account.name):
                        self._tables.take_over(self._tables.need(mailbox), old, places)

    def standings(self, mailboxes: Iterable[Mailbox], under_way: Collection[str]) -> list[Standing]:
        """Return the standing of each, as a process needs it between its logins.

        Of the grants only those count that this process has `under_way`: of another's, only `grant` can tell whether it
        still is.
        """
        with self._transaction("DEFERRED"):
            self._boots.look()
            return [self._tables.standing(self._tables.find(mailbox), under_way) for mailbox in mailboxes]

    def grant(
        self, mailbox: Mailbox, request: Request, secret: tuple[str, ...], *, force: bool = False
    ) -> tuple[Grant | Denial, str]:
        """Grant a login and store that, or return why it may not be made; and the digest of its secret.

        `force`, requested by an operator, ignores every reason but that another login is under way.
        """
        digest = self.digest(secret)
        with self._writing():
            key = self._tables.need(mailbox)
            self._tables.end_those_of_the_dead(key)
            standing = self._tables.standing(key)
            denial = standing.denial(request, digest, self._boots.now)
            if force:
                denial = Denial.BUSY if standing.is_busy else None
            if denial is not None:
                return denial, digest
            self._tables.forget_old(key, standing)
            is_trial = not force and standing.needs_trial(request, digest, self._boots.now)
            login = self._tables.grant(key, request, digest, is_trial=is_trial)
        return Grant(login, mailbox, request, digest), digest

    def settle(self, grant: Grant, verdict: Verdict) -> None:
        """End a login that was granted, and store what it has shown."""
        with self._writing():
            key, is_trial = self._tables.end(grant.id) or (self._tables.need(grant.mailbox), False)
            if not verdict.is_made:
                self._tables.take_back(grant.id)
            self._tables.learn(key, grant.request, grant.secret, verdict, is_trial=is_trial)

    def beat(self, under_way: Iterable[str]) -> None:
        """Show other processes that these logins are still under way."""
        with self._writing():
            for login in under_way:
                self._tables.beat(login)

    def release(self, mailbox: Mailbox, secrets: Collection[tuple[str, ...]] | None = None) -> Release:
        """Permit one login in spite of what was refused; see `exporter.accounts.standing`.

        `secrets` are those in use, as far as the caller knows them: None where it does not.
        """
        digests = None if secrets is None else [self.digest(secret) for secret in secrets]
        with self._writing():
            key = self._tables.find(mailbox)
            return Release(Answer.NOT_HELD) if key is None else self._tables.release(key, digests)

    def has_changed(self) -> bool:
        """Whether another process has written since this was last asked."""
        with _faults():
            self._check_identity()
            before, self._data_version = self._data_version, self._version()
        return before != self._data_version

    def _open(self, clock: Clock) -> None:
        with _faults():
            if self._path:
                self._leave_log_if_shared(self._path)
            # A grant that a power failure takes back would be a login that nobody counted.
            self._database.execute("PRAGMA synchronous=FULL")
        with self._transaction("IMMEDIATE"):
            salt = prepare(self._database)
            self._boots = Boots(self._database, clock)
            self._tables = Tables(self._database, self._boots)
            self._boots.forget_unused()
            self._boots.look()
            self._boots.write()  # shows that it can be written
        self.digest = lru_cache(1 << 12)(partial(_digest, salt))
        self.token_key = hmac.digest(salt, b"tokens of test messages", "sha256")
        with _faults():
            if self._path:
                storage.close_to_others(self._path)
                if storage.is_local(self._path.parent):
                    # With it nobody waits for readers. Where another process has the file open, it stays as it is.
                    with suppress(sqlite3.OperationalError):
                        self._database.execute("PRAGMA journal_mode=WAL")
            self._data_version = self._version()

    def _version(self) -> int:
        return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    def _leave_log_if_shared(self, path: Path) -> None:
        """End the use of a write-ahead log, which was begun on another file system, before the file is read."""
        with path.open("rb") as file:
            header = file.read(100)
        # https://sqlite.org/fileformat2.html#the_database_header
        is_ours, has_log = header[68:72] == APPLICATION_ID.to_bytes(4), header[18:19] == b"\2"
        if not (is_ours and has_log) or storage.is_local(path.parent):
            return
        # So SQLite needs no memory that is shared with other processes (https://sqlite.org/wal.html#noshm).
        self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._database.execute("PRAGMA journal_mode=DELETE")
        self._database.execute("PRAGMA locking_mode=NORMAL")
        self._database.execute("SELECT count(*) FROM sqlite_master")

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        with _faults():
            self._check_identity()
            self._database.execute(f"BEGIN {kind}")
            try:
                yield
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction that no other process can come between; the time is read when it has begun."""
        with self._transaction("IMMEDIATE"):
            self._boots.look()
            if not self._boots.me:
                self._boots.write()
            before = self._database.total_changes
            yield
            if self._database.total_changes != before or self._boots.has_news:
                self._boots.write()

    def _check_identity(self) -> None:
        """See to it that the file is still there: a budget in a file that was removed is lost at the next start."""
        if self._path and storage.identity(self._path) != self._identity:
            raise LedgerError("was replaced while it was open")


def _make(store: Storage) -> tuple[int, int]:
    """Create the file where it is missing and may be created; return its identity."""
    if store.path is None:
        return 0, 0
    if store.may_create:
        storage.create(store.path, directory=store.makes_directory)
    return storage.identity(store.path)


def _digest(salt: bytes, secret: tuple[str, ...]) -> str:
    """Return a salted, slow hash: it tells secrets apart, and does not reveal them to a reader of the file."""
    return hashlib.scrypt(json.dumps(secret).encode(), salt=salt, n=1 << 12, r=8, p=1, dklen=16).hex()


@contextmanager
def _faults() -> Iterator[None]:
    """Make every fault of the file a LedgerError of one line; the others of SQLite's text may quote the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerError(str(error).partition("\n")[0]) from None
    except OSError as error:
        raise LedgerError(str(error.strerror or error)) from None
