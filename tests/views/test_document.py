"""The JSON of an Outcome conforms to its schema and its documentation."""

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

from exporter.model.certificate import Certificate, TlsFacts
from exporter.model.evidence import TcpEvidence, TcpFinding
from exporter.model.login import Cause, Denial, LoginStatus
from exporter.model.outcome import Check, Folder, Line, Observed, Outcome, Phase, Quota
from exporter.model.reason import Blame, Reason, Retry
from exporter.model.settings import IpFamily, Protocol, Role
from exporter.views.document import outcome_to_json
from tests.examples import ACCOUNT, UNREAD, budgeted, failure, success, target

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "outcome.schema.json").read_text("utf-8"))
DOCUMENTATION = (DOCS / "json.md").read_text("utf-8")

OBSERVED = Observed(
    address="2001:db8::1",
    ip_version=6,
    ip_fallback=False,
    dead_addresses=("192.0.2.1",),
    connect_lost=1.5,
    addresses=3,
    addresses_up=2,
    tcp_rtt=0.012,
    tcp=TcpEvidence(TcpFinding.SILENT, 0, 2, 40, 12, "ESTABLISHED"),
    retransmits=2,
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
    ignored_lines=2,
    logout=Reason.TIMEOUT,
)
LOGINS = [
    None,
    LoginStatus(None, 1.7e9),
    LoginStatus(Denial.HOLD, math.inf, cause=Cause("pop3")),
    LoginStatus(Denial.HOLD, math.inf, cause=Cause("pop3", Reason.ACCOUNT_DISABLED)),
    *(LoginStatus(denial, math.inf) for denial in Denial if denial.protects),
]
FAILURES = [failure(phase=phase, reason=reason) for phase in Phase for reason in Reason if reason is not Reason.OK]


def strict(schema: Any) -> Any:
    """The schema, changed to refuse keys that it does not document."""
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    return {**closed, "additionalProperties": False} if isinstance(schema.get("properties"), dict) else closed


VALIDATOR = Draft202012Validator(strict(SCHEMA))


def test_schema() -> None:
    """The schema is valid, and refuses an Outcome with a missing, a wrong or a further value."""
    Draft202012Validator.check_schema(SCHEMA)
    whole = outcome_to_json(success())
    assert VALIDATOR.is_valid(whole)
    for key in whole:
        assert not VALIDATOR.is_valid({name: value for name, value in whole.items() if name != key}), key
        assert not VALIDATOR.is_valid({**whole, key: {"no": "such"} if key not in ("phases", "checks") else 1}), key
    assert not VALIDATOR.is_valid({**whole, "more": 1})


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize(
    "outcome",
    [
        success(),
        success(target(account=ACCOUNT), login=True, observed=OBSERVED),
        success(observed=replace(OBSERVED, tls=UNREAD)),
    ],
)
def test_success(outcome: Outcome, login: LoginStatus | None) -> None:
    """A success is valid with and without every observation, and has no infinity."""
    for dialogue in (False, True):
        text = json.dumps(outcome_to_json(replace(outcome, login=login), dialogue=dialogue), allow_nan=False)
        VALIDATOR.validate(json.loads(text))


def test_every_failure() -> None:
    """Every reason in every phase is valid."""
    for outcome in FAILURES:
        VALIDATOR.validate(outcome_to_json(outcome))


def test_values() -> None:
    """Every observation has its own key and unit."""
    outcome = success(target(account=ACCOUNT), observed=OBSERVED, dialogue=(Line(0.1, "S", "hello"),))
    document = outcome_to_json(budgeted(outcome, None, 1.7e9), dialogue=True)
    assert outcome_to_json(outcome)["dialogue"] is None
    assert document["account"] == "ops"
    assert document["duration_seconds"] == pytest.approx(0.081)
    assert document["tls"]["chain_expires_at"] == 1.7e9
    assert document["tls"]["chain"][0]["names"] == ["imap.gmail.com"]
    assert document["folders"][2] == {"role": "inbox", "visible": True, "messages": 2, "unseen": None, "bytes": 4096}
    assert document["quota"] == {"used_bytes": 1, "limit_bytes": 2}
    assert (document["login_held_by"], document["next_login_at"]) == (None, 1.7e9)
    assert (document["remedy"], document["blame"], document["logout"]) == (None, None, "timeout")
    assert document["dialogue"] == ["0.100 S: hello"]


def test_held_login() -> None:
    """The time of the next login is null while logins are held, for JSON has no infinity."""
    document = outcome_to_json(budgeted(success(target(account=ACCOUNT)), Denial.HOLD))
    assert (document["login_held_by"], document["next_login_at"], document["login_cause"]) == ("hold", None, None)
    held = budgeted(success(target(account=ACCOUNT)), Denial.HOLD, cause=Cause("pop3", Reason.ACCOUNT_DELETED))
    assert outcome_to_json(held)["login_cause"] == {"endpoint": "pop3", "reason": "account_deleted"}


def test_failure() -> None:
    """A failure has a remedy, and the blame depends on its phase, too."""
    failed = failure(phase=Phase.GREETING, reason=Reason.TIMEOUT)
    document = outcome_to_json(failed)
    assert (document["ok"], document["up"], document["phase"], document["reason"]) == (
        False,
        False,
        "greeting",
        "timeout",
    )
    assert (document["blame"], document["remedy"]) == ("provider", failed.next_step)
    assert document["checks"] == {"reachability": True, "tls": True, "protocol": False}
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
def test_enumerations(key: str, kind: type[StrEnum], left_out: tuple[StrEnum, ...]) -> None:
    """The schema has exactly the values of the program."""
    assert {value for value in SCHEMA["properties"][key]["enum"] if value} == set(kind) - set(left_out)


def test_nested_enumerations() -> None:
    """The schema has the phases, checks and roles of the program, and every reason matches its pattern."""
    properties = SCHEMA["properties"]
    assert list(properties["phases"]["properties"]) == list(Phase)
    assert list(properties["checks"]["properties"]) == list(Check)
    assert properties["folders"]["items"]["properties"]["role"]["enum"] == list(Role)
    assert all(re.fullmatch(properties["reason"]["pattern"], reason) for reason in Reason)


def test_documentation() -> None:
    """Documentation and JSON have the keys of the schema in its order, the documentation also its texts."""
    properties = SCHEMA["properties"]
    evidence = properties["evidence"]["properties"]
    tables = [
        properties,
        properties["verdict"]["properties"],
        properties["tcp"]["properties"],
        evidence,
        evidence["trace"]["properties"],
        evidence["trace"]["properties"]["hops"]["items"]["properties"],
        evidence["controls"]["items"]["properties"],
        evidence["resolvers"]["items"]["properties"],
        evidence["host"]["properties"],
        evidence["siblings"]["properties"],
        evidence["status"]["properties"],
        evidence["status"]["properties"]["incidents"]["items"]["properties"],
        properties["tls"]["properties"],
        properties["tls"]["properties"]["chain"]["items"]["properties"],
        properties["folders"]["items"]["properties"],
        properties["quota"]["properties"],
        properties["login_cause"]["properties"],
    ]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", DOCUMENTATION, re.MULTILINE)
    expected = [(key, value["description"]) for table in tables for key, value in table.items()]
    assert [(key, text.replace("[reasons](reasons.md)", "docs/reasons.md")) for key, text in rows] == expected
    assert list(outcome_to_json(success())) == list(properties)
