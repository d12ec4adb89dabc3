"""Text from outside is safe to show."""

from __future__ import annotations

import unicodedata
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from exporter.model.certificate import Certificate
from exporter.model.outcome import MAX_DETAIL, Line
from exporter.probing.redact import REDACTED, Redactor, redact, redact_everything, shortened
from exporter.probing.search import Secrets
from exporter.probing.vocabulary import common_letters, common_marks
from tests.examples import FACTS
from tests.probing.leaks import DOUBLED, ENCODERS, survivors

PASSWORD = 'p"a\\ss wörd/100%'
USERNAME = "probe@gmail.com"
SPELLINGS = {
    "raw": PASSWORD,
    "quoted": 'p\\"a\\\\ss wörd/100%',
    "percent-encoded": quote(PASSWORD),
    "base64": b64encode(PASSWORD.encode()).decode(),
    "base64 of PLAIN": b64encode(f"\0{USERNAME}\0{PASSWORD}".encode()).decode(),
}


def redactor(*secrets: str) -> Redactor:
    """A redactor of these secrets, for an account at Gmail."""
    return Redactor(Secrets(secrets), [USERNAME, "imap.gmail.com"])


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_secret(spelling: str) -> None:
    """Each spelling of the password that a server could send back is replaced, every time."""
    shown = redactor(PASSWORD).text(f"NO {spelling} {spelling} x")
    assert shown == f"NO {REDACTED} {REDACTED} x"


def test_what_is_around_stays() -> None:
    """Nothing but the secret is taken out: the JSON around it is no secret, nor is the user name."""
    password = "xqzd efgh ijkl mnop"
    text = f'{{"error": "invalid_grant", "user": "{USERNAME}", "password": "{password}", "host": "imap.gmail.com"}}'
    assert redactor(password).text(text) == text.replace(password, REDACTED)
    challenge = b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}').decode()
    assert redactor(password).text(f"334 {challenge}") == f"334 {challenge}"


def test_no_secrets() -> None:
    """Without a secret nothing is replaced; an empty secret is none."""
    assert redact("NO sentinel") == "NO sentinel"
    assert redactor("").text("NO") == "NO"


def test_secret_like_the_replacement() -> None:
    """A password that is a part of the replacement does not change that."""
    assert redactor("red").text("a red dot") == f"a {REDACTED} dot"
    assert redactor("redacted!").text("a redacted! dot") == f"a {REDACTED} dot"


def test_half_a_character() -> None:
    """A password that cannot be encoded, which no server accepts, is redacted, too."""
    assert redactor("\udc80").text("NO \udc80") == f"NO {REDACTED}"


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
    assert shortened("x" * (MAX_DETAIL + 1)) == "x" * (MAX_DETAIL - 1) + "…"
    assert redactor(PASSWORD).text(f"{PASSWORD} " * 100).count(REDACTED) < 50
    assert redactor(PASSWORD).text(f"{PASSWORD} " * 100).endswith("…")


