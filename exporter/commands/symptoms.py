"""What `doctor` has seen → the finding of each step. Nothing is looked at here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiodns.error import DNSError

from exporter.commands.mail_servers import Servers
from exporter.model.address import Address
from exporter.model.delivery import DeliveryResult
from exporter.model.diagnosis import Finding, Result, Step
from exporter.model.evidence import ControlState, HostFacts, ProviderStatus
from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Reason
from exporter.model.settings import PORTS, Protocol, Security
from exporter.model.verdict import Verdict
from exporter.probing.classify import describe
from exporter.views import deliveries
from exporter.views.times import span, utc

RELAY = PORTS[Protocol.SMTP, Security.NONE]

_WRONG_CLOCK = 60.0
"""Seconds by which a clock may be wrong: certificates and access tokens live for longer."""

_QUIET = 7 * 86400.0
"""Seconds without a new message after which that is worth a word."""

_SWITCHED_OFF = frozenset({Reason.DISABLED_FOR_ACCOUNT, Reason.DISABLED_FOR_DOMAIN})
_OF_DNS = frozenset({Phase.RESOLVE})
_OF_PORTS = frozenset({Phase.CONNECT})
_OF_TLS = frozenset({Phase.TLS, Phase.STARTTLS})
_OF_SERVER = frozenset({Phase.GREETING, Phase.CAPABILITY})

_NAMES = {Protocol.IMAP: "IMAP", Protocol.POP3: "POP", Protocol.SMTP: "SMTP"}


@dataclass(frozen=True, slots=True)
class Looks:
    """What was seen without a login."""

    host: HostFacts
    controls: tuple[ControlState, ...]
    status: ProviderStatus | None
    outcomes: tuple[Outcome, ...]
    """Of each server, and of each exchange where port 25 was asked for."""

    @property
    def servers(self) -> Sequence[Outcome]:
        """Those of the servers for mail clients."""
        return [outcome for outcome in self.outcomes if outcome.target.endpoint.port != RELAY]

    def failed(self, phases: Iterable[Phase]) -> Sequence[Outcome]:
        """Return the servers whose probe ended in one of these phases."""
        wanted = frozenset(phases)
        return [outcome for outcome in self.servers if not outcome.up and outcome.phase in wanted]


def left_out(step: Step, text: str, remedy: str = "") -> Finding:
    """Return the finding of a step that was not made."""
    return Finding(step, Result.LEFT_OUT, text, remedy=remedy)


def network(looks: Looks) -> Finding:
    """The routes, the clock and the controls of this host."""
    host, evidence = looks.host, _of_host(looks)
    if host.has_route_ipv4 is False and host.has_route_ipv6 is False:
        return _cause(
            Step.NETWORK,
            "This host has no route to the internet",
            "network",
            "Connect it: check the cable, Wi-Fi, the VPN and the default route (ip route).",
            evidence,
        )
    if any(control.portal for control in looks.controls):
        return _cause(
            Step.NETWORK,
            "A captive portal answers in place of the internet",
            "network",
            "Open any page in a browser, and sign in to this network there.",
            evidence,
        )
    tried = [control for control in looks.controls if control.up is not None]
    if tried and not any(control.up for control in tried) and not any(outcome.up for outcome in looks.servers):
        names = ", ".join(dict.fromkeys(control.host for control in tried))
        return _cause(
            Step.NETWORK,
            f"Nothing answers: neither the mail servers nor {names}",
            "network",
            "Check the network of this host and its firewall; if a VPN is up, try without it.",
            evidence,
        )
    skew = host.clock_skew
    if skew is not None and abs(skew) > _WRONG_CLOCK:
        text = f"The clock of this host is {span(abs(skew))} {'ahead' if skew > 0 else 'behind'}"
        remedy = "Set it, best by NTP (timedatectl set-ntp true): with a wrong clock no certificate is valid."
        if looks.failed(_OF_TLS):
            return _cause(Step.NETWORK, text, "this host", remedy, evidence)
        # By it the certificates are valid all the same: what is wrong comes later.
        remedy = "Set it, best by NTP (timedatectl set-ntp true): it is not yet wrong enough for the certificates."
        return Finding(Step.NETWORK, Result.NOTE, text, evidence, remedy=remedy)
    clock = "" if skew is None else ", and its clock is right"
    return Finding(Step.NETWORK, Result.WELL, f"This host has a network{clock}", evidence)


def _of_host(looks: Looks) -> tuple[str, ...]:
    routes = (("IPv4", looks.host.has_route_ipv4), ("IPv6", looks.host.has_route_ipv6))
    facts = [f"{name}: {'a route' if there else 'no route'}" for name, there in routes if there is not None]
    for control in looks.controls:
        over = f" over IPv{control.ip_version}" if control.ip_version else ""
        if control.up is not None:
            facts.append(f"{control.host}:{control.port}{over}: {'answers' if control.up else control.detail}")
    if looks.host.clock_skew is not None:
        facts.append(f"clock: {abs(looks.host.clock_skew):.1f} s {'ahead' if looks.host.clock_skew > 0 else 'behind'}")
    return tuple(facts)


def unknown_servers(domain: str, error: DNSError) -> Finding:
    """The servers of a domain could not be looked up."""
    return _cause(
        Step.DNS,
        f"The DNS does not answer for {domain}",
        "network",
        "Check the name servers in /etc/resolv.conf and whether this host reaches them, or name the host of the mail "
        "servers with --server HOST.",
        (describe(error),),
    )


def dns(looks: Looks, servers: Servers) -> Finding:
    """The names of the servers."""
    if failed := looks.failed(_OF_DNS):
        return _of_outcome(Step.DNS, failed)
    found = {outcome.target.endpoint.host: outcome.observed.address or "" for outcome in looks.servers}
    evidence = (f"the servers are {servers.phrase}", *(f"{host}: {address}" for host, address in found.items()))
    return Finding(Step.DNS, Result.WELL, f"{_count(len(found), 'name')} found", evidence)


def ports(looks: Looks) -> Finding:
    """The ports of the servers; those of the domain's exchanges are a note, for no mail client needs them."""
    if failed := looks.failed(_OF_PORTS):
        return _of_outcome(Step.PORTS, failed)
    relays = [outcome for outcome in looks.outcomes if outcome.target.endpoint.port == RELAY]
    evidence = tuple(_port(outcome) for outcome in (*looks.servers, *relays))
    if relays and not any(outcome.up for outcome in relays):
        return Finding(
            Step.PORTS,
            Result.NOTE,
            f"Port {RELAY} is blocked: no exchange of the domain answers",
            evidence,
            remedy="Mail clients do not need it: use 465 or 587. For a mail server, ask the provider of this network.",
        )
    open_ports = ", ".join(str(outcome.target.endpoint.port) for outcome in looks.servers)
    return Finding(Step.PORTS, Result.WELL, f"Open: {open_ports}", evidence)


