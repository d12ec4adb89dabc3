r"""Work after a login, played against the lines of a server.

C: what the client must send, without its CRLF
S: a line of the server
L: octets of the server that are not a line, with \r and \n
T: nothing comes in the time that the client waits
M: the client sends what is not a line: octets, with \r and \n
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from exporter.probing.connection import ConnectionClosed
from exporter.probing.dialogue import Arrival, Note, PassOver, ReadBytes, ReadLine, Send

if TYPE_CHECKING:
    from exporter.probing.dialogue import Work

T = TypeVar("T")


def play(work: Work[T], text: str) -> T:
    """Let the work talk to a server that says what the text has; return its result.

    At an `Arrival` the number of the line is told that the server said last. After the last line the server closes the
    connection.
    """
    turns = deque(
        (number, speaker, _octets(said))
        for number, line in enumerate(text.strip().splitlines(), 1)
        for speaker, _, said in [line.strip().partition(": ")]
    )
    last = 0
    answer: Any = None
    while True:
        try:
            step = work.send(answer)
        except StopIteration as end:
            assert not turns, f"the work is done where the text has {turns[0]}"
            result: T = end.value
            return result
        answer = None
        match step:
            case Send(data):
                for piece in _pieces(data, turns):
                    number, speaker, said = turns.popleft()
                    assert speaker in "CM", f"the client sends {piece!r} in line {number}"
                    assert piece == (said + b"\r\n" if speaker == "C" else said), f"line {number}"
            case ReadLine() | ReadBytes():
                if not turns:
                    raise ConnectionClosed("the server closed the connection")
                last, speaker, said = turns.popleft()
                assert speaker in ("T:", "T", "S", "L"), f"the client reads in line {last}"
                answer = None if speaker.startswith("T") else said
                assert (speaker == "L") is isinstance(step, ReadBytes)
                assert answer is not None or (isinstance(step, ReadLine) and step.within is not None)
            case Arrival():
                answer = float(last)
            case _:
                assert isinstance(step, Note | PassOver)


def _pieces(data: bytes, turns: deque[tuple[int, str, bytes]]) -> list[bytes]:
    return [data] if turns and turns[0][1] == "M" else data.splitlines(keepends=True)


def _octets(text: str) -> bytes:
    return re.sub(r"\\([rn])", lambda found: {"r": "\r", "n": "\n"}[found[1]], text).encode()
