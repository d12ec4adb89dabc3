"""The account that the environment describes."""

from pathlib import Path

import pytest

from exporter.config.environment import read_environment, secret_variables
from exporter.config.mistake import Mistake
from exporter.model.settings import Account, Config, OAuth2, SecretRef
from tests.config.conftest import SENTINEL

USERNAME, PASSWORD, FILE = (
    "GMAIL_EXPORTER_USERNAME",
    "GMAIL_EXPORTER_APP_PASSWORD",
    "GMAIL_EXPORTER_APP_PASSWORD_FILE",
)


@pytest.mark.parametrize("environ", [{}, {USERNAME: ""}, {USERNAME: "", PASSWORD: "", FILE: ""}, {"PATH": "/bin"}])
def test_nothing(environ: dict[str, str]) -> None:
    """Variables that are not set, or empty, make no account."""
    mistakes: list[Mistake] = []
    assert read_environment(environ, mistakes) is None
    assert mistakes == []


def test_password() -> None:
    """The password's variable becomes a reference to it."""
    assert read_environment({USERNAME: "a", PASSWORD: SENTINEL}, []) == Account(
        name="gmail", username="a", app_password=SecretRef(env=PASSWORD)
    )


def test_file() -> None:
    """The password's file becomes a reference to it, relative to the working directory."""
    account = read_environment({USERNAME: "a", FILE: "x", PASSWORD: ""}, [])
    assert account == Account(name="gmail", username="a", app_password=SecretRef(file=Path.cwd() / "x"))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({USERNAME: "a"}, [f"{USERNAME}: needs {FILE} or {PASSWORD} to be set too"]),
        ({PASSWORD: SENTINEL}, [f"{PASSWORD}: needs {USERNAME} to be set too"]),
        ({FILE: "x"}, [f"{FILE}: needs {USERNAME} to be set too"]),
        ({USERNAME: "a", PASSWORD: SENTINEL, FILE: "x"}, [f"{FILE}: must not be set together with {PASSWORD}"]),
        (
            {PASSWORD: SENTINEL, FILE: "x"},
            [f"{FILE}: must not be set together with {PASSWORD}", f"{FILE}: needs {USERNAME} to be set too"],
        ),
        ({USERNAME: "a\r\nb", PASSWORD: SENTINEL}, [f"{USERNAME}: must not hold control characters"]),
        ({USERNAME: "a", FILE: "x\udcff"}, [f"{FILE}: must not hold control characters"]),
        (
            {USERNAME: "a\u200b", PASSWORD: SENTINEL},
            [f"{USERNAME}: must not hold an invisible character: U+200B (zero width space) at character 2"],
        ),
        ({USERNAME: "a ", PASSWORD: SENTINEL}, [f"{USERNAME}: must not end with a space"]),
        ({USERNAME: "\u201ea\u201c", PASSWORD: SENTINEL}, [f"{USERNAME}: must not be in typographic quotation marks"]),
        (
            {USERNAME: "a", FILE: "x\u00a0"},
            [f"{FILE}: must not hold an invisible character: U+00A0 (no-break space) at character 2"],
        ),
    ],
)
def test_mistakes(environ: dict[str, str], expected: list[str]) -> None:
    """Half an account, or two passwords, is a mistake that names the variable."""
    mistakes: list[Mistake] = []
    assert read_environment(environ, mistakes) is None
    assert list(map(str, mistakes)) == expected
    assert SENTINEL not in str(mistakes)


def test_secret_variables() -> None:
    """Those of every kind of account, and that of the built-in one in any case."""
    client = OAuth2("id", SecretRef(env="CLIENT"), SecretRef(env="REFRESH"))
    accounts = (
        Account("a", "a@gmail.com", app_password=SecretRef(env="A")),
        Account("b", "b@gmail.com", oauth2=client),
        Account("c", "c@gmail.com", service_account=SecretRef(env="C")),
        Account("d", "d@gmail.com", app_password=SecretRef(file=Path("/run/secrets/d"))),
    )
    config = Config(accounts={account.name: account for account in accounts})
    assert secret_variables(config) == {"A", "CLIENT", "REFRESH", "C", "GMAIL_EXPORTER_APP_PASSWORD"}
