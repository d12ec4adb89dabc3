"""Which keys there are, and how much of a path may be shown."""

import pytest

from exporter.config.keys import ANY, SECRET, SHOWN, Kind, is_secret, keys_at, nearest, public_part, unknown_key
from exporter.config.mistake import Path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), ((), False)),
        (("endpoints", "imap", "host"), (("endpoints", "imap", "host"), True)),
        (("endpoints", "imap", "folders", "[0]"), (("endpoints", "imap", "folders", "[0]"), True)),
        (("endpoints", "imap", "password"), (("endpoints", "imap", "password"), False)),
        (("endpoints", "imap", "password", "x"), (("endpoints", "imap", "password"), False)),
        (("endpoints", "imap", "host", "x", "y"), (("endpoints", "imap", "host"), False)),
        (("accounts", "ops", "app_password", "x"), (("accounts", "ops", "app_password"), False)),
        (("accounts", "ops", "oauth2", "client_secret", "x"), (("accounts", "ops", "oauth2", "client_secret"), False)),
    ],
)
def test_public_part(path: Path, expected: tuple[Path, bool]) -> None:
    """Nothing below a secret, an unknown key or a value is shown."""
    assert public_part(path) == expected


def test_keys_at() -> None:
    """Every mapping has its keys; where there is none there are no keys."""
    assert keys_at(("endpoints", "any", "tls")) == ("ca_file", "server_name", "min_version")
    assert keys_at(("endpoints", "any", "host", "x")) == ()


def test_nearest() -> None:
    """The nearest word is suggested whatever its case, and none where nothing is near."""
    assert nearest("INTERVALL", ("interval", "login_interval")) == "interval"
    assert nearest("x" * 1_000_000, ("interval",)) is None
    assert unknown_key("Interval", ("interval", "host")) == 'unknown key; did you mean "interval"?'
    assert unknown_key("x", ("interval", "host")) == "unknown key; known here: interval, host"


def test_another_kind_of_file_has_its_own_keys() -> None:
    """Given with the path."""
    keys: Kind = {"users": {ANY: SECRET}, "flag": SHOWN}
    assert keys_at((), keys) == ("users", "flag")
    assert public_part(("users", "alice"), keys) == (("users", "alice"), False)
    assert is_secret(("users", "alice"), keys)
    assert not is_secret(("users",), keys)
