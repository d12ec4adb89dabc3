"""What TCP saw of a session that failed, on real connections wherever one can be made to fail so."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from exporter.model.evidence import TcpFinding
from exporter.model.outcome import Outcome, Target
from exporter.model.settings import Endpoint, IpFamily, Protocol, Security
from exporter.probing.connection import ConnectionClosed, PlaintextInjected
from exporter.probing.dialogue import ProtocolViolation
from exporter.probing.evidence import tcp_evidence
from exporter.probing.kernel import TcpInfo
from exporter.probing.probe import probe
from exporter.probing.resolve import Resolver
from tests.probing import dead_path
from tests.servers import acts
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.probing.conftest import Fill
    from tests.servers.scripted import Behaviour

ESTABLISHED, SYN_SENT, CLOSE = 1, 2, 7


def info(state: int = ESTABLISHED, **changes: Any) -> TcpInfo:
    """A connection on which all is well."""
    values = {"retransmits": 0, "unacked": 0, "rtt": 0.01, "total_retrans": 0, "bytes_acked": 1, "bytes_received": 0}
    return TcpInfo(state=state, **{**values, **changes})


@pytest.mark.parametrize(
    ("error", "known", "finding"),
    [
        (TimeoutError(), info(SYN_SENT, unacked=1, bytes_acked=0), TcpFinding.SYN_UNANSWERED),
        (TimeoutError(), info(SYN_SENT, unacked=1, retransmits=3, total_retrans=3), TcpFinding.SYN_UNANSWERED),
        (TimeoutError(), info(), TcpFinding.SILENT),
        (TimeoutError(), info(total_retrans=2), TcpFinding.SILENT),
        (TimeoutError(), info(unacked=1, retransmits=2, total_retrans=2), TcpFinding.UNACKNOWLEDGED),
        (TimeoutError(), info(unacked=1, total_retrans=None, retransmits=1), TcpFinding.UNACKNOWLEDGED),
        (TimeoutError(), info(unacked=1), None),
        (TimeoutError(), info(CLOSE), None),
        (TimeoutError(), None, None),
        (OSError(errno.ETIMEDOUT, ""), info(CLOSE, bytes_acked=0), TcpFinding.SYN_UNANSWERED),
        (OSError(errno.ETIMEDOUT, ""), info(CLOSE, bytes_acked=50), TcpFinding.UNACKNOWLEDGED),
        (OSError(errno.ETIMEDOUT, ""), None, TcpFinding.SYN_UNANSWERED),
        (OSError(errno.ECONNREFUSED, ""), info(CLOSE), TcpFinding.SYN_REJECTED),
        (OSError(errno.ECONNRESET, ""), info(CLOSE), TcpFinding.RESET),
        (OSError(errno.EPIPE, ""), None, TcpFinding.RESET),
        (ConnectionClosed(), info(8), TcpFinding.CLOSED),
        (ConnectionClosed(), None, TcpFinding.CLOSED),
        (OSError(errno.ENETUNREACH, ""), info(CLOSE), None),
        (OSError(errno.EMFILE, ""), None, None),
        (ProtocolViolation("x"), info(), None),
        (PlaintextInjected("x"), info(), None),
    ],
)
def test_finding(error: Exception, known: TcpInfo | None, finding: TcpFinding | None) -> None:
    """Each end of a session, with what the kernel knew: the finding, or none where TCP shows nothing."""
    found = tcp_evidence(error, known)
    assert (found.finding if found else None) is finding


def test_numbers() -> None:
    """The sentence has the numbers that it rests on; what the kernel did not tell is left out."""
    found = tcp_evidence(TimeoutError(), info(unacked=2, retransmits=3, total_retrans=3, bytes_acked=1001))
    assert str(found).endswith(
        "(2 segments not acknowledged, 3 sent again, 1,000 octets acknowledged, 0 octets received)"
    )
    assert str(tcp_evidence(ConnectionClosed(), None)) == TcpFinding.CLOSED.sentence


async def probed(port: int, security: Security = Security.NONE, seconds: float = 0.5) -> Outcome:
    """The Outcome of a probe of IMAP on this port of 127.0.0.1."""
    endpoint = Endpoint(
        name="imap", protocol=Protocol.IMAP, host="127.0.0.1", port=port, security=security, timeout=seconds
    )
    resolver = Resolver()
    try:
        return await probe(Target(endpoint, IpFamily.IPV4), resolver)
    finally:
        await resolver.close()


@pytest.mark.parametrize(
    ("act", "finding", "received"),
    [
        (acts.silence, TcpFinding.SILENT, 0),
        (acts.close, TcpFinding.CLOSED, 0),
        (acts.reset, TcpFinding.RESET, 0),
        (acts.in_order(acts.say(b"* OK ready\r\n"), acts.silence), TcpFinding.SILENT, 12),
        (acts.in_order(acts.say(b"* OK ready\r\n"), acts.close), TcpFinding.CLOSED, 12),
    ],
    ids=["silent", "closed", "reset", "silent later", "closed later"],
)
async def test_server(scripted: StartScripted, act: Behaviour, finding: TcpFinding, received: int) -> None:
    """A server that is silent, closes or resets, at once or after its greeting."""
    server = await scripted(act)
    evidence = (await probed(server.port)).observed.tcp
    assert evidence is not None
    assert evidence.finding is finding
    assert evidence.received == received
    assert evidence.unacknowledged == 0


async def test_answer(scripted: StartScripted) -> None:
    """A server that answers with nonsense, or is well, needs no evidence of its connection."""
    server = await scripted(acts.in_order(acts.say(b"nonsense\r\n"), acts.silence))
    outcome = await probed(server.port)
    assert not outcome.ok
    assert outcome.observed.tcp is None
    assert outcome.observed.retransmits == 0


async def test_connect(free_port: int, fill_backlog: Fill) -> None:
    """A connection request that is rejected, and one that nothing answers."""
    evidence = (await probed(free_port)).observed.tcp
    assert evidence is not None
    assert evidence.finding is TcpFinding.SYN_REJECTED
    fill_backlog("127.0.0.1", free_port)
    outcome = await probed(free_port, seconds=1.5)
    assert outcome.observed.tcp is not None
    assert outcome.observed.tcp.finding is TcpFinding.SYN_UNANSWERED
    assert outcome.observed.retransmits  # the kernel sends the request again after a second


def test_dead_path() -> None:
    """A path that dies after the connect, in a network of its own: what was sent is never acknowledged."""
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-m", dead_path.__name__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["finding"] == TcpFinding.UNACKNOWLEDGED
    assert found["unacknowledged"] >= 1
    assert found["retransmits"] >= 1
