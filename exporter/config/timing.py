"""How often and how long an endpoint is probed: its own words, else the defaults', else the built-in ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from exporter.config.document import Node
from exporter.config.duration import format_duration
from exporter.config.section import Section
from exporter.config.value import read_choice, read_duration
from exporter.model.settings import IpFamily
from exporter.model.text import Unacceptable

T = TypeVar("T")

INTERVAL, MIN_INTERVAL, MAX_INTERVAL = 30.0, 1.0, 86400.0
TIMEOUT, MIN_TIMEOUT = 10.0, 0.1
LOGIN_INTERVAL = 900.0

_READERS: dict[str, Callable[[Node], float]] = {
    "interval": read_duration(MIN_INTERVAL, MAX_INTERVAL),
    "timeout": read_duration(MIN_TIMEOUT),
    "login_interval": read_duration(MIN_INTERVAL),
}
_BUILT_IN = {"interval": INTERVAL, "timeout": TIMEOUT, "login_interval": LOGIN_INTERVAL}
_read_family = read_choice(IpFamily)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, and the address families; None where the value is a mistake."""

    interval: float | None
    timeout: float | None
    login_interval: float | None
    ip_family: IpFamily | None


class Defaults:
    """The `defaults` of a configuration."""

    def __init__(self, section: Section | None) -> None:
        self.section = section
        self._values = {key: section.read(key, read) if section else None for key, read in _READERS.items()}
        self._family = section.read("ip_family", _read_family) if section else None

    def said(self, key: str) -> bool:
        """Return whether the defaults say something about the key."""
        return self.section is not None and self.section.said(key)

    def seconds(self, key: str) -> float | None:
        """Return the default of a duration in seconds; None where it is a mistake."""
        return self._values[key] if self.said(key) else _BUILT_IN[key]

    def family(self) -> IpFamily | None:
        """Return the default of the address families; None where it is a mistake."""
        return self._family if self.said("ip_family") else IpFamily.ANY


def read_timing(endpoint: Section, defaults: Defaults, *, logs_in: bool) -> Timing:
    """Return the timing of an endpoint, and say where two of its durations do not go together."""
    seconds = {
        key: endpoint.read(key, read) if endpoint.said(key) else defaults.seconds(key) for key, read in _READERS.items()
    }
    interval, timeout, login_interval = seconds["interval"], seconds["timeout"], seconds["login_interval"]
    if interval is not None and timeout is not None and timeout >= interval:
        _contradict(endpoint, defaults, ("timeout", "shorter than", timeout), ("interval", "longer than", interval))
    if interval is not None and login_interval is not None and login_interval < interval:
        if not endpoint.said("login_interval") and not defaults.said("login_interval"):
            login_interval = interval
        elif logs_in:
            _contradict(
                endpoint,
                defaults,
                ("login_interval", "at least", login_interval),
                ("interval", "at most", interval),
            )
    family = endpoint.read("ip_family", _read_family) if endpoint.said("ip_family") else defaults.family()
    return Timing(interval, timeout, login_interval, family)


def read_module_timing(module: Section, defaults: Defaults) -> Timing:
    """Return the timing of a module. Who asks decides on its interval; and a probe is of one family, or any."""

    def read(key: str) -> float | None:
        return module.read(key, _READERS[key]) if module.said(key) else defaults.seconds(key)

    family = module.read("ip_family", _read_module_family) if module.said("ip_family") else defaults.family()
    if family is IpFamily.BOTH:  # the defaults' word on endpoints
        family = IpFamily.ANY
    return Timing(INTERVAL, read("timeout"), read("login_interval"), family)


def _read_module_family(node: Node) -> IpFamily:
    family = _read_family(node)
    if family is IpFamily.BOTH:
        raise Unacceptable("must be any, ipv4 or ipv6: one probe is of one family")
    return family


def _contradict(
    endpoint: Section, defaults: Defaults, one: tuple[str, str, float], other: tuple[str, str, float]
) -> None:
    """Say it at the key that is nearest to the endpoint; at the first of the two where both are as near.

    The built-in durations do not contradict each other: one of the two was always said.
    """
    section, key, relation, (its, _, value) = next(
        (section, key, relation, counterpart)
        for section in (endpoint, defaults.section)
        for (key, relation, _), counterpart in ((one, other), (other, one))
        if section is not None and section.said(key)
    )
    section.wrong(key, f"must be {relation} the {its}, {format_duration(value)}")
