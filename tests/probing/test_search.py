"""Pieces of secrets are found by rule."""

from __future__ import annotations

import gc
from base64 import b64encode
from weakref import ref

import pytest

from exporter.probing.search import NO_NAMES, NO_SECRETS, Names, Secrets, in_use

SECRET = "xqzdefghijklmnop"


def found(secrets: Secrets, text: str, names: Names = NO_NAMES) -> list[str]:
    """The parts of a text that are found, without those within another."""
    spans = sorted(set(secrets.find(text, names)))
    whole = [span for span in spans if not any(a <= span[0] and span[1] <= b for a, b in spans if (a, b) != span)]
    return [text[begin:end] for begin, end in whole]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"no {SECRET}, sorry", [SECRET]),
        ("cut: xqzdef", ["xqzdef"]),
        ("cut: xqzde", []),
        ("XQZD EFGH ijkl-mnop", ["XQZD EFGH ijkl-mnop"]),
        ("klmnop and defghi", ["klmnop", "defghi"]),
        ("abcdef", []),
    ],
)
def test_pieces(text: str, parts: list[str]) -> None:
    """Six characters of a secret are found, fewer are not."""
    assert found(Secrets([SECRET]), text) == parts


@pytest.mark.parametrize(
    ("secret", "text", "parts"),
    [
        ("p@$$!#%", "say p@$$!# now", ["p@$$!#"]),
        ("a-b-c-d-e", "a-b-c-d", ["a-b-c-d"]),
        ("a-b-c-d-e-f", "abcdef", ["abcdef"]),
        ("%41%42%43%44%45%46", "ABCDEF", ["ABCDEF"]),
        ("100%25&amp;x", "100%25&amp;x", ["100%25&amp;x"]),
        ("🔒🔑🔒🔑🔒🔑", "🔒 🔑 🔒 🔑 🔒 🔑", ["🔒 🔑 🔒 🔑 🔒 🔑"]),
        ("pässwörter", "pÃ¤sswÃ¶rter", ["pÃ¤sswÃ¶rter"]),
        ("pässwörter", "PASSWORTER", ["PASSWORTER"]),
    ],
)
def test_any_secret(secret: str, text: str, parts: list[str]) -> None:
    """So is a secret of punctuation, of escapes, of any script, and one whose octets were taken for Latin-1."""
    assert found(Secrets([secret]), text) == parts


@pytest.mark.parametrize(
    ("secret", "text", "parts"),
    [
        ("x7k", "is X7K!", ["X7K"]),
        ("x7k", "x 7k", []),
        ("x7k", "x\u200b7k", ["x\u200b7k"]),
        ("x7k1", f"is {b64encode(b'x7k1').decode()}", ["eDdrMQ"]),
        ("x7k1", "is 78376b31", ["78376b31"]),
        ("x7k1", b64encode(b"\0probe@gmail.com\0x7k1").decode(), [b64encode(b"\0probe@gmail.com\0x7k1").decode()]),
        ("x7k", "%78%37%6b", ["%78%37%6b"]),
        ("imap", "no imap here", []),
        ("bob", "bob@example.com", []),
        ("bo", "bobby", ["bo"]),
    ],
)
def test_short_secret(secret: str, text: str, parts: list[str]) -> None:
    """A secret of fewer than six characters is found as a whole, unless it is a word of ours or of the user name."""
    assert found(Secrets([secret]), text, Names(["bobby.tables@example.com", "bob@example.com"])) == parts


@pytest.mark.parametrize(
    ("secret", "text", "parts"),
    [
        ("password2024", "Username and Password not accepted", []),
        ("password2024", "your password2 is wrong", ["password2"]),
        ("password2024", "your word2024 is wrong", ["word2024"]),
        ("authentication1", "Authentication failed", ["Authentication"]),  # ten characters and more
        ("imap.gmail.com!", "imap.gmail.com at your service", ["imap.gmail.com"]),
        ("gmail.com!", "imap.gmail.com at your service", []),
        ("probe1@gmail", "user probe1@gm unknown", []),
        ("probe1@gmailX", "user probe1@gmail unknown", ["probe1@gmail"]),
        ("OAUTHBEARER", "AUTH=OAUTHBEARER", ["OAUTHBEARER"]),
        ("XOAUTH2x", "AUTH=XOAUTH2 XLIST", ["XOAUTH2 X"]),
        ("special", "SPECIAL-USE", []),
    ],
)
def test_common_pieces(secret: str, text: str, parts: list[str]) -> None:
    """A piece that is also one of the host, the user name, a capability or a usual word is found from ten on."""
    assert found(Secrets([secret]), text, Names(["imap.gmail.com", "probe1@gmail.com"])) == parts


def test_challenge() -> None:
    """The challenge of OAuth 2.0 stays readable, in base64, too."""
    challenge = '{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}'
    for secret in (SECRET, "https-bearer-400", "ya29.a0AfB_byC-scope"):
        assert not found(Secrets([secret]), challenge)
        assert not found(Secrets([secret]), b64encode(challenge.encode()).decode())


def test_in_capitals() -> None:
    """In capitals base64 cannot be decoded, and is still found."""
    for before in ("", "x", "xy"):
        code = b64encode(f"{before}{SECRET}".encode()).decode().upper()
        assert found(Secrets([SECRET]), f"X-{code}")
        assert not found(Secrets([SECRET]), f"x-{code}")
    assert not found(Secrets([SECRET]), "IMAP4REV1 IDLE AUTH=OAUTHBEARER")


def test_several() -> None:
    """Each of several secrets is found; with none, nothing is."""
    secrets = Secrets([SECRET, "1//0gRefresh-zzz", "", " \u200b"])
    assert found(secrets, f"{SECRET} 1//0grefresh") == [SECRET, "1//0grefresh"]
    assert secrets
    for none in NO_SECRETS, Secrets([""]), Secrets([" \u200b"]):
        assert not none
        assert not found(none, SECRET)


def test_known_to_be_clean() -> None:
    """A text that comes again is not searched again; one with a secret, or with a word of it, always is."""
    secrets = Secrets([SECRET])
    assert not secrets.are_in("IMAP4REV1 IDLE")
    assert secrets._clean == {"IMAP4REV1 IDLE"}
    assert not secrets.are_in("IMAP4REV1 IDLE")
    assert secrets.are_in(f"X {SECRET}")
    for number in range(100):
        assert not secrets.are_in(f"x{number} " * 5)
    assert not secrets.are_in("x " * 5000)
    assert len(secrets._clean) <= 32
    assert all(len(text) <= 2048 for text in secrets._clean)


def test_in_use() -> None:
    """Secrets are in use as long as somebody holds them."""
    secrets = Secrets([SECRET])
    held = ref(secrets)
    assert held() in in_use()
    del secrets
    gc.collect()
    assert held() is None
    assert None not in in_use()
    assert NO_SECRETS not in in_use()


def test_not_shown() -> None:
    """A repr does not show a secret."""
    assert SECRET not in repr(Secrets([SECRET]))
