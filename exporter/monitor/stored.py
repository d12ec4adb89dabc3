"""What a restart must not cost of a series, as one line of text, and back.

No secret is in it, for none is in an Outcome. A line is bounded: the history comes first, then the failures from the
newest to the oldest, without their dialogues where these are long.
"""

from __future__ import annotations

import json
import math
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from exporter.model.outcome import MAX_DETAIL, Detail, Line, Observed, Outcome, Phase, Target
from exporter.model.reason import Blame, Reason
from exporter.model.verdict import Fact, Judgement, Verdict
from exporter.monitor.history import HISTORY, LAYOUT, RECORD_OCTETS, Layout, converted
from exporter.monitor.kept import FAILURES
from exporter.monitor.store import Condition, Past, Series

MAX_FAILURE = 8 * 1024
"""Octets of a failure with its dialogue."""

MAX_LINES = 100
"""Lines of a stored dialogue."""

MAX_FACTS = 20
"""Facts of a stored judgement."""

_FACTS = frozenset(fact.value for fact in Fact)

GAP = 3600.0
"""Seconds without a probe, or three intervals, after which a condition may have changed and changed back."""

RIGHT = 1_700_000_000.0
"""Unix seconds before which a clock is certainly wrong: that of a host without a battery begins in 1970."""

DAY = 86400.0
NEVER = 1e10

_RECORD = RECORD_OCTETS * 4 / 3  # in base64
_HEAD = 512  # octets of a line without history and failures

Fields = Mapping[str, Any]


def header() -> str:
    """Return the line that says what the numbers in the histories mean."""
    return json.dumps({"phases": LAYOUT.phases, "reasons": LAYOUT.reasons})


def layout_of(line: str) -> Layout:
    """Read that line.

    Raises:
        ValueError, TypeError, LookupError: It is none.
    """
    fields = json.loads(line)
    return Layout(*(tuple(map(str, fields[name])) for name in ("phases", "reasons")))


def encode(series: Series, limit: int) -> str | None:
    """Return the line of a series, of about `limit` octets at most; None where there is nothing to store."""
    past = series.past
    condition, since = (
        (series.condition, series.since) if series.condition else (past.condition, past.since) if past else (None, None)
    )
    if condition is None or since is None:
        return None
    newest = min(HISTORY, max(0, int((limit - _HEAD) / _RECORD)))
    records = b64encode(series.history.records(newest)).decode()
    fields = {**_identity(series.target), "condition": condition.value, "since": since, "history": records}
    left = limit - _HEAD - len(records)
    failures: list[str] = []
    for outcome in reversed(series.kept_failures):
        failure = _failure(outcome, min(left, MAX_FAILURE))
        left -= len(failure)
        if left < 0:
            break
        failures.insert(0, failure)
    return f'{json.dumps(fields)[:-1]}, "failures": [{", ".join(failures)}]}}'


def key_of(fields: Fields) -> tuple[object, ...]:
    """Return the key of the target that a line is about."""
    identity = fields["endpoint"], fields["ip_family"]
    return (*identity, fields["host"]) if fields.get("domain") else identity


def decode(fields: Fields, layout: Layout, target: Target, now: float) -> Past | None:
    """Return what a line knows of a target; None where the target is another one by now.

    Raises:
        ValueError, TypeError, LookupError, struct.error: The line cannot be read.
    """
    if {name: fields[name] for name in _identity(target)} != _identity(target):
        return None
    # Of a clock that is right, nothing is in the future, but for one that was set back a little.
    until = now + DAY if now > RIGHT else NEVER
    records = converted(b64decode(fields["history"], validate=True), layout, until)
    # The newest record begins with when its probe began.
    last = struct.unpack_from("<d", records, len(records) - RECORD_OCTETS)[0] if records else -math.inf
    failures = [_outcome(failure, target, until) for failure in fields["failures"][-FAILURES:]]
    since = time_of(fields["since"], until)
    return Past(
        Condition(fields["condition"]),
        since or now,
        records,
        [failure for failure in failures if failure],
        is_recent=since is not None and now - last <= max(GAP, 3 * target.endpoint.interval),
    )


