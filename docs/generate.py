"""Writes the generated parts of docs/ from the code and from measurements; --check fails if one is not current."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.metrics_core import Metric

from bench.result import Figure
from exporter.config import schema
from exporter.config.table import Key, Table, Value
from exporter.exposition import blackbox, blackbox_domain
from exporter.exposition.deliveries import DELIVERY_FAMILIES
from exporter.exposition.domains import DOMAIN_FAMILIES
from exporter.exposition.gmail import ACCOUNT_FAMILIES, BASE_LABELS, EVIDENCE_FAMILIES, FAMILIES
from exporter.model.certificate import TlsFacts
from exporter.model.login import Denial
from exporter.model.outcome import CHECK_OF_PHASE, Observed, Outcome, Phase, Target
from exporter.model.reason import GOOGLE, Blame, Reason, Retry, fill
from exporter.model.remedy import step_of
from exporter.model.settings import Endpoint, IpFamily, Protocol
from exporter.model.verdict import Fact, Judgement, Verdict
from exporter.monitor.instruments import ExporterMetrics
from exporter.verdict.judge import CONTRADICTIONS, TABLE
from exporter.verdict.sentences import because_of, sentence_of
from exporter.verdict.symptom import Symptom, symptom_of_pair
from exporter.views.page import remedies
from grafana.guide import guide

DOCS = Path(__file__).parent

NOTICE = "<!-- Written by `make docs` from the code: change it there. -->"

_COMMAND, _ANSWER = "the first command is handed to the kernel", "the last octet of the last answer arrived"

PHASES = {
    Phase.RESOLVE: (
        "The lookup of the host's name.",
        "the call of the resolver",
        "its answer is read; an address needs none",
    ),
    Phase.CONNECT: (
        "The TCP handshake with one address: the kernel's own first round-trip sample, where nothing was sent again.",
        "the connection request",
        "the server's answer to it",
    ),
    Phase.TLS: (
        "The TLS handshake, after connect or after STARTTLS. To verify the certificate is this program's time.",
        "the first octets of the handshake are handed to the kernel",
        "the server's last flight arrived",
    ),
    Phase.GREETING: (
        "What the server says first.",
        "the connect; after TLS, the client's last flight is handed to the kernel",
        "the greeting's last octet arrived",
    ),
    Phase.CAPABILITY: (
        "CAPABILITY, CAPA or EHLO; with STARTTLS before it and after it, as one sum.",
        _COMMAND,
        _ANSWER,
    ),
    Phase.STARTTLS: ("STARTTLS or STLS.", _COMMAND, _ANSWER),
    Phase.LOGIN: ("The login, where one is due, with all its exchanges.", _COMMAND, _ANSWER),
    Phase.FOLDERS: (
        "IMAP: LIST of the folders configured, by their special use where the server can select those, and STATUS of "
        "each; POP3: STAT.",
        _COMMAND,
        _ANSWER,
    ),
    Phase.LOGOUT: ("LOGOUT or QUIT. A failure here is recorded, but does not fail the probe.", _COMMAND, _ANSWER),
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), *rows]
    lines.insert(1, ["---"] * len(list(head)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(words: Iterable[str]) -> str:
    """Return words as code, separated by commas."""
    return ", ".join(f"`{word}`" for word in words)


METRICS = f"""# Metrics

{NOTICE}

A value that is not known has no sample; it is never 0 or NaN. A removed endpoint has no series. To rename a metric or a
label, or to change its meaning, is a breaking change.

## Of each endpoint

