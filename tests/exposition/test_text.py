"""The exposition: both formats have the samples of prometheus_client, and a scrape only joins rendered lines."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
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

from exporter.exposition.gmail import BASE_LABELS, FAMILIES, PROBE_DURATION, base_labels, samples
from exporter.exposition.text import Form, Format, Samples, labels_text, render
from exporter.model.certificate import TlsFacts
from exporter.model.login import Denial, LoginStatus
from exporter.model.outcome import Folder, Observed, Outcome, Phase, Quota
from exporter.model.reason import Reason
from exporter.model.settings import IpFamily, Role
from exporter.monitor.store import Series
from tests.examples import ACCOUNT, exposition_of, scraped, target

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.metric.name)
def test_help_needs_no_escaping(family: Any) -> None:
    """No help text has a character that the two formats escape differently."""
    assert not set('\\\n"') & set(family.metric.documentation)


texts = st.text(st.characters(codec="utf-8"), max_size=30)
seconds = st.floats(0, 1e6)
endpoint_names = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
further_labels = st.dictionaries(st.from_regex(r"x_[a-z0-9_]{1,10}", fullmatch=True), texts, max_size=3)
observations = st.builds(
    Observed,
    ip_version=st.sampled_from([None, 4, 6]),
    ip_fallback=st.sampled_from([None, True, False]),
    tcp_rtt=st.none() | seconds,
    tls=st.none() | st.builds(TlsFacts, st.just("TLSv1.3"), texts, texts, texts, seconds, seconds),
    quota=st.none() | st.builds(Quota, st.integers(0, 2**50), st.integers(0, 2**50)),
    folders=st.lists(
        st.builds(Folder, st.sampled_from(Role), visible=st.booleans(), messages=st.none() | st.integers(0, 10**9)),
        max_size=4,
        unique_by=lambda folder: folder.role,
    ).map(tuple),
    login_attempted=st.booleans(),
)
denials = st.none() | st.sampled_from(Denial)
outcomes = st.builds(
    Outcome,
    target=st.just(target()),  # replaced by the series' own
    started_at=seconds,
    ended_at=seconds,
    phases=st.dictionaries(st.sampled_from(Phase), seconds).map(MappingProxyType),
    phase=st.sampled_from(Phase),
    reason=st.sampled_from(Reason),
    observed=observations,
    login=st.none() | st.builds(LoginStatus, denials, seconds | st.just(math.inf), denied=denials),
)


@st.composite
def any_series(draw: st.DrawFn) -> Series:
    """A series with arbitrary labels, phases, reasons and facts."""
    imap = target(
        draw(endpoint_names),
        draw(st.sampled_from([IpFamily.ANY, IpFamily.IPV4, IpFamily.IPV6])),
        account=draw(st.sampled_from([None, ACCOUNT])),
        labels=draw(further_labels),
    )
    series = Series(imap)
    for outcome in draw(st.lists(outcomes, max_size=5)):
        series.add(replace(outcome, target=imap))
    return series


def add(metric: Metric, base: Mapping[str, str], form: Form, of_form: Sequence[float]) -> None:
    """Give the same samples to a metric of prometheus_client."""
    for (suffix, labels), value in zip(form.rows, of_form, strict=True):
        metric.add_sample(metric.name + suffix, {**base, **labels}, float(value))


class Reference:
    """A collector that gives the same samples to prometheus_client."""

    def __init__(self, all_series: Iterable[Series]) -> None:
        self._all_series = list(all_series)

    def collect(self) -> Iterable[Metric]:
        """Yield a metric for each family that has samples."""
        found = [(base_labels(series), list(samples(series))) for series in self._all_series]
        for family in FAMILIES:
            metric = Metric(family.metric.name, family.metric.documentation, family.metric.type)
            for base, of_series in found:
                for form, of_form in of_series:
                    if form.family is family:
                        add(metric, base, form, of_form)
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
def test_formats(all_series: list[Series]) -> None:
    """Both formats have the samples that prometheus_client writes, for arbitrary labels, values and histograms."""
    registry = CollectorRegistry()
    registry.register(Reference(all_series))
    ours = exposition_of(*all_series)
    for fmt, parse, generate in (
        (Format.TEXT, parse_text, generate_latest),
        (Format.OPENMETRICS, parse_openmetrics, generate_openmetrics),
    ):
        found = parsed(scraped(ours, fmt).decode(), parse)
        assert found == parsed(generate(registry).decode(), parse)
        assert not any(math.isnan(v) for _, _, values in found.values() for v in values.values())


values = st.floats() | st.integers(-(2**70), 2**70) | st.booleans() | st.sampled_from([math.inf, 1e6, 1e-9, 999999.5])
bounds = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5, unique=True)


@st.composite
def any_samples(draw: st.DrawFn) -> list[Samples]:
    """Samples of arbitrary families with arbitrary labels, and histograms with arbitrary buckets."""
    found: list[Samples] = []
    for family in draw(st.lists(st.sampled_from(FAMILIES), max_size=6, unique_by=lambda family: family.metric.name)):
        if family is PROBE_DURATION:
            of_buckets = sorted(draw(bounds))
            counts = draw(st.lists(st.integers(0, 2**60), min_size=len(of_buckets) + 2, max_size=len(of_buckets) + 2))
            found.append((family.histogram(of_buckets), (*counts, draw(values))))
            continue
        of_family = draw(st.lists(st.tuples(*(texts for _ in family.labels)), min_size=1, max_size=3, unique=True))
        form = family.form(*(dict(zip(family.labels, labels, strict=True)) for labels in of_family))
        found.append((form, [draw(values) for _ in of_family]))
    return found


@given(any_samples(), st.tuples(texts, texts, texts, texts, texts))
def test_any_sample(all_samples: list[Samples], base: tuple[str, ...]) -> None:
    """Arbitrary values and label texts are rendered line for line as by prometheus_client."""
    labels = dict(zip(BASE_LABELS, base, strict=True))
    ours = render(labels_text(**labels), all_samples)
    for form, of_form in all_samples:
        name, declared = form.family.name, form.family.metric
        # Without timestamps and exemplars both formats write a sample the same; the library sorts its labels.
        metric = Metric(declared.name, declared.documentation, declared.type)
        add(metric, labels, form, of_form)
        for generate in (generate_latest, generate_openmetrics):
            registry = CollectorRegistry()
            registry.register(SingleMetric(metric))
            expected = [line for line in generate(registry).decode().split("\n") if line and not line.startswith("#")]
            assert list(map(parse_line, ours[name].decode().split("\n")[:-1])) == list(map(parse_line, expected))


class SingleMetric:
    """A collector of one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        """The metric."""
        yield self._metric


def parse_line(line: str) -> tuple[str, list[str], str]:
    """The name of a line, its labels sorted, and its value."""
    name, _, rest = line.partition("{")
    labels, _, value = rest.rpartition("} ")
    return name, sorted(re.findall(r'\w+="(?:[^"\\]|\\.)*"', labels)), value