def _port(outcome: Outcome) -> str:
    if Phase.CONNECT in outcome.phases and outcome.phase is not Phase.CONNECT:
        return f"{outcome.target.address}: open after {outcome.phases[Phase.CONNECT] * 1000:.0f} ms"
    return f"{outcome.target.address}: {outcome.reason}"


def tls(looks: Looks) -> Finding:
    """The handshakes, and whose certificates they show."""
    if failed := looks.failed(_OF_TLS):
        return _of_outcome(Step.TLS, failed)
    secured = [(outcome, outcome.observed.tls) for outcome in looks.servers if outcome.observed.tls]
    evidence = tuple(f"{one.target.address}: {facts.version}, issued by {facts.issuer}" for one, facts in secured)
    for outcome, facts in secured:
        if outcome.target.endpoint.needs_public_root and facts.public_root is False:
            return _cause(
                Step.TLS,
                f"Something between here and {outcome.target.endpoint.host} opens the encryption: {facts.issuer}",
                "network",
                "An antivirus program or a proxy answers in the server's place, with a certificate that only this host "
                "trusts: exempt the mail servers there, before a password passes through it.",
                evidence,
            )
    return Finding(Step.TLS, Result.WELL, "The certificates are those of the servers", evidence)


def status(looks: Looks) -> Finding:
    """What the servers say before a login, and what their operator says."""
    feed = looks.status
    incidents = [
        f"open since {utc(one.begin)}: {one.text} {one.url}".strip() for one in (feed.incidents if feed else ())
    ]
    if failed := looks.failed(_OF_SERVER):
        return _of_outcome(Step.STATUS, failed, incidents)
    if incidents:
        text = "The servers answer, but the provider has an open incident"
        return Finding(Step.STATUS, Result.NOTE, text, tuple(incidents))
    if feed is None:
        return Finding(Step.STATUS, Result.WELL, "The servers greet as they should")
    if not feed.is_known:
        text = "The servers greet as they should; what the provider says could not be read"
        return Finding(Step.STATUS, Result.WELL, text, (feed.fault,) if feed.fault else ())
    return Finding(Step.STATUS, Result.WELL, "The servers greet as they should; the provider has no open incident")


