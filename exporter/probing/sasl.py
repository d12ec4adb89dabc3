"""SASL mechanisms (RFC 4422) of the dialogues, without the framing of any protocol.

What a client says in any of them is known before the first challenge, so a mechanism is data: its answers, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from exporter.config import MechanismChoice


@dataclass(frozen=True, slots=True)
class Credential:
    """Who logs in. The password never shows in a repr."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One exchange: what to answer to each challenge, without base64.

    Where the mechanism is `client_first`, the first answer may go with the command itself (RFC 4422 §3.3).
    """

    name: str
    answers: tuple[bytes, ...] = field(repr=False)
    client_first: bool


def _plain(credential: Credential) -> Mechanism:
    """PLAIN (RFC 4616 §2): an empty authorization identity, the user name, the password."""
    return Mechanism("PLAIN", (f"\0{credential.username}\0{credential.password}".encode(),), client_first=True)


def _login(credential: Credential) -> Mechanism:
    """LOGIN (draft-murchison-sasl-login): user name, then password, whatever the prompts say."""
    return Mechanism("LOGIN", (credential.username.encode(), credential.password.encode()), client_first=False)


# In order of preference: PLAIN is a standard, and saves a round trip.
_MECHANISMS: tuple[tuple[str, MechanismChoice, Callable[[Credential], Mechanism]], ...] = (
    ("PLAIN", MechanismChoice.PLAIN, _plain),
    ("LOGIN", MechanismChoice.LOGIN, _login),
)


def choose(choice: MechanismChoice, offered: Collection[str], credential: Credential) -> Mechanism | None:
    """Return the best mechanism that `choice` admits and the server offers, or None where there is none.

    `offered` holds names in capitals.
    """
    for name, its_choice, build in _MECHANISMS:
        if choice in (MechanismChoice.AUTO, its_choice) and name in offered:
            return build(credential)
    return None
