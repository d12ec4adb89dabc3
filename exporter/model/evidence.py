"""What TCP saw of a probe that failed: facts of the connection, from which a verdict can be drawn."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.model.enumeration import TableEnum


class TcpFinding(TableEnum):
    """What the connection shows of the server and of the path to it. `sentence` is the finding for people."""

    sentence: str

    SYN_UNANSWERED = (
        "syn_unanswered",
        "Nothing answered the connection request: it was dropped on the way, or the server is off.",
    )
    SYN_REJECTED = (
        "syn_rejected",
        "The connection request was rejected at once: nothing listens there, or a firewall rejects it.",
    )
    UNACKNOWLEDGED = (
        "unacknowledged",
        "What was sent was never acknowledged, though it was sent again: the path to the server is dead.",
    )
    SILENT = (
        "silent",
        "All that was sent was acknowledged, and then nothing came: the path is not dead, the server is silent.",
    )
    CLOSED = "closed", "The server's side closed the connection in order."
    RESET = "reset", "The connection was reset, by the server or by a device on the way."


@dataclass(frozen=True, slots=True)
class TcpEvidence:
    """What the kernel knew of the connection when the probe failed. What it did not tell is None."""

    finding: TcpFinding
    unacknowledged: int | None = None
    """Segments that were sent and not acknowledged."""
    retransmits: int | None = None
    """Segments that were sent again."""
    acknowledged: int | None = None
    """Octets that the server's side has acknowledged."""
    received: int | None = None
    """Octets that came from it."""

    def __str__(self) -> str:
        """The finding, with the numbers that it rests on, for people."""
        numbers = [
            f"{count:,} {what}"
            for count, what in (
                (self.unacknowledged, "segments not acknowledged"),
                (self.retransmits, "sent again"),
                (self.acknowledged, "octets acknowledged"),
                (self.received, "octets received"),
            )
            if count is not None
        ]
        return f"{self.finding.sentence} ({', '.join(numbers)})" if numbers else self.finding.sentence
