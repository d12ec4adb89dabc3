"""What the process says of itself."""

from __future__ import annotations

from tests.examples import success, target
from tests.web.conftest import Site


async def test_healthy_names_the_probes_that_are_overdue(site: Site) -> None:
    """200 while probes are completed on time, 503 with the reason otherwise."""
    assert (await site.request("/-/healthy")).status_code == 200
    site.overdue = ["imap"]
    answer = await site.request("/-/healthy")
    assert (answer.status_code, answer.text) == (503, "overdue probes: 1 (imap)\n")


async def test_ready_once_every_target_was_probed(site: Site) -> None:
    """503 with the count of those that wait, until none does."""
    first, second = target("first"), target("second")
    site.store.configure([first, second])
    site.store.add(success(first))
    answer = await site.request("/-/ready")
    assert (answer.status_code, answer.text) == (503, "1 of 2 targets were not probed yet.\n")
    site.store.add(success(second))
    assert (await site.request("/-/ready")).status_code == 200
