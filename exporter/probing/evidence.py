"""What TCP saw of a session that failed."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from exporter.model.evidence import TcpEvidence, TcpFinding
from exporter.probing.connection import ConnectionClosed
from exporter.probing.kernel import TcpInfo

# Linux's include/net/tcp_states.h, in the words of RFC 9293 §3.3.2.
_STATES = (
    "", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED", "CLOSE-WAIT",
    "LAST-ACK", "LISTEN", "CLOSING",
)  # fmt: skip
_ESTABLISHED, _SYN_SENT, _CLOSE_WAIT = map(_STATES.index, ("ESTABLISHED", "SYN-SENT", "CLOSE-WAIT"))

_OF_ERROR: Mapping[int | None, TcpFinding] = {
    errno.ECONNREFUSED: TcpFinding.SYN_REJECTED,
    errno.ECONNRESET: TcpFinding.RESET,
    errno.EPIPE: TcpFinding.RESET,
    errno.ETIMEDOUT: TcpFinding.UNACKNOWLEDGED,
}


def tcp_evidence(error: BaseException, info: TcpInfo | None) -> TcpEvidence | None:
    """Return what the connection shows when `error` ended the session; None where it shows nothing.

    A server that answered, whatever it said, needs no evidence of its connection.
    """
    finding = _finding(error, info)
    if finding is None:
        return None
    if info is None:
        return TcpEvidence(finding)
    # Our connection request counts as an octet that is acknowledged, and the end of the server's side as one received.
    acknowledged = None if info.bytes_acked is None else max(0, info.bytes_acked - 1)
    received = info.bytes_received
    if received and finding is TcpFinding.CLOSED:
        received -= 1
    state = _STATES[info.state] if info.state in range(1, len(_STATES)) else None
    return TcpEvidence(finding, info.unacked, info.total_retrans, acknowledged, received, state)


def _finding(error: BaseException, info: TcpInfo | None) -> TcpFinding | None:
    if isinstance(error, ConnectionClosed):
        return TcpFinding.CLOSED
    if isinstance(error, OSError) and error.errno in _OF_ERROR:
        unanswered = error.errno == errno.ETIMEDOUT and (info is None or not info.bytes_acked)
        return TcpFinding.SYN_UNANSWERED if unanswered else _OF_ERROR[error.errno]
    if not isinstance(error, TimeoutError) or info is None:
        return None
    if info.state == _SYN_SENT:
        return TcpFinding.SYN_UNANSWERED
    if info.state not in (_ESTABLISHED, _CLOSE_WAIT):
        return None
    if info.unacked == 0:
        return TcpFinding.SILENT
    # A segment that was sent just now may still be acknowledged.
    return TcpFinding.UNACKNOWLEDGED if info.retransmits or info.total_retrans else None
