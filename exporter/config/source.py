"""Reading files: a configuration file → its text, or one line with the reason why not; and the files that it names.

Nothing here waits for a file, or reads more of it than its limit.
"""

import hashlib
import os
import re
import ssl
import stat
from pathlib import Path

from exporter.config.mistake import NOWHERE, Position
from exporter.model.message import Unacceptable

MAX_BYTES = 4 * 1024 * 1024
"""Largest configuration file: room for some 20,000 endpoints."""

MAX_AUTHORITIES = 16 * 1024 * 1024
"""Largest file of certificate authorities: the system's own is a quarter of a megabyte."""

_CHUNK = 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_NO_CERTIFICATE = "the file holds no certificate in PEM that can be read"

# All but c-printable of YAML 1.2 §5.1; and three characters of it that end a line in YAML 1.1 alone.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class Unreadable(Unacceptable):
    """A file has no text that can be used; `position` is where it stops being text, if it begins as one."""

    def __init__(self, text: str, position: Position = NOWHERE) -> None:
        super().__init__(text)
        self.position = position


def read_file(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file.

    Raises:
        Unreadable: It is missing, not a regular file, larger than `limit` bytes, or the system refuses.
    """
    try:
        # Checked before it is opened: opening a FIFO waits for a writer, and opening a device may do anything.
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise Unreadable("is a directory")
        if not stat.S_ISREG(mode):
            raise Unreadable("is not a regular file")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - pathlib does not take a descriptor
            content = bytearray()
            while len(content) <= limit and (chunk := file.read(min(_CHUNK, limit + 1 - len(content)))):
                content += chunk
    except FileNotFoundError:
        raise Unreadable("does not exist") from None
    except PermissionError:
        raise Unreadable("may not be read by the user that this program runs as") from None
    except OSError as error:
        raise Unreadable(f"cannot be read: {os.strerror(error.errno or 0)}") from None
    except ValueError as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("is not a path") from None
    if len(content) > limit:
        raise Unreadable(f"is larger than {limit} bytes")
    return bytes(content)


def fingerprint(path: Path) -> bytes:
    """Return a digest of a file's content; if it cannot be read, the reason.

    Of the content, not of stat(): Kubernetes swaps a symbolic link, other tools write the same content again.
    """
    try:
        return hashlib.sha256(read_file(path, MAX_AUTHORITIES)).digest()
    except Unreadable as error:
        return str(error).encode()


def decode(content: bytes) -> str:
    """Return the text of a YAML file in UTF-8, without its byte order mark.

    Raises:
        Unreadable: It is not UTF-8, or has a character that YAML does not allow.
    """
    skipped = len(_BOM) if content.startswith(_BOM) else 0
    try:
        text = content[skipped:].decode()
    except UnicodeDecodeError as error:
        before = content[skipped : skipped + error.start].decode()
        offset = skipped + error.start
        raise Unreadable(f"is not UTF-8: the byte at offset {offset} cannot stand there", _end(before)) from None
    if (forbidden := _FORBIDDEN.search(text)) is not None:
        code = f"U+{ord(forbidden[0]):04X}"
        raise Unreadable(f"character {code} is not allowed here", _end(text[: forbidden.start()]))
    return text


class ConfigFiles:
    """The files that a configuration names.

    Attributes:
        directory: Relative paths are relative to it.
        fingerprints: A fingerprint of each file that was noted, taken before it was read.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fingerprints: dict[Path, bytes] = {}
        self._judged: dict[Path, str] = {}

    def note(self, path: Path | str) -> Path:
        """Return the absolute path of a file that is going to be read."""
        absolute = self.directory / Path(path).absolute() if isinstance(path, Path) else self.directory / path
        self.fingerprints[absolute] = fingerprint(absolute)
        return absolute

    def authorities(self, text: str) -> Path:
        """Return the absolute path of a file that has at least one certificate; each is read once.

        Raises:
            Unacceptable: It cannot be read, or OpenSSL takes no certificate from it.
        """
        path = self.directory / text
        if path not in self._judged:
            self._judged[path] = _judge_authorities(path)
        if self._judged[path]:
            raise Unacceptable(self._judged[path])
        return path


def _judge_authorities(path: Path) -> str:
    """Return what is wrong with a file of certificates, nothing if it can be used."""
    try:
        read_file(path, MAX_AUTHORITIES)
    except Unreadable as error:
        return f"the file {error}"
    # OpenSSL decides, for it is what uses them: it accepts more than other parsers, and where it cannot read one of
    # several certificates, it takes none of them.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        is_empty = error.reason == "NO_CERTIFICATE_OR_CRL_FOUND"
        return _NO_CERTIFICATE if is_empty else "the file holds a certificate that OpenSSL cannot read"
    except OSError as error:  # it is gone since it was read
        return f"the file cannot be read: {os.strerror(error.errno or 0)}"
    return "" if context.cert_store_stats()["x509"] else _NO_CERTIFICATE  # there may be only a revocation list


def _end(text: str) -> Position:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Position(len(lines), len(lines[-1]) + 1)
