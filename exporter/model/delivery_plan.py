"""How often deliveries are made: at their interval, or less often where an account's day has no room for that.

A delivery is a send of its sender, and a login at each endpoint where it is sent and read. The plan of a mailbox's
logins has them in it; the sends of a mailbox have a plan of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from exporter.model.mailbox import mailboxes, provider_key, user_of
from exporter.model.plan import PLANNED, Plan
from exporter.model.settings import Config, Delivery


def intervals(config: Config) -> Mapping[str, float]:
    """Return the seconds from one run to the next by the name of the delivery: its interval, or more."""
    plans: dict[str, list[Plan]] = defaultdict(list)
    for mailbox in mailboxes(config):
        for one in config.deliveries.values():
            if one.sender in mailbox.accounts or one.recipient in mailbox.accounts:
                plans[one.name].append(mailbox.deliveries)
    for group in _by_sender(config).values():
        plan = Plan.of((one.interval for one in group), PLANNED * min(one.sender.max_sends_per_day for one in group))
        for one in group:
            plans[one.name].append(plan)
    return {
        one.name: max(plan.interval(one.interval) for plan in plans[one.name]) for one in config.deliveries.values()
    }


def _by_sender(config: Config) -> Mapping[tuple[str, str], list[Delivery]]:
    groups: dict[tuple[str, str], list[Delivery]] = defaultdict(list)
    for one in config.deliveries.values():
        groups[user_of(one.sender), provider_key(one.via.host)].append(one)
    return groups
