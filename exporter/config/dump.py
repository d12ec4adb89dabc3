"""The effective configuration as YAML, and its digest. Secrets are references there, never values."""

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any, cast

import yaml

from exporter.config.duration import format_duration
from exporter.config.scalar import read_plain
from exporter.config.schema import CONFIGURATION
from exporter.config.table import Kind, ListOf, Names, Table
from exporter.model.delivery_plan import intervals
from exporter.model.mailbox import mailboxes
from exporter.model.message import one_line
from exporter.model.plan import PLANNED, REQUESTED, Plan
from exporter.model.settings import Config
from exporter.model.verdict_settings import VerdictSettings

_PAIRS = 5
"""Stretched intervals of a mailbox that a line names."""

_DUMPER = cast("type[yaml.SafeDumper]", getattr(yaml, "CSafeDumper", yaml.SafeDumper))


def dump(config: Config) -> str:
    """Return the effective configuration as YAML, which loads again to the same digest.

    Comments before it say which accounts share a login budget, where logins are planned at longer intervals, and what
    is not in force.
    """
    plain = describe(config)
    text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return (
        "".join(
            (
                *_shared_budgets(config),
                *_stretched_intervals(config),
                *_stretched_deliveries(config),
                *_not_in_force(config),
            )
        )
        + text
    )


def digest(config: Config) -> str:
    """Return the SHA-256 in hex of the effective configuration, whatever the order and the comments of the file."""
    described = describe(config)
    if config.verdict == VerdictSettings():
        del described["verdict"]  # older versions had no such section, and an update is no change of configuration
    plain = json.dumps(described, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def describe(settings: Any, table: Table = CONFIGURATION) -> dict[str, Any]:
    """Return settings in the shape of a configuration file, with every default that is not empty."""
    described = {}
    for key in table.keys.values():
        value = getattr(settings, key.attribute, None)
        is_empty = not value and value == table.defaults.get(key.attribute)
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


def _stretched_intervals(config: Config) -> Iterator[str]:
    for mailbox in mailboxes(config):
        plan, requests = mailbox.plan, mailbox.requests
        names = ", ".join(one_line(account.name) for account in mailbox.accounts)
        most = f"of max_logins_per_day, {mailbox.max_logins_per_day}"
        if plan.stretched:
            why = f"at most {PLANNED:.0%} {most}" if len(plan.intervals) <= plan.most else "one at each"
            yield (
                f"# {names}: the endpoints ask for {plan.asked:,.0f} logins a day, and {plan.planned:,.0f} are "
                f"planned, {why}. login_interval is stretched: {stretches(plan)}.\n"
            )
        if requests.stretched:
            yield (
                f"# {names}: the modules may ask for {requests.asked:,.0f} logins a day, and {requests.planned:,.0f} "
                f"are allowed, with the endpoints at most {REQUESTED:.0%} {most}. Their login_interval is stretched: "
                f"{stretches(requests)}.\n"
            )


def _stretched_deliveries(config: Config) -> Iterator[str]:
    for name, planned in intervals(config).items():
        asked = config.deliveries[name].interval
        if planned > asked:
            yield (
                f"# {one_line(name)}: planned every {format_duration(math.ceil(planned))} in place of "
                f"{format_duration(asked)}: at most {PLANNED:.0%} of max_sends_per_day and max_logins_per_day are "
                "planned.\n"
            )


def stretches(plan: Plan) -> str:
    """Return the intervals that are longer by the plan, as `15m to 36m, 1h to 2h24m`; of many the shortest."""
    pairs = plan.stretched
    texts = [f"{format_duration(asked)} to {format_duration(math.ceil(planned))}" for asked, planned in pairs]
    return ", ".join([*texts[:_PAIRS], *(["…"] if len(texts) > _PAIRS else [])])


def _not_in_force(config: Config) -> Iterator[str]:
    """What is for Google's hosts alone, where no endpoint is one of them."""
    idle = [f"verdict.controls.{name}" for name, one in config.verdict.controls.items() if one not in config.controls]
    if config.verdict.status.provider is not config.status_provider:
        idle.append("verdict.status")
    if idle:
        yield f"# Not in force, for no endpoint is at Google: {', '.join(idle)}.\n"


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
