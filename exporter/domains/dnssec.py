"""Look-ups whose answers may be authenticated by DNSSEC, as far as the resolver is believed.

A resolver's word (the AD flag, RFC 6840 §5.8) is worth what the way to it is worth: it is taken only from loopback, and
from resolvers that the configuration names. c-ares does not pass it on, dnspython does.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from typing import NamedTuple

import dns.entropy
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver

from exporter.model.address import split_address
from exporter.model.reason import Reason

SECONDS = 2.0
"""Seconds that a name server has for an answer, before it, or the next one, is asked again."""

_TRIES = 2


class LookupFailed(Exception):
    """No name server has answered (`timeout`), or the one that has could not find out."""

    def __init__(self, text: str, reason: Reason = Reason.DNS_ERROR) -> None:
        super().__init__(text)
        self.reason = reason


class NotAName(LookupFailed):
    """The DNS has no such name: it is too long, or has an empty part."""


class Answer(NamedTuple):
    """The records of a name in their text form, none where there are none; and whether that is authenticated."""

    records: tuple[str, ...]
    authenticated: bool
    name: str = ""
    """The name that has them: that at the end of its aliases."""
    unreadable: int = 0
    """Records beside them whose value makes no sense."""


def believed(nameservers: Sequence[str] | None, trusted: Sequence[str]) -> list[tuple[str, int]]:
    """Return the name servers whose AD flag is taken, by address and port; None: those of /etc/resolv.conf."""
    found = []
    for server in system_nameservers() if nameservers is None else nameservers:
        host, port = split_address(server)
        if ipaddress.ip_address(host).is_loopback or host in trusted:
            found.append((host, int(port or 53)))
    return found


def system_nameservers() -> list[str]:
    """Return the name servers of /etc/resolv.conf; none where they cannot be read."""
    try:
        return [str(server) for server in dns.resolver.Resolver().nameservers]
    except (dns.exception.DNSException, OSError):
        return []


async def ask(servers: Sequence[tuple[str, int]], name: str, kind: str, *, reads_records: bool = True) -> Answer:
    """Return what the first of these name servers that answers says of a name.

    Without `reads_records`, it is only whether they are authenticated: to read five takes a quarter of a probe.

    Raises:
        LookupFailed: None has answered, or it says that it failed.
        NotAName: Nobody was asked.
    """
    try:
        question = _question(name, kind)
    except dns.exception.DNSException as error:
        raise NotAName(f"the {kind} look-up of {name}: {error}") from None
    said, reason = "no answer in time", Reason.TIMEOUT
    for host, port in [*servers] * _TRIES:
        try:
            async with asyncio.timeout(SECONDS):
                answer = await _exchange(question, host, port, reads_records=reads_records)
        except TimeoutError:
            continue
        except (dns.exception.DNSException, OSError, EOFError) as error:
            said, reason = str(error) or type(error).__name__, Reason.DNS_ERROR
            continue
        if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            wanted = dns.rdatatype.from_text(kind)
            records = tuple(one.to_text() for rrset in answer.answer if rrset.rdtype == wanted for one in rrset)
            is_authenticated = bool(answer.flags & dns.flags.AD)
            return Answer(records, is_authenticated, _end_of_aliases(question.message, answer), len(answer.errors))
        said, reason = dns.rcode.to_text(answer.rcode()), Reason.DNS_ERROR
    raise LookupFailed(f"the {kind} look-up of {name}: {said}", reason)


def _end_of_aliases(question: dns.message.Message, answer: dns.message.Message) -> str:
    """Return the name that the records of an answer are of, in small letters."""
    aliases = {rrset.name: rrset[0].target for rrset in answer.answer if rrset.rdtype == dns.rdatatype.CNAME}
    name = question.question[0].name
    for _ in aliases:
        name = aliases.get(name, name)
    return name.to_text(omit_final_dot=True).lower()


class _Question(NamedTuple):
    """A question, and its octets."""

    message: dns.message.Message
    wire: bytes


def _question(name: str, kind: str) -> _Question:
    """Return a question with an id of its own.

    Raises:
        dns.exception.DNSException: That is no name.
    """
    asked = _prepared(name, kind)
    message, number = copy(asked.message), dns.entropy.random_16()
    message.id = number
    return _Question(message, number.to_bytes(2, "big") + asked.wire[2:])


@lru_cache(maxsize=4096)
def _prepared(name: str, kind: str) -> _Question:
    """Return a question that is asked in every interval: to make it takes as long as to ask it."""
    # RFC 6840 §5.7: a question with AD asks for that flag in the answer, without the signatures themselves.
    message = dns.message.make_query(name, kind, flags=dns.flags.RD | dns.flags.AD, use_edns=0)
    return _Question(message, message.to_wire())


class _Datagrams(asyncio.DatagramProtocol):
    """Waits for the one answer to a question."""

    def __init__(self, question: _Question, *, reads_records: bool) -> None:
        self._question, self._reads_records = question, reads_records
        self.answer: asyncio.Future[dns.message.Message] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _addr: object) -> None:
        """Take an answer to this question, and pass over anything else: anybody may send that."""
        if not self.answer.done() and data[:2] == self._question.wire[:2]:
            try:
                self.answer.set_result(_read(self._question, data, reads_records=self._reads_records))
            except dns.exception.DNSException as error:
                self.answer.set_exception(error)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there."""
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _exchange(question: _Question, host: str, port: int, *, reads_records: bool) -> dns.message.Message:
    """Return the answer of a name server: by TCP where it is too long for UDP (RFC 7766 §5)."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(question, reads_records=reads_records), remote_addr=(host, port)
    )
    try:
        transport.sendto(question.wire)
        answer = await protocol.answer
    finally:
        transport.close()
    if not (reads_records and answer.flags & dns.flags.TC):
        return answer
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(len(question.wire).to_bytes(2, "big") + question.wire)
        size = int.from_bytes(await reader.readexactly(2), "big")
        return _read(question, await reader.readexactly(size), reads_records=True)
    finally:
        writer.close()


def _read(question: _Question, data: bytes, *, reads_records: bool) -> dns.message.Message:
    """Return an answer. Records that make no sense, such as a digest that is too short, are left out, as senders do.

    Raises:
        dns.exception.DNSException: It is malformed, or none to this question.
    """
    has_records = data[6:8] != b"\0\0"  # RFC 1035 §4.1.1: else the signatures of a denial take longer than all the rest
    answer = dns.message.from_wire(data, question_only=not (reads_records and has_records), continue_on_error=True)
    for error in answer.errors:
        if error.exception.__cause__ is None:  # else it is of the value of a record, whose octets were read
            raise error.exception
    if not question.message.is_response(answer):
        raise dns.exception.FormError
    return answer
