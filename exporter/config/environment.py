"""The account that environment variables make for the built-in configuration, and which variables hold secrets."""

from collections.abc import Mapping
from pathlib import Path

from exporter.config.mistake import Mistake
from exporter.model.message import Unacceptable, check_identity, check_text
from exporter.model.settings import Account, Config, SecretRef

USERNAME = "GMAIL_EXPORTER_USERNAME"
PASSWORD = "GMAIL_EXPORTER_APP_PASSWORD"  # noqa: S105 - the variable's name
PASSWORD_FILE = "GMAIL_EXPORTER_APP_PASSWORD_FILE"  # noqa: S105 - the variable's name

NAME = "gmail"
"""The name of the account."""


def read_environment(environ: Mapping[str, str], mistakes: list[Mistake]) -> Account | None:
    """Return the account that the variables describe, None if they describe none; mistakes are added to the list.

    An empty variable counts as one that is not set: container tools pass on an absent variable in this way.
    """
    username, password, file = (environ.get(name, "") for name in (USERNAME, PASSWORD, PASSWORD_FILE))

    def wrong(variable: str, text: str) -> None:
        mistakes.append(Mistake(variable, 0, 0, "", text))

    if password and file:
        wrong(PASSWORD_FILE, f"must not be set together with {PASSWORD}")
    if username and not password and not file:
        wrong(USERNAME, f"needs {PASSWORD_FILE} or {PASSWORD} to be set too")
    if not username and (password or file):
        wrong(PASSWORD_FILE if file else PASSWORD, f"needs {USERNAME} to be set too")
    for variable, value, check in ((USERNAME, username, check_identity), (PASSWORD_FILE, file, check_text)):
        try:
            check(value or "-")
        except Unacceptable as mistake:
            wrong(variable, str(mistake))
    if mistakes or not username:
        return None
    reference = SecretRef(file=Path(file).absolute()) if file else SecretRef(env=PASSWORD)
    return Account(name=NAME, username=username, app_password=reference)


def secret_variables(config: Config) -> set[str]:
    """Return the names of the variables that hold secrets, whether or not they are set."""
    references = (reference for account in config.accounts.values() for reference in account.secrets)
    return {PASSWORD, *(reference.env for reference in references if reference.env)}
