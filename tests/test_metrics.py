"""The exposition: names, labels, values, and that both formats say the same as prometheus_client."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.accounts.access import Access
from exporter.accounts.budget import Denial, Standing
from exporter.accounts.oauth import AccessToken
from exporter.config import Account, Config, IpFamily, OAuth2, Role, SecretRef
from exporter.metrics import BASE_LABELS, FAMILIES, ExporterMetrics, Exposition, base_labels, render, samples
from exporter.outcome import Folder, Observed, Outcome, Phase, Quota, Reason, Target, TlsFacts
from exporter.store import Series, Store
from tests.examples import ACCOUNT, SENTINEL, failure, success, target

OPENMETRICS = "application/openmetrics-text; version=1.0.0"

FACTS = TlsFacts(
    version="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    issuer="CN=WR2,O=Google Trust Services,C=US",
    fingerprint_sha256="ab" * 32,
    not_after=1_800_000_000.0,
    chain_not_after=1_790_000_000.0,
)


def exposed(
    *outcomes: Outcome, of: Target | None = None, standing: Standing | None = None
) -> dict[str, dict[str, float]]:
    """The values of a target by sample name, then by its labels beside the base labels."""
    series = Series(of or (outcomes[0].target if outcomes else target()))
    for outcome in outcomes:
        series.add(outcome, standing)
    values: dict[str, dict[str, float]] = {}
    for sample in samples(series):
        labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
        values.setdefault(sample.family.metric.name + sample.suffix, {})[labels] = float(sample.value)
    return values


def test_before_the_first_probe_only_what_is_configured_is_known() -> None:
    """Counters start from 0, and nothing claims that the endpoint is up or down."""
    values = exposed()
    assert values["gmail_probes_total"] == {"result=success": 0, "result=failure": 0}
    assert values["gmail_probe_interval_seconds"] == {"": 30}
    assert values["gmail_endpoint_info"] == {"security=tls,account=": 1}
    for absent in ("gmail_up", "gmail_check_success", "gmail_failure_info", "gmail_logins_total"):
        assert absent not in values


def test_a_good_probe() -> None:
    """Everything that a probe sees is exposed."""
    observed = Observed(
        address="192.0.2.1", ip_version=4, ip_fallback=False, tcp_rtt=0.012, tls=FACTS, capabilities=("IMAP4REV1",)
    )
    values = exposed(success(observed=observed))
    assert values["gmail_up"] == {"": 1}
    assert values["gmail_check_success"] == {"check=reachability": 1, "check=tls": 1, "check=protocol": 1}
    assert values["gmail_phase_duration_seconds"]["phase=greeting"] == 0.03
    assert values["gmail_tcp_rtt_seconds"] == {"": 0.012}
    assert values["gmail_probe_ip_protocol"] == {"": 4}
    assert values["gmail_probe_ip_fallback"] == {"": 0}
    assert values["gmail_tls_certificate_expiry_timestamp_seconds"] == {"": 1_800_000_000}
    assert values["gmail_tls_chain_expiry_timestamp_seconds"] == {"": 1_790_000_000}
    assert list(values["gmail_tls_info"].values()) == [1]
    assert "issuer=CN=WR2,O=Google Trust Services,C=US" in next(iter(values["gmail_tls_info"]))
    assert values["gmail_probes_total"]["result=success"] == 1
    assert values["gmail_probe_last_run_timestamp_seconds"] == {"": 1_700_000_000.25}
    assert values["gmail_probe_last_success_timestamp_seconds"] == {"": 1_700_000_000.25}
    assert values["gmail_probe_duration_seconds_count"] == {"": 1}
    assert values["gmail_probe_duration_seconds_sum"][""] == pytest.approx(0.081)
    assert values["gmail_probe_duration_seconds_bucket"]["le=0.05"] == 0
    assert values["gmail_probe_duration_seconds_bucket"]["le=0.1"] == 1
    assert values["gmail_probe_duration_seconds_bucket"]["le=+Inf"] == 1
    assert "gmail_failure_info" not in values


def test_an_endpoint_that_is_down() -> None:
    """The reason, the phase and the blame are told; checks that were not reached are absent, not 0."""
    values = exposed(success(), failure())
    assert values["gmail_up"] == {"": 0}
    assert values["gmail_check_success"] == {"check=reachability": 0}
    assert values["gmail_failure_info"] == {"phase=connect,reason=refused,blame=network": 1}
    assert values["gmail_probe_failures_total"] == {"phase=connect,reason=refused": 1}
    assert values["gmail_probe_last_success_timestamp_seconds"] == {"": 1_700_000_000.25}
    assert "gmail_tcp_rtt_seconds" not in values


def test_a_refused_login_keeps_the_endpoint_up() -> None:
    """And it stands while later probes do not log in."""
    of = target(account=ACCOUNT)
    values = exposed(
        failure(of, Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS),
        success(of),
        of=of,
        standing=Standing(Denial.HOLD, math.inf),
    )
    assert values["gmail_up"] == {"": 1}
    assert values["gmail_check_success"]["check=login"] == 0
    assert "check=folders" not in values["gmail_check_success"]
    assert values["gmail_failure_info"] == {"phase=login,reason=auth_invalid_credentials,blame=account": 1}
    assert values["gmail_logins_total"] == {"result=success": 0, "result=failure": 1}
    assert values["gmail_login_suspended"] == {"": 1}


def test_folders_are_told_by_role() -> None:
    """A hidden folder is visible 0, and has no count."""
    of = target(account=ACCOUNT)
    folders = (Folder(Role.INBOX, visible=True, messages=65), Folder(Role.TRASH, visible=False))
    seen = replace(success(of, login=True), observed=Observed(login_attempted=True, folders=folders))
    values = exposed(seen)
    assert values["gmail_folder_visible"] == {"folder=inbox": 1, "folder=trash": 0}
    assert values["gmail_folder_messages"] == {"folder=inbox": 65}
    assert values["gmail_check_success"]["check=folders"] == 1
    assert values["gmail_login_suspended"] == {"": 0}


def test_the_endpoint_s_own_labels_are_on_its_info() -> None:
    """Labels of the configuration come beside ours, and only there."""
    of = target(account=ACCOUNT, labels={"tenant": "acme"})
    values = exposed(success(of))
    assert values["gmail_endpoint_info"] == {"tenant=acme,security=tls,account=ops": 1}
    assert all(
        "tenant" not in labels
        for name, of_name in values.items()
        if name != "gmail_endpoint_info"
        for labels in of_name
    )


def test_an_account_s_tokens() -> None:
    """Of an account with OAuth 2.0: expiry, what the token endpoint took and said; of one with a password, nothing."""
    reference = SecretRef(env="X")
    oauth2 = OAuth2(client_id="1.apps", client_secret=reference, refresh_token=reference)
    access = Access(Account(name="workspace", username="probe@example.com", oauth2=oauth2), {})
    exposing = Exposition(Store(), ExporterMetrics(), lambda: [access, Access(ACCOUNT, {})])
    text = exposing.render("")[0].decode()
    assert 'gmail_oauth_token_refreshes_total{account="workspace",result="success"} 0.0\n' in text
    assert "gmail_oauth_token_expiry" not in text

    access.token = AccessToken(SENTINEL, 1_800_000_000.0)
    access.refresh_seconds = 0.25
    access.refreshes.update([Reason.OK, Reason.OK, Reason.OAUTH_GRANT_REVOKED])
    for accept, parse in (("", parse_text), (OPENMETRICS, parse_openmetrics)):
        text = exposing.render(accept)[0].decode()
        values = {(s.name, *s.labels.values()): s.value for family in parse(text) for s in family.samples}
        assert values["gmail_oauth_token_expiry_timestamp_seconds", "workspace"] == 1_800_000_000
        assert values["gmail_oauth_token_refresh_duration_seconds", "workspace"] == 0.25
        assert values["gmail_oauth_token_refreshes_total", "workspace", "success"] == 2
        assert values["gmail_oauth_token_refreshes_total", "workspace", "failure"] == 1
        assert values["gmail_oauth_token_refresh_failures_total", "workspace", "oauth_grant_revoked"] == 1
        assert SENTINEL not in text
        assert "ops" not in text


def test_what_the_login_budget_says() -> None:
    """Why a probe did not log in is counted; what holds logins back, and until when, stands beside it."""
    of = target(account=ACCOUNT)
    series = Series(of)
    series.add(success(of), Standing(None, 1_700_000_900.0), Denial.INTERVAL)
    series.add(success(of), Standing(Denial.HOLD, math.inf), Denial.HOLD)
    values = {(s.family.metric.name, *s.labels.values()): s.value for s in samples(series)}
    assert values["gmail_login_denials", "interval"] == 1
    assert values["gmail_login_denials", "hold"] == 1
    assert values["gmail_login_denials", "ceiling"] == 0
    assert values["gmail_login_held_info", "hold"] == 1
    assert ("gmail_login_next_timestamp_seconds",) not in values
    series.add(success(of), Standing(None, 1_700_000_900.0), Denial.BUSY)
    values = {(s.family.metric.name, *s.labels.values()): s.value for s in samples(series)}
    assert values["gmail_login_next_timestamp_seconds",] == 1_700_000_900
    assert ("gmail_login_held_info", "hold") not in values


def test_a_piece_can_be_rendered_ahead_of_the_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the scrape renders nothing."""
    series = Series(target())
    exposing = exposition(series)
    series.add(success(series.target))
    exposing.refresh(series)
    monkeypatch.setattr("exporter.metrics.render", None)
    assert b'gmail_up{endpoint="imap"' in exposing.render("")[0]