Every sample has the base labels {code(BASE_LABELS)}, the last as
configured (`any`, `ipv4`, `ipv6`): an endpoint with `ip_family: both` is two series. `gmail_endpoint_info` also has the
endpoint's own `labels`; a join adds them to other metrics, and the shipped rules do so for
[alerts and recorded series](configuration.md#customers):

    gmail_up * on (job, instance, endpoint, host, port, ip_family) group_left (tenant) gmail_endpoint_info

It names every label that tells targets apart: an endpoint can have several hosts.

{{families}}

Values of `denial` (more on those of a refusal in [reasons and remedies](reasons.md)):

{{denials}}

Values of `phase`:

{{phases}}

Every time of arrival on the connection is the kernel's, which stamps what arrives, so a phase is the server's time and
the path's, however busy this program is. It is this program's, and may be later, where
`gmail_exporter_kernel_timestamps` is 0 (macOS, gVisor, WSL 1) and for a reading in whose wait the wall clock was set. A
phase that fails without an answer ends when that is noticed. Values of `reason` and `blame`:
[reasons and remedies](reasons.md); of `verdict`: [verdicts](verdicts.md).

## Of a mail domain

Of an endpoint with [`domain`](configuration.md#mail-exchanges). Every sample has the labels `endpoint` and `domain`.
The exchanges have the metrics of an endpoint above, each with its own `host`.

{{domains}}

## Of an account with OAuth 2.0

Every sample has the label `account`.

{{accounts}}

## Of controls and the provider's status

What is contacted besides the endpoints is in [the configuration](configuration.md#verdict).

{{evidence}}

## Of a delivery

Every sample has the labels `delivery`, `from` and `to`: its name, and the names of both accounts. Values of `reason`
and `blame`: [reasons and remedies](reasons.md).

{{deliveries}}

## Of a target of /probe

Only in the answer to a scrape of [/probe](migrating-from-blackbox.md). Names and meanings are those of
blackbox_exporter, which has 0 for an address that is not known; the last four are this exporter's own, and
`serialnumber` and `probe_tls_cipher_info` are from newer versions of blackbox_exporter.

{{probe}}

## Of the exporter

{{own}}
"""

REASONS = f"""# Reasons and remedies

{NOTICE}

A failure has a *phase* (where it happened) and a *reason* (why). The two are independent: a timeout in the TLS
handshake is `tls` and `timeout`. Each reason has the party at fault, the rule for the next login, and a remedy. The
remedies are true of any server; what is to be done at Google is said where the host or the token endpoint is Google's.

## Whose fault

{{blames}}

Where a reason does not say whose fault it is, its blame is `unknown` here: the [verdict](verdicts.md) on the evidence
decides in each outage.

## When the next login is made

{{retries}}

A refused credential counts for the mailbox, at all its endpoints and under all names that its accounts have; a protocol
that is switched off, or a fault of the server, only for that protocol. Probes without login continue in any case. If a
connection could not be secured, no login is attempted. `gmail-exporter accounts release NAME` releases an account that
is held; with `--storage.none`, a restart does, too.

## The reasons

{{reasons}}
"""

VERDICTS = f"""# Verdicts

{NOTICE}

## What the page says, and what to do

The sentence at the top of the page names the fault, and the pages of the endpoints have the evidence. In the sentences
below, the endpoint is Gmail's IMAP; what stands in parentheses differs with what shows the fault.

{{page}}

Where nobody is known to be at fault, compare from another network: a telephone without Wi-Fi is one. What follows is
for whoever wants to know why the page says what it says.

## What a verdict is

A reason says what a probe saw; a verdict says whose fault that is. It is what the evidence shows, gathered in the
failing second, and `unknown` where the evidence shows nothing or contradicts itself: never a guess. The table below is
the whole judge (`exporter/verdict/judge.py`), row by row; the first row that holds decides.

A verdict is told once two probes in a row agree, so that it does not flicker; what the server or the reason itself says
is told at once. It is the label `verdict` of `gmail_verdict_info`, in the JSON, in the log line and on the pages, with
the facts that it rests on; `gmail_verdict_ground_info` has the facts that decided.

## The verdicts

{{verdicts}}

`account`, `token` and `exporter` are what the reason itself says; then its own blame counts.

## What a probe shows by itself

Every pair of phase and reason is one of these:

{{symptoms}}

## What the evidence can say

{{facts}}

## The table

Where a probe shows one of the first, and all of the second hold, the third is the verdict.

{{table}}

## Contradictions

Where both facts of a pair hold, one of them is not what it seems, and the verdict is `unknown`:

{{contradictions}}
"""

DASHBOARD = f"""# The dashboard

{NOTICE}

The dashboard is for a person on call. It answers from top to bottom: is everything up, if not, whose fault is it, how
fast is it, how available was it, what failed. The description of every panel, the “i” in its corner, has its question,
how to read the answer, and what to do.

"""


def metrics() -> str:
    """Return the text of docs/metrics.md."""
    families, accounts, deliveries, evidence, domains = (
        [(f"`{_exposed(f.metric)}`", f.metric.type, code(f.labels), f.metric.documentation) for f in of_one]
        for of_one in (FAMILIES, ACCOUNT_FAMILIES, DELIVERY_FAMILIES, EVIDENCE_FAMILIES, DOMAIN_FAMILIES)
    )
    phases = [
        (f"`{phase}`", code([CHECK_OF_PHASE[phase]]) if phase in CHECK_OF_PHASE else "", *PHASES[phase])
        for phase in Phase
    ]
    own = [
        (f"`{_exposed(m)}`", m.type, code(_labels(m)), m.documentation) for m in ExporterMetrics().registry.collect()
    ]
    probe = [(f"`{f.metric.name}`", "gauge", code(f.labels), f.metric.documentation) for f in blackbox.FAMILIES]
    of_domains = blackbox_domain.DOMAIN_FAMILIES
    probe += [(f"`{f.metric.name}`", "gauge", "`host`", f.metric.documentation) for f in of_domains]
    return METRICS.format(
        probe=table(("metric", "type", "labels", "meaning"), probe),
        families=table(("metric", "type", "further labels", "meaning"), families),
        evidence=table(("metric", "type", "labels", "meaning"), evidence),
        accounts=table(("metric", "type", "further labels", "meaning"), accounts),
        domains=table(("metric", "type", "further labels", "meaning"), domains),
        deliveries=table(("metric", "type", "further labels", "meaning"), deliveries),
        denials=table(("denial", "meaning"), ((f"`{denial}`", denial.meaning) for denial in Denial)),
        phases=table(("phase", "check", "what is timed", "from", "until"), phases),
        own=table(("metric", "type", "labels", "meaning"), sorted(own)),
    )


def _exposed(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _labels(metric: Metric) -> Iterable[str]:
    return dict.fromkeys(label for sample in metric.samples for label in sample.labels if label != "le")


def reasons() -> str:
    """Return the text of docs/reasons.md."""
    sections = [
        f"### {reason}\n\n{_remedies(reason)}\n\nBlame: `{reason.blame}` · Retry: `{reason.retry}`"
        for reason in Reason
        if reason is not Reason.OK
    ]
    return REASONS.format(
        blames=table(("blame", "who"), ((f"`{blame}`", blame.party) for blame in Blame)),
        retries=table(("retry", "what happens"), ((f"`{retry}`", retry.meaning) for retry in Retry)),
        reasons="\n\n".join(sections),
    )


def verdicts() -> str:
    """Return the text of docs/verdicts.md."""
    pairs: dict[Symptom, list[str]] = {symptom: [] for symptom in Symptom}
    for reason in Reason:
        phases: dict[Symptom, list[str]] = {}
        for phase in Phase if reason is not Reason.OK else ():
            phases.setdefault(symptom_of_pair(phase, reason), []).append(phase)
        for symptom, found in phases.items():
            pairs[symptom].append(f"`{reason}`" if len(found) == len(Phase) else f"`{reason}` in {code(found)}")
    return VERDICTS.format(
        page=table(("the page says", "what to do", "verdict"), map(_said, SAMPLES)),
        verdicts=table(
            ("verdict", "blame", "meaning", "what to do"),
            ((f"`{each}`", f"`{each.blame}`", fill(each.label), fill(each.remedy)) for each in Verdict),
        ),
        symptoms=table(
            ("symptom", "the server …", "of the reasons"),
            ((f"`{each}`", each.words.removesuffix(": {summary}"), ", ".join(pairs[each])) for each in Symptom),
        ),
        facts=table(("fact", "meaning"), ((f"`{fact}`", fact.clause) for fact in Fact)),
        table=table(
            ("symptom", "facts", "verdict"),
            (
                (code(each for each in Symptom if each in row.symptoms), code(row.facts), f"`{row.verdict}`")
                for row in TABLE
            ),
        ),
        contradictions=table(("fact", "and"), ((f"`{one}`", f"`{other}`") for one, other in CONTRADICTIONS)),
    )


SAMPLES: tuple[tuple[Verdict, Phase, Reason, tuple[Fact, ...]], ...] = (
    (Verdict.PROVIDER_DOWN, Phase.GREETING, Reason.TIMEOUT, (Fact.CONNECTED,)),
    (Verdict.PROVIDER_DOWN, Phase.CONNECT, Reason.TIMEOUT, (Fact.SAME_PORT_UP,)),
    (Verdict.ADDRESS_DOWN, Phase.GREETING, Reason.TIMEOUT, (Fact.OTHER_ADDRESSES,)),
    (Verdict.NETWORK_DOWN, Phase.CONNECT, Reason.UNREACHABLE, (Fact.NEUTRAL_DOWN,)),
    (Verdict.PORT_BLOCKED, Phase.CONNECT, Reason.TIMEOUT, (Fact.BLOCKED_BEFORE_WEB,)),
    (Verdict.RESOLVER_FAILING, Phase.RESOLVE, Reason.TIMEOUT, (Fact.RESOLVES_ELSEWHERE,)),
    (Verdict.RESOLVER_FAILING, Phase.CONNECT, Reason.REFUSED, (Fact.RESOLVER_LIES,)),
    (Verdict.INTERCEPTED, Phase.TLS, Reason.CERTIFICATE_UNTRUSTED, (Fact.PRIVATE_ROOT,)),
    (Verdict.INTERCEPTED, Phase.CONNECT, Reason.TIMEOUT, (Fact.PORTAL,)),
    (Verdict.INTERCEPTED, Phase.STARTTLS, Reason.STARTTLS_UNAVAILABLE, (Fact.MUST_BE_PUBLIC,)),
    (Verdict.EXPORTER, Phase.TLS, Reason.CERTIFICATE_EXPIRED, (Fact.CLOCK_WRONG,)),
    (Verdict.EXPORTER, Phase.RESOLVE, Reason.DNS_ERROR, (Fact.FILES_USED_UP,)),
    (Verdict.EXPORTER, Phase.TLS, Reason.CERTIFICATE_UNTRUSTED, (Fact.PUBLIC_ROOT,)),
    (Verdict.EXPORTER, Phase.CAPABILITY, Reason.EHLO_THROTTLED, ()),
    (Verdict.UNKNOWN, Phase.CONNECT, Reason.REFUSED, ()),
)
"""Outages, each with the facts that decide."""


def _said(sample: tuple[Verdict, Phase, Reason, tuple[Fact, ...]]) -> tuple[str, str, str]:
    verdict, phase, reason, grounds = sample
    address = "10.0.0.1" if Fact.RESOLVER_LIES in grounds else "142.250.27.108"
    tls = TlsFacts("TLSv1.3", "", "CN=Example Antivirus", "", None, None)
    target = Target(Endpoint(name="imap", protocol=Protocol.IMAP, host="imap.gmail.com", port=993), IpFamily.ANY)
    outcome = Outcome(target, 0, 0, {}, phase, reason, observed=Observed(address=address, tls=tls))
    facts = dict.fromkeys(grounds, "")
    sentence, because = sentence_of(outcome, verdict, facts, grounds), because_of(outcome, verdict, grounds)
    judgement = Judgement(verdict, verdict.blame, sentence, because=because, grounds=grounds)
    told = str(judgement)
    return f"{told[0].upper()}{told[1:]}.", step_of(judgement, GOOGLE) or outcome.remedy, f"`{verdict}`"


def _remedies(reason: Reason) -> str:
    general, *others = remedies(reason).items()
    phases = [f"- {where[:1].lower()}{where[1:]}: {text}" for where, text in others if where.startswith("In ")]
    providers = [f"{where}: {text}" for where, text in others if not where.startswith("In ")]
    return "\n\n".join(filter(None, (general[1], "\n".join(phases), *providers)))


KEYS = re.compile(r"(<!-- Keys of `(\w+)`.*? -->\n).*?(?=\n<!-- End of the keys. -->)", re.DOTALL)

TABLES = {
    "file": schema.CONFIGURATION,
    "defaults": schema.DEFAULTS,
    "accounts": schema.ACCOUNT,
    "endpoints": schema.ENDPOINT,
    "modules": schema.MODULE,
    "probe": schema.PROBE,
    "verdict": schema.VERDICT,
    "controls": schema.CONTROL,
    "deliveries": schema.DELIVERY,
    "tls_server_config": schema.TLS_SERVER,
    "http_server_config": schema.HTTP_SERVER,
}


def keys(name: str) -> str:
    """docs/configuration.md and docs/web.md, with their tables of keys."""
    head = ("key", "type", "default", "meaning")
    text = (DOCS / name).read_text(encoding="utf-8")
    return KEYS.sub(lambda found: f"{found[1]}\n{table(head, _rows(found[2]))}\n", text)


def _rows(name: str) -> Iterator[tuple[str, str, str, str]]:
    of = TABLES[name]
    # What modules have in common with endpoints is described there.
    shared = [key for key in of.keys if name == "modules" and of.keys[key] is schema.ENDPOINT.keys.get(key)]
    if shared:
        yield code(shared), "", "", "as for [endpoints](#endpoints)"
    for key in (key for key in of.keys.values() if key.name not in shared):
        yield f"`{key.name}`", key.kind.doc_type, _default(of, key), key.doc
        if isinstance(key.kind, Table) and name != "file":
            for inner in key.kind.keys.values():
                yield f"`{key.name}.{inner.name}`", inner.kind.doc_type, _default(key.kind, inner), inner.doc


def _default(of: Table, key: Key) -> str:
    default = of.defaults.get(key.name)
    if key.default or default is None or not isinstance(key.kind, Value):
        return key.default
    return f"`{key.kind.write(default)}`"


MEASURED = "<!-- Written by `make bench` from bench/results.md. -->"


def performance() -> str:
    """Return the text of docs/performance.md, with the last measurements at its end."""
    words, notice, _ = (DOCS / "performance.md").read_text(encoding="utf-8").partition(MEASURED)
    return f"{words}{notice}\n\n{(DOCS.parent / 'bench' / 'results.md').read_text(encoding='utf-8')}"


SOAKED = "<!-- Written by `make soak` from soak/results.json. -->"


def reliability() -> str:
    """Return the text of docs/reliability.md, with the figures of the last whole run at its end."""
    words, notice, _ = (DOCS / "reliability.md").read_text(encoding="utf-8").partition(SOAKED)
    results = DOCS.parent / "soak" / "results.json"
    if not results.is_file():
        return f"{words}{notice}\n\nNo whole run is recorded yet.\n"
    run = json.loads(results.read_text(encoding="utf-8"))
    figures = [Figure(**figure) for figure in run["figures"]]
    said = f"{run['minutes']:g} minutes on {run['when']}, version {run['version']}, {run['where']}."
    return (
        f"{words}{notice}\n\n{said}\n\n{table(['figure', 'must be', 'is', ''], [figure.row() for figure in figures])}\n"
    )


def main() -> int:
    """Write the files; with --check, only report those that are not current."""
    stale = []
    files = {
        "configuration.md": keys("configuration.md"),
        "dashboard.md": DASHBOARD + guide(),
        "metrics.md": metrics(),
        "performance.md": performance(),
        "reasons.md": reasons(),
        "reliability.md": reliability(),
        "verdicts.md": verdicts(),
        "web.md": keys("web.md"),
    }
    for name, text in files.items():
        path = DOCS / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.stderr.write(f"not current: {', '.join(f'docs/{name}' for name in stale)}; run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
