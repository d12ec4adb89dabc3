"""The reasons: their blame, retry and remedy."""

from __future__ import annotations

import pytest

from exporter.model.reason import (
    ANY_PROVIDER,
    CERTIFICATE_REASONS,
    Blame,
    Reason,
    Retry,
    fill,
    provider_name,
    provider_of,
)


@pytest.mark.parametrize("reason", list(Reason))
def test_reason(reason: Reason) -> None:
    """A reason has its name as code, a blame, a retry, and a summary that is no sentence."""
    assert reason.value == reason.name.lower()
    assert isinstance(reason.blame, Blame)
    assert isinstance(reason.retry, Retry)
    assert not reason.summary.endswith(".")


def test_certificate_reasons() -> None:
    """Every failure of a certificate holds logins: no credential is sent again before an operator acts."""
    assert {reason for reason in Reason if reason.value.startswith("certificate_")} == CERTIFICATE_REASONS
    assert {reason.retry for reason in CERTIFICATE_REASONS} == {Retry.HOLD}


@pytest.mark.parametrize("blame", list(Blame))
def test_every_blame_is_used(blame: Blame) -> None:
    """Every blame belongs to at least one reason."""
    assert any(reason.blame is blame for reason in Reason)


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("imap.gmail.com", "Google"),
        ("gmail.com", "Google"),
        ("SMTP.GoogleMail.com.", "Google"),
        ("gmail-smtp-in.l.google.com", "Google"),
        ("oauth2.googleapis.com", "Google"),
        ("imap.notgmail.com", ANY_PROVIDER),
        ("gmail.com.example.org", ANY_PROVIDER),
        ("192.0.2.1", ANY_PROVIDER),
    ],
)
def test_provider_of(host: str, provider: str) -> None:
    """Google is named where the host is Google's, and nowhere else."""
    assert provider_of(host) == provider


def test_fill() -> None:
    """A sentence may begin with the provider; an account is named for the command to type."""
    template = "{Provider} and {provider}: release {account}."
    assert fill(template) == "The mail provider and the mail provider: release NAME."
    assert fill(template, "Google", account="ops") == "Google and Google: release ops."


@pytest.mark.parametrize("blame", list(Blame))
def test_blame(blame: Blame) -> None:
    """A blame has a label, and half a sentence about the party."""
    assert fill(blame.label)
    assert blame.party
    assert not blame.party.endswith(".")


@pytest.mark.parametrize("retry", list(Retry))
def test_retry(retry: Retry) -> None:
    """The meaning of a retry is a sentence."""
    assert retry.meaning.endswith(".")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("imap.gmail.com", "Google"),
        ("smtp-relay.google.com", "Google"),
        ("IMAP.Example.COM.", "example.com"),
        ("mail.eu.example.com", "example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("localhost", "localhost"),
    ],
)
def test_provider_name(host: str, name: str) -> None:
    """Google's hosts are one provider, whatever their domain."""
    assert provider_name(host) == name
