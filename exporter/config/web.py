"""The web configuration file: exporter-toolkit's keys, read with this program's own care.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md, as far as Python's ssl module and
HTTP/1.1 can do it. What they cannot is a mistake, never a promise that is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from exporter.config.document import Node, Scalar, compose, describe
from exporter.config.keys import ANY, SECRET, SHOWN, Kind
from exporter.config.mistake import ConfigError, Mistake, Position
from exporter.config.section import Report, Section
from exporter.config.server_tls import KEYS as TLS_KEYS
from exporter.config.server_tls import Files, Tls, read_tls
from exporter.config.source import Unreadable, decode, read_file
from exporter.config.value import read_switch, read_text
from exporter.model.text import Unacceptable, check_text

HEADERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Content-Security-Policy": (),
        "X-Frame-Options": ("deny", "sameorigin"),
        "X-Content-Type-Options": ("nosniff",),
        "X-XSS-Protection": (),
        "Strict-Transport-Security": (),
    }
)
"""Headers that may be set, and the values each may have; none where it may be any text."""

KEYS: Final[Kind] = {
    "tls_server_config": TLS_KEYS,
    "http_server_config": {"http2": SHOWN, "headers": dict.fromkeys(HEADERS, SHOWN)},
    "basic_auth_users": {ANY: SECRET},
    "rate_limit": SHOWN,
}

MOST_COST = 15
"""Largest cost of a bcrypt hash: with 15 a comparison takes a second or two, and each more doubles that."""

_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_START = Position(1, 1)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """How this program is to be asked over HTTP. Without a file: by anyone, in the clear."""

    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every answer, in place of the usual ones; an empty value leaves one out."""
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Bcrypt hashes by user; nobody needs a password where there are none."""


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
    report, files = Report(str(path), KEYS), Files(path.absolute().parent)
    config = _read(files.note(path), report, files)
    mistakes = ConfigError(report.mistakes).mistakes
    return Reading(None if mistakes else config, mistakes, files.fingerprints)


def _read(path: Path, report: Report, files: Files) -> WebConfig | None:
    try:
        text = decode(read_file(path))
    except Unreadable as error:
        report.add(error.position, (), str(error))
        return None
    document = compose(text, f"the keys {', '.join(KEYS)}", empty=None)
    report.add_findings(document)
    if document.root is None:
        return None
    root = Section(report, document.root, (), _START)
    if root.said("rate_limit"):
        root.wrong("rate_limit", "is not supported: requests are bounded in other ways", at_value=False)
    return WebConfig(
        tls=read_tls(root.section("tls_server_config"), files),
        headers=_read_http(root.section("http_server_config")),
        users=_read_users(root.section("basic_auth_users", named=True)),
    )


def _read_http(section: Section | None) -> dict[str, str]:
    if section is None:
        return {}
    if section.said("http2") and section.read("http2", read_switch):
        section.wrong("http2", "must be false: only HTTP/1.1 is spoken here")
    headers = section.section("headers")
    if headers is None:
        return {}

    def value_of(name: str, node: Node) -> str:
        text = "" if isinstance(node, Scalar) and node.value == "" else read_text(node)
        if text and HEADERS[name] and text not in HEADERS[name]:
            raise Unacceptable(f"must be {' or '.join(HEADERS[name])}, not {describe(node)}")
        if not text.isascii():
            raise Unacceptable("must be ASCII")
        return text

    read = {name: headers.read(name, lambda node, name=name: value_of(name, node)) for name in HEADERS}  # type: ignore[misc]
    return {name: value for name, value in read.items() if value is not None}


def _read_users(section: Section | None) -> dict[str, bytes]:
    """Return the hashes. What stands there instead may be a password: nothing of it is shown."""
    if section is None:
        return {}
    users: dict[str, bytes] = {}
    for name in section.names():
        try:
            _check_user(name)
        except Unacceptable as mistake:
            section.wrong(name, str(mistake), at_value=False)
        if not section.said(name):
            section.wrong(name, _NO_HASH, at_value=False)  # left out, it would be a user less, or a door wide open
        elif (value := section.read(name, _read_hash)) is not None:
            users[name] = value
    return users


_NO_HASH = "must be a bcrypt hash, as htpasswd -nBC 10 prints it: a password is never written here"


def _check_user(name: str) -> None:
    # RFC 7617 §2: "a user-id containing a colon character is invalid, as the first colon … separates".
    if ":" in check_text(name):
        raise Unacceptable("must not hold a colon: a client could not send it")


def _read_hash(node: Node) -> bytes:
    found = _BCRYPT.fullmatch(node.text) if isinstance(node, Scalar) else None
    if found is None:
        raise Unacceptable(_NO_HASH)
    cost = int(found[1])
    if not 4 <= cost <= MOST_COST:
        raise Unacceptable(f"must have a cost from 4 to {MOST_COST}, not {cost}: 10 to 12 is usual")
    return found[0].encode()
