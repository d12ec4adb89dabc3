"""What the evidence of a failed probe says: Outcome → facts, each with its words for people.

A fact is there, or it is not: what was not looked at, and what was looked at and proves nothing, gives none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from exporter.model.address import Address
from exporter.model.evidence import ControlKind, ControlState, Evidence, PathEnd
from exporter.model.outcome import Outcome
from exporter.model.reason import provider_name, provider_of
from exporter.model.settings import IpFamily
from exporter.model.verdict import Fact
from exporter.verdict.symptom import CONNECTED, Symptom, symptom_of

FEW_FILES = 4
"""Descriptors below which a probe may not get those that it needs."""

LARGE_SKEW = 3600.0
"""Seconds by which a clock must be wrong to explain a certificate whose dates are not known."""


_IN_ORDER = tuple(Fact)

Facts = Mapping[Fact, str]
"""Facts with a sentence for people; "" where there is nothing to be said of it."""


def facts_of(outcome: Outcome) -> Facts:
    """Return what the evidence of a failed probe says, in the order of `Fact`."""
    evidence, symptom = outcome.evidence or Evidence(), symptom_of(outcome)
    found: dict[Fact, str] = {}
    if symptom in CONNECTED:
        found[Fact.CONNECTED] = ""
    if symptom is Symptom.STRIPPED and outcome.target.endpoint.needs_public_root:
        found[Fact.MUST_BE_PUBLIC] = ""
    for facts in (_of_controls, _of_path, _of_this_host, _of_names, _of_certificate, _of_others):
        found.update(facts(outcome, evidence))
    return {fact: found[fact] for fact in _IN_ORDER if fact in found}


def ip_version_of(outcome: Outcome) -> int | None:
    """Return the version of IP that failed; None where the name has not resolved, and any would do."""
    if outcome.observed.ip_version is not None:
        return outcome.observed.ip_version
    return {IpFamily.IPV4: 4, IpFamily.IPV6: 6}.get(outcome.target.ip_family)


def _of_controls(outcome: Outcome, evidence: Evidence) -> Iterator[tuple[Fact, str]]:
    version, port = ip_version_of(outcome), outcome.target.endpoint.port
    neutral = _elsewhere(evidence.of_kind(ControlKind.NEUTRAL, version), outcome)
    yield _kind(neutral, Fact.NEUTRAL_UP, Fact.NEUTRAL_DOWN, "other hosts of the internet") or (Fact.NO_NEUTRAL, "")
    if neutral and all(control.up is False and not control.was_ever_up for control in neutral):
        yield Fact.NEUTRAL_NEVER, f"Other hosts of the internet: no answer from {_names(neutral)}, now or before."
    others = _elsewhere(evidence.of_kind(ControlKind.SAME_PORT, version), outcome)
    same = [control for control in others if control.port == port]
    if of_port := _kind(same, Fact.SAME_PORT_UP, Fact.SAME_PORT_DOWN, f"port {port} at other providers"):
        yield of_port
    web = evidence.of_kind(ControlKind.PROVIDER_WEB, version)
    if of_web := _kind(web, Fact.WEB_UP, Fact.WEB_DOWN, "the provider's web"):
        yield of_web


def _elsewhere(controls: Iterable[ControlState], outcome: Outcome) -> list[ControlState]:
    """Return the controls that are not the provider's that fails: those fail with it, and acquit it of nothing."""
    own = {provider_name(outcome.target.endpoint.host), outcome.observed.address}
    return [control for control in controls if provider_name(control.host) not in own]


def _kind(controls: Iterable[ControlState], is_up: Fact, is_down: Fact, what: str) -> tuple[Fact, str] | None:
    """One that is up is enough. Where none is, only those that were up before show anything."""
    up = [control for control in controls if control.up]
    down = [control for control in controls if control.up is False and control.was_ever_up]
    if up:
        return is_up, f"{_capital(what)}: {_names(up)} answered."
    if down:
        return is_down, f"{_capital(what)}: no answer from {_names(down)}, which answered before."
    return None


def _of_path(outcome: Outcome, evidence: Evidence) -> Iterator[tuple[Fact, str]]:
    used = outcome.observed.address
    if used and symptom_of(outcome) is Symptom.REFUSED and ip_address(used.partition("%")[0]).is_loopback:
        yield Fact.ON_THIS_HOST, f"{used} is this host itself: no network is in between."
    path, web, before = evidence.trace, evidence.trace_web, evidence.farthest_hop
    if path is None:
        return
    last = path.last_answer or 0
    web_answers = web is not None and web.end is PathEnd.SYN_ACK
    ends_early = path.end in (PathEnd.NOTHING, PathEnd.ICMP_UNREACHABLE)
    if ends_early and not web_answers and before is not None and last < before:
        yield Fact.PATH_SHORT, f"The path ends after hop {last}; it was seen as far as hop {before} before."
    elif ends_early and not web_answers and evidence.was_reached:
        yield (
            Fact.PATH_SHORT,
            f"The path ends after hop {last}, on every port that was tried; it led to the server before.",
        )
    if web is None or not web_answers or web.end_hop is None:
        return
    behind = [hop for hop in web.hops if hop.address is not None and last < hop.ttl < web.end_hop]
    if path.end is PathEnd.NOTHING and behind:
        text = f"Port {path.port}: nothing behind hop {last} answers. Port 443 of the same address: hop {behind[0].ttl}"
        yield Fact.BLOCKED_BEFORE_WEB, f"{text} ({behind[0].address}) and the server, at hop {web.end_hop}, answer."
    if path.end in (PathEnd.RST, PathEnd.ICMP_REJECTED, PathEnd.ICMP_UNREACHABLE) and path.end_hop is not None:
        text = (
            f"The refusal comes from hop {path.end_hop}; port 443 of the same address answers from hop {web.end_hop}."
        )
        if path.end_hop == web.end_hop:
            yield Fact.REFUSED_AT_WEB, text
        elif path.end_hop < web.end_hop:
            yield Fact.REFUSED_NEARER, text


