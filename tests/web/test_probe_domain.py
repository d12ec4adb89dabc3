"""`/probe` of a mail domain, in process: BIND has its records, Postfix is one of its exchanges."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.servers.authority import Authority
from tests.servers.bind import Bind
from tests.servers.postfix import Postfix
from tests.web.test_probe import Service

ZONE = """
@ MX 10 postfix
@ MX 20 gone
postfix A 127.0.0.1
gone A 127.0.0.9
null MX 0 .
elsewhere MX 10 inside.example.net.
many MX 10 postfix
many MX 20 gone
many MX 30 third
third A 127.0.0.9
"""


@pytest.fixture(scope="module")
def bind() -> Iterator[Bind]:
    """The records of the domains."""
    with Bind({"example.com": ZONE, "example.net": "inside A 127.0.0.1"}) as server:
        yield server


@pytest.fixture
async def service(tmp_path: Path, authority: Authority, bind: Bind, postfix: Postfix) -> AsyncIterator[Service]:
    """A service with a module for domains."""
    service = Service(tmp_path, authority, bind.address)
    service.configure(
        "modules: {mx: {protocol: smtp, domain: true, timeout: 5s, tls: {ca_file: CA}, "
        f"port: {postfix.smtp_port}}}}}\n"
        "probe: {allow: [example.com, '*.example.com'], max_concurrent: 2}"
    )
    yield service
    await service.checker.close()
    await service.resolver.close()


def of_host(samples: dict[str, float], name: str) -> dict[str, float]:
    """The values of a metric by exchange."""
    found = {key: value for key, value in samples.items() if key.startswith(f'{name}{{host="')}
    return {key.split('"')[1].partition(".")[0]: value for key, value in found.items()}


async def test_every_exchange_is_probed(service: Service) -> None:
    """The domain has one series of each metric that a rule asks a target for; exchanges have theirs by `host`."""
    samples = await service.samples(module="mx", target="Example.COM.")
    assert samples["probe_success"] == 1
    assert 0 < samples["probe_dns_lookup_time_seconds"] < samples["probe_duration_seconds"]
    assert of_host(samples, "probe_mx_success") == {"postfix": 1, "gone": 0}
    assert of_host(samples, "probe_mx_preference") == {"postfix": 10, "gone": 20}
    assert of_host(samples, "probe_mx_tls_success") == {"postfix": 0}, "its certificate is for another name"
    assert of_host(samples, "probe_ssl_earliest_cert_expiry").keys() == {"postfix"}
    assert samples['probe_failure_info{host="gone.example.com",phase="connect",reason="refused",blame="provider"}'] == 1
    assert not [name for name in samples if name.startswith(("probe_success{", "probe_duration_seconds{"))]
    answer = await service.ask(module="mx", target="example.com", headers={"accept": "application/openmetrics-text"})
    heads = [line for line in answer.text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads)), "each family is in one piece"
    assert answer.text.endswith("# EOF\n")


async def test_for_people(service: Service) -> None:
    """The exchanges at a glance, then each with its dialogue and what to do, and the metrics."""
    text = (await service.ask(module="mx", target="example.com", debug="true")).text
    assert text.startswith("The mail exchanges of example.com, looked up in 0.")
    assert "s: 1 of 2 up\n" in text
    assert "     10 postfix.example.com: up, but its certificate is for another name\n" in text
    assert "     20 gone.example.com: down\n" in text
    assert "STARTTLS" in text
    assert "refused in connect" in text
    assert "probe_mx_success{" in text


@pytest.mark.parametrize(
    ("target", "reason", "blame", "detail"),
    [
        ("null.example.com", "mx_null", "account", "null.example.com has a null MX record"),
        ("never.example.com", "dns_not_found", "unknown", "the look-up of the MX records of never.example.com: "),
    ],
)
async def test_a_look_up_that_finds_none(service: Service, target: str, reason: str, blame: str, detail: str) -> None:
    """No exchange is up, and the failure says why."""
    samples = await service.samples(module="mx", target=target)
    assert samples["probe_success"] == 0
    (failure,) = [name for name in samples if name.startswith("probe_failure_info")]
    assert f'phase="resolve",reason="{reason}",blame="{blame}' in failure
    text = (await service.ask(module="mx", target=target, debug="true")).text
    assert f"{reason} in resolve" in text
    assert detail in text


@pytest.mark.parametrize(
    ("parameters", "status", "text"),
    [
        ({"target": "192.0.2.1"}, 400, 'target "192.0.2.1" must be a domain, such as example.com, with the module mx'),
        ({"target": "example.org"}, 403, '"example.org" is not in probe.allow'),
        (
            {"target": "example.com", "hostname": "a"},
            400,
            "hostname is not for the module mx: each exchange",
        ),
        ({"target": "many.example.com"}, 503, "1 probes are under way already, and 2 more would be too many"),
    ],
)
async def test_refusals(service: Service, parameters: dict[str, str], status: int, text: str) -> None:
    """In the user's terms. Every exchange counts as a probe that is under way."""
    answer = await service.ask(module="mx", **parameters)
    assert (answer.status_code, answer.text.partition(text)[:2]) == (status, ("", text)), answer.text


async def test_an_exchange_inside_this_network(service: Service) -> None:
    """Its domain is allowed, but whoever owns that may name any host: one that no pattern allows must be public."""
    samples = await service.samples(module="mx", target="elsewhere.example.com")
    assert samples["probe_success"] == 0
    (failure,) = [name for name in samples if name.startswith("probe_failure_info")]
    assert 'host="inside.example.net",phase="resolve",reason="address_not_public"' in failure
