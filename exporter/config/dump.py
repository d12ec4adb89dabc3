"""The effective configuration as YAML, and its digest. Secrets are references there, never values."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, cast

import yaml

from exporter.config.scalar import read_plain
from exporter.config.schema import CONFIGURATION
from exporter.config.table import Kind, ListOf, Names, Table
from exporter.model.mailbox import mailboxes
from exporter.model.message import one_line
from exporter.model.settings import Config

_DUMPER = cast("type[yaml.SafeDumper]", getattr(yaml, "CSafeDumper", yaml.SafeDumper))


def dump(config: Config) -> str:
    """Return the effective configuration as YAML, which loads again to the same digest.

    Comments before it say which accounts share a login budget.
    """
    plain = describe(config)
    text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return "".join(_shared_budgets(config)) + text


def digest(config: Config) -> str:
    """Return the SHA-256 in hex of the effective configuration, whatever the order and the comments of the file."""
    plain = json.dumps(describe(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def describe(settings: Any, table: Table = CONFIGURATION) -> dict[str, Any]:
    """Return settings in the shape of a configuration file, with every default that is not empty."""
    described = {}
    for key in table.keys.values():
        value = getattr(settings, key.name, None)
        is_empty = not value and value == table.defaults.get(key.name)
        if not is_empty and key.in_effect(settings):
            described[key.name] = _plain(key.kind, value)
    return described


def _shared_budgets(config: Config) -> Iterator[str]:
    for mailbox in mailboxes(config):
        if len(mailbox.accounts) > 1:
            names = ", ".join(one_line(account.name) for account in mailbox.accounts)
            yield (
                f"# {names}: one mailbox, {one_line(mailbox.username)}, and so one login budget, "
                f"with at most {mailbox.max_logins_per_day} logins in 24 hours.\n"
            )


def _plain(kind: Kind, value: Any) -> Any:
    if isinstance(kind, Table):
        return describe(value, kind)
    if isinstance(kind, Names):
        return {name: _plain(kind.of, one) for name, one in value.items()}
    if isinstance(kind, ListOf):
        return [kind.of.write(one) for one in value]
    return kind.write(value)


class _Dumper(_DUMPER):  # type: ignore[misc,valid-type] # which of the two is known when PyYAML is imported
    """Quotes what some parser would not read as text, and writes equal mappings out instead of aliasing them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = read_plain(text)
    style = None if plain.value == text and plain.trap is None else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
