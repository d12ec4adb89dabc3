"""What a failed probe alone shows: each pair of phase and reason has its symptom."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.model.enumeration import TableEnum
from exporter.model.evidence import TcpFinding
from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Blame, Reason


class Symptom(TableEnum):
    """How the server behaves. `words` follows its name in a sentence; `{summary}` in them is that of the reason."""

    words: str

    # fmt: off
    NAME = "name", "cannot be found: {summary}"
    NO_ROUTE = "no_route", "cannot be reached over this address family: {summary}"
    UNREACHABLE = "unreachable", "cannot be reached"
    UNANSWERED = "unanswered", "does not answer connection requests"
    REFUSED = "refused", "refuses connections"
    LOST = "lost", "was lost in the middle of a session"
    SILENT = "silent", "accepts connections and then says nothing"
    CLOSED = "closed", "accepts connections and then closes them"
    FAULT = "fault", "answers with a fault of its own: {summary}"
    ODD = "odd", "answers what is not of its protocol"
    HANDSHAKE = "handshake", "does not complete the TLS handshake"
    EXPIRED = "expired", "has a certificate that has expired"
    NOT_YET_VALID = "not_yet_valid", "has a certificate that is not valid yet"
    MISNAMED = "misnamed", "has a certificate for another name"
    UNTRUSTED = "untrusted", "has a certificate that is not trusted here"
    STRIPPED = "stripped", "is not to be had with STARTTLS: {summary}"
    NOT_TRIED = "not_tried", "cannot be tried: {summary}"
    HELD_BACK = "held_back", "does not serve this host's address: {summary}"
    ACCOUNT = "account", "refuses the account: {summary}"
    DOMAIN = "domain", "is not as its domain's records say: {summary}"
    TOKEN = "token", "gets no valid access token: {summary}"
    EXPORTER = "exporter", "is not used as it should be: {summary}"
    # fmt: on


CONNECTED = frozenset(
    {
        Symptom.SILENT,
        Symptom.CLOSED,
        Symptom.FAULT,
        Symptom.ODD,
        Symptom.HANDSHAKE,
        Symptom.EXPIRED,
        Symptom.NOT_YET_VALID,
        Symptom.MISNAMED,
        Symptom.UNTRUSTED,
        Symptom.STRIPPED,
    }
)
"""Symptoms of a connection that was made."""

UNREACHED = frozenset(
    {Symptom.NAME, Symptom.NO_ROUTE, Symptom.UNREACHABLE, Symptom.UNANSWERED, Symptom.REFUSED, Symptom.LOST}
)
"""Symptoms of packets that may not have reached the server."""

AT_FAULT = frozenset({Symptom.SILENT, Symptom.CLOSED, Symptom.FAULT})
"""Symptoms of a server that was reached, and does not serve."""

TOLD = frozenset({Symptom.HELD_BACK, Symptom.ACCOUNT, Symptom.DOMAIN, Symptom.TOKEN, Symptom.EXPORTER})
"""Symptoms that need no evidence: the reason says so itself."""

CERTAIN = TOLD | {Symptom.NOT_TRIED}
"""Symptoms that evidence can explain, but not change."""

_LATER = frozenset(Phase) - {Phase.RESOLVE, Phase.CONNECT}

_OF_REASON: Mapping[Reason, Symptom | Mapping[Phase, Symptom]] = {
    Reason.DNS_NOT_FOUND: Symptom.NAME,
    Reason.DNS_NO_ADDRESS: Symptom.NAME,
    Reason.DNS_ERROR: Symptom.NAME,
    Reason.TIMEOUT: {
        Phase.RESOLVE: Symptom.NAME,
        Phase.CONNECT: Symptom.UNANSWERED,
        **dict.fromkeys(_LATER, Symptom.SILENT),
    },
    Reason.REFUSED: {
        Phase.RESOLVE: Symptom.NAME,
        Phase.CONNECT: Symptom.REFUSED,
        **dict.fromkeys(_LATER, Symptom.CLOSED),
    },
    Reason.UNREACHABLE: {
        Phase.RESOLVE: Symptom.NAME,
        Phase.CONNECT: Symptom.UNREACHABLE,
        **dict.fromkeys(_LATER, Symptom.LOST),
    },
    Reason.RESET: {
        Phase.RESOLVE: Symptom.NAME,
        Phase.CONNECT: Symptom.REFUSED,
        **dict.fromkeys(_LATER, Symptom.CLOSED),
    },
    Reason.CLOSED: {
        Phase.RESOLVE: Symptom.NAME,
        Phase.CONNECT: Symptom.REFUSED,
        **dict.fromkeys(_LATER, Symptom.CLOSED),
    },
    Reason.ADDRESS_FAMILY_UNAVAILABLE: Symptom.NO_ROUTE,
    Reason.CERTIFICATE_EXPIRED: Symptom.EXPIRED,
    Reason.CERTIFICATE_NOT_YET_VALID: Symptom.NOT_YET_VALID,
    Reason.CERTIFICATE_HOSTNAME_MISMATCH: Symptom.MISNAMED,
    Reason.CERTIFICATE_UNTRUSTED: Symptom.UNTRUSTED,
    Reason.TLS_FAILED: Symptom.HANDSHAKE,
    Reason.STARTTLS_UNAVAILABLE: Symptom.STRIPPED,
    Reason.STARTTLS_INJECTION: Symptom.STRIPPED,
    Reason.STARTTLS_PREAUTH: Symptom.STRIPPED,
    Reason.PROTOCOL_VIOLATION: Symptom.ODD,
    Reason.RESPONSE_TOO_LARGE: Symptom.ODD,
    Reason.FILES_USED_UP: Symptom.NOT_TRIED,
}
"""Of the reasons whose blame only evidence can tell."""

_OF_DOMAIN = frozenset(
    {
        Reason.MX_ADDRESS_LITERAL,
        Reason.MX_RECORDS_CHANGED,
        Reason.MX_NULL,
        Reason.MTA_STS_TXT_MISSING,
        Reason.MTA_STS_TXT_AMBIGUOUS,
        Reason.MTA_STS_POLICY_UNREACHABLE,
        Reason.MTA_STS_POLICY_INVALID,
        Reason.MTA_STS_POLICY_EXPIRED,
        Reason.MTA_STS_POLICY_CHANGED,
        Reason.MTA_STS_TESTING,
        Reason.MTA_STS_MX_MISMATCH,
        Reason.MTA_STS_CERTIFICATE,
        Reason.DANE_MISMATCH,
        Reason.DANE_UNAUTHENTICATED,
    }
)
"""Reasons of a mail domain: no account is concerned."""

_OF_BLAME: Mapping[Blame, Symptom] = {
    Blame.PROVIDER: Symptom.FAULT,
    Blame.NETWORK: Symptom.HELD_BACK,
    Blame.ACCOUNT: Symptom.ACCOUNT,
    Blame.TOKEN: Symptom.TOKEN,
    Blame.CLIENT: Symptom.EXPORTER,
}
"""Of the other reasons, by their own blame."""


def symptom_of_pair(phase: Phase, reason: Reason) -> Symptom:
    """Return the symptom of a reason in a phase. There is one for every pair."""
    if reason in _OF_DOMAIN:
        return Symptom.DOMAIN
    found = _OF_REASON.get(reason) or _OF_BLAME[reason.blame]
    return found if isinstance(found, Symptom) else found[phase]


def symptom_of(outcome: Outcome) -> Symptom:
    """Return the symptom of a failed probe: that of its phase and reason, unless TCP saw more.

    A session whose last segments were never acknowledged was lost on the way: the server may never have been asked.
    """
    symptom = symptom_of_pair(outcome.phase, outcome.reason)
    tcp = outcome.observed.tcp
    is_lost = tcp is not None and tcp.finding is TcpFinding.UNACKNOWLEDGED
    return Symptom.LOST if is_lost and symptom in (Symptom.SILENT, Symptom.CLOSED) else symptom
