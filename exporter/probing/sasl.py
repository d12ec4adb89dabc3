"""SASL (RFC 4422): the mechanisms, the choice of one, and the exchange, which is the same on all protocols.

No answer depends on the text of a challenge, so a mechanism is data: its answers, in order.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TypeAlias

from exporter.model.settings import MechanismChoice
from exporter.probing.dialogue import Credential, Dialogue, Send, judging_credential


@dataclass(frozen=True, slots=True)
class Mechanism:
    """The answers to the server's challenges, in order, without base64.

    `client_first`: the first answer may go with the command itself (RFC 4422 §3.3). `error_response`: a server that
    refuses may send one more challenge, and waits for this answer (RFC 7628 §3.2.3).
    """

    name: str
    answers: tuple[bytes, ...] = field(repr=False)
    client_first: bool
    error_response: bytes | None = None


def _plain(credential: Credential) -> Mechanism:
    """PLAIN (RFC 4616 §2): an empty authorization identity, the user name, the password."""
    return Mechanism(
        "PLAIN", (f"\0{credential.username}\0{credential.password}".encode("utf-8", "replace"),), client_first=True
    )


def _login(credential: Credential) -> Mechanism:
    """LOGIN (draft-murchison-sasl-login): user name, then password; the text of the prompts is ignored."""
    return Mechanism(
        "LOGIN",
        (credential.username.encode("utf-8", "replace"), credential.password.encode("utf-8", "replace")),
        client_first=False,
    )


def _xoauth2(credential: Credential) -> Mechanism:
    """XOAUTH2 (developers.google.com/gmail/imap/xoauth2-protocol)."""
    answer = f"user={credential.username}\1auth=Bearer {credential.password}\1\1".encode("utf-8", "replace")
    return Mechanism("XOAUTH2", (answer,), client_first=True, error_response=b"")


def _oauthbearer(credential: Credential) -> Mechanism:
    """OAUTHBEARER (RFC 7628 §3.1): a GS2 header with the user name (RFC 5801 §4), then the token."""
    name = credential.username.replace("=", "=3D").replace(",", "=2C")
    answer = f"n,a={name},\1auth=Bearer {credential.password}\1\1".encode("utf-8", "replace")
    return Mechanism("OAUTHBEARER", (answer,), client_first=True, error_response=b"\1")  # RFC 7628 §3.2.3


# In order of preference: PLAIN is a standard and saves a round trip; XOAUTH2 is what Google documents.
_OF_PASSWORD: tuple[Callable[[Credential], Mechanism], ...] = (_plain, _login)
_OF_TOKEN: tuple[Callable[[Credential], Mechanism], ...] = (_xoauth2, _oauthbearer)


def mechanisms(credential: Credential) -> tuple[Mechanism, ...]:
    """Return the mechanisms for this credential, the best first."""
    return tuple(build(credential) for build in (_OF_TOKEN if credential.is_token else _OF_PASSWORD))


def may_use_password(choice: MechanismChoice, credential: Credential) -> bool:
    """Whether the protocol's own login command, older than SASL, may be used."""
    return not credential.is_token and choice in (MechanismChoice.AUTO, MechanismChoice.LOGIN)


def choose(choice: MechanismChoice, offered: Collection[str], credential: Credential) -> Mechanism | None:
    """Return the best mechanism that `choice` allows and the server offers, or None. `offered` is in capitals."""
    for mechanism in mechanisms(credential):
        if choice.value in ("auto", mechanism.name.lower()) and mechanism.name in offered:
            return mechanism
    return None


ReadAnswer: TypeAlias = Callable[[bool, bool], Dialogue[bool]]
"""Reads the server's next answer and returns whether it is a challenge. The arguments: whether it may be a challenge,
and whether it may be the final success. Any other answer is raised as a `DialogueError`."""


def authenticate(mechanism: Mechanism, command: bytes, longest: int, read: ReadAnswer) -> Dialogue[None]:
    """Log in with `mechanism`, using the protocol's `command` and its function to `read` an answer.

    The first answer goes with the command where the line, with its CRLF, is at most `longest` octets.
    """
    command += b" " + mechanism.name.encode()
    answers = mechanism.answers
    # RFC 4959 §3, RFC 5034 §4, RFC 4954 §4: an empty initial response is a single "=".
    line = command + b" " + (b64encode(answers[0]) or b"=") + b"\r\n"
    if mechanism.client_first and len(line) <= longest:
        yield Send(line, command + b" [redacted]\r\n")
    else:
        yield Send(command + b"\r\n")
        yield from read(True, False)  # a refusal now is one of the mechanism, not of the credential
        yield Send(b64encode(answers[0]) + b"\r\n", b"[redacted]\r\n")
    with judging_credential():
        for answer in answers[1:]:
            yield from read(True, False)
            yield Send(b64encode(answer) + b"\r\n", b"[redacted]\r\n")
        if mechanism.error_response is not None:
            if not (yield from read(True, True)):
                return
            yield Send(b64encode(mechanism.error_response) + b"\r\n")
        yield from read(False, True)
