"""The steps of a dialogue, and the errors that end one.

A protocol is a sans-IO dialogue: a generator that yields steps and is sent their results. It knows no socket, no clock
and no event loop. The driver in `driver.py` performs the steps, measures their time, enforces the limits and removes
secrets from what is shown. The rules:

- the greeting is read before anything is sent;
- `Enter` begins a phase and ends the one before;
- the result of `ReadLine` is a line without its line end, that of `ReadBytes` exactly that many octets; the other steps
  have none;
- a dialogue that cannot continue raises a `DialogueError`. Where the session is still `in_step`, the driver logs out.

    DialogueError
    ├── ProtocolViolation         not an answer of this protocol
    ├── ResponseTooLarge          over one of the limits below
    ├── StartTLSUnavailable       wanted, but not offered
    ├── PreauthBeforeTLS          the server claims a login where TLS is still to come
    ├── PreauthBeforeLogin        the server claims a login where one is to be checked
    ├── MechanismUnavailable      no login mechanism in common
    ├── CredentialUnavailable     the secret cannot be read, or there is no access token
    ├── FolderHidden              a folder of the configuration is not visible
    ├── MessageTooLarge           the server takes no message of this size
    ├── CannotClear               messages cannot be moved to the trash, and nothing else, with what the server offers
    └── Refusal                   the server refused
"""

from __future__ import annotations

import re
from codecs import utf_8_decode
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, TypeVar

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import MechanismChoice, Role

MAX_LINE = 8192
"""Octets of a line with its line end (what RFC 7162 §4 asks of IMAP clients; SMTP and POP3 need 512)."""

MAX_LITERAL = 8192
"""Octets of an IMAP literal; in a probe only folder names are literals."""

MAX_REPLY = 1 << 20
"""Octets received after one command."""

LINE_COST = 128
"""Octets that a shorter line counts as: to read it takes as long. A reply of 8,000 lines is as large as they get."""

MAX_LIST = 8 << 20
"""The same after a LIST of all folders: an account may have 15,000, each with a name of 250 octets."""

MAX_FOLDERS = 50_000
"""Lines that are read of such a LIST: each costs time, however short it is."""

MAX_IGNORED = 1000
"""Lines that are passed over in one answer, because they are not of the protocol."""

MAX_SESSION = MAX_LIST + 4 * MAX_REPLY
"""Octets received in one session."""

MAX_TEXT = 2048
"""Octets of a server's text that are read for people: Gmail's texts have a few hundred, a hostile one millions."""


class Enter(NamedTuple):
    """Begin a phase."""

    phase: Phase


class Send(NamedTuple):
    """Send `data`. `shown` is displayed in its place; None: `data` holds no secret of ours.

    The answer has `most` octets. What `repeats` the server's words, such as the name of a folder, may hold anything.
    """

    data: bytes
    shown: bytes | None = None
    most: int = MAX_REPLY
    repeats: bool = False

    def __repr__(self) -> str:
        """Return it without `data`, which may hold a secret."""
        return f"Send(shown={self.shown!r}, most={self.most}, repeats={self.repeats})"


@dataclass(frozen=True, slots=True)
class ReadLine:
    """Read up to the next LF, and that too. The result is None where that takes more than `within` seconds."""

    within: float | None = None


@dataclass(frozen=True, slots=True)
class ReadBytes:
    """Read exactly `count` octets."""

    count: int


@dataclass(frozen=True, slots=True)
class StartTLS:
    """Secure the connection in place."""


class Note(NamedTuple):
    """Set a field of `Observed` to a value."""

    field: str
    value: Any


@dataclass(frozen=True, slots=True)
class PassOver:
    """Count lines that are not of the protocol, or that nobody needs, and that were passed over."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class Arrival:
    """Find out when the last octets arrived, in seconds of `time.perf_counter`."""


_READ_LINE = ReadLine()

Step: TypeAlias = Enter | Send | ReadLine | ReadBytes | StartTLS | Note | PassOver

_UNSENDABLE = re.compile(r"[\r\n\0\ud800-\udfff]")  # ends a command or an argument, or is not text

T = TypeVar("T")
Dialogue: TypeAlias = Generator[Step, Any, T]
Work: TypeAlias = Generator[Step | Arrival, Any, T]
"""What is done in a session after its login: see `session.py`."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name with a password or an access token. The repr never shows the secret.

    `doubt` is what makes the password doubtful, for the case that it is refused.
    """

    username: str
    password: str = field(repr=False)
    is_token: bool = False
    doubt: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session has to do.

    `client_name` is the argument of SMTP's EHLO. Without `login` the session ends before the login; a
    `CredentialUnavailable` in its place is raised where the login would begin, so that everything before it is probed.
    `newest` asks when the newest message came, where the protocol can say that.
    """

    client_name: str
    starttls: bool = False
    login: Credential | CredentialUnavailable | None = None
    mechanism: MechanismChoice = MechanismChoice.AUTO
    folders: tuple[Role, ...] = ()
    newest: bool = False
    opportunistic: bool = False
    """Whether the session goes on in the clear where there is no STARTTLS, as between mail servers (RFC 7435)."""