def _of_this_host(outcome: Outcome, evidence: Evidence) -> Iterator[tuple[Fact, str]]:
    host = evidence.host
    if host is None:
        return
    version = ip_version_of(outcome)
    routes = {4: host.has_route_ipv4, 6: host.has_route_ipv6}
    if all(has_route is False for of, has_route in routes.items() if version in (None, of)):
        yield Fact.NO_ROUTE, f"This host has no route{f' for IPv{version}' if version else ''}."
    if host.resolver_answers is False:
        yield Fact.NO_RESOLVER, "This host's resolver resolves no name."
    if host.open_files_left is not None and host.open_files_left < FEW_FILES:
        yield (
            Fact.FILES_USED_UP,
            f"This process may open {host.open_files_left} more files: it has no room for a probe.",
        )
    if host.clock_skew is not None:
        skew = f"This host's clock is {abs(host.clock_skew):,.0f} s {'ahead' if host.clock_skew > 0 else 'behind'}"
        if _is_explained(outcome, host.clock_skew):
            yield Fact.CLOCK_WRONG, f"{skew}; by a clock that is right, the certificate is valid."
        else:
            yield Fact.CLOCK_RIGHT, ""


def _is_explained(outcome: Outcome, skew: float) -> bool:
    """Whether the dates of the certificate are right by a clock that is not off by `skew`."""
    tls, symptom, now = outcome.observed.tls, symptom_of(outcome), outcome.ended_at - skew
    if symptom is Symptom.EXPIRED:
        ends = [at for at in (tls.not_after, tls.chain_not_after) if at is not None] if tls else []
        return min(ends) >= now if ends else skew > LARGE_SKEW
    if symptom is Symptom.NOT_YET_VALID:
        begins = [each.not_before for each in tls.chain if each.not_before is not None] if tls else []
        return max(begins) <= now if begins else skew < -LARGE_SKEW
    return False


def _of_names(outcome: Outcome, evidence: Evidence) -> Iterator[tuple[Fact, str]]:
    resolved = [opinion for opinion in evidence.opinions if opinion.addresses]
    if not resolved:
        return
    first, used = resolved[0], outcome.observed.address
    said = f"The resolver {first.resolver} says that {first.name} is at {', '.join(first.addresses[:3])}"
    if symptom_of(outcome) is Symptom.NAME:
        yield Fact.RESOLVES_ELSEWHERE, f"{said}."
    elif used and not _is_public(used) and all(map(_is_public, first.addresses)):
        yield Fact.RESOLVER_LIES, f"{said}; this host's resolver gives {used}, which is not public."


def _is_public(address: str) -> bool:
    return ip_address(address.partition("%")[0]).is_global


def _of_certificate(outcome: Outcome, evidence: Evidence) -> Iterator[tuple[Fact, str]]:
    tls, needs = outcome.observed.tls, outcome.target.endpoint.needs_public_root
    issuer = tls.issuer if tls else "an issuer that is not known"
    if evidence.portal:
        yield Fact.PORTAL, "A captive portal answers a plain request in place of the provider."
    if evidence.public_root:
        yield Fact.PUBLIC_ROOT, f"The certificate, from {issuer}, has a root that the public trusts."
    elif evidence.public_root is False and needs:
        yield Fact.PRIVATE_ROOT, f"The certificate, from {issuer}, has a root that the public does not know."


def _of_others(outcome: Outcome, evidence: Evidence) -> Iterator[tuple[Fact, str]]:
    siblings, addresses, status = evidence.siblings, evidence.addresses, evidence.status
    if siblings and siblings.providers.all_down and siblings.providers.down > 1:
        yield Fact.SEVERAL_DOWN, f"All endpoints of all {siblings.providers.down} providers are down."
    if addresses and addresses.up:
        yield (
            Fact.OTHER_ADDRESSES,
            f"{addresses.up} of {addresses.up + addresses.down} other addresses answer as they should.",
        )
    if status and status.is_known and status.incidents:
        newest, provider = status.incidents[0], provider_of(outcome.target.endpoint.host)
        more = f", and {len(status.incidents) - 1} more" if status.incidents[1:] else ""
        yield Fact.INCIDENT, f"{_capital(provider)} has an open incident ({newest.impact}): {newest.text}{more}."


def _names(controls: Iterable[ControlState]) -> str:
    return ", ".join(f"{control.name} ({Address(control.host, control.port)})" for control in controls)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
