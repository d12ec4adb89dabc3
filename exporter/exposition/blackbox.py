"""The Outcome of a request of `/probe` → the metrics of blackbox_exporter, for existing dashboards and alerts.

Names, types, labels and meanings are those of its `tcp` prober; an unknown value is 0 here where it is 0 there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporter.exposition.text import Family, Format, Lines, Samples, render
from exporter.model.address import is_ip_address
from exporter.model.certificate import TlsFacts
from exporter.model.message import escape_invisible
from exporter.model.outcome import LOGIN_PHASES, Outcome, Phase
from exporter.model.reason import Reason


def gauge(name: str, text: str, *labels: str) -> Family:
    """Declare a metric of `/probe`."""
    return Family(name, "gauge", text, *labels)


# fmt: off
SUCCESS = gauge("probe_success",
    "Whether the probe connected, secured the connection, was greeted and got the capabilities. "
    "Login does not count here: a wrong password is not an outage.")
DURATION = gauge("probe_duration_seconds",
    "How long the probe took: the sum of its phases.")
DNS_LOOKUP_TIME = gauge("probe_dns_lookup_time_seconds",
    "How long the look-up of the target's name took.")
IP_PROTOCOL = gauge("probe_ip_protocol",
    "IP version used: 4 or 6; 0 where no address was found.")
IP_ADDR_HASH = gauge("probe_ip_addr_hash",
    "Hash (FNV-1a, 32 bits) of the address used, to see that it changes; 0 where none was found.")
FAILED_DUE_TO_REGEX = gauge("probe_failed_due_to_regex",
    "Whether the server answered, but not as a healthy mail server does.")
EARLIEST_CERT_EXPIRY = gauge("probe_ssl_earliest_cert_expiry",
    "Earliest notAfter in the chain that the server presented, also where it was not trusted.")
LAST_CHAIN_EXPIRY = gauge("probe_ssl_last_chain_expiry_timestamp_seconds",
    "Earliest notAfter in the chain by which the server was trusted; absent where it was not.")
LAST_CHAIN_INFO = gauge("probe_ssl_last_chain_info",
    "Always 1: the server's own certificate.",
    "fingerprint_sha256", "subject", "issuer", "subjectalternative", "serialnumber")
TLS_VERSION = gauge("probe_tls_version_info",
    "Always 1: the TLS version agreed on.", "version")
TLS_CIPHER = gauge("probe_tls_cipher_info",
    "Always 1: the cipher agreed on.", "cipher")
PHASE_DURATION = gauge("probe_phase_duration_seconds",
    "How long each phase took.", "phase")
FAILURE_INFO = gauge("probe_failure_info",
    "1 where the probe, or its login, failed: where, why, and the party at fault; absent otherwise.",
    "phase", "reason", "blame")
LOGIN_SUCCESS = gauge("probe_login_success",
    "Whether the login, and the checks after it, succeeded; absent where this probe did not log in.")
LOGIN_SUSPENDED = gauge("probe_login_suspended",
    "Whether logins are held back to protect the account; absent where the module has none.")
# fmt: on

FAMILIES = (
    SUCCESS, DURATION, DNS_LOOKUP_TIME, IP_PROTOCOL, IP_ADDR_HASH, FAILED_DUE_TO_REGEX,
    EARLIEST_CERT_EXPIRY, LAST_CHAIN_EXPIRY, LAST_CHAIN_INFO, TLS_VERSION, TLS_CIPHER,
    PHASE_DURATION, FAILURE_INFO, LOGIN_SUCCESS, LOGIN_SUSPENDED,
)  # fmt: skip

_NO_ANSWER = frozenset({Reason.TIMEOUT, Reason.RESET, Reason.RESPONSE_TOO_LARGE, Reason.INTERNAL})
"""Failures of a dialogue in which there was no line to compare."""

_DIALOGUE = frozenset({Phase.GREETING, Phase.CAPABILITY, Phase.STARTTLS})


def samples(outcome: Outcome) -> Iterator[Samples]:
    """Every sample of a requested probe."""
    observed = outcome.observed
    address = ipaddress.ip_address(observed.address) if observed.address else None
    yield sample(SUCCESS, outcome.up)
    yield sample(DURATION, outcome.duration)
    yield sample(DNS_LOOKUP_TIME, outcome.phases.get(Phase.RESOLVE, 0.0))
    yield sample(IP_PROTOCOL, address.version if address else 0)
    yield sample(IP_ADDR_HASH, _fnv1a(address.packed) if address else 0)
    yield sample(FAILED_DUE_TO_REGEX, outcome.phase in _DIALOGUE and outcome.reason not in _NO_ANSWER)
    if observed.tls:
        yield from _tls_samples(observed.tls)
    for phase, seconds in outcome.phases.items():
        yield sample(PHASE_DURATION, seconds, phase.value)
    if not outcome.ok:
        yield sample(FAILURE_INFO, 1, outcome.phase.value, outcome.reason.value, outcome.blame.value)
    if outcome.login_reached:
        yield sample(LOGIN_SUCCESS, outcome.phase not in LOGIN_PHASES or outcome.ok)
    if outcome.login:
        yield sample(LOGIN_SUSPENDED, outcome.held_by is not None)


def _tls_samples(facts: TlsFacts) -> Iterator[Samples]:
    if facts.chain_not_after is not None:
        yield sample(EARLIEST_CERT_EXPIRY, facts.chain_not_after)
    if facts.verified_not_after is not None:
        yield sample(LAST_CHAIN_EXPIRY, facts.verified_not_after)
    for leaf in facts.chain[:1]:
        names = ",".join(name for name in leaf.names if not is_ip_address(name))
        yield sample(LAST_CHAIN_INFO, 1, leaf.fingerprint_sha256, leaf.subject, leaf.issuer, names, leaf.serial_number)
    yield sample(TLS_VERSION, 1, facts.version.replace("TLSv", "TLS "))
    yield sample(TLS_CIPHER, 1, facts.cipher)


def sample(family: Family, value: float, *labels: str) -> Samples:
    """Return a sample with the family's own labels."""
    return family.sample(value, **dict(zip(family.labels, labels, strict=True)))


