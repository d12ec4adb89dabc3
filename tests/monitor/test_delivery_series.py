"""The results and the totals of a delivery."""

from __future__ import annotations

from dataclasses import replace

from exporter.model.delivery import DeliveryFailure, DeliveryResult, NotMade, Stage
from exporter.model.login import Denial
from exporter.model.reason import Blame, Reason
from exporter.monitor.delivery_series import DURATION_BUCKETS, KEPT, DeliveryPast, DeliverySeries, Made
from tests.deliveries.results import DELIVERY, STAGES, VIA, delivered, in_spam, missing, not_made


def test_totals() -> None:
    """Results are counted by how they ended, and messages by how long they took."""
    series = DeliverySeries(DELIVERY, 1800.0)
    assert (series.last, series.since, series.version) == (None, None, 0)
    for result in (delivered(), missing(), not_made(), delivered(stages={**STAGES, Stage.TRANSFER: 9999.0})):
        series.add(result)
    assert series.counts == {Made.SUCCESS: 2, Made.FAILURE: 1, Made.NOT_MADE: 1}
    assert series.buckets[DURATION_BUCKETS.index(2.5)] == 1
    assert series.buckets[-1] == 1
    assert series.duration_sum == 10001.5
    series.add(not_made())
    assert series.last == not_made()
    assert series.version == 5


def test_memory() -> None:
    """The last results are kept."""
    series = DeliverySeries(DELIVERY, 1800.0)
    for number in range(KEPT + 5):
        series.add(delivered(started_at=float(number)))
    assert len(series.results) == KEPT
    assert series.results[0].started_at == 5


def at(result: DeliveryResult, seconds: float) -> DeliveryResult:
    """The result, so many seconds later."""
    return replace(result, started_at=result.started_at + seconds, ended_at=result.ended_at + seconds)


def test_since() -> None:
    """A state lasts until mail begins to arrive, not to arrive, or not to be sent."""
    series = DeliverySeries(DELIVERY, 1800.0)
    began = []
    for number, result in enumerate([delivered(), delivered(), missing(), in_spam(), not_made(), delivered()]):
        series.add(at(result, number))
        began.append(series.since and series.since - delivered().ended_at)
    assert began == [0, 0, 2, 2, 4, 5]


def test_waiting_for_a_refusal() -> None:
    """While a message waits for the refusal of the last one, mail does not arrive, for the reason of that one."""
    refused = DeliveryFailure(Stage.SUBMIT, Reason.SERVER_BUSY, Blame.PROVIDER, "MAIL: 450 later")
    why = NotMade("ops", Denial.BACKOFF.meaning, Denial.BACKOFF, is_refused=True)
    waiting = replace(not_made(), not_made=why)
    series = DeliverySeries(DELIVERY, 1800.0)
    assert series.with_refusal(waiting).up is None
    series.add(missing(failures=(refused,)))
    for number in range(3):
        held = series.with_refusal(at(waiting, number))
        assert (held.up, held.ok, held.failures) == (False, False, (refused,))
        series.add(held)
        assert series.with_refusal(not_made()) == not_made()
        series.add(not_made())
    assert series.counts == {Made.FAILURE: 1, Made.NOT_MADE: 6}
    # Another message of the sender was refused, and the last one of this delivery was not.
    for result in (delivered(), missing()):
        series.add(result)
        assert series.with_refusal(waiting) == waiting


def past_of(*results: DeliveryResult, is_recent: bool = True) -> DeliveryPast:
    """What an earlier process knew, which saw the state of the last result begin an hour before."""
    return DeliveryPast(results, results[-1].ended_at - 3600, is_recent=is_recent)


def test_restored() -> None:
    """The last result and its time are there at once; it counts in no total."""
    series = DeliverySeries(DELIVERY, 1800.0)
    series.restore(past_of(delivered(), missing()))
    assert (series.last, series.since) == (missing(), missing().ended_at - 3600)
    assert (series.counts.total(), series.version, sum(series.buckets)) == (0, 0, 0)
    series.add(at(missing(), 10))
    assert series.since == missing().ended_at - 3600
    series.add(recovered := at(delivered(), 20))
    assert (series.last, series.since) == (recovered, recovered.ended_at)
    assert [result.up for result in series.results] == [True, False, False, True]


def test_restored_late() -> None:
    """Results of this process stay the newest; a state that has lasted began in the earlier one."""
    for here, since in (
        ([at(missing(), 10)], missing().ended_at - 3600),
        ([at(delivered(), 10)], delivered().ended_at + 10),
        ([at(delivered(), 10), at(missing(), 20)], missing().ended_at + 20),
    ):
        series = DeliverySeries(DELIVERY, 1800.0)
        for result in here:
            series.add(result)
        series.restore(past_of(missing()))
        assert list(series.results) == [missing(), *here]
        assert (series.last, series.since) == (here[-1], since)


def test_restored_after_a_long_time() -> None:
    """What is too old to tell of the present is there as the past alone."""
    series = DeliverySeries(DELIVERY, 1800.0)
    series.restore(past_of(missing(), is_recent=False))
    assert (list(series.results), series.last, series.since) == ([missing()], None, None)
    series.add(at(missing(), 10))
    assert series.since == missing().ended_at + 10


def test_other_settings() -> None:
    """A delivery between the same mailboxes goes on with its results, which are its own then; another one does not."""
    before = DeliverySeries(DELIVERY, 1800.0)
    before.add(missing())
    shorter = replace(DELIVERY, timeout=60.0)
    after = DeliverySeries(shorter, 1800.0)
    after.follow(before)
    assert after.last == missing(delivery=shorter)
    assert after.since == missing().ended_at
    other = DeliverySeries(replace(DELIVERY, via=replace(VIA, host="smtp.example.com")), 1800.0)
    other.follow(before)
    assert list(other.results) == []
