"""Reading secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exporter.accounts.secrets import MAX_SECRET, read_secret, read_token, suspicion
from exporter.model.settings import SecretRef
from exporter.probing.dialogue import CredentialUnavailable
from tests.examples import SENTINEL


@pytest.mark.parametrize(
    "content",
    [b"%s", b"%s\n", b"%s\r\n", b"\xef\xbb\xbf%s\n", b"%s\n\n", b"%s\r\n\r\n", b"\n%s\n", b"%s\r"],
    ids=["bare", "newline", "crlf", "bom", "empty line", "crlf twice", "empty line before", "cr"],
)
def test_line_end_and_byte_order_mark(tmp_path: Path, content: bytes) -> None:
    """What editors add is not a part of the secret."""
    path = tmp_path / "secret"
    path.write_bytes(content.replace(b"%s", SENTINEL.encode()))
    assert read_secret(SecretRef(file=path)) == SENTINEL


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16(tmp_path: Path, encoding: str) -> None:
    """A file of Windows' PowerShell or Notepad is read as what it is; without its byte order mark it is refused."""
    path = tmp_path / "secret"
    mark = "" if encoding == "utf-16" else "\ufeff"
    path.write_bytes(f"{mark}p\u00e4ss w\u00f6rd\r\n".encode(encoding))
    assert read_secret(SecretRef(file=path)) == "p\u00e4ss w\u00f6rd"
    path.write_bytes("secret".encode("utf-16-le"))
    with pytest.raises(CredentialUnavailable, match="must hold one line of text"):
        read_secret(SecretRef(file=path))


APP_PASSWORD = "abcdefghijklmnop"

COPIED = {
    "no-break spaces": "abcd\u00a0efgh\u00a0ijkl\u00a0mnop",
    "narrow no-break spaces": "abcd\u202fefgh\u202fijkl\u202fmnop",
    "thin spaces": "abcd\u2009efgh\u2009ijkl\u2009mnop",
    "ideographic spaces": "abcd\u3000efgh\u3000ijkl\u3000mnop",
    "one of the spaces": "abcd efgh\u00a0ijkl mnop",
    "several spaces": "abcd\u00a0 efgh \u00a0ijkl\u00a0\u00a0mnop",
    "zero-width spaces": "abcd\u200befgh\u200bijkl\u200bmnop",
    "a zero-width space anywhere": "ab\u200bcdefghijklmnop",
    "both": "abcd\u200b efgh\u200b ijkl\u200b mnop",
    "word joiners": "abcd\u2060efgh\u2060ijkl\u2060mnop",
    "soft hyphens": "abcd\u00adefgh\u00adijkl\u00admnop",
    "tags": "abcd\U000e0020efgh\U000e0020ijkl\U000e0020mnop",
    "variation selectors": "abcd\ufe0fefgh\ufe0fijkl\ufe0fmnop",
    "Hangul fillers": "abcd\u3164efgh\u3164ijkl\u3164mnop",
    "bidi marks around": "\u202aabcd efgh ijkl mnop\u202c",
    "a second byte order mark": "\ufeffabcdefghijklmnop",
    "tabs": "abcd\tefgh\tijkl\tmnop",
    "a tab at the end": "abcd efgh ijkl mnop\t",
    "a space at the end": "abcdefghijklmnop ",
    "spaces around": "  abcd efgh ijkl mnop  ",
    "a no-break space at the end": "abcdefghijklmnop\u00a0",
    "typographic quotation marks": "\u201cabcd efgh ijkl mnop\u201d",
    "German ones": "\u201eabcdefghijklmnop\u201c",
    "French ones": "\u00ab\u00a0abcd efgh ijkl mnop\u00a0\u00bb",
    "single ones": "\u2018abcd efgh ijkl mnop\u2019",
    "those of a keyboard": '"abcd efgh ijkl mnop"',
    "a line separator": "abcd efgh ijkl mnop\u2028",
    "capitals": "ABCD\u00a0EFGH\u00a0IJKL\u00a0MNOP",
}


