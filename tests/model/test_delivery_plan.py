"""The plan of deliveries: what an account has room for, for 1 to 20 endpoints and 0 to 5 deliveries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.delivery_plan import intervals
from exporter.model.mailbox import mailboxes
from exporter.model.outcome import Target
from exporter.model.plan import DAY, PLANNED
from exporter.model.settings import Account, Config, Delivery, Endpoint, Protocol, SecretRef


def config(endpoints: int, deliveries: list[float], **limits: Any) -> Config:
    """Two mailboxes with so many endpoints of the recipient, and deliveries between them at these intervals."""
    sender = Account(name="ops", username="ops@example.com", app_password=SecretRef(env="A"), **limits)
    recipient = Account(name="probe", username="probe@example.com", app_password=SecretRef(env="B"), **limits)
    common: dict[str, Any] = {"host": "mail.example.com", "port": 1}
    via = Endpoint(name="via", protocol=Protocol.SMTP, account=sender, **common)
    reads = [
        Endpoint(name=f"read{number}", protocol=(Protocol.IMAP, Protocol.POP3)[number % 2], account=recipient, **common)
        for number in range(endpoints)
    ]
    made = {
        f"d{number}": Delivery(
            name=f"d{number}", sender=sender, via=via, recipient=recipient, read_at=tuple(reads[:2]), interval=interval
        )
        for number, interval in enumerate(deliveries)
    }
    return Config(
        accounts={"ops": sender, "probe": recipient},
        endpoints={each.name: each for each in (via, *reads)},
        deliveries=made,
    )


@given(
    st.integers(1, 20),
    st.lists(st.sampled_from([900.0, 1800.0, 3600.0, 86400.0]), max_size=5),
    st.integers(50, 1000),
    st.integers(5, 500),
)
def test_a_day_has_room(endpoints: int, deliveries: list[float], logins: int, sends: int) -> None:
    """Sends and logins of a day are within their plans, and no interval is shorter than it is configured."""
    whole = config(endpoints, deliveries, max_logins_per_day=logins, max_sends_per_day=sends)
    planned = intervals(whole)
    assert planned.keys() == whole.deliveries.keys()
    assert all(planned[name] >= one.interval for name, one in whole.deliveries.items())
    assert sum(DAY / seconds for seconds in planned.values()) <= max(PLANNED * sends, len(planned)) + 1e-6
    for mailbox in mailboxes(whole):
        sessions = sum(
            DAY / planned[one.name]
            for one in whole.deliveries.values()
            for endpoint in (one.via, *one.read_at)
            if endpoint.account in mailbox.accounts
        )
        once_a_day = len(mailbox.plan.intervals) + len(mailbox.deliveries.intervals)
        assert sessions <= mailbox.deliveries.planned + 1e-6
        assert mailbox.plan.planned + mailbox.deliveries.planned <= max(PLANNED * logins, once_a_day) + 1e-6


def test_intervals_that_fit_stay() -> None:
    """One delivery in half an hour, beside four endpoints at the default interval, is made as configured."""
    assert intervals(config(2, [1800.0])) == {"d0": 1800.0}


def test_sends_stretch() -> None:
    """Two deliveries each 15 minutes are 192 messages a day: 80 are planned, 40 each."""
    assert intervals(config(1, [900.0, 900.0], max_logins_per_day=10_000)) == {
        "d0": pytest.approx(DAY / 40),
        "d1": pytest.approx(DAY / 40),
    }


def test_a_session_is_a_login_of_its_endpoint() -> None:
    """An endpoint that logs in each 15 minutes has half of its logins from a delivery each half an hour."""
    without, with_one = (
        next(each for each in mailboxes(config(1, deliveries)) if each.username.startswith("probe"))
        for deliveries in ([], [1800.0])
    )
    assert without.plan.asked == pytest.approx(96)
    assert with_one.plan.asked == pytest.approx(48)
    assert with_one.deliveries.asked == pytest.approx(48)


@pytest.mark.parametrize(("minutes", "left"), [(15, 1), (20, 72), (30, 48), (40, 72), (60, 72), (1440, 95)])
def test_logins_between_two_sessions(minutes: int, left: int) -> None:
    """So many logins of an endpoint are planned as fit in between, each 15 minutes after the one before, or session."""
    made = config(1, [60.0 * minutes], max_sends_per_day=2000)
    (of_recipient,) = (each for each in mailboxes(made) if each.username.startswith("probe"))
    assert of_recipient.plan.asked == pytest.approx(left)


def test_no_more_logins_than_are_planned() -> None:
    """Where not all fit, the interval of an endpoint at which deliveries log in is that of what is left to it."""
    made = config(4, [1800.0])
    (of_recipient,) = (each for each in mailboxes(made) if each.username.startswith("probe"))
    assert of_recipient.plan.is_tight
    at_read = of_recipient.planned[Target.of(made.endpoints["read0"])[0].key]
    assert at_read == of_recipient.plan.interval(DAY / 48) > 1800
