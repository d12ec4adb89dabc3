"""What `doctor` found of one mailbox, step by step, up to the first cause."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.model.enumeration import TableEnum


class Step(TableEnum):
    """A step of the walk, in its order. `heading` is its name for people, that of its section in the runbook too."""

    heading: str

    NETWORK = "network", "The network and the clock of this host"
    DNS = "dns", "DNS"
    PORTS = "ports", "The ports"
    TLS = "tls", "TLS, and something in between"
    STATUS = "status", "The provider's status"
    LOGIN = "login", "The login"
    SWITCHES = "switches", "IMAP and POP are switched on"
    SETTINGS = "settings", "The settings of the mail client"
    FOLDERS = "folders", "The folders that IMAP shows"
    NEWEST = "newest", "The newest message"
    DELIVERY = "delivery", "A test message"


class Result(TableEnum):
    """How a step went. `sign` is its mark on a terminal."""

    sign: str

    WELL = "well", "✔"
    NOTE = "note", "!"
    """Nothing is broken, but this should be known."""
    LEFT_OUT = "left_out", "-"
    CAUSE = "cause", "✘"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step found: a sentence, and the facts behind it."""

    step: Step
    result: Result
    text: str
    evidence: tuple[str, ...] = ()
    blame: str = ""
    """Whose fault it is, for people; only of a cause."""
    remedy: str = ""
    """What to do; of a cause, and where something can be done about a note."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings of a walk, which ends with the first cause."""

    address: str
    at: float
    """In Unix seconds."""
    findings: tuple[Finding, ...]

    @property
    def cause(self) -> Finding | None:
        """The finding that ended the walk; None where nothing is wrong."""
        return next((finding for finding in self.findings if finding.result is Result.CAUSE), None)

    @property
    def sentence(self) -> str:
        """What is wrong, in one sentence."""
        if self.cause:
            return f"{self.cause.text} ({self.cause.blame})." if self.cause.blame else f"{self.cause.text}."
        if any(finding.step is Step.LOGIN and finding.result is Result.WELL for finding in self.findings):
            return "Nothing is wrong up to the mailbox: a mail client with the settings above can use it."
        return "Nothing is wrong up to the login, which was not tried."
