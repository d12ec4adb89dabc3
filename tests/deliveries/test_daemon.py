"""Deliveries of the daemon, as Prometheus and people see them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from exporter.config.dump import dump
from tests.deliveries.conftest import Lab
from tests.servers.exporter import UNPLANNED, Exporter
from tests.waiting import until

OFTEN = """
import exporter.monitor.delivery_schedule as schedule
schedule.intervals = lambda config: dict.fromkeys(config.deliveries, 1.0)
schedule.EVERY = 0.2
import exporter.daemon.composition
exporter.daemon.composition.EVERY = 0.2
"""
"""Every second: the configuration takes a quarter of an hour at least."""

LABELS = {"delivery": "ops-to-probe", "from": "ops", "to": "probe"}


async def test_a_queue_that_is_stopped(lab: Lab) -> None:
    """Mail arrives; it waits in a queue, and that is a failure; it arrives again, as a restart does not forget."""
    senders = replace(lab.accounts["ops"], max_sends_per_day=2000, max_logins_per_day=10_000)
    readers = replace(lab.accounts["probe"], max_logins_per_day=10_000)
    lab.accounts |= {"ops": senders, "probe": readers}
    for name, endpoint in lab.endpoints.items():
        owner = senders if endpoint.account and endpoint.account.name == "ops" else readers
        lab.endpoints[name] = replace(endpoint, account=owner)
    delivery = lab.delivery(timeout=1.5)
    file = lab.directory / "gmail.yml"
    file.write_text(dump(replace(lab.config, deliveries={delivery.name: delivery})), "utf-8")
    flags = [f"--storage.path={lab.directory / 'daemon.db'}"]
    exporter = await asyncio.to_thread(Exporter, lab.directory / "log", file, *flags, before=f"{UNPLANNED}\n{OFTEN}")
    with exporter:

        def value(name: str, **more: str) -> float | None:
            return exporter.samples().get((name, frozenset({**LABELS, **more}.items())))

        await until(lambda: value("gmail_delivery_up") == 1)
        assert value("gmail_delivery_folder", folder="inbox") == 1
        assert value("gmail_delivery_leftover_messages") == 0
        page = exporter.get("/deliveries").text
        assert "Found in the inbox after" in page
        assert f" check {flags[0]} --config.file={file} --delivery {delivery.name}</code>" in page
        lab.postfix.hold()
        try:
            await until(lambda: value("gmail_delivery_up") == 0)
            failed = {"stage": "transfer", "reason": "message_missing", "blame": "provider"}
            assert value("gmail_delivery_failure_info", **failed) == 1
            assert value("gmail_delivery_folder", folder="inbox") is None
        finally:
            lab.postfix.release()
        await until(lambda: value("gmail_delivery_up") == 1)
        result = exporter.get("/api/v1/deliveries").json()["deliveries"][0]["results"][-1]
        assert result["folder"] == "inbox"
        (before,) = exporter.get("/api/v1/deliveries").json()["deliveries"]
        assert exporter.stop()[0] == 0
    with await asyncio.to_thread(Exporter, lab.directory / "log.2", file, *flags, before=UNPLANNED) as exporter:
        # The next message is half an hour away.
        await until(lambda: value("gmail_delivery_up") == 1)
        (after,) = exporter.get("/api/v1/deliveries").json()["deliveries"]
        assert after["results"][: len(before["results"])] == before["results"]
        assert after["since"] == before["since"]
        assert value("gmail_delivery_failure_info", **failed) is None
    log = (lab.directory / "log").read_text("utf-8")
    for event in ("delivered", "delivery failed"):
        assert event in log
    assert lab.dovecot.passwords["ops@example.com"] not in log
