"""A small name server whose every answer a test decides: as much of RFC 1035 as a resolver asks for.

It is on loopback, or on a socket of the test.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

TTL = 300
"""Seconds for which every answer may be kept."""

Failure = Literal["nxdomain", "servfail", "refused", "silence"]

_TYPES = {1: socket.AF_INET, 28: socket.AF_INET6}
_CODES: Mapping[str, int] = {"servfail": 2, "nxdomain": 3, "refused": 5}


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: a name in small letters, and the type of record (1 is A, 28 is AAAA)."""

    name: str
    kind: int


class NameServer(asyncio.DatagramProtocol):
    """Answers from `names`: the addresses of each name, or how the question fails.

    A name with addresses of the other family only has no data of this one; a name that is not in `names` does not
    exist. `names` may change at any time.
    """

    def __init__(self, names: Mapping[str, Sequence[str] | Failure], handle: socket.socket | None = None) -> None:
        self.names = dict(names)
        self.questions: list[Question] = []
        self._seen: set[tuple[bytes, Question]] = set()
        self.address = ""
        self._handle = handle
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        handle = self._handle
        if handle is None:
            handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            handle.bind(("127.0.0.1", 0))
        # Hundreds may ask at once; what does not fit is lost, and asked again two seconds later.
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        handle.setblocking(False)
        self.address = "{}:{}".format(*handle.getsockname())
        await loop.create_datagram_endpoint(lambda: self, sock=handle)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()
            # A closed transport closes its socket in the loop's next turn.
            await asyncio.sleep(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go out by."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a question, unless its answer is silence."""
        question, end = _read_question(data)
        # One that is sent again, for want of an answer in time, has the same number.
        if (data[:2], question) not in self._seen:
            self._seen.add((data[:2], question))
            self.questions.append(question)
        found = self.names.get(question.name, "nxdomain")
        if found != "silence" and self._transport is not None:
            self._transport.sendto(_answer(data[:2], data[12:end], question, found), addr)


def _read_question(message: bytes) -> tuple[Question, int]:
    """The one question behind the header of 12 octets, and where it ends (RFC 1035 section 4.1.2)."""
    labels, position = [], 12
    while length := message[position]:
        labels.append(message[position + 1 : position + 1 + length].decode("ascii").lower())
        position += 1 + length
    (kind,) = struct.unpack_from("!H", message, position + 1)
    return Question(".".join(labels), kind), position + 5


def _answer(number: bytes, asked: bytes, question: Question, found: Sequence[str] | Failure) -> bytes:
    """A response (RFC 1035 section 4.1.1): recursive, available, with the question repeated."""
    family = _TYPES.get(question.kind)
    addresses = [] if isinstance(found, str) else [each for each in found if family == _family_of(each)]
    flags = 0x8180 | (_CODES[found] if isinstance(found, str) else 0)
    header = number + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0)
    # 0xC00C points back to the name of the question.
    records = b"".join(
        struct.pack("!HHHIH", 0xC00C, question.kind, 1, TTL, len(packed)) + packed
        for packed in (socket.inet_pton(_family_of(each), each) for each in addresses)
    )
    return header + asked + records


def _family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
