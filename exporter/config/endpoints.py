"""The `endpoints` of a configuration, each with every default resolved."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.config.accounts import Known, check_name
from exporter.config.authorities import Authorities
from exporter.config.document import Node
from exporter.config.keys import nearest
from exporter.config.section import Section
from exporter.config.timing import Defaults, read_timing
from exporter.config.value import read_choice, read_host, read_list, read_min_version, read_port, read_text
from exporter.model.settings import PORTS, Endpoint, MechanismChoice, Protocol, Role, Security, Tls
from exporter.model.text import Unacceptable, show

RESERVED_LABELS = frozenset(
    {"endpoint", "protocol", "host", "port", "ip_family", "security", "account", "job", "instance"}
)
"""Labels that the metrics have already, or that Prometheus adds to every target."""

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OAUTH = frozenset({MechanismChoice.XOAUTH2, MechanismChoice.OAUTHBEARER})

_read_protocol = read_choice(Protocol)
_read_security = read_choice(Security)
_read_mechanism = read_choice(MechanismChoice)
_read_role = read_choice(Role)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What endpoints refer to."""

    defaults: Defaults
    accounts: Mapping[str, Known]
    authorities: Authorities


def read_endpoints(endpoints: Section, around: Surroundings) -> dict[str, Endpoint]:
    """Return the endpoints that are without mistakes, by name."""
    good = {}
    for name, section in endpoints.sections():
        check_name(endpoints, name)
        if section is not None and (endpoint := _read_endpoint(name, section, around)) is not None:
            good[name] = endpoint
    return good


def _read_endpoint(name: str, section: Section, around: Surroundings) -> Endpoint | None:
    session = read_session(section, around)
    timing = read_timing(section, around.defaults, logs_in=section.said("account"))
    written = {
        "name": name,
        "host": section.need("host", read_host),
        "labels": _read_labels(section),
        "interval": timing.interval,
        "timeout": timing.timeout,
        "login_interval": timing.login_interval,
        "ip_family": timing.ip_family,
    }
    if session is None or None in written.values():
        return None
    return Endpoint.model_validate({**session, **written})


def read_session(section: Section, around: Surroundings) -> dict[str, object] | None:
    """Return what endpoints and modules have in common: what is spoken, how it is secured, and who logs in.

    None where something of it is a mistake.
    """
    protocol = section.need("protocol", _read_protocol)
    security = section.read("security", _read_security) if section.said("security") else Security.TLS
    port = section.read("port", read_port)
    if protocol is not None and security is not None and not section.said("port"):
        port = PORTS[protocol, security]
    known = _read_account(section, around.accounts)
    if section.said("account") and security is Security.NONE:
        section.wrong("account", "must not be said with security: none, which would send its secret for all to read")
    written = {
        "protocol": protocol,
        "port": port,
        "security": security,
        "mechanism": _read_mechanism_for(section, known),
        "folders": _read_folders(section, protocol),
        "tls": _read_tls(section, security, around.authorities),
    }
    if None in written.values() or (section.said("account") and (known is None or known.account is None)):
        return None
    return {**written, "account": known.account if known is not None else None}


def _read_account(section: Section, accounts: Mapping[str, Known]) -> Known | None:
    def read(node: Node) -> Known:
        name = read_text(node)
        if name not in accounts:
            near = nearest(name, accounts)
            hint = _all(accounts) if near is None else f"did you mean {show(near)}?"
            raise Unacceptable(f"there is no account {show(name)}; {hint}")
        return accounts[name]

    return section.read("account", read)


def _all(accounts: Mapping[str, Known]) -> str:
    # A few can be listed, hundreds cannot.
    if len(accounts) > 5:
        return f"none of the {len(accounts)} is like it"
    return f"known: {', '.join(map(show, accounts))}" if accounts else "there are none"


def _read_mechanism_for(section: Section, account: Known | None) -> MechanismChoice | None:
    if not section.said("mechanism"):
        return MechanismChoice.AUTO
    mechanism = section.read("mechanism", _read_mechanism)
    if mechanism is None or mechanism is MechanismChoice.AUTO:
        return mechanism
    if not section.meant("account"):
        section.wrong("mechanism", "needs an account to log in with")
    elif account is not None and account.is_oauth is not None and account.is_oauth != (mechanism in _OAUTH):
        kinds = "oauth2 or service_account" if mechanism in _OAUTH else "app_password"
        section.wrong("mechanism", f"{mechanism} needs an account with {kinds}")
    return mechanism


def _read_folders(section: Section, protocol: Protocol | None) -> tuple[Role, ...] | None:
    """Return the roles in one order, so that an order of writing them is not a change."""
    if not section.said("folders"):
        return ()
    items = section.read("folders", read_list("inbox, sent"))
    if not items:
        return None if items is None else ()
    if protocol is not None and protocol is not Protocol.IMAP:
        section.wrong("folders", f"only imap has folders, {protocol} has none", at_value=False)
    elif not section.meant("account"):
        section.wrong("folders", "needs an account to log in with: folders are seen after login", at_value=False)
    roles: list[Role] = []
    for index, item in enumerate(items):
        path = (*section.path, "folders", f"[{index}]")
        role = section.report.attempt(item, path, _read_role)
        if role is not None and role in roles:
            section.report.add(item.position, path, f"{role} is in the list already")
        elif role is not None:
            roles.append(role)
    return tuple(role for role in Role if role in roles)


def _read_tls(section: Section, security: Security | None, authorities: Authorities) -> Tls | None:
    if not section.said("tls"):
        return Tls()
    if security is Security.NONE:
        section.wrong("tls", "has no meaning with security: none", at_value=False)
    tls = section.section("tls")
    if tls is None:
        return None
    written = {
        "ca_file": tls.read("ca_file", lambda node: authorities.find(read_text(node))),
        "server_name": tls.read("server_name", read_host),
        "min_version": tls.read("min_version", read_min_version),
    }
    return Tls.model_validate({key: value for key, value in written.items() if value is not None})


def _read_labels(section: Section) -> dict[str, str] | None:
    if not section.said("labels"):
        return {}
    labels = section.section("labels", named=True)
    if labels is None:
        return None
    good = {}
    for name, entry in labels.values():
        if not labels.report.is_trap(entry.position):
            if not _LABEL.fullmatch(name):
                labels.wrong(
                    name, "a label's name must be letters, digits and _, and not start with a digit", at_value=False
                )
            elif name.startswith("__"):
                labels.wrong(name, "a label's name must not start with __, which is Prometheus' own", at_value=False)
            elif name in RESERVED_LABELS:
                labels.wrong(name, "this label is there already, with a value of its own", at_value=False)
        text = labels.read(name, read_text)
        if text is not None:
            good[name] = text
    return good