def ends_the_logins(outcome: Outcome) -> bool:
    """Whether a login failed so that no other may be made: only that of a protocol that is switched off is harmless."""
    return not outcome.ok and outcome.reason not in _SWITCHED_OFF and outcome.reason is not Reason.FOLDER_HIDDEN


def login(logins: Sequence[Outcome]) -> Finding:
    """The logins that were made, one for each protocol."""
    last = logins[-1]
    evidence = tuple(map(_login, logins))
    if last.ok and not last.login_reached:
        why = last.login.why if last.login and last.login.why else ""
        denied = last.login.denied.meaning if last.login and last.login.denied else "the login budget allows none"
        return Finding(
            Step.LOGIN,
            Result.LEFT_OUT,
            f"No login: {why or denied}",
            evidence,
            remedy="Wait, or log in whatever the login budget says, with --force.",
        )
    if ends_the_logins(last):
        return _of_outcome(Step.LOGIN, [last], evidence[:-1])
    made = [_NAMES[one.target.endpoint.protocol] for one in logins if one.reason not in _SWITCHED_OFF]
    if not made:
        return Finding(Step.LOGIN, Result.NOTE, "The password is not known to be wrong", evidence)
    return Finding(Step.LOGIN, Result.WELL, f"The login succeeds: {', '.join(made)}", evidence)


def _login(outcome: Outcome) -> str:
    name = f"{_NAMES[outcome.target.endpoint.protocol]} at {outcome.target.address}"
    if outcome.login_reached:
        return f"{name}: {outcome.reason}{f', {outcome.detail}' if outcome.detail else ''}"
    return f"{name}: no login"


def switches(logins: Sequence[Outcome]) -> Finding:
    """Whether IMAP and POP are switched on for the mailbox."""
    off = [one for one in logins if one.reason in _SWITCHED_OFF]
    on = [_NAMES[one.target.endpoint.protocol] for one in logins if one.reason not in _SWITCHED_OFF]
    if off and (not on or off[0].target.endpoint.protocol is not Protocol.POP3):
        return _of_outcome(Step.SWITCHES, off)
    if off:
        text = f"POP is switched off; {_are(on)} on"
        return Finding(Step.SWITCHES, Result.NOTE, text, (off[0].detail,), remedy=off[0].remedy)
    return Finding(Step.SWITCHES, Result.WELL, f"{_are(on)} switched on")


def settings(address: str, looks: Looks, logins: Sequence[Outcome]) -> Finding:
    """What a mail client must be set to, each line checked against what answers."""
    lines = []
    for outcome in looks.servers:
        endpoint = outcome.target.endpoint
        way = "outgoing" if endpoint.protocol is Protocol.SMTP else "incoming"
        security = {Security.TLS: "SSL/TLS", Security.STARTTLS: "STARTTLS", Security.NONE: "none"}[endpoint.security]
        sign = Result.WELL.sign if outcome.up else Result.CAUSE.sign
        lines.append(f"{sign} {way}, {_NAMES[endpoint.protocol]}: {endpoint.host}, port {endpoint.port}, {security}")
    user = f"user name: {address}, the whole address; the outgoing server asks for it, too"
    checked = "each was answered" if not logins else "each was answered, and the login was tried"
    return Finding(Step.SETTINGS, Result.WELL, f"A mail client needs these settings; {checked}", (*lines, user))


