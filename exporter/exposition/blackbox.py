"""One Outcome → the metrics of blackbox_exporter, for the dashboards and alerts that people have.

Names, types, labels and meanings are those of its `tcp` prober; where it says 0 for what it does not know, so does
this. `gmail_*` metrics, of what is probed on a schedule, are in `metrics.py`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client.metrics_core import GaugeMetricFamily

from exporter.exposition.text import Format
from exporter.model.outcome import LOGIN_PHASES, Outcome, Phase, TlsFacts
from exporter.model.reason import Reason
from exporter.monitor.checker import Look


class Family(NamedTuple):
    """A metric family, always a gauge."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ()


# fmt: off
SUCCESS = Family("probe_success",
    "Whether the target connected, secured the connection, was greeted and told its capabilities. "
    "Login does not count here: a wrong password is not an outage.")
DURATION = Family("probe_duration_seconds",
    "How long the probe took: the sum of its phases.")
DNS_LOOKUP_TIME = Family("probe_dns_lookup_time_seconds",
    "How long the look-up of the target's name took.")
IP_PROTOCOL = Family("probe_ip_protocol",
    "IP version used: 4 or 6; 0 where no address was found.")
IP_ADDR_HASH = Family("probe_ip_addr_hash",
    "Hash (FNV-1a, 32 bits) of the address used, to see that it changes; 0 where none was found.")
FAILED_DUE_TO_REGEX = Family("probe_failed_due_to_regex",
    "Whether the server answered, and not as a mail server that is well does.")
EARLIEST_CERT_EXPIRY = Family("probe_ssl_earliest_cert_expiry",
    "Earliest notAfter in the chain that the server presented, also where it was not trusted.")
LAST_CHAIN_EXPIRY = Family("probe_ssl_last_chain_expiry_timestamp_seconds",
    "Earliest notAfter in the chain by which the server was trusted; absent where it was not.")
LAST_CHAIN_INFO = Family("probe_ssl_last_chain_info",
    "Always 1: the server's own certificate.",
    ("fingerprint_sha256", "subject", "issuer", "subjectalternative", "serialnumber"))
TLS_VERSION = Family("probe_tls_version_info",
    "Always 1: the TLS version agreed on.", ("version",))
TLS_CIPHER = Family("probe_tls_cipher_info",
    "Always 1: the cipher agreed on.", ("cipher",))
PHASE_DURATION = Family("probe_phase_duration_seconds",
    "How long each phase took.", ("phase",))
FAILURE_INFO = Family("probe_failure_info",
    "1 where the probe, or its login, failed: where, why, and whose fault it is; absent otherwise.",
    ("phase", "reason", "blame"))
LOGIN_SUCCESS = Family("probe_login_success",
    "Whether the login, and what was looked at after it, succeeded; absent where this probe did not log in.")
LOGIN_SUSPENDED = Family("probe_login_suspended",
    "Whether logins are held back to protect the account; absent where the module has none.")
# fmt: on

FAMILIES = (
    SUCCESS, DURATION, DNS_LOOKUP_TIME, IP_PROTOCOL, IP_ADDR_HASH, FAILED_DUE_TO_REGEX,
    EARLIEST_CERT_EXPIRY, LAST_CHAIN_EXPIRY, LAST_CHAIN_INFO, TLS_VERSION, TLS_CIPHER,
    PHASE_DURATION, FAILURE_INFO, LOGIN_SUCCESS, LOGIN_SUSPENDED,
)  # fmt: skip

_NO_ANSWER = frozenset({Reason.TIMEOUT, Reason.RESET, Reason.RESPONSE_TOO_LARGE, Reason.INTERNAL})
"""Failures of a dialogue in which no line was there to be compared."""

_DIALOGUE = frozenset({Phase.GREETING, Phase.CAPABILITY, Phase.STARTTLS})

Sample = tuple[Family, tuple[str, ...], float]


