"""YAML → frozen models; every mistake with its line and column."""

from exporter.config.address import Address, HostPattern
from exporter.config.dump import dump
from exporter.config.duration import format_duration, parse_duration
from exporter.config.load import load
from exporter.config.mistake import ConfigError, Mistake
from exporter.config.model import (
    Account,
    Config,
    Endpoint,
    IpFamily,
    MechanismChoice,
    Module,
    OAuth2,
    ProbeSettings,
    Protocol,
    Role,
    SecretRef,
    Security,
    Tls,
)

__all__ = [
    "Account",
    "Address",
    "Config",
    "ConfigError",
    "Endpoint",
    "HostPattern",
    "IpFamily",
    "MechanismChoice",
    "Mistake",
    "Module",
    "OAuth2",
    "ProbeSettings",
    "Protocol",
    "Role",
    "SecretRef",
    "Security",
    "Tls",
    "dump",
    "format_duration",
    "load",
    "parse_duration",
]