@pytest.mark.parametrize("unit", [f"<{LINK}", f"<{LINK}?", LINK, "plt=", "plt=x ", "<", "\0", PASSWORD])
def test_endless(unit: str) -> None:
    """A million characters, chosen to be slow to search, are as short as any other text."""
    assert len(redactor(PASSWORD).text(unit * (1_000_000 // len(unit)))) <= MAX_DETAIL


def test_secret_at_the_cut() -> None:
    """A secret at the end of the searched part is found before the text is cut."""
    for before in range(2 * MAX_DETAIL - 40, 2 * MAX_DETAIL + 1):
        text = f"<{LINK}?" + "x" * (before - len(LINK) - 3) + ">" + PASSWORD
        assert not survivors(redactor(PASSWORD).text(text), PASSWORD)


# Words and certificates


def test_words() -> None:
    """A capability that holds a secret is taken out whole, also in capitals, and where two of them hold it."""
    secret = "s3ntinel-hunter2"
    code = b64encode(secret.encode()).decode().upper()
    words = ("IMAP4REV1", f"X-{secret.upper()}", f"X-{code}", f"AUTH PLAIN X-{secret} LOGIN", "S3NTI", "NEL-HU", "IDLE")
    assert redactor(secret).words(words) == (
        "IMAP4REV1", REDACTED, REDACTED, f"AUTH PLAIN {REDACTED} LOGIN", REDACTED, REDACTED, "IDLE",
    )  # fmt: skip


def test_clean_words() -> None:
    """Capabilities without a secret are the same object, so that a thousand endpoints can share them."""
    words = ("IMAP4REV1", "IDLE")
    assert redactor("xqzdefgh").words(words) is words
    assert redactor("xqzdefgh").words(()) == ()
    assert redactor("xqzdefgh").words(("X\x1b", LINK + "?x")) == ("X\\x1b", f"{LINK}?{REDACTED}")


def test_certificates() -> None:
    """A certificate may have anything in its names; one without a secret stays as it is."""
    secret = "s3ntinel-hunter2"
    certificate = Certificate(
        f"CN={secret}",
        f"O={secret.upper()}",
        ("localhost", f"{secret}.example"),
        0.0,
        1.0,
        "ab" * 32,
        secret.encode().hex(),
    )
    facts = replace(FACTS, issuer=certificate.issuer, chain=(certificate,))
    shown = redactor(secret).certificates(facts)
    assert (shown.issuer, shown.chain[0].subject) == (f"O={REDACTED}", f"CN={REDACTED}")
    assert shown.chain[0].names == ("localhost", f"{REDACTED}.example")
    assert shown.chain[0].serial_number == REDACTED
    assert shown.fingerprint_sha256 == facts.fingerprint_sha256
    assert redactor("xqzdefgh").certificates(facts) is facts


# Lines of a dialogue


def shown_lines(secret: str, *texts: str) -> list[str]:
    """What is shown of these lines of a server."""
    return [line.text for line in redactor(secret).lines([Line(0.0, "S", text) for text in texts])]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("535-5.7.8 xqzd", "535 5.7.8 efgh sorry"),
        ("250-xqzd", "250 efgh"),
        ("* NO xqzd", "a2 NO efgh"),
        ("* NO [ALERT] you sent xqzde", "a12 BAD fgh"),
        ("* NO [ALERT] xqzd", "a2 NO [AUTHENTICATIONFAILED] efgh"),
        ("* NO [XQZDEFGH] sorry", "* NO [XQZDEF] sorry"),
        ("-ERR [SYS/TEMP] xqzd", "-ERR [AUTH] efgh"),
        ("-ERR xqzd", "+OK efgh"),
        ("+ xqzd", "+ efgh"),
        ("xqzd", "efgh"),
        ("535-5.7.8 eHF6", "535 5.7.8 ZGVmZ2g="),
        ("535-%78%71%7a%6", "535 4%65%66%67%68"),
        ("535-&#120;&#11", "535 3;&#122;&#100;&#101;&#102;"),
        ("535-\\u0078\\u0071\\u00", "535 7a\\u0064\\u0065\\u0066"),
        ("535-=78=71=7A=", "535 =64=65=66=67"),
        ("535-7871", "535 7a6465666768"),
    ],
)
def test_over_two_lines(first: str, second: str) -> None:
    """A secret that is broken over two lines of a reply is taken out of both."""
    shown = shown_lines("xqzdefgh", "* OK hello", first, second, "* OK bye")
    assert (shown[0], shown[-1]) == ("* OK hello", "* OK bye")
    assert all(REDACTED in line for line in shown[1:-1]), shown


def test_over_many_lines() -> None:
    """So is one of which each line has a character, between others that have none."""
    shown = shown_lines("xqzdefghijklmnop", *(f"250-{one}" for one in "abcxqzdefghijklmnopabc"), "250 OK")
    assert shown == [*["250-a", "250-b", "250-c"], *[f"250-{REDACTED}"] * 16, *["250-a", "250-b", "250-c"], "250 OK"]


def test_over_chunks() -> None:
    """Lines are searched some at a time; a secret is found wherever it is."""
    secret = "xqzdefghijklmnop"
    for before in range(900, 1100, 7):
        texts = ["250-" + "." * 90 for _ in range(before // 94)] + ["250-" + "." * (before % 94), "250-xqz", "250-def"]
        shown = shown_lines(secret, *texts, *texts)
        assert shown[-2:] == [f"250-{REDACTED}"] * 2
        assert shown.count(f"250-{REDACTED}") == 4
        assert len(shown) == 2 * len(texts)


def test_lines_of_the_client() -> None:
    """What the client sent is our own: it is shown as it is, but for what is invisible or too long."""
    lines = [Line(0.0, "C", "USER xqzdefgh\u200b"), Line(0.1, "C", "x" * 600), Line(0.2, "", "(7 more)")]
    shown = [line.text for line in redactor("xqzdefgh").lines(lines)]
    assert shown == ["USER xqzdefgh\\u200b", "x" * (MAX_DETAIL - 1) + "…", "(7 more)"]
    clean = [Line(0.0, "S", "* OK")]
    assert next(redactor("xqzdefgh").lines(clean)) is clean[0]
    assert list(redactor("xqzdefgh").lines([])) == []


def test_lines_of_a_detail() -> None:
    """In a detail the lines of a reply are one text, with the words that each begins with."""
    assert redactor("xqzdefgh").text("NO [ALERT] xqzd NO [AUTHENTICATIONFAILED] efgh sorry") == (
        f"NO [ALERT] {REDACTED} NO [AUTHENTICATIONFAILED] {REDACTED} sorry"
    )
    assert redactor("xqzdefgh").text("535 5.7.8 xqzd 5.7.9 efgh") == f"535 5.7.8 {REDACTED} 5.7.9 {REDACTED}"


def test_everything() -> None:
    """In a log line, the secrets of all accounts are taken out, however long it is."""
    held = Secrets(["xqzdefgh"]), Secrets(["1//0gRefresh"])
    text = redact_everything(f"ValueError: {'x ' * 5000}XQZDEFGH and\n1//0grefresh")
    assert text == f"ValueError: {'x ' * 5000}{REDACTED} and\n{REDACTED}"
    assert all(held)


# Any text

TEXTS = st.text(max_size=60)
SMALL = "abcdefghijklmnopqrstuvwxyz"
ALL = f"{SMALL}{SMALL.upper()}0123456789!#$%&*+,-./:;<=>?@[]^_{{|}}~äßéñпароль密码🎉\"'\\ "
# No character twice, so that no piece of them comes of what is around it by chance.
SECRETS = st.one_of(
    st.permutations(SMALL).map(lambda some: "".join(some[:16])),
    st.permutations(SMALL).map(lambda some: " ".join("".join(some[at : at + 4]) for at in (0, 4, 8, 12))),
    st.lists(st.sampled_from(ALL), min_size=8, max_size=24, unique_by=str.casefold).map("".join),
    st.permutations(f"{SMALL}0123456789-_").map(lambda some: f"ya29.{''.join(some)}"),
)
BEFORE = ["", "NO you sent ", '{"password": "', "<", "AUTH PLAIN "]
AFTER = ["", " to me", '"}', ">", "&b=c", "\u200b", "é"]
PREFIXES = st.sampled_from(
    [("535-5.7.8 ", "535 5.7.8 "), ("250-", "250 "), ("* NO ", "a2 NO "), ("-ERR ", "-ERR "), ("", "")]
)


def left(shown: str, secret: str) -> set[str]:
    """The pieces of a secret that can be got out of what is shown, but for those that are words of ours."""
    return {
        piece for piece in survivors(shown, secret) if piece not in common_letters() and piece not in common_marks()
    }


SINGLE = tuple(name for name in ENCODERS if name not in DOUBLED)


@st.composite
def echoes(draw: st.DrawFn, encoders: Sequence[str] = tuple(ENCODERS)) -> tuple[str, str]:
    """A secret, and a piece of it as a server may write that."""
    secret = draw(SECRETS)
    begin = draw(st.integers(0, max(len(secret) - 6, 0)))
    piece = secret[begin : draw(st.integers(begin + 6, len(secret)))] if draw(st.booleans()) else secret
    encoder = draw(st.sampled_from(encoders))
    echo = ENCODERS[encoder](piece)
    if encoder in DOUBLED or draw(st.booleans()):
        return secret, echo
    first = draw(st.integers(0, 3))
    return secret, echo[first:][: draw(st.integers(20, 400))]


@settings(max_examples=300)
@given(echo=echoes(), before=st.sampled_from(BEFORE), after=st.sampled_from(AFTER))
def test_any_secret(echo: tuple[str, str], before: str, after: str) -> None:
    """Nothing of six characters of a secret survives, in any encoding and wherever it is cut, in any text."""
    secret, written = echo
    text = f"{before}{written} {after}"
    shown = redactor(secret).text(text)
    # What comes of what is around it by chance is none.
    assert not left(shown, secret) - left(f"{before} {after}", secret), (text, shown)
    words = redactor(secret).words((before, *written.split(), after))
    assert not left("\n".join(words), secret) - left(f"{before} {after}", secret)


IN_HEX = "0x61 0x62 0x63 0x64 0x65 0x66 0x67 0x68 0x69 0x6a "


@settings(max_examples=300)
@given(echo=echoes(SINGLE), prefixes=PREFIXES, cuts=st.lists(st.integers(0, 400), min_size=1, max_size=3))
@example(("abcdefghijklmnop", IN_HEX), ("535-5.7.8 ", "535 5.7.8 "), [26, 26])
@example(("abcdefghijklmnop", IN_HEX), ("535-5.7.8 ", "535 5.7.8 "), [27])
@example(("abcdefghijklmnop", IN_HEX), ("535-5.7.8 ", "535 5.7.8 "), [28])
def test_any_joint(echo: tuple[str, str], prefixes: tuple[str, str], cuts: list[int]) -> None:
    """The same over the lines of a reply, wherever the line ends are."""
    secret, written = echo
    assume(written.isascii() or written.isprintable())
    edges = [0, *sorted(cut % (len(written) + 1) for cut in cuts), len(written)]
    parts = [written[begin:end] for begin, end in pairwise(edges)]
    prefixed = [f"{prefixes[number == len(parts) - 1]}{part}" for number, part in enumerate(parts)]
    shown = shown_lines(secret, "* OK hello", *prefixed, "* OK bye")
    lines = [line.removeprefix(prefixes[number == len(parts) - 1]) for number, line in enumerate(shown[1:-1])]
    for line in (*lines, "".join(lines)):
        assert not left(line, secret), (prefixed, shown)


@given(before=TEXTS, value=st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=8, max_size=40), after=TEXTS)
def test_any_personal_parameter(before: str, value: str, after: str) -> None:
    """In any text, no value of `plt` is shown."""
    if value not in before + after + REDACTED:
        assert value not in redact(f"{before}plt={value} {after}")


@given(text=st.text(max_size=3 * MAX_DETAIL), secrets=st.lists(st.text(max_size=12), max_size=3))
def test_any_text(text: str, secrets: list[str]) -> None:
    """The result for any text and any secrets is short, printable and can be encoded."""
    [line] = redactor(*secrets).lines([Line(0.0, "S", text)])
    for shown in (redactor(*secrets).text(text), *redactor(*secrets).words((text, text)), line.text):
        assert len(shown) <= MAX_DETAIL
        assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        shown.encode()
