"""What the ledger's file has of each mailbox, read and written within a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import replace
from uuid import uuid4

from exporter.accounts.ledger_schema import LedgerError, OldBudget, number
from exporter.accounts.ledger_time import Boots
from exporter.accounts.standing import WHOLE, LastRelease, Login, Request, Standing, Verdict, Wait, waiting_time
from exporter.model.login import Cause, Denial
from exporter.model.mailbox import Mailbox
from exporter.model.plan import DAY
from exporter.model.reason import Reason, Retry
from exporter.model.release import Answer, Release

SILENCE = 30.0
"""Seconds without a sign of life, beyond the longest time of its login, after which a process counts as dead."""


class Tables:
    """The rows of mailboxes; each mailbox has a key, which `find` and `need` return."""

    def __init__(self, database: sqlite3.Connection, boots: Boots) -> None:
        self._execute = database.execute
        self._database = database
        self._boots = boots

    def find(self, mailbox: Mailbox) -> int | None:
        """Return the key of a mailbox; None where nothing is stored of it."""
        keys = self._keys(mailbox)
        return min(keys.values()) if keys else None

    def need(self, mailbox: Mailbox) -> int:
        """Return the key of a mailbox, a new one where nothing is stored of it."""
        if (key := self.join(mailbox)) is not None:
            return key
        key = self._execute("INSERT INTO mailbox DEFAULT VALUES").lastrowid
        assert key is not None  # noqa: S101 (of a statement that inserts)
        self._name(key, mailbox, mailbox.providers)
        return key

    def join(self, mailbox: Mailbox) -> int | None:
        """Join what turns out to be one mailbox, and return its key; None where nothing is stored of it.

        All logins count, every secret that was refused is, and the longer wait of each scope holds.
        """
        keys = self._keys(mailbox)
        if not keys:
            return None
        key = min(keys.values())
        for other in sorted(set(keys.values()) - {key}):
            for scope, wait in self.waits(other).items():
                self.wait(key, scope, wait)
            self._execute("UPDATE OR IGNORE refusal SET mailbox = ? WHERE mailbox = ?", (key, other))
            self._execute("DELETE FROM refusal WHERE mailbox = ?", (other,))
            self._execute("DELETE FROM wait WHERE mailbox = ?", (other,))
            self._join_release(key, other)
            self._execute("UPDATE login SET mailbox = ? WHERE mailbox = ?", (key, other))
            self._execute("UPDATE grant SET mailbox = ? WHERE mailbox = ?", (key, other))
            self._execute("UPDATE provider SET mailbox = ? WHERE mailbox = ?", (key, other))
            self._execute("DELETE FROM mailbox WHERE id = ?", (other,))
        self._name(key, mailbox, mailbox.providers - keys.keys())
        return key

    def take_over(self, key: int, old: OldBudget, places: Mapping[str, str]) -> None:
        """Store what 0.1 knew of an account; `places` has those of its targets, by the names that 0.1 gave them."""
        now = self._boots.now
        for at, name in old.logins:
            self._log_in(key, places.get(name, ""), "", now - self._boots.age(at))
        for scope, secret in old.refusals:
            self.refuse(key, scope, secret, None)
        for scope, denial, since, seconds, refusals in old.waits:
            self.wait(key, scope, Wait(denial, now - self._boots.age(since) + seconds, refusals))

    def standing(self, key: int | None, under_way: Collection[str] | None = None) -> Standing:
        """Return what is stored of a mailbox. Of its grants, those in `under_way` count; by default all."""
        last: dict[str, Login] = {}
        rows = self._execute("SELECT boot, at, place, secret FROM login WHERE mailbox = ?", (key,))
        logins = sorted((self._boots.at(boot, number(at)), place, secret) for boot, at, place, secret in rows)
        for at, place, secret in logins:
            if place:
                last[place] = Login(at, secret)
        refused: dict[str, dict[str, Cause | None]] = {}
        rows = self._execute("SELECT scope, secret, endpoint, reason FROM refusal WHERE mailbox = ?", (key,))
        for scope, secret, endpoint, reason in rows:
            refused.setdefault(scope, {})[secret] = _cause(endpoint, reason)
        grants = self._execute("SELECT login FROM grant WHERE mailbox = ?", (key,)).fetchall()
        return Standing(
            tuple(at for at, _, _ in logins),
            last,
            self.waits(key),
            refused,
            any(under_way is None or login in under_way for (login,) in grants),
            self._last_release(key),
        )

    def grant(self, key: int, request: Request, secret: str, *, is_trial: bool) -> str:
        """Store a login that is about to be made, and return its key; a release permits no other `is_trial`."""
        login, now = self._log_in(key, request.place, secret, self._boots.now), self._boots.now
        self._execute(
            "INSERT INTO grant VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (login, key, request.endpoint, request.longest, request.interval, is_trial, self._boots.me, now),
        )
        if is_trial:
            self._execute("UPDATE released SET has_trial = 0 WHERE mailbox = ?", (key,))
        return login

    def beat(self, login: str) -> None:
        """Store that a login is still under way."""
        self._execute("UPDATE grant SET boot = ?, beat = ? WHERE login = ?", (self._boots.me, self._boots.now, login))

    def end(self, login: str) -> tuple[int, bool] | None:
        """Remove the grant of a login; return the key of its mailbox, and whether it was the trial of a release.

        None where it has been removed already.
        """
        row = self._execute("SELECT mailbox, is_trial FROM grant WHERE login = ?", (login,)).fetchone()
        self._execute("DELETE FROM grant WHERE login = ?", (login,))
        return (int(row[0]), bool(row[1])) if row else None

    def take_back(self, login: str) -> None:
        """Remove a login that was not made."""
        self._execute("DELETE FROM login WHERE id = ?", (login,))

    def learn(self, key: int, request: Request, secret: str, verdict: Verdict, *, is_trial: bool) -> None:
        """Store what a login has shown."""
        cause = Cause(request.endpoint, verdict.reason)
        if verdict.retry is Retry.HOLD:
            self.refuse(key, verdict.scope, secret, cause)
        elif verdict.retry is not Retry.SAFE:
            self._refuse_for_now(key, verdict.scope, verdict.retry, request.interval, self._boots.now, cause)
        if verdict.is_good:
            for scope in (WHOLE, request.protocol):
                self._execute("DELETE FROM wait WHERE mailbox = ? AND scope = ?", (key, scope))
                self._execute(
                    "DELETE FROM refusal WHERE mailbox = ? AND scope = ? AND secret = ?", (key, scope, secret)
                )
        if is_trial and verdict.retry is not Retry.SAFE:
            self._execute("UPDATE released SET refusals = refusals + 1 WHERE mailbox = ?", (key,))
        elif verdict.retry is Retry.HOLD:  # a release is about what was refused before it
            self._execute("UPDATE released SET has_trial = 0 WHERE mailbox = ?", (key,))
        elif is_trial and (verdict.is_forgiven or not verdict.is_made):
            self._execute("UPDATE released SET has_trial = 1 WHERE mailbox = ?", (key,))
        elif verdict.is_good and not self._is_refused(key, [secret]):
            self._execute("UPDATE released SET has_trial = 0, refusals = 0 WHERE mailbox = ?", (key,))

    def release(self, key: int, secrets: Collection[str] | None) -> Release:
        """Permit one login in spite of what was refused, if that is held back and the last release is long enough ago.

        `secrets` has the digests of those that are in use; None where they are not known.
        """
        now, last, waits = self._boots.now, self._last_release(key), self.waits(key).values()
        limits = [wait.until for wait in waits if wait.denial is Denial.WAIT24 and now < wait.until]
        limited_until = self._boots.unix(max(limits)) if limits else None
        if not self._is_refused(key, secrets):
            return Release(Answer.ENDS_BY_ITSELF, limited_until) if limits else Release(Answer.NOT_HELD)
        if last and (last.has_trial or now < last.next_at):
            answer = Answer.ALREADY if last.has_trial else Answer.TOO_EARLY
            return Release(answer, self._boots.unix(max(now, last.next_at)))
        refusals = last.refusals if last else 0
        self._execute("INSERT OR REPLACE INTO released VALUES (?, ?, ?, 1, ?)", (key, self._boots.me, now, refusals))
        return Release(Answer.RELEASED, limited_until)

    def end_those_of_the_dead(self, key: int) -> None:
        """End the logins of processes that are dead: each counts as one that was answered with `backoff`."""
        rows = self._execute(
            "SELECT g.login, g.endpoint, g.longest, g.interval, g.boot, g.beat, l.boot, l.at "
            "FROM grant AS g JOIN login AS l ON l.id = g.login WHERE g.mailbox = ?",
            (key,),
        ).fetchall()
        for login, endpoint, longest, interval, boot, beat, made_in, made in rows:
            if self._boots.silence(boot, number(beat)) > number(longest) + SILENCE:
                self.end(login)
                since = self._boots.at(made_in, number(made))
                self._refuse_for_now(key, WHOLE, Retry.BACKOFF, number(interval), since, Cause(endpoint))

    def forget_old(self, key: int, standing: Standing) -> None:
        """Remove the logins of more than 24 hours ago, but for the last one at each place."""
        rows = self._execute("SELECT id, place, boot, at FROM login WHERE mailbox = ?", (key,)).fetchall()
        for login, place, boot, made in rows:
            at = self._boots.at(boot, number(made))
            if at <= self._boots.now - DAY and not (place and standing.last[place].at == at):
                self.take_back(login)

    def waits(self, key: int | None) -> dict[str, Wait]:
        """Return the waits of a mailbox, by scope."""
        rows = self._execute(
            "SELECT scope, denial, boot, since, seconds, refusals, endpoint, reason FROM wait WHERE mailbox = ?", (key,)
        ).fetchall()
        try:
            return {
                scope: Wait(
                    Denial(why),
                    self._boots.at(boot, number(since)) + number(seconds),
                    int(number(refusals)),
                    _cause(endpoint, reason),
                )
                for scope, why, boot, since, seconds, refusals, endpoint, reason in rows
            }
        except ValueError:
            raise LedgerError("damaged: a wait has no known reason") from None

    def wait(self, key: int, scope: str, wait: Wait) -> None:
        """Store a wait, or keep one that is longer."""
        before = self.waits(key).get(scope)
        if before and before.until > wait.until:
            wait = replace(before, refusals=max(before.refusals, wait.refusals))
        now = self._boots.now
        self._execute(
            "INSERT OR REPLACE INTO wait VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (key, scope, wait.denial.value, self._boots.me, now, wait.until - now, wait.refusals, *_texts(wait.cause)),
        )

    def refuse(self, key: int, scope: str, secret: str, cause: Cause | None) -> None:
        """Store that a secret was refused for good, and where that was the last time."""
        row = (key, scope, secret, *_texts(cause))
        self._execute("INSERT OR REPLACE INTO refusal VALUES (?, ?, ?, ?, ?)", row)

    def _is_refused(self, key: int, secrets: Collection[str] | None) -> bool:
        """Whether one of these secrets is held, or a backoff goes on."""
        held = self._execute("SELECT secret FROM refusal WHERE mailbox = ?", (key,)).fetchall()
        return any(secrets is None or secret in secrets for (secret,) in held) or any(
            wait.denial is Denial.BACKOFF and self._boots.now < wait.until for wait in self.waits(key).values()
        )

    def _last_release(self, key: int | None) -> LastRelease | None:
        row = self._execute("SELECT boot, at, has_trial, refusals FROM released WHERE mailbox = ?", (key,)).fetchone()
        if row is None:
            return None
        boot, at, has_trial, refusals = row
        return LastRelease(self._boots.at(boot, number(at)), bool(number(has_trial)), int(number(refusals)))

    def _join_release(self, key: int, other: int) -> None:
        """Keep the release after which the next one is possible the latest."""
        found = {each: last for each in (key, other) if (last := self._last_release(each))}
        kept = max(found, key=lambda each: found[each].next_at, default=key)
        self._execute("DELETE FROM released WHERE mailbox = ?", (key if kept == other else other,))
        self._execute("UPDATE released SET mailbox = ? WHERE mailbox = ?", (key, other))

    def _refuse_for_now(self, key: int, scope: str, retry: Retry, interval: float, since: float, cause: Cause) -> None:
        before = self.waits(key).get(scope)
        refusals = 1 + (before.refusals if before else 0)
        denial = Denial.WAIT24 if retry is Retry.WAIT24 else Denial.BACKOFF
        self.wait(key, scope, Wait(denial, since + waiting_time(retry, interval, refusals), refusals, cause))

    def _log_in(self, key: int, place: str, secret: str, at: float) -> str:
        login = str(uuid4())
        self._execute("INSERT INTO login VALUES (?, ?, ?, ?, ?, ?)", (login, key, place, secret, self._boots.me, at))
        return login

    def _keys(self, mailbox: Mailbox) -> dict[str, int]:
        """The keys under which its providers are stored."""
        rows = self._execute("SELECT name, mailbox FROM provider WHERE username = ?", (mailbox.username,))
        return {name: key for name, key in rows if name in mailbox.providers}

    def _name(self, key: int, mailbox: Mailbox, providers: Collection[str]) -> None:
        rows = [(mailbox.username, name, key) for name in providers]
        self._database.executemany("INSERT INTO provider VALUES (?, ?, ?)", rows)


def _cause(endpoint: str, reason: str) -> Cause | None:
    """Return which login was refused, as it is stored; a reason of another version of this program is not known."""
    return Cause(endpoint, next((known for known in Reason if known == reason), None)) if endpoint else None


def _texts(cause: Cause | None) -> tuple[str, str]:
    """Return what is stored of it."""
    return (cause.endpoint, cause.reason.value if cause.reason else "") if cause else ("", "")
