"""How much of a path may be shown."""

import pytest

from exporter.config.kinds import HASH
from exporter.config.mistake import KeyPath
from exporter.config.schema import CONFIGURATION, WEB
from exporter.config.section import locate


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), ((), False)),
        (("endpoints", "imap", "host"), (("endpoints", "imap", "host"), True)),
        (("endpoints", "imap", "folders", "[0]"), (("endpoints", "imap", "folders", "[0]"), True)),
        (("endpoints", "imap", "labels", "tenant"), (("endpoints", "imap", "labels", "tenant"), True)),
        (("endpoints", "imap", "password"), (("endpoints", "imap", "password"), False)),
        (("endpoints", "imap", "password", "x"), (("endpoints", "imap", "password"), False)),
        (("endpoints", "imap", "host", "x", "y"), (("endpoints", "imap", "host"), False)),
        (("accounts", "ops", "app_password", "x"), (("accounts", "ops", "app_password"), False)),
        (("accounts", "ops", "oauth2", "client_secret", "x"), (("accounts", "ops", "oauth2", "client_secret"), False)),
    ],
)
def test_public_part(path: KeyPath, expected: tuple[KeyPath, bool]) -> None:
    """Nothing below a secret, an unknown key or a value is shown."""
    shown, value = locate(path, CONFIGURATION)
    assert (shown, value is not None and not value.is_secret) == expected


def test_another_kind_of_file_has_its_own_keys() -> None:
    """A path is looked up in the table of its file."""
    assert locate(("basic_auth_users", "alice"), WEB) == (("basic_auth_users", "alice"), HASH)
    assert HASH.is_secret
    assert locate(("basic_auth_users",), WEB) == (("basic_auth_users",), None)
    assert locate(("users", "alice"), WEB) == (("users",), None)
