"""No client starves another, and a repeated question gets the same answer."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.problems import ProblemError
from gateway.api.throttle import Replays, TokenBuckets
from gateway.model import Request, RequestMode

ANSWER = Request("r1", "garage", RequestMode.PAUSE, datetime(2026, 11, 1, tzinfo=UTC))


def test_a_burst_is_allowed_and_then_the_rate():
    buckets = TokenBuckets(rate=2.0, burst=3.0)
    assert [buckets.wait_s("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert buckets.wait_s("b", 0.0) == 0.0
    assert buckets.wait_s("a", 0.5) == 0.0
    assert buckets.wait_s("a", 0.5) > 0.0


@given(st.lists(st.floats(0.0, 2.0), min_size=1, max_size=100))
def test_no_more_than_burst_and_rate_admit(pauses):
    buckets, now, admitted = TokenBuckets(rate=5.0, burst=4.0), 0.0, 0
    for pause in pauses:
        now += pause
        admitted += buckets.wait_s("a", now) == 0.0
    assert admitted <= 4.0 + 5.0 * now + 1e-6


def test_strangers_without_number_take_no_memory():
    buckets = TokenBuckets(rate=1.0, burst=1.0, clients=10)
    for i in range(1000):
        buckets.wait_s(str(i), 0.0)
    assert len(buckets._buckets) == 10


def test_a_key_gives_its_answer_to_its_client_and_question_only():
    replays = Replays(kept=2)
    replays.keep("a", "k", "question", ANSWER)
    assert replays.find("a", "k", "question") is ANSWER
    assert replays.find("b", "k", "question") is None
    with pytest.raises(ProblemError) as error:
        replays.find("a", "k", "another question")
    assert error.value.code == "idempotency_key_reused"


def test_only_the_newest_keys_are_kept():
    replays = Replays(kept=2)
    for key in "xyz":
        replays.keep("a", key, "q", ANSWER)
    assert replays.find("a", "x", "q") is None
    assert replays.find("a", "z", "q") is ANSWER