def folders(logins: Sequence[Outcome]) -> Finding:
    """The folders that IMAP shows."""
    seen = next((one for one in logins if one.target.endpoint.protocol is Protocol.IMAP), None)
    if seen is None or not seen.observed.folders:
        return left_out(Step.FOLDERS, "Folders were not looked at: they need a login by IMAP")
    evidence = tuple(
        f"{folder.role}: {f'{folder.messages:,} messages' if folder.messages is not None else 'visible'}"
        if folder.visible
        else f"{folder.role}: not shown"
        for folder in seen.observed.folders
    )
    if seen.reason is Reason.FOLDER_HIDDEN:
        return _of_outcome(Step.FOLDERS, [seen], evidence)
    return Finding(Step.FOLDERS, Result.WELL, f"{_count(len(evidence), 'folder')} shown", evidence)


def newest(logins: Sequence[Outcome], now: float) -> Finding:
    """When the newest message of the inbox came."""
    seen = next((one for one in logins if one.target.endpoint.protocol is Protocol.IMAP), None)
    if seen is None or not seen.login_reached:
        return left_out(Step.NEWEST, "The newest message was not looked at: it needs a login by IMAP")
    at = seen.observed.newest_at
    if at is None:
        return Finding(Step.NEWEST, Result.NOTE, "The inbox is empty, or does not tell when its messages came")
    text = f"The newest message of the inbox came {span(max(0.0, now - at))} ago"
    if now - at < _QUIET:
        return Finding(Step.NEWEST, Result.WELL, text, (utc(at),))
    remedy = "If there should be newer ones: send yourself a message; look into spam, at filters and at forwarding."
    return Finding(Step.NEWEST, Result.NOTE, text, (utc(at),), remedy=remedy)


def delivery(result: DeliveryResult) -> Finding:
    """A test message between two accounts of the configuration."""
    sentence = deliveries.sentence(result)
    evidence = tuple(f"{one.name}: {one.text}" for one in deliveries.steps(result, result.delivery))
    if result.not_made:
        return left_out(Step.DELIVERY, sentence)
    if not result.failures:
        return Finding(Step.DELIVERY, Result.WELL, sentence, evidence)
    first = result.failures[0]
    said = f"{first.stage}: {first.reason}{f', {first.detail}' if first.detail else ''}"
    return _cause(Step.DELIVERY, sentence, first.blame.value, result.remedy(first), [said, *evidence])


def _cause(step: Step, text: str, blame: str, remedy: str, evidence: Sequence[str]) -> Finding:
    return Finding(step, Result.CAUSE, text, tuple(evidence), blame, remedy)


def _of_outcome(step: Step, failed: Sequence[Outcome], more: Sequence[str] = ()) -> Finding:
    """Return the finding of probes that failed in one step; the first one says why."""
    first, where = failed[0], _where(step, failed)
    alike: dict[str, list[Outcome]] = {}
    for one in failed:
        alike.setdefault(f"{one.reason}{f', {one.detail}' if one.detail else ''}", []).append(one)
    evidence = [f"{_where(step, those)}: {said}" for said, those in alike.items()]
    text = f"{where}: {first.summary}"
    if first.judgement and not first.up:
        if first.verdict is not Verdict.UNKNOWN:
            text = f"{where}: {first.judgement}"
        # What the probe saw is one of the facts; where it is the sentence already, it is not said again.
        evidence += (fact for fact in first.judgement.facts if not (first.summary in text and first.summary in fact))
    if first.verdict is Verdict.UNKNOWN and not first.up:  # controls are for whoever runs the exporter
        return _cause(step, text, "", f"{first.remedy} Compare from another network.", [*evidence, *more])
    return _cause(step, text, first.blame_label, first.next_step, [*evidence, *more])


def _where(step: Step, failed: Sequence[Outcome]) -> str:
    """Return each host once, with its ports; without them in the step of DNS, for a name has none."""
    ports: dict[str, dict[int, None]] = {}
    for endpoint in (one.target.endpoint for one in failed):
        ports.setdefault(endpoint.host, {})[endpoint.port] = None
    if step is Step.DNS:
        return ", ".join(ports)
    return ", ".join(_and([str(Address(host, first)), *map(str, more)]) for host, (first, *more) in ports.items())


def _are(names: Sequence[str]) -> str:
    """Return names as the subject of a sentence."""
    return f"{_and(names)} {'are' if names[1:] else 'is'}"


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'} {'is' if number == 1 else 'are'}"