def test_every_sample_has_the_base_labels() -> None:
    """In the contract's order, as configured."""
    labels = base_labels(Series(target(ip_family=IpFamily.IPV6)))
    assert tuple(labels) == BASE_LABELS
    assert labels == {
        "endpoint": "imap",
        "protocol": "imap",
        "host": "imap.gmail.com",
        "port": "993",
        "ip_family": "ipv6",
    }


def exposition(*all_series: Series) -> Exposition:
    """An exposition of a store that holds these series."""
    store = Store()
    store._series = {series.target.key: series for series in all_series}
    return Exposition(store, ExporterMetrics())


def test_a_piece_is_rendered_once_per_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape joins; only what was probed since the last one is rendered."""
    quiet, busy = Series(target("quiet")), Series(target("busy"))
    exposing = exposition(quiet, busy)
    exposing.render("")
    rendered = []

    def counting(series: Series) -> Mapping[str, str]:
        rendered.append(series.target.endpoint.name)
        return render(series)

    monkeypatch.setattr("exporter.metrics.render", counting)
    busy.add(success(busy.target))
    body, _ = exposing.render("")
    assert rendered == ["busy"]
    assert b'gmail_probes_total{endpoint="busy"' in body
    exposing.render("")
    assert rendered == ["busy"]


def test_a_removed_target_takes_its_series_with_it() -> None:
    """Not one sample of it survives."""
    series = Series(target("going"))
    exposing = exposition(series)
    assert b"going" in exposing.render("")[0]
    exposing.store.configure([])
    body, _ = exposing.render("")
    assert b"going" not in body
    assert b"gmail_probes" not in body


def test_a_target_that_was_replaced_is_rendered_anew() -> None:
    """Same name, same count of outcomes, another configuration."""
    exposing = exposition(Series(target(interval=30)))
    exposing.render("")
    exposing.store.configure([target(interval=60)])
    assert b"gmail_probe_interval_seconds{" in exposing.render("")[0]
    assert b"} 60.0" in exposing.render("")[0]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (f"{OPENMETRICS},text/plain;version=0.0.4;q=0.3", "application/openmetrics-text; version=1.0.0"),
    ],
)
def test_the_format_follows_the_accept_header(accept: str, content_type: str) -> None:
    """Text 0.0.4 unless OpenMetrics is asked for; only OpenMetrics ends with its mark."""
    body, chosen = exposition(Series(target())).render(accept)
    assert chosen.startswith(content_type)
    assert body.endswith(b"# EOF\n") is content_type.startswith("application")


def test_the_exporter_tells_of_its_configuration() -> None:
    """Loaded, then a reload that was refused: the time and the hash of what runs stay."""
    metrics = ExporterMetrics()
    config = Config(accounts={}, endpoints={}, source="x.yml", digest="ff" * 32)
    metrics.loaded(config, at=1_700_000_000.0)
    value = metrics.registry.get_sample_value
    assert value("gmail_exporter_config_last_reload_successful") == 1
    assert value("gmail_exporter_config_hash") == 0xFFFFFFFFFFFF
    metrics.load_failed()
    assert value("gmail_exporter_config_last_reload_successful") == 0
    assert value("gmail_exporter_config_last_reload_success_timestamp_seconds") == 1_700_000_000
    assert value("gmail_exporter_probes_missed_total") == 0


def test_no_secret_is_exposed() -> None:
    """What the server said stays out of the metrics altogether: labels are closed sets."""
    of = target(account=ACCOUNT)
    echoed = replace(failure(of, Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS), detail=SENTINEL)
    series = Series(of)
    series.add(echoed, Standing(Denial.HOLD, math.inf))
    assert SENTINEL.encode() not in exposition(series).render("")[0]


def test_promtool_finds_nothing() -> None:
    """Prometheus' own linter, on the exposition of endpoints in many states."""
    of = target("login", account=ACCOUNT, labels={"tenant": "acme"})
    good, bad, login = Series(target("good")), Series(target("bad")), Series(of)
    good.add(
        success(good.target, observed=Observed(tls=FACTS, ip_version=6, ip_fallback=False, tcp_rtt=0.01)),
    )
    bad.add(failure(bad.target))
    folders = (Folder(Role.INBOX, visible=True, messages=1),)
    login.add(success(of, login=True, observed=Observed(login_attempted=True, folders=folders)))
    body, _ = exposition(good, bad, login).render("")
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: run tests/servers/install"
    found = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.metric.name)
