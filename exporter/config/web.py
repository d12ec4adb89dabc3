"""The web configuration file, with the keys of Prometheus' exporter-toolkit.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md, as far as Python's ssl module and
HTTP/1.1 support it. Anything else is a mistake, so that no setting is without effect.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.mistake import ConfigError, Mistake
from exporter.config.rules import check_tls_server
from exporter.config.schema import WEB
from exporter.config.section import Report, Section
from exporter.config.server_tls import ServerTls, make_tls
from exporter.config.source import ConfigFiles


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Who may send HTTP requests, and how. Without a file: anyone, without TLS."""

    tls: ServerTls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every response, in place of the usual ones; an empty value leaves one out."""
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Bcrypt hashes by user; without any, no password is needed."""

    @property
    def authenticates(self) -> bool:
        """Whether every client needs a password or a certificate."""
        return bool(self.users) or (self.tls is not None and self.tls.context.verify_mode is ssl.CERT_REQUIRED)


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading the file: a configuration or mistakes, and a fingerprint of every file that was read."""

    config: WebConfig | None = field(default_factory=WebConfig)
    mistakes: tuple[Mistake, ...] = ()
    files: Mapping[Path, bytes] = field(default_factory=dict)

    def usable(self) -> WebConfig:
        """Return the configuration.

        Raises:
            ConfigError: It cannot be used; it has all mistakes.
        """
        if self.config is None:
            raise ConfigError(list(self.mistakes))
        return self.config


def read_web(path: Path | None) -> Reading:
    """Read the file, and the files of certificates and keys that it names; without a file there is nothing to read."""
    if path is None:
        return Reading()
    report = Report(str(path), WEB, ConfigFiles(path.absolute().parent))
    root = report.read_file(report.files.note(path), f"the keys {', '.join(WEB.keys)}", empty=None)
    config = None if root is None else _make(root)
    mistakes = ConfigError(report.mistakes).mistakes
    return Reading(None if mistakes else config, mistakes, report.files.fingerprints)


def _make(root: Section) -> WebConfig:
    tls: Section | None = root.get("tls_server_config")
    http: Section | None = root.get("http_server_config")
    headers: Section | None = None if http is None else http.get("headers")
    if tls is not None:
        check_tls_server(tls)
    return WebConfig(
        tls=None if tls is None else make_tls(tls),
        headers={} if headers is None else headers.values,
        users=root.get("basic_auth_users") or {},
    )
