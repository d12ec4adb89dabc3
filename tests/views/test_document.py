"""The JSON of an outcome is what its schema and its documentation say."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from exporter.model.login import Denial, LoginStatus
from exporter.model.outcome import Certificate, Check, Folder, Line, Observed, Outcome, Phase, Quota, TlsFacts
from exporter.model.reason import Blame, Reason, Retry
from exporter.model.settings import IpFamily, Protocol, Role
from exporter.views.document import outcome_to_json
from tests.examples import ACCOUNT, budgeted, failure, success, target

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "outcome.schema.json").read_text("utf-8"))
DOCUMENTATION = (DOCS / "json.md").read_text("utf-8")

SEEN = Observed(
    address="2001:db8::1",
    ip_version=6,
    ip_fallback=False,
    tcp_rtt=0.012,
    tls=TlsFacts(
        "TLSv1.3",
        "TLS_AES_128_GCM_SHA256",
        "CN=WR2",
        "0f" * 32,
        1.8e9,
        1.7e9,
        chain=(Certificate("CN=imap.gmail.com", "CN=WR2", ("imap.gmail.com",), 1.6e9, 1.8e9, "0f" * 32),),
    ),
    capabilities=("IMAP4REV1", "AUTH=PLAIN"),
    login_capabilities=("QUOTA",),
    folders=(Folder(Role.INBOX, True, 3, 1), Folder(Role.TRASH, False), Folder(Role.INBOX, True, 2, octets=4096)),
    quota=Quota(1, 2),
    login_attempted=True,
    throttled=True,
    logout=Reason.TIMEOUT,
)
LOGINS = [None, LoginStatus(None, 1.7e9), *(LoginStatus(denial, math.inf) for denial in Denial if denial.protects)]
FAILURES = [failure(phase=phase, reason=reason) for phase in Phase for reason in Reason if reason is not Reason.OK]


def strict(schema: Any) -> Any:
    """The schema, of which only the documented keys are an instance."""
    if not isinstance(schema, dict):
        return schema
    tight = {key: strict(value) for key, value in schema.items()}
    return {**tight, "additionalProperties": False} if isinstance(schema.get("properties"), dict) else tight


VALIDATOR = Draft202012Validator(strict(SCHEMA))


def test_the_schema_is_one() -> None:
    """Of JSON Schema's 2020-12, which a good outcome and no other object is valid by."""
    Draft202012Validator.check_schema(SCHEMA)
    whole = outcome_to_json(success())
    assert VALIDATOR.is_valid(whole)
    for key in whole:
        assert not VALIDATOR.is_valid({name: value for name, value in whole.items() if name != key}), key
        assert not VALIDATOR.is_valid({**whole, key: {"no": "such"} if key not in ("phases", "checks") else 1}), key
    assert not VALIDATOR.is_valid({**whole, "more": 1})


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("outcome", [success(), success(target(account=ACCOUNT), login=True, observed=SEEN)])
def test_an_outcome_is_valid(outcome: Outcome, login: LoginStatus | None) -> None:
    """With and without everything that may be seen; as JSON, without infinity."""
    for dialogue in (False, True):
        text = json.dumps(outcome_to_json(replace(outcome, login=login), dialogue=dialogue), allow_nan=False)
        VALIDATOR.validate(json.loads(text))


def test_every_failure_is_valid() -> None:
    """Each reason in each phase."""
    for outcome in FAILURES:
        VALIDATOR.validate(outcome_to_json(outcome))


def test_what_is_seen_is_what_is_told() -> None:
    """Each under its name, in its unit."""
    outcome = success(target(account=ACCOUNT), observed=SEEN, dialogue=(Line(0.1, "S", "hello"),))
    told = outcome_to_json(budgeted(outcome, None, 1.7e9), dialogue=True)
    assert outcome_to_json(outcome)["dialogue"] is None
    assert told["account"] == "ops"
    assert told["duration_seconds"] == pytest.approx(0.081)
    assert told["tls"]["chain_expires_at"] == 1.7e9
    assert told["tls"]["chain"][0]["names"] == ["imap.gmail.com"]
    assert told["folders"][2] == {"role": "inbox", "visible": True, "messages": 2, "unseen": None, "bytes": 4096}
    assert told["quota"] == {"used_bytes": 1, "limit_bytes": 2}
    assert (told["login_held_by"], told["next_login_at"]) == (None, 1.7e9)
    assert (told["remedy"], told["blame"], told["logout"]) == (None, None, "timeout")
    assert told["dialogue"] == ["0.100 S: hello"]


def test_a_held_login_has_no_time() -> None:
    """Infinity is no JSON."""
    told = outcome_to_json(budgeted(success(target(account=ACCOUNT)), Denial.HOLD))
    assert (told["login_held_by"], told["next_login_at"]) == ("hold", None)


def test_a_failure_says_why() -> None:
    """With blame and remedy; the blame of a phase, not of the reason alone."""
    told = outcome_to_json(failure(phase=Phase.GREETING, reason=Reason.TIMEOUT))
    assert (told["ok"], told["up"], told["phase"], told["reason"]) == (False, False, "greeting", "timeout")
    assert (told["blame"], told["remedy"]) == ("provider", Reason.TIMEOUT.remedy)
    assert told["checks"] == {"reachability": True, "tls": True, "protocol": False}
    assert outcome_to_json(replace(success(), phases={}))["phases"] == {}


@pytest.mark.parametrize(
    ("key", "kind", "left_out"),
    [
        ("protocol", Protocol, ()),
        ("ip_family", IpFamily, (IpFamily.BOTH,)),
        ("phase", Phase, ()),
        ("blame", Blame, ()),
        ("retry", Retry, ()),
        ("login_held_by", Denial, (Denial.INTERVAL, Denial.BUSY)),
    ],
)
def test_a_closed_list_is_the_program_s(key: str, kind: type[StrEnum], left_out: tuple[StrEnum, ...]) -> None:
    """No value is missing from the schema."""
    assert {value for value in SCHEMA["properties"][key]["enum"] if value} == set(kind) - set(left_out)


def test_nested_lists_are_the_program_s() -> None:
    """Phases, checks and roles; and every reason has the form of one."""
    properties = SCHEMA["properties"]
    assert list(properties["phases"]["properties"]) == list(Phase)
    assert list(properties["checks"]["properties"]) == list(Check)
    assert properties["folders"]["items"]["properties"]["role"]["enum"] == list(Role)
    assert all(re.fullmatch(properties["reason"]["pattern"], reason) for reason in Reason)


def test_the_documentation_lists_exactly_the_schema_s_keys() -> None:
    """In its order, with its words."""
    properties = SCHEMA["properties"]
    tables = [
        properties,
        properties["tls"]["properties"],
        properties["tls"]["properties"]["chain"]["items"]["properties"],
        properties["folders"]["items"]["properties"],
        properties["quota"]["properties"],
    ]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", DOCUMENTATION, re.MULTILINE)
    wanted = [(key, value["description"]) for table in tables for key, value in table.items()]
    assert [(key, text.replace("[reasons](reasons.md)", "docs/reasons.md")) for key, text in rows] == wanted
    assert list(outcome_to_json(success())) == list(properties)
