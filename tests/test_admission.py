"""Permits: how many there are, and when the refused are told to come back."""

import time

import pytest

from service.admission import MAX_RETRY_S, Admission
from service.errors import Overloaded
from service.metrics import Metrics


def refused(admission: Admission) -> int:
    """The Retry-After of a request that is refused."""
    with pytest.raises(Overloaded, match="in flight; try again in") as caught, admission.permit():
        pass
    return caught.value.retry_after_s


def test_permits_are_given_back() -> None:
    """As many as there are, no more; one that ends by an error is free again."""
    metrics = Metrics()
    admission = Admission(metrics, 2)
    with admission.permit(), admission.permit():
        assert refused(admission) == 1
        assert metrics.registry.get_sample_value("grokprobe_in_flight") == 2
    with pytest.raises(KeyError), admission.permit():
        raise KeyError
    with admission.permit(), admission.permit():
        pass


def test_refusals_are_counted() -> None:
    """Each refusal counts once."""
    metrics = Metrics()
    admission = Admission(metrics, 1)
    with admission.permit():
        for _ in range(3):
            refused(admission)
    labels = {"reason": "in_flight"}
    assert metrics.registry.get_sample_value("grokprobe_refusals_total", labels) == 3


@pytest.mark.usefixtures("_at_once")
def test_retry_after_follows_the_rate_of_service() -> None:
    """Two permits, 4 s each: one comes free every 2 s, and each of the refused is promised one."""
    admission = Admission(Metrics(), 2)
    admission._mean_s = 4.0
    with admission.permit(), admission.permit():
        assert [refused(admission) for _ in range(4)] == [2, 4, 6, 8]


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes: a busy machine takes seconds for a thousand refusals."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)


@pytest.mark.usefixtures("_at_once")
def test_a_crowd_is_spread_over_the_time_it_takes() -> None:
    """A thousand refused while 250 a second are served: a quarter of them come back each second."""
    admission = Admission(Metrics(), 500)
    admission._mean_s = 2.0
    for _ in range(500):
        admission.take()
    told = [refused(admission) for _ in range(1000)]
    assert [told.count(second) for second in (1, 2, 3, 4)] == pytest.approx([250] * 4, abs=20)


@pytest.mark.usefixtures("_at_once")
def test_no_second_is_promised_to_more_than_there_are_permits() -> None:
    """They come back together, so most of a larger crowd would be refused again."""
    admission = Admission(Metrics(), 100)
    for _ in range(100):
        admission.take()  # for a millisecond each: 100,000 a second would be served
    told = [refused(admission) for _ in range(300)]
    assert [told.count(second) for second in (1, 2, 3)] == pytest.approx([100] * 3, abs=2)


@pytest.mark.usefixtures("_at_once")
def test_nobody_is_told_to_wait_for_long() -> None:
    """However many are refused, MAX_RETRY_S is the most."""
    admission = Admission(Metrics(), 1)
    admission._mean_s = 7.0
    with admission.permit():
        assert [refused(admission) for _ in range(3)] == [7, MAX_RETRY_S, MAX_RETRY_S]


def test_nobody_is_let_in_who_would_be_late() -> None:
    """Though permits are left; refused with another reason."""
    metrics, late = Metrics(), [True]
    admission = Admission(metrics, 2, lambda: late[0])
    refused(admission)
    labels = {"reason": "late"}
    assert metrics.registry.get_sample_value("grokprobe_refusals_total", labels) == 1
    late[0] = False
    with admission.permit():
        pass
