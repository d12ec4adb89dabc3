"""The steps that a protocol may ask for, and how a dialogue fails.

A protocol is a sans-IO dialogue: a generator that yields steps and is sent their results. It knows no socket, no clock
and no event loop; the driver in `probe.py` performs the steps, times them, bounds them and keeps secrets out of what
is shown. The rules:

- a greeting is read before anything is written;
- `Enter` opens a phase, and with it closes the one before;
- `ReadLine` is answered with a line without its line end, `ReadBytes` with exactly so many bytes, every other step
  with nothing;
- a dialogue that cannot go on raises a `DialogueError`. Where client and server are still in step, the driver says
  goodbye even so.

    DialogueError
    ├── ProtocolViolation         not an answer of this protocol
    ├── ResponseTooLarge          past one of the limits below
    ├── StartTLSUnavailable       asked for, not offered
    ├── MechanismUnavailable      no login mechanism in common
    ├── CredentialUnavailable     the account's secret could not be read
    ├── FolderHidden              a folder that the configuration names is not visible
    └── Refusal                   the server said no
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import MechanismChoice, Role

MAX_LINE = 8192
"""Octets of a line, its line end included (RFC 7162 §4 asks IMAP clients for as much; SMTP and POP3 need 512)."""

MAX_LITERAL = 8192
"""Octets of an IMAP literal: the only ones a probe meets are names of folders."""

MAX_REPLY = 1 << 20
"""Octets received after one command: LIST names every label of an account."""

MAX_SESSION = 4 << 20
"""Octets received in a whole session."""


@dataclass(frozen=True, slots=True)
class Enter:
    """A phase begins."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Send:
    """Write `data`. `shown` stands in its place wherever a dialogue is displayed; None where nothing is secret."""

    data: bytes = field(repr=False)
    shown: bytes | None = None


@dataclass(frozen=True, slots=True)
class ReadLine:
    """Read up to and including the next LF."""


@dataclass(frozen=True, slots=True)
class ReadBytes:
    """Read exactly `count` octets."""

    count: int


@dataclass(frozen=True, slots=True)
class StartTLS:
    """Secure the connection in place."""


@dataclass(frozen=True, slots=True)
class Note:
    """A fact for `Observed`: the name of its field, and the value."""

    field: str
    value: Any


Step: TypeAlias = Enter | Send | ReadLine | ReadBytes | StartTLS | Note

_UNSENDABLE = re.compile(r"[\r\n\0\ud800-\udfff]")  # these end a command or an argument, or are not text

T = TypeVar("T")
Dialogue: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Credential:
    """Who logs in, and with what: a password, or an access token. It never shows in a repr."""

    username: str
    password: str = field(repr=False)
    is_token: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session is to do.

    `client_name` is what SMTP's EHLO says. Without a `login` the session ends before one; a `CredentialUnavailable`
    in its place is raised where the login would begin, so that everything before it is still probed.
    """

    client_name: str
    starttls: bool = False
    login: Credential | CredentialUnavailable | None = None
    mechanism: MechanismChoice = MechanismChoice.AUTO
    folders: tuple[Role, ...] = ()


@dataclass(frozen=True, slots=True)
class ProtocolDialogue:
    """A protocol of the registry: its session, and the goodbye that ends it."""

    session: Callable[[Plan], Dialogue[None]]
    logout: Callable[[], Dialogue[None]]


class DialogueError(Exception):
    """A dialogue cannot go on. Where the session is still `in_step`, it is ended with a goodbye."""

    in_step = False


class ProtocolViolation(DialogueError):
    """The server's words are not of this protocol."""


class ResponseTooLarge(DialogueError):
    """The server's answer passed a limit."""


class StartTLSUnavailable(DialogueError):
    """STARTTLS was asked for and is not offered: nothing more may be sent (RFC 8314 §3)."""


class MechanismUnavailable(DialogueError):
    """The server offers no mechanism that the credential can use."""

    in_step = True


class CredentialUnavailable(DialogueError):
    """There is nothing to log in with, for `reason`: the secret could not be read, or no token is to be had."""

    in_step = True

    def __init__(self, text: str, reason: Reason = Reason.CREDENTIAL_UNAVAILABLE) -> None:
        super().__init__(text)
        self.reason = reason


class FolderHidden(DialogueError):
    """A folder is not visible to mail clients."""

    in_step = True


class Refusal(DialogueError):
    """The server said no, in `text`.

    `temporary` is what the protocol itself says of it, None where it says nothing. `closing` means that the server is
    hanging up, so that no goodbye will be read.
    """

    def __init__(self, text: bytes, *, temporary: bool | None = None, closing: bool = False) -> None:
        super().__init__(text.decode("utf-8", "backslashreplace"))
        self.temporary = temporary
        self.in_step = not closing


def read_line() -> Dialogue[bytes]:
    """Read a line; the result is without its CRLF.

    Raises:
        ProtocolViolation: it holds a NUL, which none of the protocols allows (RFC 3501 §9, RFC 5321 §4.1.2).
    """
    line: bytes = yield ReadLine()
    if b"\0" in line:
        raise ProtocolViolation(f"a NUL in {excerpt(line)}")
    return line


def enter_login(plan: Plan) -> Dialogue[Credential | None]:
    """Enter the login phase and return who logs in, or None where no login is due.

    Raises:
        CredentialUnavailable: the secret could not be read.
    """
    if plan.login is None:
        return None
    yield Enter(Phase.LOGIN)
    if isinstance(plan.login, CredentialUnavailable):
        raise plan.login
    if _UNSENDABLE.search(plan.login.username + plan.login.password):
        raise CredentialUnavailable("the user name and the secret must each be one line of text")
    return plan.login


def excerpt(line: bytes) -> str:
    """Quote a line for an error: whole and as it came, for redaction would not know a secret that is cut or escaped."""
    return f"'{line.decode('utf-8', 'backslashreplace')}'"
