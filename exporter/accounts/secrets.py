"""Reads secrets, at each login: a rotation needs no restart."""

from __future__ import annotations

import codecs
import os
import re
import stat
import unicodedata
from collections.abc import Mapping

from exporter.model.message import QUOTES, code_point, invisible_in, is_invisible, one_line
from exporter.model.settings import SecretRef
from exporter.probing.dialogue import CredentialUnavailable

MAX_SECRET = 64 << 10
"""Octets of a secret's file; an app password has 16, a service account's key 2,400."""

_GROUP = 4  # letters of an app password, as Google, Yahoo and Microsoft show them
_NAMED = re.compile(r"[^:=]{1,40}[:=]")  # as in "App password: ", or in a file of variables
# An app password among other text; not four words of a passphrase
_BESIDE = re.compile(r"(?<![^\W_])(?:[a-z]{16}|(?<![a-z] )[a-z]{4}(?: [a-z]{4}){3}(?! [a-z]))(?![^\W_])")
_DASH = re.compile("[\u2010-\u2015\u2212]")
_NO_TOKEN = re.compile(r"[^\x21-\x7e]")


def read_secret(reference: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Read a secret of one line, and return it as it is meant: without the line ends that editors add.

    An app password, 16 letters, in groups of four or not, is returned without what a web page, a word processor or a
    telephone put between and around them. Any other secret is returned unchanged, with a space at its ends, too: it may
    have letters of any language, and spaces.

    Raises:
        CredentialUnavailable: it is missing, unreadable, empty, not one line of text, or has a character that nobody
            can see or type. The message names the file or variable, and the character, and never contains the secret.
    """
    text, place = _read_line(reference, environ)
    is_copied = not text[0].isalpha() or not text[-1].isalpha() or any(map(is_invisible, text))
    if is_copied and (letters := _app_password(text)):
        return letters
    if found := invisible_in(text):
        raise CredentialUnavailable(f"{place} has an invisible character, {found}: write the secret again, without it")
    if text[0] in QUOTES and text[-1] in QUOTES:
        raise CredentialUnavailable(f"{place} has the secret in typographic quotation marks: write it without them")
    return text


def read_token(reference: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Read a secret of OAuth 2.0, which has visible ASCII characters only (RFC 6749 appendix A).

    Raises:
        CredentialUnavailable: as `read_secret`, and for every other character, a space or a quotation mark at its ends.
    """
    text, place = _read_line(reference, environ)
    if found := _NO_TOKEN.search(text):
        which = f"{code_point(found[0])} at character {found.start() + 1}"
        raise CredentialUnavailable(f"{place} has a character that no token has, {which}: write the secret again")
    if text[0] in "\"'" and text[-1] == text[0]:
        raise CredentialUnavailable(f"{place} has the secret in quotation marks: write it without them")
    return text


def suspicion(reference: SecretRef, secret: str) -> str:
    """Return what makes a secret doubtful that was used as it is, for the case that it is refused; else ""."""
    if secret != secret.strip(" "):
        return f"{place_of(reference)} has a space at the {'end' if secret[-1] == ' ' else 'beginning'}"
    if len(secret) > 1 and secret[0] in "\"'`" and secret[-1] == secret[0]:
        return f"{place_of(reference)} has quotation marks around the secret, and they were sent"
    if (named := _NAMED.match(secret)) and _app_password(secret[named.end() :]):
        return f"{place_of(reference)} has words in front of an app password, and they were sent"
    if _app_password(secret.rstrip(".,;")) and secret[-1] in ".,;":
        return f"{place_of(reference)} has a punctuation mark behind an app password, and it was sent"
    usual = _DASH.sub("-", unicodedata.normalize("NFKC", secret))
    if usual != secret and _app_password(usual.replace("-", " ")):
        return f"{place_of(reference)} has letters or dashes of another form than those of an app password"
    if not usual.isascii() and any(map(str.isascii, usual)) and _app_password(re.sub(r"[^\W\d_]", "a", usual)):
        return f"{place_of(reference)} has letters of another alphabet among those of an app password"
    if _BESIDE.search(secret) and not _app_password(secret):
        return f"{place_of(reference)} has other text beside an app password, and it was sent"
    return ""


def _read_line(reference: SecretRef, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the one line of a secret, and its place."""
    text = read_secret_text(reference, environ).strip("\r\n")  # empty lines around it, too
    place = place_of(reference)
    if not text.strip():
        raise CredentialUnavailable(f"{place} is empty")
    if any(character in text for character in "\r\n\0"):
        raise CredentialUnavailable(f"{place} must hold one line of text")
    return text, place


def _app_password(text: str) -> str:
    """Return the 16 letters of an app password, without anything between and around them; "" if it is no such one."""
    # Invisible characters that are no spaces may stand within a group, too.
    visible = "".join(character for character in text if character.isspace() or not is_invisible(character))
    groups = visible.strip().strip(QUOTES + "\"'").split()
    letters = "".join(groups)
    is_grouped = len(groups) == 1 or all(len(group) == _GROUP for group in groups)
    return letters if is_grouped and len(letters) == 4 * _GROUP and letters.isascii() and letters.isalpha() else ""


def place_of(reference: SecretRef) -> str:
    """Return the name of a secret's file or variable, for a message."""
    return f"the file {one_line(str(reference.file))}" if reference.env is None else f"the variable {reference.env}"


def read_secret_text(reference: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Read a secret of several lines, such as a service account's key, and return it unchanged.

    Raises:
        CredentialUnavailable: it is missing, unreadable, or neither UTF-8 nor UTF-16 with a byte order mark.
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
    # With its byte order mark, UTF-16 is certain: Windows' PowerShell and Notepad write it.
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise CredentialUnavailable(f"{place} is not UTF-8 text") from None