@pytest.mark.parametrize("text", COPIED.values(), ids=COPIED)
@pytest.mark.parametrize("in_file", [True, False], ids=["file", "variable"])
def test_app_password(tmp_path: Path, text: str, in_file: bool) -> None:
    """An app password is 16 letters, whatever a copy has put between and around them."""
    if in_file:
        path = tmp_path / "secret"
        path.write_text(text + "\n", encoding="utf-8")
        found = read_secret(SecretRef(file=path))
    else:
        found = read_secret(SecretRef(env="PASSWORD"), {"PASSWORD": text})
    assert found.lower() == APP_PASSWORD
    assert found.isupper() is text.isupper()


GENUINE = [
    "abcd efgh ijkl mnop",  # of any server; Gmail's takes app passwords with and without the spaces
    "correct horse battery staple",
    " abcd efgh ",
    "p\u00e4ssw\u00f6rd",
    "\u043f\u0430\u0440\u043e\u043b\u044c",
    "\u5bc6\u7801",
    "pa\u0308ss",  # combining characters
    "\U0001f511 key",
    "\u2764\ufe0f",  # an emoji with its variation selector
    "\U0001f468\u200d\U0001f469",  # and one of two, with a joiner
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian is written with a non-joiner
    "don\u2019t",
    "\u201cquoted\u201d in part",
    '"quoted"',
    "\\u00a0",
    "abcd-efgh-ijkl-mnop",  # Apple's, with hyphens
    "x",
]


@pytest.mark.parametrize("text", GENUINE)
def test_genuine(text: str) -> None:
    """Letters of any language, symbols and spaces are a part of the secret, which is used unchanged."""
    assert read_secret(SecretRef(env="PASSWORD"), {"PASSWORD": text}) == text


INVISIBLE = {
    "\u00a0": "U+00A0 (no-break space)",
    "\u200b": "U+200B (zero width space)",
    "\u00ad": "U+00AD (soft hyphen)",
    "\ufeff": "U+FEFF (zero width no-break space)",
    "\u200e": "U+200E (left-to-right mark)",
    "\u2028": "U+2028 (line separator)",
    "\U000e0041": "U+E0041 (tag latin capital letter a)",
    "\ufe0f": "U+FE0F (variation selector-16)",
    "\u200d": "U+200D (zero width joiner)",
    "\u3164": "U+3164 (hangul filler)",
    "\u2800": "U+2800 (braille pattern blank)",
    "\t": "U+0009 (tab)",
    "\x1b": "U+001B (a control character)",
    "\x85": "U+0085 (a control character)",
}


@pytest.mark.parametrize(("character", "name"), INVISIBLE.items(), ids=INVISIBLE.values())
@pytest.mark.parametrize("at", [0, 4, len(SENTINEL)])
def test_invisible(character: str, name: str, at: int) -> None:
    """In any other secret an invisible character is told by its name and its place, and nothing else of the secret."""
    secret = f"{SENTINEL}1"  # not of the form of an app password
    with pytest.raises(CredentialUnavailable) as caught:
        read_secret(SecretRef(env="PASSWORD"), {"PASSWORD": secret[:at] + character + secret[at:]})
    assert str(caught.value) == (
        f"the variable PASSWORD has an invisible character, {name} at character {at + 1}: write the secret again, "
        "without it"
    )


