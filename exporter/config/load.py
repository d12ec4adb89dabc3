"""A configuration file → a Config, or every mistake in it at once."""

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.config.accounts import read_accounts
from exporter.config.authorities import Authorities
from exporter.config.document import compose
from exporter.config.dump import Parts, digest
from exporter.config.endpoints import Surroundings, read_endpoints
from exporter.config.environment import read_environment
from exporter.config.mistake import ConfigError, Mistake, Position
from exporter.config.modules import read_modules, read_probe
from exporter.config.section import Report, Section
from exporter.config.source import Unreadable, decode, read_file
from exporter.config.timing import Defaults
from exporter.model.settings import Config

if TYPE_CHECKING:
    from exporter.config.web import Reading

BUILT_IN = "default.yml"
"""What is read where no file is given; it is part of the package."""

_START = Position(1, 1)


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the configuration in a file, or the built-in one.

    The environment makes an account for the built-in one only: a file says itself where its secrets are.

    Args:
        path: The file; None is the built-in configuration.
        environ: The environment variables.

    Raises:
        ConfigError: It cannot be used; all of its mistakes are told.
    """
    if path is None:
        return _load_built_in(environ)
    report = Report(str(path))
    try:
        text = decode(read_file(path))
    except Unreadable as error:
        report.add(error.position, (), str(error))
        raise ConfigError(report.mistakes) from None
    return _config(_read(text, report, path.absolute().parent), str(path))


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


def _load_built_in(environ: Mapping[str, str]) -> Config:
    mistakes: list[Mistake] = []
    account = read_environment(environ, mistakes)
    if mistakes:
        raise ConfigError(mistakes)
    text = decode(resources.files("exporter").joinpath(BUILT_IN).read_bytes())
    parts = _read(text, Report(BUILT_IN), Path.cwd())
    if account is not None:
        endpoints = {name: one.model_copy(update={"account": account}) for name, one in parts.endpoints.items()}
        parts = replace(parts, accounts={account.name: account}, endpoints=endpoints)
    return _config(parts, f"built-in {BUILT_IN}")


def _read(text: str, report: Report, directory: Path) -> Parts:
    document = compose(text)
    report.add_findings(document)
    if document.root is None:
        raise ConfigError(report.mistakes)
    root = Section(report, document.root, (), _START)
    defaults = Defaults(root.section("defaults"))
    known = read_accounts(root.section("accounts", named=True), directory)
    around = Surroundings(defaults, known, Authorities(directory))
    endpoints, modules = root.section("endpoints", named=True), root.section("modules", named=True)
    parts = Parts(
        accounts={name: one.account for name, one in known.items() if one.account is not None},
        endpoints=read_endpoints(endpoints, around) if endpoints is not None else {},
        modules=read_modules(modules, around) if modules is not None else {},
        probe=read_probe(root.section("probe")),
    )
    if endpoints is not None and not any(True for _ in endpoints.sections()):
        root.wrong("endpoints", "must hold at least one endpoint", at_value=False)
    elif endpoints is None and modules is None and not (root.meant("endpoints") or root.meant("modules")):
        report.add(root.at, ("endpoints",), "is missing: at least one endpoint is needed")
    if modules is not None and not any(True for _ in modules.sections()):
        root.wrong("modules", "must hold at least one module", at_value=False)
    if report.mistakes:
        raise ConfigError(report.mistakes)
    return parts


def _config(parts: Parts, source: str) -> Config:
    effective = {
        "accounts": parts.accounts,
        "endpoints": parts.endpoints,
        "modules": parts.modules,
        "probe": parts.probe,
    }
    return Config.model_validate({**effective, "source": source, "digest": digest(parts)})
