"""Reading secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exporter.accounts.secrets import MAX_SECRET, read_secret
from exporter.model.settings import SecretRef
from exporter.probing.dialogue import CredentialUnavailable
from tests.examples import SENTINEL


@pytest.mark.parametrize(
    "content",
    [b"%s", b"%s\n", b"%s\r\n", b"\xef\xbb\xbf%s\n"],
    ids=["bare", "newline", "crlf", "bom"],
)
def test_line_end_and_byte_order_mark(tmp_path: Path, content: bytes) -> None:
    """What editors add is not a part of the secret."""
    path = tmp_path / "secret"
    path.write_bytes(content.replace(b"%s", SENTINEL.encode()))
    assert read_secret(SecretRef(file=path)) == SENTINEL


def test_spaces(tmp_path: Path) -> None:
    """Spaces are a part of the secret. Google shows app passwords in groups of four; they work either way."""
    path = tmp_path / "secret"
    path.write_text(" abcd efgh \n", encoding="utf-8")
    assert read_secret(SecretRef(file=path)) == " abcd efgh "


def test_secret_is_read_each_time(tmp_path: Path) -> None:
    """A rotation needs no restart."""
    path = tmp_path / "secret"
    path.write_text("old", encoding="utf-8")
    assert read_secret(SecretRef(file=path)) == "old"
    path.write_text("new", encoding="utf-8")
    assert read_secret(SecretRef(file=path)) == "new"


def test_variable() -> None:
    """{env: NAME} is read when it is needed."""
    assert read_secret(SecretRef(env="PASSWORD"), {"PASSWORD": SENTINEL}) == SENTINEL


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (SENTINEL.encode() + b"\nsecond", "must hold one line of text"),
        (SENTINEL.encode() + b"\0", "must hold one line of text"),
        (SENTINEL.encode() + b"\xff", "is not UTF-8 text"),
        (SENTINEL.encode() * MAX_SECRET, f"is larger than {MAX_SECRET} octets"),
    ],
    ids=["empty", "only-newline", "two-lines", "nul", "not-utf8", "huge"],
)
def test_bad_file(tmp_path: Path, content: bytes, message: str) -> None:
    """The message has the file and what is wrong with it, and nothing of the secret."""
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(CredentialUnavailable) as caught:
        read_secret(SecretRef(file=path))
    assert str(caught.value) == f"the file {path} {message}"
    assert SENTINEL not in repr(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A missing file is an error with a message."""
    with pytest.raises(CredentialUnavailable, match="cannot be read: No such file or directory"):
        read_secret(SecretRef(file=tmp_path / "missing"))


def test_directory(tmp_path: Path) -> None:
    """A directory is an error; Kubernetes mounts a secret as one."""
    with pytest.raises(CredentialUnavailable, match="Is a directory|is not a regular file"):
        read_secret(SecretRef(file=tmp_path))


def test_fifo_does_not_block(tmp_path: Path) -> None:
    """A FIFO is an error, and to open it does not wait."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CredentialUnavailable, match="is not a regular file"):
        read_secret(SecretRef(file=tmp_path / "fifo"))


def test_variable_not_set() -> None:
    """The message has the name of the variable, and nothing else of the environment."""
    with pytest.raises(CredentialUnavailable) as caught:
        read_secret(SecretRef(env="PASSWORD"), {"OTHER": SENTINEL})
    assert str(caught.value) == "the variable PASSWORD is not set"


def test_variable_not_utf_8() -> None:
    """Octets that are not UTF-8 become surrogates, which no protocol can send."""
    with pytest.raises(CredentialUnavailable) as caught:
        read_secret(SecretRef(env="PASSWORD"), {"PASSWORD": f"{SENTINEL}\udcff"})
    assert str(caught.value) == "the variable PASSWORD is not UTF-8 text"
