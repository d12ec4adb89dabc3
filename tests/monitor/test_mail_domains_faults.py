"""Every fault of a mail domain, against real servers: its reason, its metrics, and the alerts of the shipped rules.

BIND has the zones, Unbound verifies the signed one, three Postfix are the exchanges, at an address each: one is well,
one has no STARTTLS, one refuses every client. A forwarder before Unbound fails at the names that a case says.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from exporter.domains import mta_sts
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint, IpFamily, Protocol, Security, Tls
from exporter.probing.resolve import Resolver
from tests.deploy.test_rules import ALL_RULES, NAMES, run_promtool
from tests.monitor.domain_cases import CASES, HOSTS, PLAIN, REFUSE, REFUSING, WELL, Case
from tests.monitor.domain_watch import Sample, Watch, tlsa_of, zone_of
from tests.servers.bind import Bind, Unbound
from tests.servers.forwarder import Forwarder
from tests.servers.policy_host import PolicyHost, PolicyHosts
from tests.servers.postfix import Postfix
from tests.servers.process import free_port
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.authority import Authority
    from tests.servers.dovecot import Dovecot


@pytest.fixture(scope="module")
def postfixes(authority: Authority, dovecot_server: Dovecot) -> Iterator[list[Postfix]]:
    """Three exchanges at one port of three addresses: one is well, one has no STARTTLS, one refuses every client."""
    certificate, port = authority.issue("*.example.com", "match.example.net"), free_port()
    settings = {WELL: "", PLAIN: "smtpd_tls_security_level = none\n", REFUSING: REFUSE}
    made = [
        Postfix(certificate, dovecot_server, exchange=(address, port), settings=more)
        for address, more in settings.items()
    ]
    with ExitStack() as stack:
        for postfix in made:
            stack.callback(postfix.close)
        with ThreadPoolExecutor() as pool:
            list(pool.map(Postfix.start, made))
        yield made


@pytest.fixture(scope="module")
def resolving(postfixes: list[Postfix]) -> Iterator[Unbound]:
    """The zones of all cases, and the resolver that verifies the signed one."""
    zones = {"example.com": [HOSTS], "example.net": [f"match A {WELL}"]}
    for name, case in CASES.items():
        zones[case.zone].append(zone_of(name, case.mx, case.txt, case.reports))
        zones[case.zone] += [f"mta-sts.{name} A {case.address}"] if case.address and case.txt else []
    port, right = postfixes[0].smtp_port, tlsa_of(postfixes[0].certificate)
    zones["example.com"] += [f"_{port}._tcp.{host} TLSA {right}" for host in ("match", "bare")]
    zones["example.com"] += [f"_{port}._tcp.mismatch TLSA 3 1 1 {'0' * 64}"]
    zones["example.com"] += [
        f"_{port}._tcp.{host} TLSA 1 1 1 {'0' * 64}" for host in ("deep.unusable", "bare-unusable")
    ]
    zones["example.net"] += [f"_{port}._tcp.match TLSA {right}"]
    joined = {zone: "\n".join(lines) for zone, lines in zones.items()}
    with Bind(joined, signed=["example.com"]) as bind, Unbound(bind) as unbound:
        yield unbound


def endpoint_of(name: str, case: Case, port: int, authority: Authority) -> Endpoint:
    """The endpoint of a case."""
    tls, timeout = Tls(ca_file=authority.ca_file), 4.0 if case.is_silent else PATIENCE
    return Endpoint(
        name=name, protocol=Protocol.SMTP, domain=f"{name}.{case.zone}", port=port, security=Security.STARTTLS,
        ip_family=IpFamily.IPV4, tls=tls, timeout=timeout, **case.endpoint,
    )  # fmt: skip


@pytest.fixture
async def watch(
    postfixes: list[Postfix],
    resolving: Unbound,
    authority: Authority,
    scripted: StartScripted,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Watch]:
    """All cases, after two rounds."""
    hosts = {f"mta-sts.{name}.{case.zone}": PolicyHost(case.policy, **case.host) for name, case in CASES.items()}
    named = [f"mta-sts.{name}.{case.zone}" for name, case in CASES.items() if case.is_named]
    server = await scripted(PolicyHosts(hosts), security="tls", context=authority.issue(*named).context)
    monkeypatch.setattr(mta_sts, "PORT", server.port)
    async with Forwarder(resolving.address) as forwarder:
        for name, case in CASES.items():
            for below, fault in case.faults.items():
                *labels, kind = below.split()
                forwarder.faults[".".join([*labels, name, case.zone]), kind] = fault
        endpoints = [endpoint_of(name, case, postfixes[0].smtp_port, authority) for name, case in CASES.items()]
        made = Watch(Resolver([forwarder.address]), endpoints)
        await made.round()
        for name, case in CASES.items():
            if case.later:
                hosts[f"mta-sts.{name}.{case.zone}"].status = case.later
        await made.round()
        yield made
        await made.close()


def shown(name: str, labels: Mapping[str, str]) -> str:
    """Return a series as the cases name it: with the label that tells it from the others."""
    of = {"gmail_mta_sts_mode": "mode", "gmail_check_success": "check", "gmail_dns_authenticated": "record"}
    label = labels.get(of.get(name, "host"), "")
    return f"{name}{{{label}}}" if label else name


async def test_faults(watch: Watch, tmp_path: Path) -> None:
    """Each has its reason, whose blame is the domain's administrator or nobody, its metrics and its alerts alone."""
    samples = watch.samples
    for name, case in CASES.items():
        findings = watch.domain(name).findings
        assert {f"{one.reason} {one.host}".strip() for one in findings} == case.reasons, (name, findings)
        wanted = {Reason(reason.partition(" ")[0]).blame if case.is_certain else "unknown" for reason in case.reasons}
        assert {one.blame for one in findings} == wanted, (name, findings)
        found = {shown(sample, labels): value for sample, labels, value in samples if labels["endpoint"] == name}
        for series, value in case.metrics.items():
            if series.endswith("{}"):
                assert not [one for one in found if one.startswith(series[:-2])], (name, series)
            else:
                assert found[series] == value, (name, series)
        infos = [
            labels for sample, labels, _ in samples if sample == "gmail_mx_failure_info" and labels["endpoint"] == name
        ]
        assert {f"{one['reason']} {one.get('host', '')}".strip() for one in infos} == case.reasons
        assert len(infos) == len(case.reasons)
    wanted_alerts = sorted({f"{alert} {name}" for name, case in CASES.items() for alert in case.alerts})
    run_promtool(promtool_case(samples, wanted_alerts), tmp_path)
    three = {series.target.endpoint.host: series.last for series in watch.store.of_endpoint("three")}
    assert {host: str(last.reason) for host, last in three.items() if last} == {
        "refusing.example.com": "server_refused", "plain.example.com": "ok", "good.example.com": "ok",
    }  # fmt: skip