def document(lines: Iterable[Lines], families: Iterable[Family], fmt: Format) -> bytes:
    """Return the lines of these families, each family in one piece."""
    parts = [*lines]
    pieces = []
    for family in families:
        found = [part[family.name] for part in parts if family.name in part]
        pieces += [family.head(fmt), *found] if found else []
    return b"".join([*pieces, b"# EOF\n" if fmt is Format.OPENMETRICS else b""])


@dataclass(frozen=True, slots=True)
class ProbedTarget:
    """The Outcome of one server."""

    outcome: Outcome

    def exposition(self, fmt: Format) -> bytes:
        """Return the metrics."""
        return document([render("", samples(self.outcome))], FAMILIES, fmt)

    def debug(self) -> str:
        """Return the dialogue, the result and the metrics, for people: without secrets and control characters."""
        return f"{told(self.outcome)}\nThe metrics:\n{self.exposition(Format.TEXT).decode()}"


def told(outcome: Outcome) -> str:
    """Return the dialogue and the result of one probe."""
    endpoint = outcome.target.endpoint
    dialogue = "".join(f"{escape_invisible(str(line))}\n" for line in outcome.dialogue) or "(nothing was said)\n"
    times = "".join(f"{seconds:9.6f} s  {phase}\n" for phase, seconds in outcome.phases.items())
    return (
        f"{endpoint.protocol} at {endpoint.host} port {endpoint.port}, security {endpoint.security}, "
        f"deadline {endpoint.timeout:.3g} s\n\n"
        f"The dialogue, in seconds since the probe began:\n{dialogue}\n"
        f"Duration of each phase:\n{times}\n"
        f"The result:\n{_result(outcome)}"
    )


def _result(outcome: Outcome) -> str:
    held = f"logins are held back: {outcome.held_by}\n" if outcome.held_by else ""
    address = f", at {outcome.observed.address}" if outcome.observed.address else ""
    if outcome.ok:
        return f"ok{address}\n{held}"
    return (
        f"{outcome.reason} in {outcome.phase}, the fault of {outcome.blame}{address}\n"
        f"verdict: {_verdict(outcome)}\n"
        f"detail: {escape_invisible(outcome.detail)}\n"
        f"remedy: {outcome.next_step}\n{held}"
    )


def _verdict(outcome: Outcome) -> str:
    """The verdict, with the facts that it rests on, a line each."""
    judgement = outcome.judgement
    if judgement is None:
        return "none"
    facts = "".join(f"\n  {escape_invisible(fact)}" for fact in judgement.facts)
    return f"{judgement.verdict}: {escape_invisible(str(judgement))}{facts}"


def _fnv1a(octets: bytes) -> int:
    hashed = 0x811C9DC5
    for octet in octets:
        hashed = (hashed ^ octet) * 0x01000193 & 0xFFFFFFFF
    return hashed
