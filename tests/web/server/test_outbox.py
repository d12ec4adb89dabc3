"""Which connections are closed where the octets of unsent bodies reach their limit."""

from __future__ import annotations

from contextlib import ExitStack

from exporter.web.server.outbox import Outbox
from tests.examples import Clock


class Crowd:
    """Connections that send bodies, and the names of those that were closed."""

    def __init__(self, limit: int) -> None:
        self.clock = Clock()
        self.outbox = Outbox(limit, self.clock)
        self.closed: list[str] = []

    def send(self, stack: ExitStack, name: str, body: bytes) -> None:
        """Send a body until the stack is closed."""
        stack.enter_context(self.outbox.sending(body, lambda: self.closed.append(name)))


def test_a_body_counts_once_and_while_it_is_sent() -> None:
    """However many connections send it."""
    crowd, body = Crowd(100), b"x" * 60
    with ExitStack() as stack:
        for name in ("first", "second"):
            crowd.send(stack, name, body)
        assert crowd.outbox.octets == 60
    assert (crowd.outbox.octets, crowd.outbox.unsent, crowd.closed) == (0, {}, [])


def test_the_most_expensive_body_gives_way() -> None:
    """By octets and time: a small body that is sent slowly costs less than a large one."""
    crowd = Crowd(100)
    small, large, new = b"s" * 5, b"l" * 80, b"n" * 30
    with ExitStack() as stack:
        crowd.send(stack, "small", small)
        crowd.clock.advance(5)
        for name in ("large", "large too"):
            crowd.send(stack, name, large)
        crowd.clock.advance(1)
        crowd.send(stack, "new", new)
        assert sorted(crowd.closed) == ["large", "large too"]
        assert crowd.outbox.octets == 35
    assert crowd.outbox.octets == 0


def test_a_new_body_is_never_refused() -> None:
    """One that is larger than the limit is alone."""
    crowd, body, large = Crowd(100), b"x" * 90, b"y" * 1000
    with ExitStack() as stack:
        crowd.send(stack, "old", body)
        crowd.send(stack, "large", large)
        assert (crowd.closed, crowd.outbox.octets) == (["old"], 1000)
        crowd.send(stack, "again", body)
        assert (crowd.closed, crowd.outbox.octets) == (["old", "large"], 90)
    assert crowd.outbox.unsent == {}
