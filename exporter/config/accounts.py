"""The `accounts` of a configuration: who logs in, and where the secret is to be found."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exporter.config.document import Mapping, Node, Scalar, is_null
from exporter.config.mistake import AlreadyTold
from exporter.config.section import Report, Section
from exporter.config.value import NAME, read_https, read_text, read_whole
from exporter.model.settings import Account, OAuth2, SecretRef
from exporter.model.text import Unacceptable, check_text

MAX_LOGINS_PER_DAY = 10_000
"""Most that `max_logins_per_day` may be: more than one in nine seconds is no protection."""

_BAD_NAME = "a name must start with a letter, a digit or _, then up to 62 letters, digits, _, . or -"

_LITERAL = "must be {file: PATH} or {env: NAME}: a secret is never written here"
_CREDENTIALS = ("app_password", "oauth2", "service_account")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Known:
    """An account as far as it could be understood.

    Attributes:
        account: None where something of it is a mistake.
        is_oauth: Whether its credential is one for OAuth; None where it is not exactly one.
    """

    account: Account | None
    is_oauth: bool | None


def read_accounts(accounts: Section | None, directory: Path) -> dict[str, Known]:
    """Return every account by its name, those with mistakes too, so that they are not unknown to the endpoints."""
    known: dict[str, Known] = {}
    if accounts is not None:
        for name, section in accounts.sections():
            check_name(accounts, name)
            known[name] = Known(None, None) if section is None else _read_account(name, section, directory)
    return known


def check_name(named: Section, name: str) -> None:
    """Say so where a key is no name for an endpoint or an account."""
    if not NAME.fullmatch(name) and not named.report.is_trap(named.place(name)):
        named.wrong(name, _BAD_NAME, at_value=False)


def _read_account(name: str, section: Section, directory: Path) -> Known:
    username = section.need("username", read_text)
    read_secret = partial(_read_secret, report=section.report, directory=directory)
    credentials = {
        "app_password": section.read("app_password", read_secret),
        "oauth2": _read_oauth2(section.section("oauth2"), directory),
        "service_account": section.read("service_account", read_secret),
    }
    most = section.read("max_logins_per_day", read_whole(MAX_LOGINS_PER_DAY))
    said = [key for key in _CREDENTIALS if section.said(key)]
    if not said and any(map(section.meant, _CREDENTIALS)):
        return Known(None, None)
    if len(said) != 1:
        found = f"has {' and '.join(said)}" if said else "has no credential"
        section.report.add(section.at, section.path, f"{found}; exactly one of {', '.join(_CREDENTIALS)} is needed")
        return Known(None, None)
    is_oauth = said != ["app_password"]
    if username is None or credentials[said[0]] is None:
        return Known(None, is_oauth)
    ceiling = {} if most is None else {"max_logins_per_day": most}
    return Known(Account.model_validate({"name": name, "username": username, **credentials, **ceiling}), is_oauth)


def _read_oauth2(section: Section | None, directory: Path) -> OAuth2 | None:
    if section is None:
        return None
    read_secret = partial(_read_secret, report=section.report, directory=directory)
    client_id = section.need("client_id", read_text)
    client_secret = section.need("client_secret", read_secret)
    refresh_token = section.need("refresh_token", read_secret)
    token_uri = section.read("token_uri", read_https)
    if client_id is None or client_secret is None or refresh_token is None:
        return None
    oauth2 = OAuth2(client_id=client_id, client_secret=client_secret, refresh_token=refresh_token)
    return oauth2 if token_uri is None else oauth2.model_copy(update={"token_uri": token_uri})


def _read_secret(node: Node, report: Report, directory: Path) -> SecretRef:
    """Return the reference. Whatever else stands there may be the secret: nothing of it is shown, keys included."""
    if not isinstance(node, Mapping):
        raise Unacceptable(_LITERAL)
    said = {key: entry.node for key, entry in node.entries.items() if not is_null(entry.node)}
    if len(node.entries) == 2 and set(node.entries) == {"file", "env"} and len(said) == 2:
        raise Unacceptable("must be either {file: PATH} or {env: NAME}, not both")
    if len(said) != 1 or not set(node.entries) <= {"file", "env"}:
        raise Unacceptable(_LITERAL)
    ((kind, value),) = said.items()
    if report.is_trap(value.position):
        raise AlreadyTold
    if not isinstance(value, Scalar) or not isinstance(value.value, str):
        raise Unacceptable(f"{kind} must be text" + (": put it in quotes" if isinstance(value, Scalar) else ""))
    if kind == "env":
        if not _VARIABLE.fullmatch(value.value):
            raise Unacceptable("env must be the name of an environment variable")
        return SecretRef(env=value.value)
    try:
        return SecretRef(file=directory / check_text(value.value))
    except Unacceptable as mistake:
        raise Unacceptable(f"file {mistake}") from None
