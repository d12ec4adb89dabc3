"""Who has to go where there are too many."""

from __future__ import annotations

from exporter.web.server.connections import Connections, Place


class Crowd:
    """Connections, and the names of those that were ended."""

    def __init__(self, most: int) -> None:
        self.connections = Connections(most)
        self.ended: list[str] = []

    def enter(self, name: str) -> Place | None:
        """One more."""
        return self.connections.admit(lambda: self.ended.append(name))


def test_up_to_the_limit_nobody_has_to_go() -> None:
    """Nor after somebody has left."""
    crowd = Crowd(2)
    first, second = crowd.enter("first"), crowd.enter("second")
    assert first
    assert second
    first.leave()
    assert crowd.enter("third")
    assert (len(crowd.connections), crowd.ended) == (2, [])


def test_who_has_waited_the_longest_goes() -> None:
    """One that was served since has not waited for so long."""
    crowd = Crowd(3)
    first, _, third = crowd.enter("first"), crowd.enter("second"), crowd.enter("third")
    assert first
    assert third
    first.serve()
    first.wait()
    assert crowd.enter("fourth")
    assert crowd.enter("fifth")
    assert (len(crowd.connections), crowd.ended) == (3, ["second", "third"])
    third.leave()  # its end is heard of only now
    assert len(crowd.connections) == 3


def test_who_is_being_served_stays() -> None:
    """Where that is everybody, a new one is not admitted."""
    crowd = Crowd(2)
    for name in ("first", "second"):
        place = crowd.enter(name)
        assert place
        place.serve()
    assert crowd.enter("third") is None
    assert (len(crowd.connections), crowd.ended) == (2, [])
