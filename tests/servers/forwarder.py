"""A resolver in front of another one: it passes questions on, notes them, and fails at those that a test names."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Literal, cast

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

Fault = Literal["nxdomain", "servfail", "refused", "silence", "garbage", "truncated"]

_CODES = {"nxdomain": dns.rcode.NXDOMAIN, "servfail": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED}


class Forwarder(asyncio.DatagramProtocol):
    """Listens on loopback, and asks the resolver at `upstream`; over TCP it closes every connection.

    `faults` may change at any time: the name, or the name and the kind of record, such as "MX", that fails, and how.
    """

    def __init__(self, upstream: str) -> None:
        self._host, _, port = upstream.rpartition(":")
        self._port = int(port)
        self.faults: dict[str | tuple[str, str], Fault] = {}
        self.strips_ad = False
        self.questions: Counter[tuple[str, str]] = Counter()
        """How often each name and kind was asked for."""
        self._seen: set[tuple[int, str, str]] = set()
        self.address = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=(host, port))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go out by."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a question, unless its answer is silence."""
        task = asyncio.create_task(self._answer(dns.message.from_wire(data), addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, question: dns.message.Message, addr: tuple[str, int]) -> None:
        name = question.question[0].name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        # A question that is sent again, for want of an answer in time, has the same number.
        if (question.id, name, kind) not in self._seen:
            self._seen.add((question.id, name, kind))
            self.questions[name, kind] += 1
        fault = self.faults.get((name, kind)) or self.faults.get(name)
        if fault == "silence":
            return
        if fault is None:
            answer, _ = await dns.asyncquery.udp_with_fallback(question, self._host, timeout=PATIENCE, port=self._port)
            if self.strips_ad:
                answer.flags &= ~dns.flags.AD
        else:
            answer = dns.message.make_response(question)
            answer.set_rcode(_CODES.get(fault, dns.rcode.NOERROR))
            if fault == "truncated":
                answer.flags |= dns.flags.TC
        wire = answer.to_wire()
        # The answer's number and question, and then not what its header says.
        self._transport.sendto(wire[:6] + b"\0\x02" + wire[8:] if fault == "garbage" else wire, addr)
