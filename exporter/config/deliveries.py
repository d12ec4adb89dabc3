"""The rules of `deliveries`: who may send to whom, and through which endpoints of the same file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from exporter.config.duration import format_duration
from exporter.config.mistake import unknown_name
from exporter.config.section import Section
from exporter.model.mailbox import user_named
from exporter.model.message import show
from exporter.model.settings import Account, Cleanup, Delivery, Endpoint, Protocol

Named = Mapping[str, Section | None]
"""The accounts or the endpoints of a file by name, those with mistakes too."""

# RFC 5321 §4.1.2: Mailbox, without quoted strings, address literals and what only SMTPUTF8 (RFC 6531) allows.
_ADDRESS = re.compile(
    r"(?=.{3,254}$)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64})*"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*"
)


def check_deliveries(deliveries: Named, endpoints: Named, accounts: Named) -> None:
    """Check all deliveries of a file."""
    for delivery in deliveries.values():
        if delivery is not None:
            check_delivery(delivery, endpoints, accounts)


def check_delivery(delivery: Section, endpoints: Named, accounts: Named) -> None:
    """Check a delivery: it sends between two mailboxes of this file, and to no other address."""
    sender, recipient = (_check_account(delivery, key, accounts) for key in ("from", "to"))
    if sender and recipient and user_named(sender) == user_named(recipient):
        delivery.wrong("to", "must be another mailbox than that of from")
    sending, receiving = (delivery.get(key) if delivery.get(key) in accounts else None for key in ("from", "to"))
    if (via := _check_endpoint(delivery, "via", delivery.get("via"), sending, endpoints)) is not None:
        _check_protocol(delivery, "via", via, Protocol.SMTP)
    _check_read_at(delivery, receiving, endpoints)
    _check_times(delivery)
    sent_copy = delivery.get("sent_copy") if delivery.given("sent_copy") else Cleanup.TRASH
    if sent_copy is Cleanup.TRASH and sending is not None and not _has_imap(sending, endpoints):
        report = delivery.wrong if delivery.given("sent_copy") else delivery.missing
        report(
            "sent_copy",
            f"trash needs an endpoint of imap with the account {show(sending)}; else say sent_copy: keep",
        )


def make_delivery(
    name: str, section: Section, endpoints: Mapping[str, Endpoint], accounts: Mapping[str, Account]
) -> Delivery:
    """Return the delivery of a section without mistakes."""
    sender = accounts[section.get("from")]
    is_kept = section.get("sent_copy") is Cleanup.KEEP
    made: Delivery = section.make(
        name=name,
        sender=sender,
        recipient=accounts[section.get("to")],
        via=endpoints[section.get("via")],
        read_at=tuple(endpoints[one] for one in section.get("read_at")),
        sent_at=None if is_kept else next(each for each in endpoints.values() if _reads(each, sender)),
    )
    return made


def _reads(endpoint: Endpoint, account: Account) -> bool:
    return endpoint.protocol is Protocol.IMAP and endpoint.account == account


def _check_account(delivery: Section, key: str, accounts: Named) -> str | None:
    """Return the user name of the account of a key, if it is an address."""
    name = delivery.get(key)
    if name is None:
        return None
    if name not in accounts:
        delivery.wrong(key, unknown_name("account", name, accounts))
        return None
    account = accounts[name]
    username: str | None = account.get("username") if account is not None else None
    if username is None:
        return None  # a mistake of its own
    if not _ADDRESS.fullmatch(username):
        delivery.wrong(key, f"the username of {show(name)} must be an address, such as probe@example.com")
        return None
    return username


def _check_endpoint(delivery: Section, key: str, name: Any, account: str | None, endpoints: Named) -> Section | None:
    """Return an endpoint that is named. An account must log in there; None where it is not known which."""
    if name is None:
        return None
    if name not in endpoints:
        delivery.wrong(key, unknown_name("endpoint", name, endpoints))
        return None
    endpoint = endpoints[name]
    if endpoint is None or account is None:
        return endpoint
    if not endpoint.given_or_misspelt("account"):
        delivery.wrong(key, f"the endpoint {show(name)} has no account; it must have {show(account)}")
    elif endpoint.given("account") and (its := endpoint.get("account")) not in (None, account):
        delivery.wrong(key, f"the endpoint {show(name)} must have the account {show(account)}, not {show(its)}")
    return endpoint


def _check_protocol(delivery: Section, key: str, endpoint: Section, wanted: Protocol) -> None:
    protocol = endpoint.get("protocol")
    if protocol is not None and protocol is not wanted:
        delivery.wrong(key, f"must be an endpoint of {wanted}, not of {protocol}")


def _check_read_at(delivery: Section, account: str | None, endpoints: Named) -> None:
    if (names := delivery.get("read_at")) is None:
        return
    found = [_check_endpoint(delivery, "read_at", name, account, endpoints) for name in names]
    protocols = [endpoint.get("protocol") for endpoint in found if endpoint is not None]
    if len(protocols) < len(names) or None in protocols:
        return  # a mistake is reported already
    if Protocol.SMTP in protocols:
        delivery.wrong("read_at", "must be endpoints of imap and pop3: nobody reads mail over smtp")
    elif protocols.count(Protocol.IMAP) != 1 or protocols.count(Protocol.POP3) > 1:
        delivery.wrong("read_at", "must be one endpoint of imap, and at most one of pop3")


def _check_times(delivery: Section) -> None:
    defaults = delivery.table.defaults
    interval, timeout = (delivery.get(key) if delivery.given(key) else defaults[key] for key in ("interval", "timeout"))
    if interval is not None and timeout is not None and timeout >= interval:
        if delivery.given("timeout"):
            delivery.wrong("timeout", f"must be shorter than the interval, {format_duration(interval)}")
        else:
            delivery.wrong("interval", f"must be longer than the timeout, {format_duration(timeout)}")


def _has_imap(account: str, endpoints: Named) -> bool:
    """Whether there is an endpoint of IMAP with an account; also where that is not known for another mistake."""
    return any(
        endpoint is None or (endpoint.get("protocol") is Protocol.IMAP and endpoint.get("account") == account)
        for endpoint in endpoints.values()
    )
