"""A server's text is safe to show."""

from __future__ import annotations

import unicodedata
from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.outcome import MAX_DETAIL
from exporter.probing.dialogue import Credential
from exporter.probing.redact import REDACTED, redact, secrets_of

PASSWORD = 'p"a\\ss wörd/100%'
CREDENTIAL = Credential("probe@gmail.com", PASSWORD)
SPELLINGS = {
    "raw": PASSWORD,
    "quoted": 'p\\"a\\\\ss wörd/100%',
    "percent-encoded": quote(PASSWORD),
    "base64": b64encode(PASSWORD.encode()).decode(),
    "base64 of PLAIN": b64encode(f"\0probe@gmail.com\0{PASSWORD}".encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_secret(spelling: str) -> None:
    """Each spelling of the password that a server could send back is replaced, every time."""
    assert redact(f"NO {spelling} {spelling}x", secrets_of(CREDENTIAL)) == f"NO {REDACTED} {REDACTED}x"


def test_longest_spelling_first() -> None:
    """A spelling that is a part of another leaves nothing of the longer one."""
    secrets = secrets_of(CREDENTIAL)
    assert [len(secret) for secret in secrets] == sorted(map(len, secrets), reverse=True)
    assert redact(" ".join(secrets), secrets) == " ".join([REDACTED] * len(secrets))


def test_user_name_stays() -> None:
    """The user name is shown: it is no secret."""
    text = "user probe@gmail.com unknown"
    assert redact(text, secrets_of(CREDENTIAL)) == text


def test_no_secrets() -> None:
    """Without a secret nothing is replaced; an empty secret is none."""
    assert redact("NO sentinel") == "NO sentinel"
    assert redact("NO", secrets_of(Credential("", ""))) == "NO"


def test_secret_like_the_replacement() -> None:
    """A password that is a part of the replacement does not change that."""
    assert redact("a red dot", secrets_of(Credential("u", "red"))) == f"a {REDACTED} dot"


def test_half_a_character() -> None:
    """A password that cannot be encoded, which no server accepts, is redacted, too."""
    assert redact("NO \udc80", secrets_of(Credential("u", "\udc80"))) == f"NO {REDACTED}"


LINK = "https://accounts.google.com/signin/continue"
SHOWN = f"{LINK}?{REDACTED}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"NO [WEBALERT {LINK}?sarp=1&plt=AKgn] Web login required.", f"NO [WEBALERT {SHOWN}] Web login required."),
        (f"534 5.7.14 <{LINK}?sarp=1&plt=AK gn xy-_> Please log in", f"534 5.7.14 {SHOWN} Please log in"),
        (f"534 5.7.14 <{LINK}?sarp=1&plt=AK gn without an end", f"534 5.7.14 {SHOWN}"),
        ("<https://accounts.google.com/si gnin?plt=AK gn> x", f"https://accounts.google.com/si gnin?{REDACTED} x"),
        (f"<{LINK.upper()}?PLT=AK> x", f"{LINK.upper()}?{REDACTED} x"),
        ("http://accounts.google.com/a?b=c d", f"http://accounts.google.com/a?{REDACTED} d"),
        ("see https://example.com/x?a=1&plt=AKgn&b=2 there", f"see https://example.com/x?a=1&plt={REDACTED}&b=2 there"),
        ("plt=AKgn", f"plt={REDACTED}"),
        ("xplt=AKgn]", f"xplt={REDACTED}]"),
        ("https://support.google.com/mail/?p=OverQuota abc", "https://support.google.com/mail/?p=OverQuota abc"),
        ("https://accounts.google.com/ without a query", "https://accounts.google.com/ without a query"),
    ],
)  # fmt: skip
def test_personal_link(text: str, shown: str) -> None:
    """Only the address of a sign-in link is shown, wherever it is broken; links to help remain."""
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"534-5.7.14 <{LINK}?sarp=1&scc=1&plt=AKgnsbt", f"534-5.7.14 {SHOWN}"),
        ("534-5.7.14 xRHlNxSt2_hWQZEc2cuMGk8ZhXQyKvLtrj2sB0J0", f"534-5.7.14 {REDACTED}"),
        ("534-5.7.14 6a-Z> Please log in via your web", f"534-5.7.14 {REDACTED}> Please log in via your web"),
        ("534-5.7.14 > Please log in via your web browser and", "534-5.7.14 > Please log in via your web browser and"),
        ("534-5.7.14 then try again.", "534-5.7.14 then try again."),
        ("534-5.7.14  Learn more at", "534-5.7.14  Learn more at"),
        ("534 5.7.14  https://support.google.com/mail/x", "534 5.7.14  https://support.google.com/mail/x"),
    ],
)  # fmt: skip
def test_personal_link_line_by_line(line: str, shown: str) -> None:
    """If a sign-in link is broken over several lines of a reply, no single line shows a part of its query."""
    assert redact(line) == shown


def test_unprintable() -> None:
    """Control characters, and those that change the direction of text, are escaped."""
    assert redact("a\0b\r\n\x1b[31m\x9b\u202e\u2066\ufeff\u200f\ud800é") == (
        r"a\x00b\r\n\x1b[31m\x9b\u202e\u2066\ufeff\u200f\ud800é"
    )


def test_length() -> None:
    """A text that is longer than a detail is cut, and ends in an ellipsis."""
    assert redact("x" * MAX_DETAIL) == "x" * MAX_DETAIL
    assert redact("x" * (MAX_DETAIL + 1)) == "x" * (MAX_DETAIL - 1) + "…"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", [f"<{LINK}", f"<{LINK}?", LINK, "plt=", "plt=x ", "<", "\0", PASSWORD])
def test_endless(unit: str) -> None:
    """A million characters, chosen to be slow to search, are redacted without delay."""
    assert len(redact(unit * (1_000_000 // len(unit)), secrets_of(CREDENTIAL))) <= MAX_DETAIL


def test_secret_at_the_cut() -> None:
    """A secret at the end of the searched part is found before the text is cut."""
    for before in range(16 * MAX_DETAIL - 40, 16 * MAX_DETAIL + 1):
        text = f"<{LINK}?" + "x" * (before - len(LINK) - 3) + ">" + PASSWORD
        assert PASSWORD[:2] not in redact(text, secrets_of(CREDENTIAL))


# Shorter passwords, or those of few different characters, occur in other text by chance.
PASSWORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=6, max_size=30).filter(
    lambda password: len(set(password)) > 3 and password not in REDACTED and "plt=" not in password
)
TEXTS = st.text(max_size=60)


@given(
    password=PASSWORDS, username=st.text(st.characters(codec="utf-8"), max_size=20), words=st.lists(TEXTS, max_size=9)
)
def test_any_secret(password: str, username: str, words: list[str]) -> None:
    """In any text, no spelling of a password is shown."""
    secrets = secrets_of(Credential(username, password))
    for secret in secrets:
        shown = redact(secret.join(["", *words, ""]), secrets)
        assert secret not in shown.replace(REDACTED, "\0")


@given(before=TEXTS, value=st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=8, max_size=40), after=TEXTS)
def test_any_personal_parameter(before: str, value: str, after: str) -> None:
    """In any text, no value of `plt` is shown."""
    if value not in before + after + REDACTED:
        assert value not in redact(f"{before}plt={value} {after}")


@given(text=st.text(max_size=2 * MAX_DETAIL), secrets=st.lists(st.text(max_size=5), max_size=3))
def test_any_text(text: str, secrets: list[str]) -> None:
    """The result for any text is short, printable and can be encoded."""
    shown = redact(text, secrets)
    assert len(shown) <= MAX_DETAIL
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"}
    shown.encode()
