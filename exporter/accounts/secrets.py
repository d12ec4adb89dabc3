"""Secrets, read anew for each login: a rotation needs no restart."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Mapping

from exporter.model.settings import SecretRef
from exporter.probing.dialogue import CredentialUnavailable

MAX_SECRET = 64 << 10
"""Octets of a secret's file at most: an app password has 16, a service account's key 2,400."""


def read_secret(reference: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Return a secret of one line, without the line end that editors add.

    Raises:
        CredentialUnavailable: it is missing, unreadable, empty or not one line of text. The message names the place,
            never the content.
    """
    text = read_secret_text(reference, environ).removesuffix("\n").removesuffix("\r")
    place = place_of(reference)
    if not text:
        raise CredentialUnavailable(f"{place} is empty")
    if any(character in text for character in "\r\n\0"):
        raise CredentialUnavailable(f"{place} must hold one line of text")
    return text


def place_of(reference: SecretRef) -> str:
    """Name where a secret is, for a message."""
    return f"the file {reference.file}" if reference.env is None else f"the variable {reference.env}"


def read_secret_text(reference: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Return a secret of any number of lines, such as a service account's key, as it is.

    Raises:
        CredentialUnavailable: it is missing, unreadable or not UTF-8.
    """
    place = place_of(reference)
    if reference.env is not None:
        if reference.env not in environ:
            raise CredentialUnavailable(f"{place} is not set")
        text = environ[reference.env]
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise CredentialUnavailable(f"{place} is not UTF-8 text")  # what os.environ makes of other octets
        return text
    return _read_file(str(reference.file), place)


def _read_file(path: str, place: str) -> str:
    try:
        # Without waiting: a FIFO in the place of the file must not hold up the probes.
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