def _identity(target: Target) -> dict[str, object]:
    """What must be the same for a target to have the history of another one."""
    endpoint = target.endpoint
    return {
        "endpoint": endpoint.name,
        "ip_family": target.ip_family.value,
        "protocol": endpoint.protocol.value,
        "host": endpoint.host,
        "port": endpoint.port,
        "security": endpoint.security.value,
        **({"domain": endpoint.domain} if endpoint.domain else {}),
    }


def _failure(outcome: Outcome, limit: int) -> str:
    """Return a failure; its dialogue is left out where it is long."""
    fields: dict[str, object] = {
        "started_at": outcome.started_at,
        "ended_at": outcome.ended_at,
        "phases": {phase.value: seconds for phase, seconds in outcome.phases.items()},
        "phase": outcome.phase.value,
        "reason": outcome.reason.value,
        "detail": outcome.detail,
        "address": outcome.observed.address,
    }
    if outcome.judgement:
        fields["judgement"] = asdict(outcome.judgement)
    if len(outcome.dialogue) <= MAX_LINES and sum(len(line.text) for line in outcome.dialogue) <= limit:
        whole = json.dumps({**fields, "dialogue": outcome.dialogue})
        if len(whole) <= limit:
            return whole
    said = f"(dialogue not kept over a restart: {len(outcome.dialogue)} lines)"
    return json.dumps({**fields, "dialogue": [(0.0, "", said)], "without": True})


def _outcome(fields: Fields, target: Target, until: float) -> Outcome | None:
    """Return a failure; None where this version does not know its phase or its reason, or its time is none."""
    started_at, ended_at = time_of(fields["started_at"], until), time_of(fields["ended_at"], until)
    try:
        phase, reason = Phase(fields["phase"]), Reason(fields["reason"])
        phases = {Phase(name): float(seconds) for name, seconds in fields["phases"].items()}
    except ValueError:
        return None
    if started_at is None or ended_at is None or reason is Reason.OK or not all(map(is_duration, phases.values())):
        return None
    missing = (Detail.DIALOGUE,) if fields.get("without") else ()
    return Outcome(
        target=target,
        started_at=started_at,
        ended_at=ended_at,
        phases=MappingProxyType(phases),
        phase=phase,
        reason=reason,
        detail=text_of(fields["detail"]),
        observed=Observed(address=text_of(fields["address"]) if fields["address"] else None),
        dialogue=tuple(
            Line(float(at), "C" if speaker == "C" else "S" if speaker == "S" else "", text_of(text))
            for at, speaker, text in fields["dialogue"][:MAX_LINES]
            if is_duration(float(at))
        ),
        judgement=_judgement(fields.get("judgement")),
        not_kept=(*missing, Detail.CAPABILITIES, Detail.CERTIFICATES),
    )


def _judgement(fields: Fields | None) -> Judgement | None:
    """Return a judgement; None where there is none, or one that this version does not know."""
    if fields is None:
        return None
    try:
        verdict, blame = Verdict(fields["verdict"]), Blame(fields["blame"])
    except ValueError:
        return None
    facts = tuple(map(text_of, fields["facts"][:MAX_FACTS]))
    sentence, also, because = (text_of(fields.get(name, "")) for name in ("sentence", "also", "because"))
    grounds = tuple(Fact(name) for name in fields.get("grounds", ())[:MAX_FACTS] if name in _FACTS)
    return Judgement(verdict, blame, sentence, facts, also, because, grounds)


def time_of(value: object, until: float) -> float | None:
    """Return a time; None where it is none, or after `until`."""
    return float(value) if isinstance(value, int | float) and 0 < value <= until else None


def is_duration(seconds: float) -> bool:
    """Whether it is a number of seconds that can have passed."""
    return 0 <= seconds < math.inf


def text_of(value: object) -> str:
    """Return a text that is safe to show, whoever wrote the file."""
    text = str(value)[:MAX_DETAIL]
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)
