"""The `modules` and the `probe` of a configuration: what `/probe` does, and for which targets."""

from exporter.config.accounts import check_name
from exporter.config.document import Node
from exporter.config.endpoints import Surroundings, read_session
from exporter.config.section import Section
from exporter.config.timing import read_module_timing
from exporter.config.value import read_list, read_text, read_whole
from exporter.model.address import HostPattern
from exporter.model.settings import Module, ProbeSettings
from exporter.model.text import Unacceptable

MAX_CONCURRENT = 1000
"""Most that `max_concurrent` may be: every probe is a socket or two."""


def read_modules(modules: Section, around: Surroundings) -> dict[str, Module]:
    """Return the modules that are without mistakes, by name."""
    good = {}
    for name, section in modules.sections():
        check_name(modules, name)
        if section is not None and (module := _read_module(name, section, around)) is not None:
            good[name] = module
    return good


def read_probe(probe: Section | None) -> ProbeSettings:
    """Return what `/probe` may be asked."""
    if probe is None:
        return ProbeSettings()
    allow = _read_patterns(probe, "allow")
    most = probe.read("max_concurrent", read_whole(MAX_CONCURRENT))
    return ProbeSettings(allow=allow) if most is None else ProbeSettings(allow=allow, max_concurrent=most)


def _read_module(name: str, section: Section, around: Surroundings) -> Module | None:
    session = read_session(section, around)
    timing = read_module_timing(section, around.defaults)
    allow_hosts = _read_allow_hosts(section)
    written = {
        "name": name,
        "timeout": timing.timeout,
        "login_interval": timing.login_interval,
        "ip_family": timing.ip_family,
    }
    bad_hosts = allow_hosts is None and (section.said("allow_hosts") or section.said("account"))
    if session is None or bad_hosts or None in written.values():
        return None
    return Module.model_validate({**session, **written, "allow_hosts": allow_hosts})


def _read_allow_hosts(section: Section) -> tuple[HostPattern, ...] | None:
    logs_in = section.said("account")
    if not section.said("allow_hosts"):
        if logs_in and not section.meant("allow_hosts"):
            path = (*section.path, "allow_hosts")
            section.report.add(section.at, path, "is missing: an account logs in only to hosts that are named there")
        return None
    return _read_patterns(section, "allow_hosts", logs_in=logs_in)


def _read_patterns(section: Section, key: str, *, logs_in: bool = False) -> tuple[HostPattern, ...] | None:
    """Return a list of patterns, each once; None where it is none, or nothing for an account to log in to."""
    items = section.read(key, read_list("imap.gmail.com"))
    if items is None:
        return None
    if not items and logs_in:
        section.wrong(key, "must name a host at which the account logs in")
    patterns: list[HostPattern] = []
    for index, item in enumerate(items):
        path = (*section.path, key, f"[{index}]")
        pattern = section.report.attempt(item, path, _read_exact_pattern if logs_in else _read_pattern)
        if pattern is not None and pattern in patterns:
            section.report.add(item.position, path, f"{pattern} is in the list already")
        elif pattern is not None:
            patterns.append(pattern)
    return tuple(patterns) if patterns or not logs_in else None


def _read_pattern(node: Node) -> HostPattern:
    return HostPattern.parse(read_text(node))


def _read_exact_pattern(node: Node) -> HostPattern:
    pattern = _read_pattern(node)
    if not pattern.exact:
        raise Unacceptable("must be a host, or a host and a port, without *: the account's secret goes nowhere else")
    return pattern
