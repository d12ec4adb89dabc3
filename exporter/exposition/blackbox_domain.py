"""A requested probe of a mail domain → metrics like those of one server, each exchange with its name as `host`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.exposition import blackbox
from exporter.exposition.blackbox import gauge, sample
from exporter.exposition.text import Format, Lines, Samples, labels_text, render
from exporter.model.domain import ExchangesFound
from exporter.model.message import escape_invisible
from exporter.model.outcome import Check, Outcome, Phase, Target

# fmt: off
MX_SUCCESS = gauge("probe_mx_success",
    "Of a module with `domain`: whether the mail exchange is up. `probe_success` is whether any of them is.")
MX_PREFERENCE = gauge("probe_mx_preference",
    "Of a module with `domain`: the preference of the mail exchange; the lowest is tried first.")
MX_TLS_SUCCESS = gauge("probe_mx_tls_success",
    "Of a module with `domain`: whether the mail exchange has STARTTLS with a certificate that is trusted. Servers "
    "without a policy take it without.")
# fmt: on

DOMAIN_FAMILIES = (MX_SUCCESS, MX_PREFERENCE, MX_TLS_SUCCESS)
"""Their base label is `host`, the exchange."""

_OF_ONE_SERVER = (blackbox.SUCCESS.name, blackbox.DURATION.name, blackbox.DNS_LOOKUP_TIME.name)
"""What a domain has once: a rule about a target finds one series of each."""


@dataclass(frozen=True, slots=True)
class ProbedDomain:
    """A domain that was looked up, and the Outcome of each of its exchanges."""

    target: Target
    found: ExchangesFound
    outcomes: Sequence[Outcome]

    @property
    def up(self) -> bool:
        """Whether an exchange is up."""
        return any(outcome.up for outcome in self.outcomes)

    def exposition(self, fmt: Format) -> bytes:
        """Return the metrics."""
        lines: list[Lines] = [render("", self._samples())]
        for exchange, outcome in zip(self.found.exchanges, self.outcomes, strict=True):
            samples = [
                sample(MX_SUCCESS, outcome.up),
                sample(MX_PREFERENCE, exchange.preference),
                *(one for one in blackbox.samples(outcome) if one[0].family.name not in _OF_ONE_SERVER),
            ]
            if Check.TLS in outcome.checks:
                samples.append(sample(MX_TLS_SUCCESS, outcome.checks[Check.TLS]))
            lines.append(render(labels_text(host=exchange.host), samples))
        return blackbox.document(lines, (*blackbox.FAMILIES, *DOMAIN_FAMILIES), fmt)

    def _samples(self) -> Iterator[Samples]:
        longest = max((outcome.duration for outcome in self.outcomes), default=0.0)
        yield sample(blackbox.SUCCESS, self.up)
        yield sample(blackbox.DURATION, self.found.seconds + longest)
        yield sample(blackbox.DNS_LOOKUP_TIME, self.found.seconds)
        if failure := self.found.failure:
            reason = failure.reason
            yield sample(blackbox.FAILURE_INFO, 1, Phase.RESOLVE.value, reason.value, failure.blame.value)

    def debug(self) -> str:
        """Return the exchanges, each with its dialogue and its result, and the metrics, for people."""
        endpoint, failure = self.target.endpoint, self.found.failure
        up = sum(outcome.up for outcome in self.outcomes)
        parts = [
            f"The mail exchanges of {endpoint.domain}, looked up in {self.found.seconds:.3f} s: "
            f"{up} of {len(self.outcomes)} up\n"
        ]
        for exchange, outcome in zip(self.found.exchanges, self.outcomes, strict=True):
            state = f"up{f', but {outcome.warning}' if outcome.warning else ''}" if outcome.up else "down"
            parts[0] += f"{exchange.preference:7} {escape_invisible(exchange.host)}: {state}\n"
        if left_out := self.found.left_out:
            parts[0] += f"{left_out} more {'is' if left_out == 1 else 'are'} not probed\n"
        if failure:
            parts.append(
                f"The result:\n{failure.reason} in {Phase.RESOLVE}, the fault of {failure.blame}\n"
                f"detail: {escape_invisible(failure.detail)}\nremedy: {failure.remedy}\n"
            )
        parts += map(blackbox.told, self.outcomes)
        return "\n".join([*parts, f"The metrics:\n{self.exposition(Format.TEXT).decode()}"])