def test_help_needs_no_escaping(family: Any) -> None:
    """The two formats escape help texts differently; ours have nothing to escape."""
    assert not set('\\\n"') & set(family.metric.documentation)


texts = st.text(st.characters(codec="utf-8"), max_size=30)
seconds = st.floats(0, 1e6)


@st.composite
def any_series(draw: st.DrawFn) -> Series:
    """A series with arbitrary labels, phases, reasons and facts."""
    label_names = st.from_regex(r"x_[a-z0-9_]{1,10}", fullmatch=True)
    of = target(
        draw(st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)),
        draw(st.sampled_from([IpFamily.ANY, IpFamily.IPV4, IpFamily.IPV6])),
        account=draw(st.sampled_from([None, ACCOUNT])),
        labels=draw(st.dictionaries(label_names, texts, max_size=3)),
    )
    series = Series(of)
    for _ in range(draw(st.integers(0, 5))):
        facts = TlsFacts("TLSv1.3", draw(texts), draw(texts), draw(texts), draw(seconds), draw(seconds))
        folders = st.builds(
            Folder, st.sampled_from(Role), visible=st.booleans(), messages=st.none() | st.integers(0, 10**9)
        )
        observed = Observed(
            ip_version=draw(st.sampled_from([None, 4, 6])),
            ip_fallback=draw(st.sampled_from([None, True, False])),
            tcp_rtt=draw(st.none() | seconds),
            tls=draw(st.sampled_from([None, facts])),
            quota=draw(st.none() | st.builds(Quota, st.integers(0, 2**50), st.integers(0, 2**50))),
            folders=tuple({folder.role: folder for folder in draw(st.lists(folders, max_size=4))}.values()),
            login_attempted=draw(st.booleans()),
        )
        outcome = Outcome(
            target=of,
            started_at=draw(seconds),
            ended_at=draw(seconds),
            phases=MappingProxyType(draw(st.dictionaries(st.sampled_from(Phase), seconds))),
            phase=draw(st.sampled_from(Phase)),
            reason=draw(st.sampled_from(Reason)),
            observed=observed,
        )
        standing = st.builds(Standing, st.none() | st.sampled_from(Denial), seconds | st.just(math.inf))
        series.add(outcome, draw(st.none() | standing), draw(st.none() | st.sampled_from(Denial)))
    return series


