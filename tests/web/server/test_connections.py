"""Which connection is closed where the limit is reached."""

from __future__ import annotations

import sys

import pytest

from exporter.web.server.connections import MAX_CONNECTIONS, MIN_CONNECTIONS, Connections, ConnectionSlot, fitting


class Crowd:
    """Connections, and the names of those that were closed."""

    def __init__(self, limit: int) -> None:
        self.connections = Connections(limit)
        self.ended: list[str] = []

    def enter(self, name: str, client: str = "") -> ConnectionSlot | None:
        """One more."""
        return self.connections.admit(lambda: self.ended.append(name), client)


def test_none_is_closed_up_to_the_limit() -> None:
    """A connection that has ended does not count."""
    crowd = Crowd(2)
    first, second = crowd.enter("first"), crowd.enter("second")
    assert first
    assert second
    first.release()
    assert crowd.enter("third")
    assert (len(crowd.connections), crowd.ended) == (2, [])


def test_the_one_that_has_waited_the_longest_is_closed() -> None:
    """One that was served in between began to wait again later."""
    crowd = Crowd(3)
    first, _, third = crowd.enter("first"), crowd.enter("second"), crowd.enter("third")
    assert first
    assert third
    first.serve()
    first.wait()
    assert crowd.enter("fourth")
    assert crowd.enter("fifth")
    assert (len(crowd.connections), crowd.ended) == (3, ["second", "third"])
    third.release()  # its end is noticed only now
    assert len(crowd.connections) == 3


def test_one_that_is_being_served_stays_open() -> None:
    """Where all of them are, a new one is not admitted."""
    crowd = Crowd(2)
    for name in ("first", "second"):
        slot = crowd.enter(name)
        assert slot
        slot.serve()
    assert crowd.enter("third") is None
    assert (len(crowd.connections), crowd.ended) == (2, [])


def test_the_client_with_the_most_connections_gives_way() -> None:
    """One with a few is not closed for it, however long they have waited."""
    crowd = Crowd(4)
    crowd.enter("prometheus", "192.0.2.1")
    for name in ("a", "b", "c", "d", "e"):
        assert crowd.enter(name, "198.51.100.1")
    assert crowd.enter("other", "203.0.113.1")
    assert (len(crowd.connections), crowd.ended) == (4, ["a", "b", "c"])


def test_a_client_that_asks_over_all_connections_gives_way() -> None:
    """To one that has fewer, of which none is closed for it, also while that one sends its request."""
    crowd = Crowd(4)
    for name in ("a", "b", "c", "d"):
        slot = crowd.enter(name, "198.51.100.1")
        assert slot
        slot.serve()
    prometheus = crowd.enter("prometheus", "192.0.2.1")
    assert prometheus
    assert crowd.enter("e", "198.51.100.1") is None
    prometheus.serve()
    assert crowd.enter("other", "203.0.113.1")
    assert (len(crowd.connections), crowd.ended) == (4, ["a", "b"])


@pytest.mark.parametrize(
    ("open_files", "probes", "connections"),
    [
        (256, 4, 188),
        (256, 54, 138),
        (1024, 4, MAX_CONNECTIONS),
        (1024, 600, 360),
        (256, 1000, MIN_CONNECTIONS),
        (sys.maxsize, 100_000, MAX_CONNECTIONS),
    ],
)
def test_connections_leave_room_for_the_probes(open_files: int, probes: int, connections: int) -> None:
    """Within the limit of open files."""
    assert fitting(open_files, probes) == connections
