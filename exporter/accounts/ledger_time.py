"""The boots of which a ledger's times are, and their seconds in those of this boot.

Within a boot, times differ by what has really passed. When a boot first reads of another one, it goes by both wall
clocks, and what would lie in the future counts as happening at that moment. From there on it goes by the other's own
seconds: no wall clock that is set later changes anything. It also corrects itself, for what another boot has written
since the last look was written since the last look.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from exporter.accounts.clock import Clock
from exporter.accounts.ledger_schema import LedgerError, number


@dataclass(frozen=True, slots=True)
class _Sight:
    """What this boot has seen of another. Times are seconds of this boot, but for `latest`."""

    shift: float
    """What is added to the other's seconds."""
    latest: float
    """The last reading of the other, when it was last looked at."""
    looked: float
    """When that was."""
    first: float
    """When it was first looked at."""


class Boots:
    """The times of a ledger in a transaction, which begins with `look`."""

    def __init__(self, database: sqlite3.Connection, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._sights: dict[int, _Sight] = {}
        self._wall = 0.0
        self.now = 0.0
        """The seconds of this boot, read when the transaction began."""
        self.me = 0
        """The key of this boot; 0 while nothing of it is stored."""
        self.has_news = False
        """Whether something was seen that has to be stored."""

    def look(self) -> None:
        """Read the time, and what is stored of all boots."""
        rows = self._database.execute("SELECT id, name, at, wall FROM boot").fetchall()
        boots = {key: (number(at), number(wall)) for key, name, at, wall in rows if name != self._clock.boot}
        self.me = 0  # another boot, which has begun since, may have forgotten this one, and may have its key
        for key, name, at, _ in rows:
            if name == self._clock.boot:
                self.me = key
                self._clock.catch_up(number(at))
        self.now, self._wall, self.has_news = self._clock.now(), self._clock.wall(), False
        stored = self._database.execute(
            "SELECT writer, shift, latest, looked, first FROM sight WHERE reader = ?", (self.me,)
        )
        before = {writer: _Sight(*map(number, values)) for writer, *values in stored}
        self._sights = {key: self._see(before.get(key), *reading) for key, reading in boots.items()}

    def write(self) -> None:
        """Store the time of this transaction, and what was seen of other boots."""
        self._database.execute(
            "INSERT INTO boot (name, at, wall) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET at = ?2, wall = ?3",
            (self._clock.boot, self.now, self._wall),
        )
        (self.me,) = self._database.execute("SELECT id FROM boot WHERE name = ?", (self._clock.boot,)).fetchone()
        rows = [(self.me, key, one.shift, one.latest, one.looked, one.first) for key, one in self._sights.items()]
        self._database.executemany("INSERT OR REPLACE INTO sight VALUES (?, ?, ?, ?, ?, ?)", rows)

    def forget_unused(self) -> None:
        """Remove the boots of which nothing is stored any more: without a name, each process is one."""
        self._database.execute(
            "DELETE FROM boot WHERE name != ? AND id NOT IN "
            "(SELECT boot FROM login UNION SELECT boot FROM wait UNION SELECT boot FROM grant "
            "UNION SELECT boot FROM released)",
            (self._clock.boot,),
        )
        self._database.execute(
            "DELETE FROM sight WHERE reader NOT IN (SELECT id FROM boot) OR writer NOT IN (SELECT id FROM boot)"
        )

    def at(self, boot: int, seconds: float) -> float:
        """Return a stored time in seconds of this boot."""
        return seconds if boot == self.me else seconds + self._sight(boot).shift

    def unix(self, seconds: float) -> float:
        """Return a time of this boot in Unix seconds, by the wall clock as it is set now."""
        return self._wall + seconds - self.now

    def age(self, unix: float) -> float:
        """Return the seconds since a time of which only Unix seconds are known; 0 where it lies in the future."""
        return max(0.0, self._wall - unix)

    def silence(self, boot: int, beat: float) -> float:
        """Return for how many seconds a process has given no sign of life.

        Of another boot it counts from the first look at the earliest: until then only wall clocks are known.
        """
        return self.now - (beat if boot == self.me else max(self.at(boot, beat), self._sight(boot).first))

    def _sight(self, boot: int) -> _Sight:
        if boot not in self._sights:
            raise LedgerError("damaged: it has a time of no known boot")
        return self._sights[boot]

    def _see(self, before: _Sight | None, at: float, wall: float) -> _Sight:
        if before is None:
            self.has_news = True
            return _Sight(self.now - self.age(wall) - at, at, self.now, self.now)
        if at == before.latest:
            return replace(before, looked=self.now)
        self.has_news = True
        seen = at + before.shift
        # The other's reading was made since the last look. Where the wall clocks said otherwise, it counts as new.
        seen = seen if before.looked <= seen <= self.now else self.now
        return replace(before, shift=seen - at, latest=at, looked=self.now)