class Reference:
    """A collector that gives the same samples to prometheus_client."""

    def __init__(self, all_series: Iterable[Series]) -> None:
        self._all_series = list(all_series)

    def collect(self) -> Iterable[Metric]:
        """Everything, as the library wants it."""
        for family in FAMILIES:
            metric = Metric(family.metric.name, family.metric.documentation, family.metric.type)
            for series in self._all_series:
                for sample in samples(series):
                    if sample.family is family:
                        labels = {**base_labels(series), **sample.labels}
                        metric.add_sample(family.metric.name + sample.suffix, labels, sample.value)
            if metric.samples:
                yield metric


def parsed(text: str, parse: Any) -> dict[str, tuple[str, str, dict[Any, float]]]:
    """Type, help and samples of every family that is not the exporter's own."""
    return {
        family.name: (
            family.type,
            family.documentation,
            {(s.name, frozenset(s.labels.items())): s.value for s in family.samples},
        )
        for family in parse(text)
        if not family.name.startswith(("gmail_exporter_", "process_"))
    }


@given(st.lists(any_series(), max_size=3, unique_by=lambda series: series.target.key))
def test_both_formats_equal_the_library_s(all_series: list[Series]) -> None:
    """Sample for sample, over arbitrary labels, values and histograms."""
    registry = CollectorRegistry()
    registry.register(Reference(all_series))
    ours = exposition(*all_series)
    for accept, parse, generate in (
        ("", parse_text, generate_latest),
        (OPENMETRICS, parse_openmetrics, generate_openmetrics),
    ):
        text = ours.render(accept)[0].decode()
        expected = generate(registry)
        assert parsed(text, parse) == parsed(expected.decode(), parse)
        assert not any(math.isnan(v) for _, _, values in parsed(text, parse).values() for v in values.values())
