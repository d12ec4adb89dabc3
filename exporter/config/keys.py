"""Every key that a configuration can have, and which of them may be shown with what stands in them.

The functions take the keys of another kind of file too: `exporter/web/configuration.py` has one.
"""

import difflib
from collections.abc import Iterable
from typing import Final

from exporter.config.mistake import Path
from exporter.model.text import show

ANY: Final = "*"
"""A name that the operator chose."""

SHOWN: Final = "shown"
SECRET: Final = "secret"  # noqa: S105 - the kind of a key, not a secret
Kind = dict[str, "Kind"] | str

_SCHEDULE: Final[dict[str, Kind]] = {"interval": SHOWN, "timeout": SHOWN, "login_interval": SHOWN, "ip_family": SHOWN}
_ACCOUNT: Final[dict[str, Kind]] = {
    "username": SHOWN,
    "app_password": SECRET,
    "oauth2": {"client_id": SHOWN, "client_secret": SECRET, "refresh_token": SECRET, "token_uri": SHOWN},
    "service_account": SECRET,
    "max_logins_per_day": SHOWN,
}
_ENDPOINT: Final[dict[str, Kind]] = {
    "protocol": SHOWN,
    "host": SHOWN,
    "port": SHOWN,
    "security": SHOWN,
    "account": SHOWN,
    "mechanism": SHOWN,
    "folders": {ANY: SHOWN},
    "tls": {"ca_file": SHOWN, "server_name": SHOWN, "min_version": SHOWN},
    "labels": {ANY: SHOWN},
    **_SCHEDULE,
}
_MODULE: Final[dict[str, Kind]] = {
    **{key: kind for key, kind in _ENDPOINT.items() if key not in {"host", "labels", "interval"}},
    "allow_hosts": {ANY: SHOWN},
}
CONFIGURATION: Final[Kind] = {
    "defaults": _SCHEDULE,
    "accounts": {ANY: _ACCOUNT},
    "endpoints": {ANY: _ENDPOINT},
    "modules": {ANY: _MODULE},
    "probe": {"allow": {ANY: SHOWN}, "max_concurrent": SHOWN},
}


def keys_at(path: Path, root: Kind = CONFIGURATION) -> tuple[str, ...]:
    """Return the keys that the mapping at a path can have."""
    kind = root
    for step in path:
        kind = _inside(kind, step) or {}
    return tuple(kind) if isinstance(kind, dict) else ()


def public_part(path: Path, root: Kind = CONFIGURATION) -> tuple[Path, bool]:
    """Return as much of a path as may be shown, and whether what stands at its end may be shown too.

    Nothing below a secret is shown, nor below a key that is not known: it may be a misspelt secret.
    """
    kind = root
    for index, step in enumerate(path):
        if not isinstance(kind, dict):
            return path[:index], False
        inside = _inside(kind, step)
        if inside is None:
            return path[: index + 1], False
        kind = inside
    return path, kind == SHOWN


def is_secret(path: Path, root: Kind = CONFIGURATION) -> bool:
    """Return whether a secret, or its reference, stands at the path."""
    kind: Kind | None = root
    for step in path:
        kind = None if kind is None else _inside(kind, step)
    return kind == SECRET


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return what to say about a key that is none of the known ones."""
    known = tuple(known)
    near = nearest(key, known)
    return f"unknown key; did you mean {show(near)}?" if near else f"unknown key; known here: {', '.join(known)}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like this one, None where none is."""
    # Compared without case, and cut: the comparison is quadratic and the word may be as long as the file.
    words = {one.lower(): one for one in reversed(tuple(known))}
    near = difflib.get_close_matches(word[:64].lower(), words, n=1)
    return words[near[0]] if near else None


def _inside(kind: Kind, step: str) -> Kind | None:
    return kind.get(step, kind.get(ANY)) if isinstance(kind, dict) else None
