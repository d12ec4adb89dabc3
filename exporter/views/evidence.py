"""The evidence of a verdict, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from exporter.model.address import Address
from exporter.model.evidence import ControlState, Evidence, HostFacts, Incident, PathEnd, Tally, Trace
from exporter.model.outcome import Outcome
from exporter.views.times import milliseconds, utc

_RIGHT = 2.0
"""Seconds by which a clock may be off and still be right."""

_MAX_SHOWN = 3
"""Incidents, and addresses of a second opinion, that are shown."""


class Item(NamedTuple):
    """A piece of evidence: what was looked at, and what it showed."""

    label: str
    text: str


def items(outcome: Outcome) -> list[Item]:
    """Return what was looked at beside the probe itself, without the paths; empty where nothing was."""
    evidence = outcome.evidence
    if evidence is None:
        return []
    found = [Item(_capital(control.kind.label), _control(control)) for control in evidence.controls]
    for opinion in evidence.opinions:
        said = ", ".join(opinion.addresses[:_MAX_SHOWN]) or opinion.failure
        found.append(Item(f"Resolver {opinion.resolver}", f"{opinion.name}: {said}"))
    if evidence.host and (said := "; ".join(_of_host(evidence.host))):
        found.append(Item("This host", said))
    if evidence.portal is not None:
        found.append(Item("Captive portal", "one answers" if evidence.portal else "none answers"))
    if evidence.public_root is not None:
        found.append(Item("Root of the certificate", "public" if evidence.public_root else "trusted only here"))
    if evidence.addresses:
        found.append(Item("Other addresses", _tally(evidence.addresses, "answer as they should")))
    if evidence.siblings and (said := "; ".join(_of_siblings(outcome, evidence))):
        found.append(Item("Other endpoints", said))
    if evidence.status:
        found.append(Item("The provider's own status", _of_status(evidence)))
    if evidence.is_pending:
        found.append(Item("Not complete", "more is being gathered, which counts from the next probe"))
    return found


def paths(outcome: Outcome) -> list[Item]:
    """Return the paths that were traced, each as a line of hops."""
    evidence = outcome.evidence
    traces = (evidence.trace, evidence.trace_web) if evidence else ()
    return [Item(f"Path to port {trace.port}", path(trace)) for trace in traces if trace]


def path(trace: Trace) -> str:
    """Return a path as a line of hops: what answered, after how long, and what ended it.

    Hops that did not answer are shown as `*`, those behind the last one that did are left out.
    """
    last = trace.last_answer or 0
    hops = [
        f"{hop.address}{f' {milliseconds(hop.rtt)}' if hop.rtt is not None else ''}" if hop.address else "*"
        for hop in trace.hops
        if hop.ttl <= last
    ]
    end = trace.end.sentence if trace.end is not PathEnd.NOTHING else f"nothing answers behind hop {last}"
    return " → ".join([*(f"{number} {hop}" for number, hop in enumerate(hops, 1)), end])


def evidence_to_json(evidence: Evidence) -> Mapping[str, Any]:
    """Return evidence as JSON values; what was not looked at is null, or an empty list."""
    return {
        "at": evidence.at,
        "pending": evidence.is_pending,
        "trace": _trace(evidence.trace),
        "trace_web": _trace(evidence.trace_web),
        "farthest_hop": evidence.farthest_hop,
        "controls": [
            {
                "name": control.name,
                "kind": control.kind.value,
                "host": control.host,
                "port": control.port,
                "up": control.up,
                "was_ever_up": control.was_ever_up,
                "ip_version": control.ip_version,
                "at": control.at,
                "detail": control.detail,
            }
            for control in evidence.controls
        ],
        "resolvers": [
            {
                "resolver": opinion.resolver,
                "name": opinion.name,
                "addresses": list(opinion.addresses),
                "failure": opinion.failure,
            }
            for opinion in evidence.opinions
        ],
        "host": _host(evidence.host) if evidence.host else None,
        "siblings": {
            name: _count(getattr(evidence.siblings, name)) for name in ("host", "account", "provider", "providers")
        }
        if evidence.siblings
        else None,
        "addresses": _count(evidence.addresses) if evidence.addresses else None,
        "status": {
            "provider": evidence.status.provider,
            "read_at": evidence.status.read_at,
            "fault": evidence.status.fault,
            "incidents": list(map(_incident, evidence.status.incidents)),
        }
        if evidence.status
        else None,
        "public_root": evidence.public_root,
        "portal": evidence.portal,
    }


def _control(control: ControlState) -> str:
    version = f" over IPv{control.ip_version}" if control.ip_version else ""
    name = f"{control.name} ({Address(control.host, control.port)}){version}"
    if control.up is None:
        return f"{name} was not looked at yet"
    if control.up:
        return f"{name} answered"
    never = "" if control.was_ever_up else "; it never answered, which proves nothing"
    return f"{name}: {control.detail or 'no answer'}{never}"


def _of_host(host: HostFacts) -> Iterator[str]:
    for version, has_route in (4, host.has_route_ipv4), (6, host.has_route_ipv6):
        if has_route is not None:
            yield f"{'a' if has_route else 'no'} route for IPv{version}"
    if host.resolver_answers is not None:
        yield "its resolver answers" if host.resolver_answers else "its resolver resolves no name"
    if host.clock_skew is not None:
        skew = f"{abs(host.clock_skew):,.0f} s {'ahead' if host.clock_skew > 0 else 'behind'}"
        yield "its clock is right" if abs(host.clock_skew) < _RIGHT else f"its clock is {skew}"
    if host.open_files_left is not None:
        yield f"{host.open_files_left:,} more files may be opened"


def _of_siblings(outcome: Outcome, evidence: Evidence) -> Iterator[str]:
    siblings, host = evidence.siblings, outcome.target.endpoint.host
    if siblings is None:
        return
    for tally, of in (
        (siblings.host, f"at {host}"),
        (siblings.provider, "of this provider at other hosts"),
        (siblings.account, "with a login of this account"),
    ):
        if tally.up or tally.down:
            yield f"{_tally(tally, 'are up')} {of}"
    if siblings.providers.up + siblings.providers.down > 1:
        yield f"{_tally(siblings.providers, 'have an endpoint that is up')} of the providers"


def _of_status(evidence: Evidence) -> str:
    status = evidence.status
    if status is None or not status.is_known:
        return f"cannot be read: {status.fault}" if status and status.fault else "was not read yet"
    if not status.incidents:
        return "no open incident; that acquits nobody, for incidents are published late"
    told = [f"since {utc(each.begin)}: {each.text} ({each.url})" for each in status.incidents[:_MAX_SHOWN]]
    more = len(status.incidents) - len(told)
    return "; ".join([*told, *([f"and {more} more"] if more else [])])


def _tally(tally: Tally, what: str) -> str:
    return f"{tally.up:,} of {tally.up + tally.down:,} {what}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count(tally: Tally) -> Mapping[str, int]:
    return {"up": tally.up, "down": tally.down}


def _trace(trace: Trace | None) -> Mapping[str, Any] | None:
    if trace is None:
        return None
    return {
        "address": trace.address,
        "port": trace.port,
        "at": trace.at,
        "hops": [{"ttl": hop.ttl, "address": hop.address, "rtt_seconds": hop.rtt} for hop in trace.hops],
        "end": trace.end.value,
        "end_hop": trace.end_hop,
    }


def _host(host: HostFacts) -> Mapping[str, Any]:
    return {
        "has_route_ipv4": host.has_route_ipv4,
        "has_route_ipv6": host.has_route_ipv6,
        "resolver_answers": host.resolver_answers,
        "clock_skew_seconds": host.clock_skew,
        "open_files_left": host.open_files_left,
    }


def _incident(incident: Incident) -> Mapping[str, Any]:
    return {
        "id": incident.id,
        "severity": incident.severity,
        "impact": incident.impact,
        "status": incident.status,
        "begin": incident.begin,
        "text": incident.text,
        "url": incident.url,
    }