def samples(look: Look) -> Iterator[Sample]:
    """Everything that is said of a target."""
    outcome, observed = look.outcome, look.outcome.observed
    address = ipaddress.ip_address(observed.address) if observed.address else None
    yield SUCCESS, (), outcome.up
    yield DURATION, (), outcome.duration
    yield DNS_LOOKUP_TIME, (), outcome.phases.get(Phase.RESOLVE, 0.0)
    yield IP_PROTOCOL, (), address.version if address else 0
    yield IP_ADDR_HASH, (), _fnv1a(address.packed) if address else 0
    yield FAILED_DUE_TO_REGEX, (), outcome.phase in _DIALOGUE and outcome.reason not in _NO_ANSWER
    if observed.tls:
        yield from _of_tls(observed.tls)
    for phase, seconds in outcome.phases.items():
        yield PHASE_DURATION, (phase.value,), seconds
    if not outcome.ok:
        yield FAILURE_INFO, (outcome.phase.value, outcome.reason.value, outcome.blame.value), 1
    if outcome.login_reached:
        yield LOGIN_SUCCESS, (), outcome.phase not in LOGIN_PHASES or outcome.ok
    if look.standing:
        yield LOGIN_SUSPENDED, (), look.standing.held_by is not None


def _of_tls(facts: TlsFacts) -> Iterator[Sample]:
    yield EARLIEST_CERT_EXPIRY, (), facts.chain_not_after
    if facts.verified_not_after is not None:
        yield LAST_CHAIN_EXPIRY, (), facts.verified_not_after
    for leaf in facts.chain[:1]:
        names = ",".join(name for name in leaf.names if not _is_address(name))
        yield LAST_CHAIN_INFO, (leaf.fingerprint_sha256, leaf.subject, leaf.issuer, names, leaf.serial_number), 1
    yield TLS_VERSION, (facts.version.replace("TLSv", "TLS "),), 1
    yield TLS_CIPHER, (facts.cipher,), 1


def exposition(look: Look, accept: str) -> tuple[bytes, str]:
    """Return the metrics and their content type, in the format that the Accept header asks for."""
    asked_for = Format.of(accept)
    return asked_for.encode(_Registry(samples(look))), asked_for.content_type


def debug(look: Look) -> str:
    """Return what was said and what came of it, for people: without secrets, and without what moves a terminal."""
    outcome = look.outcome
    endpoint = outcome.target.endpoint
    said = "".join(f"{_plain(str(line))}\n" for line in outcome.dialogue) or "(nothing was said)\n"
    times = "".join(f"{seconds:9.6f} s  {phase}\n" for phase, seconds in outcome.phases.items())
    return (
        f"{endpoint.protocol} at {endpoint.host} port {endpoint.port}, security {endpoint.security}, "
        f"deadline {endpoint.timeout:.3g} s\n\n"
        f"What was said, in seconds since the probe began:\n{said}\n"
        f"How long it took:\n{times}\n"
        f"What came of it:\n{_verdict(look)}\n"
        f"The metrics:\n{exposition(look, '')[0].decode()}"
    )


def _verdict(look: Look) -> str:
    outcome = look.outcome
    held = f"logins are held back: {look.standing.held_by}\n" if look.standing and look.standing.held_by else ""
    if outcome.ok:
        return f"ok{_address(outcome)}\n{held}"
    return (
        f"{outcome.reason} in {outcome.phase}, the fault of {outcome.blame}{_address(outcome)}\n"
        f"detail: {_plain(outcome.detail)}\n"
        f"remedy: {outcome.reason.remedy}\n{held}"
    )


def _address(outcome: Outcome) -> str:
    return f", at {outcome.observed.address}" if outcome.observed.address else ""


def _plain(text: str) -> str:
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class _Registry:
    """As much of a registry as an encoder asks for: no series outlives its answer."""

    def __init__(self, all_samples: Iterable[Sample]) -> None:
        self._families: dict[str, GaugeMetricFamily] = {}
        for family, labels, value in all_samples:
            if family.name not in self._families:
                self._families[family.name] = GaugeMetricFamily(family.name, family.documentation, labels=family.labels)
            self._families[family.name].add_metric(labels, float(value))

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the families, in the order of their samples."""
        return self._families.values()


def _fnv1a(octets: bytes) -> int:
    hashed = 0x811C9DC5
    for octet in octets:
        hashed = (hashed ^ octet) * 0x01000193 & 0xFFFFFFFF
    return hashed


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
