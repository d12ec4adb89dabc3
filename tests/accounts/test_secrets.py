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
def test_what_editors_add_is_not_part_of_the_secret(tmp_path: Path, content: bytes) -> None:
    """A line end and a byte order mark are accepted."""
    path = tmp_path / "secret"
    path.write_bytes(content.replace(b"%s", SENTINEL.encode()))
    assert read_secret(SecretRef(file=path)) == SENTINEL


def test_spaces_belong_to_the_secret(tmp_path: Path) -> None:
    """Google shows app passwords in groups of four: they work with and without the spaces."""
    path = tmp_path / "secret"
    path.write_text(" abcd efgh \n", encoding="utf-8")
    assert read_secret(SecretRef(file=path)) == " abcd efgh "


def test_a_secret_is_read_anew_each_time(tmp_path: Path) -> None:
    """A rotation needs no restart."""
    path = tmp_path / "secret"
    path.write_text("old", encoding="utf-8")
    assert read_secret(SecretRef(file=path)) == "old"
    path.write_text("new", encoding="utf-8")
    assert read_secret(SecretRef(file=path)) == "new"


def test_a_variable_holds_a_secret() -> None:
    """{env: NAME} is looked up when it is needed."""
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
def test_a_bad_file_is_named_and_its_content_never_shown(tmp_path: Path, content: bytes, message: str) -> None:
    """The message names the place and what is wrong with it, and holds nothing of the secret."""
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(CredentialUnavailable) as caught:
        read_secret(SecretRef(file=path))
    assert str(caught.value) == f"the file {path} {message}"
    assert SENTINEL not in repr(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A secret that is not there yet is no crash."""
    with pytest.raises(CredentialUnavailable, match="cannot be read: No such file or directory"):
        read_secret(SecretRef(file=tmp_path / "missing"))


def test_a_directory_is_not_a_secret(tmp_path: Path) -> None:
    """Kubernetes mounts a secret as a directory: a frequent slip."""
    with pytest.raises(CredentialUnavailable, match="Is a directory|is not a regular file"):
        read_secret(SecretRef(file=tmp_path))


def test_a_fifo_does_not_hold_up_the_probes(tmp_path: Path) -> None:
    """Opening it waits for nobody."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CredentialUnavailable, match="is not a regular file"):
        read_secret(SecretRef(file=tmp_path / "fifo"))


def test_a_variable_that_is_not_set_is_named() -> None:
    """The name of the variable is shown, and nothing of the environment."""
    with pytest.raises(CredentialUnavailable) as caught:
        read_secret(SecretRef(env="PASSWORD"), {"OTHER": SENTINEL})
    assert str(caught.value) == "the variable PASSWORD is not set"


def test_a_variable_that_is_not_utf_8_is_named() -> None:
    """Other octets arrive as surrogates, which no protocol can send."""
    with pytest.raises(CredentialUnavailable) as caught:
        read_secret(SecretRef(env="PASSWORD"), {"PASSWORD": f"{SENTINEL}\udcff"})
    assert str(caught.value) == "the variable PASSWORD is not UTF-8 text"
