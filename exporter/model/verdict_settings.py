"""The section `verdict` of the configuration: what is contacted besides the endpoints, while one of them fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from exporter.model.address import Address
from exporter.model.evidence import ControlKind


class StatusProvider(StrEnum):
    """Whose own account of its incidents is read."""

    GOOGLE = "google"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Control:
    """What is contacted besides the endpoints, to compare with."""

    name: str
    kind: ControlKind
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """Whose incidents are read, and how often while something fails, in seconds."""

    provider: StatusProvider = StatusProvider.GOOGLE
    interval: float = 300.0


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Whether the path is traced when an endpoint fails, and within which bounds."""

    on_failure: bool = True
    max_per_hour: int = 12
    max_hops: int = 30


def _default_controls() -> Mapping[str, Control]:
    return MappingProxyType({"web": Control("web", ControlKind.PROVIDER_WEB, "www.google.com", 443)})


@dataclass(frozen=True, slots=True)
class VerdictSettings:
    """What evidence is gathered while an endpoint fails, and who is contacted for it.

    Attributes:
        controls: By name, in the order of the file.
        resolvers: Resolvers for a second opinion, by address; the port is 53 where there is none.
        status: The provider's own account of its incidents.
        trace: The path to the server.
    """

    controls: Mapping[str, Control] = field(default_factory=_default_controls)
    resolvers: tuple[Address, ...] = ()
    status: StatusSettings = StatusSettings()
    trace: TraceSettings = TraceSettings()
