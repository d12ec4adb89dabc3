"""MTA-STS (RFC 8461): the record that announces a policy, and the policy itself, over HTTPS."""

from __future__ import annotations

import re
from dataclasses import replace

from aiodns.error import ARES_ENODATA, ARES_ENOTFOUND, DNSError

from exporter.domains import txt
from exporter.host.threads import in_thread
from exporter.model.domain import Mode, Policy
from exporter.model.message import escape_invisible
from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol, Tls
from exporter.probing.classify import classify
from exporter.probing.client_tls import AuthoritiesUnreadable, build_context
from exporter.probing.http_client import AnswerTooLarge, Bounds, NoAnswer, get
from exporter.probing.resolve import Resolver

VERSION = "STSv1"

MAX_OCTETS = 64 * 1024
"""Octets of a policy (RFC 8461 §3.2)."""

MAX_AGE = 31_557_600
"""Seconds of `max_age` at most (RFC 8461 §3.2)."""

PORT = 443
"""The port of the policy host."""

_NOT_ANSWERED = (Reason.TIMEOUT, Reason.REFUSED, Reason.UNREACHABLE, Reason.RESET, Reason.INTERNAL)

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# RFC 8461 §3.2: *. before a domain of RFC 5321 §4.1.2, which has no dot at its end; other scripts are A-labels there.
_PATTERN = re.compile(rf"(?=.{{1,253}}$)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")


class Unreachable(Exception):
    """The policy cannot be fetched, so that senders have none, or the last one.

    Args:
        is_certain: Whether the policy host, or the DNS, has said so: with no answer, the fault may be on the way.
    """

    def __init__(self, text: str, *, is_certain: bool = True) -> None:
        super().__init__(text)
        self.is_certain = is_certain


class Invalid(Exception):
    """The record or the policy is not of the form that senders take."""


async def look_up_id(resolver: Resolver, domain: str) -> str | None:
    """Return the id of the domain's policy; None where it announces none.

    Raises:
        aiodns.error.DNSError: The look-up failed.
        txt.Ambiguous: There are several records.
        Invalid: The record has no valid id.
    """
    record = await txt.look_up(resolver, f"_mta-sts.{domain}", VERSION)
    if record is None:
        return None
    found = txt.fields_of(record).get("id", "")
    if not _ID.fullmatch(found):
        shown = escape_invisible(record)[: txt.MAX_SHOWN]
        raise Invalid(f"the TXT record has no id of 1 to 32 letters and digits: {shown}")
    return found


async def fetch(resolver: Resolver, domain: str, tls: Tls, seconds: float) -> Policy:
    """Return the policy of a domain.

    Raises:
        aiodns.error.DNSError: The look-up of the policy host failed.
        Unreachable: The policy host does not give one: RFC 8461 §3.3 takes no redirect, and no status but 200.
        Invalid: What it gives is no policy.
    """
    host = host_of(domain)
    url = f"https://{host}{f':{PORT}' if PORT != 443 else ''}/.well-known/mta-sts.txt"
    try:
        # Its certificate is verified as those of the exchanges are.
        context = await in_thread(build_context, replace(tls, server_name=None)) if tls.ca_file else None
        answer = await get(url, resolver, Bounds(seconds, MAX_OCTETS), context=context)
    except AuthoritiesUnreadable as error:
        raise Unreachable(str(error), is_certain=False) from None
    except AnswerTooLarge as error:
        raise Invalid(f"{host}: {error}") from None
    except NoAnswer as error:
        raise _failure(host, error) from None
    if 300 <= answer.status < 400:
        raise Unreachable(f"{host} redirects (status {answer.status}), which senders do not follow")
    if answer.status != 200:
        raise Unreachable(f"{host} answers with status {answer.status}")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/plain":
        raise Invalid(f"the content type is {escape_invisible(kind)[:80] or 'missing'}, not text/plain")
    return parse(answer.body)


def host_of(domain: str) -> str:
    """Return the host that has the policy of a domain (RFC 8461 §3.3)."""
    return f"mta-sts.{domain}"


def _failure(host: str, error: NoAnswer) -> Exception:
    """Return why there is no answer."""
    cause = error.cause
    if isinstance(cause, DNSError) and cause.args[0] not in (ARES_ENODATA, ARES_ENOTFOUND):
        return cause
    is_lost = isinstance(cause, OSError) and classify(cause, Phase.CONNECT, Protocol.SMTP) in _NOT_ANSWERED
    return Unreachable(f"{host}: {error}", is_certain=not is_lost)


def parse(body: bytes) -> Policy:
    """Return the policy of a text (RFC 8461 §3.2): a line for each field, of which `mx` alone is repeated.

    Raises:
        Invalid: It is none.
    """
    fields: dict[str, str] = {}
    patterns: list[str] = []
    for line in body.decode("utf-8", "replace").split("\n"):
        name, separator, value = line.strip(" \t\r").partition(":")
        if not separator:
            if name:
                raise Invalid(f"a line is not of the form name: value: {escape_invisible(name)[:80]}")
            continue
        value = value.strip(" \t")
        if name == "mx":
            patterns.append(value.lower())
        else:
            fields.setdefault(name, value)
    return Policy(_mode(fields), _patterns(fields, patterns), _max_age(fields))


def _mode(fields: dict[str, str]) -> Mode:
    if fields.get("version") != VERSION:
        raise Invalid(f"version must be {VERSION}, not {_shown(fields, 'version')}")
    if fields.get("mode") not in list(Mode):
        raise Invalid(f"mode must be enforce, testing or none, not {_shown(fields, 'mode')}")
    return Mode(fields["mode"])


def _patterns(fields: dict[str, str], patterns: list[str]) -> tuple[str, ...]:
    if not patterns and fields["mode"] != Mode.NONE:
        raise Invalid("it names no mx")
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise Invalid(f"mx must be a host, or *. and a domain, not {escape_invisible(pattern)[:80]}")
    return tuple(patterns)


def _max_age(fields: dict[str, str]) -> float:
    text = fields.get("max_age", "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise Invalid(f"max_age must be seconds, not {_shown(fields, 'max_age')}")
    return min(float(text), MAX_AGE)


def _shown(fields: dict[str, str], name: str) -> str:
    return escape_invisible(fields[name])[:80] if fields.get(name) else "missing"
