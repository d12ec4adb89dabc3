"""A configuration file → a Config, or every mistake in it at once."""

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from exporter.config.deliveries import make_delivery
from exporter.config.dump import digest
from exporter.config.environment import read_environment
from exporter.config.mistake import ConfigError, Mistake
from exporter.config.rules import check_configuration, check_plans
from exporter.config.schema import CONFIGURATION
from exporter.config.section import Report, Section
from exporter.config.source import ConfigFiles, decode
from exporter.model.mailbox import mailboxes
from exporter.model.settings import Config, ProbeSettings
from exporter.model.verdict_settings import VerdictSettings

if TYPE_CHECKING:
    from exporter.config.web import Reading

BUILT_IN = "default.yml"
"""What is read where no file is given; it is part of the package."""

_ROOT = ("the key endpoints", "is empty: at least one endpoint is needed")


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the configuration in a file, or the built-in one.

    The environment makes an account for the built-in one only: a file has references to its secrets itself.

    Args:
        path: The file; None is the built-in configuration.
        environ: The environment variables.

    Raises:
        ConfigError: It cannot be used; it has all mistakes.
    """
    config = _load_built_in(environ) if path is None else _load_file(path)
    return replace(config, digest=digest(config))


def load_with_web(path: Path | None, environ: Mapping[str, str], web: "Reading") -> Config:
    """Return the configuration, as `load` does, where the web configuration can be used, too.

    Raises:
        ConfigError: One of them cannot be used; it has the mistakes of both.
    """
    try:
        config = load(path, environ)
    except ConfigError as error:
        raise ConfigError([*error.mistakes, *web.mistakes]) from None
    web.usable()
    return config


def _load_file(path: Path) -> Config:
    report = Report(str(path), CONFIGURATION, ConfigFiles(path.absolute().parent))
    return _make(report, report.read_file(path, *_ROOT))


def _load_built_in(environ: Mapping[str, str]) -> Config:
    mistakes: list[Mistake] = []
    account = read_environment(environ, mistakes)
    if mistakes:
        raise ConfigError(mistakes)
    report = Report(f"built-in {BUILT_IN}", CONFIGURATION, ConfigFiles(Path.cwd()))
    text = decode(resources.files("exporter").joinpath(BUILT_IN).read_bytes())
    config = _make(report, report.read(text, *_ROOT))
    if account is None:
        return config
    endpoints = {name: replace(one, account=account) for name, one in config.endpoints.items()}
    accounts = MappingProxyType({account.name: account})
    return replace(config, accounts=accounts, endpoints=MappingProxyType(endpoints))


def _make(report: Report, root: Section | None) -> Config:
    if root is not None:
        check_configuration(root)
    if root is None or report.mistakes:
        raise ConfigError(report.mistakes)
    accounts = {name: one.make(name=name) for name, one in (root.get("accounts") or {}).items()}

    def sessions(key: str) -> Mapping[str, Any]:
        named: Mapping[str, Section] = root.get(key) or {}
        return MappingProxyType(
            {name: one.make(name=name, account=accounts.get(one.get("account"))) for name, one in named.items()}
        )

    endpoints = sessions("endpoints")
    probe: Section | None = root.get("probe")
    deliveries = {
        name: make_delivery(name, one, endpoints, accounts) for name, one in (root.get("deliveries") or {}).items()
    }
    config = Config(
        accounts=MappingProxyType(accounts),
        endpoints=endpoints,
        modules=sessions("modules"),
        probe=ProbeSettings() if probe is None else probe.make(),
        verdict=_make_verdict(root.get("verdict")),
        deliveries=MappingProxyType(deliveries),
        source=report.file,
    )
    check_plans(root, mailboxes(config))
    if report.mistakes:
        raise ConfigError(report.mistakes)
    return config


def _make_verdict(verdict: Section | None) -> VerdictSettings:
    made = VerdictSettings() if verdict is None else verdict.make()
    assert isinstance(made, VerdictSettings)  # noqa: S101 (its table says so)
    if verdict is None or verdict.get("controls") is None:
        return made
    named: Mapping[str, Section] = verdict.get("controls")
    return replace(made, controls=MappingProxyType({name: one.make(name=name) for name, one in named.items()}))
