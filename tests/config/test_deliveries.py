"""Deliveries: what is made of a file, and that no address gets mail but the accounts of the file."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config.dump import dump
from exporter.config.mistake import ConfigError
from exporter.model.settings import Cleanup, Delivery, ExpectedFolder
from tests.config.conftest import Loader

FILE = """
accounts:
  ops: {username: ops@example.com, app_password: {env: OPS}, max_sends_per_day: 90}
  probe: {username: probe@example.com, app_password: {env: PROBE}}
endpoints:
  submission: {protocol: smtp, host: mail.example.com, security: starttls, account: ops}
  other-imap: {protocol: imap, host: mail.example.com, account: probe}
  ops-imap: {protocol: imap, host: mail.example.com, account: ops}
  imap: {protocol: imap, host: mail.example.com, account: probe}
  pop3: {protocol: pop3, host: mail.example.com, account: probe}
deliveries:
"""
SHORT = f"{FILE}  plain: {{from: ops, via: submission, to: probe, read_at: [imap]}}\n"


def test_defaults(loaded: Loader) -> None:
    """Names become accounts and endpoints; the sender's copies are cleared at its own endpoint of IMAP."""
    config = loaded(SHORT)
    assert config.deliveries["plain"] == Delivery(
        name="plain",
        sender=config.accounts["ops"],
        via=config.endpoints["submission"],
        recipient=config.accounts["probe"],
        read_at=(config.endpoints["imap"],),
        interval=1800.0,
        timeout=300.0,
        expect=ExpectedFolder.INBOX,
        cleanup=Cleanup.TRASH,
        sent_copy=Cleanup.TRASH,
        sent_at=config.endpoints["ops-imap"],
    )
    assert config.accounts["ops"].max_sends_per_day == 90
    assert config.accounts["probe"].max_sends_per_day == 100


def test_every_key(loaded: Loader) -> None:
    """Every key is read; where the sender's copies are kept, no endpoint of the sender is needed."""
    keys = "interval: 1h, timeout: 10m, expect: any, cleanup: keep, sent_copy: keep"
    config = loaded(f"{FILE}  whole: {{from: ops, via: submission, to: probe, read_at: [pop3, imap], {keys}}}\n")
    delivery = config.deliveries["whole"]
    assert (delivery.imap.name, delivery.pop3) == ("imap", config.endpoints["pop3"])
    assert (delivery.interval, delivery.timeout) == (3600.0, 600.0)
    assert (delivery.expect, delivery.cleanup, delivery.sent_copy) == (
        ExpectedFolder.ANY,
        Cleanup.KEEP,
        Cleanup.KEEP,
    )
    assert delivery.sent_at is None


def test_dump(loaded: Loader) -> None:
    """What is printed loads again, by the keys of the file."""
    config = loaded(SHORT)
    text = dump(config)
    assert "  plain:\n    from: ops\n    via: submission\n    to: probe\n    read_at:\n    - imap\n" in text
    assert "max_sends_per_day: 90" in text
    assert text.count("max_sends_per_day") == 1
    assert loaded(text).digest == config.digest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(
    st.one_of(
        st.emails(), st.text(min_size=1), st.sampled_from(["probe@example.com", "Ops", "ops ", "probe,ops", "<probe>"])
    )
)
def test_nobody_else_gets_mail(loaded: Loader, to: str) -> None:
    """Whatever `to` is, only the name of another account of the file is taken, never an address."""
    quoted = "".join(f"\\U{ord(character):08x}" for character in to)
    text = f'{FILE}  plain: {{from: ops, via: submission, to: "{quoted}", read_at: [imap]}}\n'
    if to == "probe":
        assert loaded(text).deliveries["plain"].recipient.username == "probe@example.com"
        return
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    assert "deliveries.plain" in str(caught.value)


@pytest.mark.parametrize(
    "username",
    [
        "postmaster",
        "@example.com",
        "a@b@example.com",
        "a b@example.com",
        "a@example.com, b@example.com",
        "<a@example.com>",
        "a@example.com>",
        '"a"@example.com',
        "ä@example.com",
        "a@[127.0.0.1]",
        "a@example..com",
        ".a@example.com",
        "a@-example.com",
    ],
)
def test_usernames_that_are_no_address(loaded: Loader, username: str) -> None:
    """What cannot stand between the brackets of RCPT TO is a mistake at the delivery, not at the account."""
    with pytest.raises(ConfigError) as caught:
        loaded(SHORT.replace("probe@example.com", f"'{username}'"))
    assert 'deliveries.plain.to: the username of "probe" must be an address' in str(caught.value)


def test_a_stretched_interval_is_told(loaded: Loader) -> None:
    """Where a day has no room for all messages, a comment says how often they are planned."""
    text = dump(loaded(SHORT.replace("max_sends_per_day: 90", "max_sends_per_day: 30")))
    assert "# plain: planned every 1h in place of 30m: at most 80% of max_sends_per_day and max_logins_per_day" in text
    assert "in place of 30m" not in dump(loaded(SHORT))
