"""The certificate authorities' file of a `tls` block: judged while loading, each file once."""

from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate

from exporter.config.source import Unreadable, read_file
from exporter.model.text import Unacceptable

_BEGIN = b"-----BEGIN CERTIFICATE-----"  # RFC 7468 §5.1

MAX_BYTES = 16 * 1024 * 1024
"""Largest file of certificates: the system's own is a quarter of a megabyte."""


class Authorities:
    """Which files of certificates can be used.

    Args:
        directory: What relative paths are relative to.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._judged: dict[Path, str] = {}

    def find(self, text: str) -> Path:
        """Return the absolute path of a file that holds at least one certificate.

        Raises:
            Unacceptable: It cannot be read, or holds no certificate in PEM.
        """
        path = self._directory / text
        if path not in self._judged:
            self._judged[path] = _judge(path)
        if self._judged[path]:
            raise Unacceptable(self._judged[path])
        return path


def _judge(path: Path) -> str:
    try:
        content = read_file(path, MAX_BYTES)
    except Unreadable as error:
        return f"the file {error}"
    # One is enough, and the first is the rule: systems' files hold certificates that a strict parser complains about.
    if any(_is_certificate(_BEGIN + block) for block in content.split(_BEGIN)[1:]):
        return ""
    return "the file holds no certificate in PEM that can be read"


def _is_certificate(block: bytes) -> bool:
    try:
        # Not the ssl module: the dialogues import this package, and what they import is kept free of it.
        load_pem_x509_certificate(block)
    except ValueError:
        return False
    return True