INSTANCES = ("a", "b")


def promtool_case(samples: list[Sample], alerts: list[str]) -> dict[str, Any]:
    """Return what promtool tests: where two exporters find this for ten minutes, exactly these alerts fire."""
    down = {tuple(labels.items())[:5] for name, labels, value in samples if name == "gmail_up" and not value}
    series = [{"series": f'up{{job="gmail",instance="{instance}"}}', "values": "1x40"} for instance in INSTANCES]
    used = re.findall(r"\bgmail_\w+", str(ALL_RULES))
    for name, labels, value in samples:
        if name not in used:
            continue
        is_down = tuple(labels.items())[:5] in down
        values = f"{value}x40"
        if name == "gmail_probe_last_run_timestamp_seconds":
            values = "0+30x40"
        elif name == "gmail_probe_last_success_timestamp_seconds":
            values = "0x40" if is_down else "0+30x40"
        elif name == "gmail_probes_total":
            values = "0+1x40" if is_down == (labels["result"] == "failure") else "0x40"
        for instance in INSTANCES:
            of = {"job": "gmail", "instance": instance, **labels}
            text = ",".join(f'{label}="{text}"' for label, text in of.items())
            series.append({"series": f"{name}{{{text}}}", "values": values})
    exp_samples = []
    for alert in alerts:
        name, severity, endpoint = alert.split()
        exp_samples.append(
            {"labels": f'{{alertname="{name}",severity="{severity}",endpoint="{endpoint}"}}', "value": 1}
        )
    expr = 'group by (alertname, severity, endpoint) (ALERTS{alertstate="firing"})'
    return {
        "rule_files": ["gmail-recording.yml", "gmail-alerts.yml"],
        "evaluation_interval": "30s",
        "tests": [
            {
                "name": f"All shipped rules: {' '.join(NAMES)}",
                "interval": "30s",
                "input_series": series,
                "promql_expr_test": [{"expr": expr, "eval_time": "10m", "exp_samples": exp_samples}],
            }
        ],
    }