@dataclass(frozen=True, slots=True)
class ProtocolDialogue:
    """The two dialogues of a protocol: the session, and the logout that ends it."""

    session: Callable[[Plan], Dialogue[None]]
    logout: Callable[[], Dialogue[None]]


class DialogueError(Exception):
    """A dialogue cannot continue. Where the session is still `in_step`, the driver logs out."""

    in_step = False


class ProtocolViolation(DialogueError):
    """The server's answer is not one of this protocol."""


class ResponseTooLarge(DialogueError):
    """The server's answer is over a limit."""


class StartTLSUnavailable(DialogueError):
    """STARTTLS is wanted and not offered: nothing more may be sent (RFC 8314 §3)."""


class PreauthBeforeTLS(DialogueError):
    """The server claims a login where STARTTLS is wanted, which makes that impossible: nothing more may be sent.

    RFC 9051 §7.1.4: "Clients that require mandatory TLS MUST close the connection after receiving the PREAUTH response
    on a non-protected port."
    """


class PreauthBeforeLogin(DialogueError):
    """The server claims a login on a secured connection, so that there is none to check."""

    in_step = True


class MechanismUnavailable(DialogueError):
    """The server offers no mechanism that the credential can use."""

    in_step = True


class CredentialUnavailable(DialogueError):
    """There is no credential, because of `reason`: the secret cannot be read, or there is no access token."""

    in_step = True

    def __init__(self, text: str, reason: Reason = Reason.CREDENTIAL_UNAVAILABLE) -> None:
        super().__init__(text)
        self.reason = reason


class FolderHidden(DialogueError):
    """A folder is not visible to mail clients."""

    in_step = True


class MessageTooLarge(DialogueError):
    """The server takes no message of this size."""

    in_step = True


class CannotClear(DialogueError):
    """Messages cannot be moved to the trash, and nothing else, with what the server offers."""

    in_step = True


class Refusal(DialogueError):
    """The server refused, with `text`.

    `temporary` is set where the protocol tells it, else None. `closing`: the server closes the connection, and would
    not read a logout. `answers_credential`: it came after a credential, or the user name of one, was sent. `command`:
    what it answers, where that is worth telling.
    """

    answers_credential = False
    command = ""

    def __init__(self, text: bytes, *, temporary: bool | None = None, closing: bool = False) -> None:
        super().__init__(as_text(text))
        self.temporary = temporary
        self.in_step = not closing


def read_line() -> Dialogue[bytes]:
    """Read a line, and return it without its CRLF.

    Raises:
        ProtocolViolation: it contains a NUL, which no protocol allows (RFC 3501 §9, RFC 5321 §4.1.2).
    """
    line: bytes = yield _READ_LINE
    if b"\0" in line:
        raise ProtocolViolation(f"a NUL in {excerpt(line)}")
    return line


def enter_login(plan: Plan) -> Dialogue[Credential | None]:
    """Enter the login phase and return the credential, or None without a login.

    Raises:
        CredentialUnavailable: there is none, or it cannot be sent.
    """
    if plan.login is None:
        return None
    yield Enter(Phase.LOGIN)
    if isinstance(plan.login, CredentialUnavailable):
        raise plan.login
    if _UNSENDABLE.search(plan.login.username + plan.login.password):
        raise CredentialUnavailable("the user name and the secret must each be one line of text")
    return plan.login


@contextmanager
def judging_credential() -> Iterator[None]:
    """Mark a refusal that is raised here as the answer to a credential that was sent."""
    try:
        yield
    except Refusal as refusal:
        refusal.answers_credential = True
        raise


@contextmanager
def answering(name: str) -> Iterator[None]:
    """Mark a refusal that is raised here with the command that it answers."""
    try:
        yield
    except Refusal as refusal:
        refusal.command = name
        raise


def as_text(octets: bytes, most: int = MAX_TEXT) -> str:
    """Return what a server sent as text for people, whole up to `most` octets; what is not UTF-8 is escaped.

    A longer one ends before the character that the limit is in.
    """
    is_whole = len(octets) <= most
    text, _ = utf_8_decode(octets[:most], "backslashreplace", is_whole)
    return text if is_whole else text + "…"


def excerpt(line: bytes) -> str:
    """Quote a line for an error."""
    return f"'{as_text(line)}'"
