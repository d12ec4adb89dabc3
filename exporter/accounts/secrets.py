"""Reads secrets, at each login: a rotation needs no restart."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Mapping

from exporter.model.settings import SecretRef
from exporter.probing.dialogue import CredentialUnavailable

MAX_SECRET = 64 << 10
"""Octets of a secret's file; an app password has 16, a service account's key 2,400."""


def read_secret(reference: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Read a secret of one line, and return it without the line end that editors add.

    Raises:
        CredentialUnavailable: it is missing, unreadable, empty or not one line of text. The message names the file or
            variable, and never contains the secret.
    """
    text = read_secret_text(reference, environ).removesuffix("\n").removesuffix("\r")
    place = place_of(reference)
    if not text:
        raise CredentialUnavailable(f"{place} is empty")
    if any(character in text for character in "\r\n\0"):
        raise CredentialUnavailable(f"{place} must hold one line of text")
    return text


def place_of(reference: SecretRef) -> str:
    """Return the name of a secret's file or variable, for a message."""
    return f"the file {reference.file}" if reference.env is None else f"the variable {reference.env}"


def read_secret_text(reference: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Read a secret of several lines, such as a service account's key, and return it unchanged.

    Raises:
        CredentialUnavailable: it is missing, unreadable or not UTF-8.
    """
    place = place_of(reference)
    if reference.env is not None:
        if reference.env not in environ:
            raise CredentialUnavailable(f"{place} is not set")
        text = environ[reference.env]
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise CredentialUnavailable(f"{place} is not UTF-8 text")  # so os.environ shows other octets
        return text
    return _read_file(str(reference.file), place)


def _read_file(path: str, place: str) -> str:
    try:
        # O_NONBLOCK: to open a FIFO must not block the probes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor has no path)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise CredentialUnavailable(f"{place} is not a regular file")
            content = file.read(MAX_SECRET + 1)
    except OSError as error:
        raise CredentialUnavailable(f"{place} cannot be read: {os.strerror(error.errno or 0)}") from None
    if len(content) > MAX_SECRET:
        raise CredentialUnavailable(f"{place} is larger than {MAX_SECRET} octets")
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        raise CredentialUnavailable(f"{place} is not UTF-8 text") from None