@pytest.mark.parametrize("text", ["\u201cpassw\u00f6rd1\u201d", "\u00abx1\u00bb", "\u201e1\u201c"])
def test_typographic_quotes(text: str) -> None:
    """Typographic quotation marks around a secret are not a part of it, and whether others are is not certain."""
    with pytest.raises(CredentialUnavailable, match="^the variable P has the secret in typographic quotation marks"):
        read_secret(SecretRef(env="P"), {"P": text})


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("secret1 ", "the file /run/x has a space at the end"),
        (" secret1", "the file /run/x has a space at the beginning"),
        ('"secret1"', "the file /run/x has quotation marks around the secret, and they were sent"),
        ("'secret1'", "the file /run/x has quotation marks around the secret, and they were sent"),
        ("`secret1`", "the file /run/x has quotation marks around the secret, and they were sent"),
        *(
            (text, "the file /run/x has words in front of an app password, and they were sent")
            for text in (
                "App password: abcd efgh ijkl mnop",
                "GMAIL_PASSWORD=abcdefghijklmnop",
                "x:\u00a0abcdefghijklmnop",
            )
        ),
        *(
            (text, "the file /run/x has a punctuation mark behind an app password, and it was sent")
            for text in ("abcd efgh ijkl mnop.", "abcdefghijklmnop;")
        ),
        *(
            (text, "the file /run/x has letters or dashes of another form than those of an app password")
            for text in (
                "abcd\u2011efgh\u2011ijkl\u2011mnop",
                "abcd\u2013efgh\u2013ijkl\u2013mnop",
                "".join(chr(ord(letter) + 0xFEE0) for letter in APP_PASSWORD),
            )
        ),
        *(
            (text, "the file /run/x has other text beside an app password, and it was sent")
            for text in (
                "abcdefghijklmnop # of ops",
                "- abcd efgh ijkl mnop",
                '{"password": "abcdefghijklmnop"}',
                "<b>abcd efgh ijkl mnop</b>",
            )
        ),
        (
            "\u0430bcdefghijklmnop",
            "the file /run/x has letters of another alphabet among those of an app password",
        ),
        ("this is some pass word that goes on", ""),
        ("\u043f" * 16, ""),
        ("abcd-efgh-ijkl-mnop", ""),
        ("key=value", ""),
        ("secret1.", ""),
        ("p\u00e4ss\u2013w\u00f6rd", ""),
        ("sec ret", ""),
        ('"', ""),
        ("'secret1\"", ""),
    ],
)
def test_suspicion(text: str, doubt: str) -> None:
    """What may be a mistake is used, and named if the server refuses it."""
    assert suspicion(SecretRef(file=Path("/run/x")), text) == doubt


@pytest.mark.parametrize("text", ["1//0abcDEF-_x", "GOCSPX-a.b~c+/=", "x"])
def test_token(text: str) -> None:
    """A token is read unchanged."""
    assert read_token(SecretRef(env="TOKEN"), {"TOKEN": text + "\n"}) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1//0a\u200bb", "has a character that no token has, U+200B (zero width space) at character 6"),
        ("1//0ab ", "has a character that no token has, U+0020 (space) at character 7"),
        ("1//0ab\t", "has a character that no token has, U+0009 (tab) at character 7"),
        ("\u201c1//0ab\u201d", "has a character that no token has, U+201C (left double quotation mark) at character 1"),
        ('"1//0ab"', "has the secret in quotation marks"),
        ("1//0\u0430", "has a character that no token has, U+0430 (cyrillic small letter a) at character 5"),
    ],
)
def test_bad_token(text: str, message: str) -> None:
    """A token has visible ASCII characters only; another one is told by its name and its place."""
    with pytest.raises(CredentialUnavailable) as caught:
        read_token(SecretRef(env="TOKEN"), {"TOKEN": text})
    assert str(caught.value).startswith(f"the variable TOKEN {message}: write ")
    assert "0ab" not in str(caught.value)


def test_invisible_in_path(tmp_path: Path) -> None:
    """A path with an invisible character is shown with it escaped, so that the mistake is seen."""
    with pytest.raises(CredentialUnavailable, match=r'^the file ".*ops\\u00a0" cannot be read: No such file'):
        read_secret(SecretRef(file=tmp_path / "ops\u00a0"))


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
        (b"  \t\n", "is empty"),
        (SENTINEL.encode() + b"\nsecond", "must hold one line of text"),
        (SENTINEL.encode() + b"\0", "must hold one line of text"),
        (SENTINEL.encode() + b"\xff", "is not UTF-8 text"),
        (SENTINEL.encode() * MAX_SECRET, f"is larger than {MAX_SECRET} octets"),
    ],
    ids=["empty", "only-newline", "only-blanks", "two-lines", "nul", "not-utf8", "huge"],
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
