"""How much one client may ask, and what a repeated request gets. Pure: ``now`` is monotonic seconds."""

from collections import OrderedDict

from gateway.api.problems import ProblemError
from gateway.model import Request


class TokenBuckets:
    """One bucket per client: ``burst`` requests at once, ``rate`` per second in the long run.

    At most ``clients`` buckets are kept; the one unused for longest is forgotten.
    """

    def __init__(self, rate: float, burst: float, clients: int = 1024) -> None:
        self._rate = rate
        self._burst = burst
        self._clients = clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str, now: float) -> float:
        """Take one request from the bucket; return 0, or how long to wait when it is empty."""
        level, at = self._buckets.pop(client, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        allowed = level >= 1.0
        self._buckets[client] = (level - 1.0 if allowed else level, now)
        if len(self._buckets) > self._clients:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - level) / self._rate


class Replays:
    """What was answered to an Idempotency-Key, for the newest ``kept`` keys of all clients."""

    def __init__(self, kept: int = 256) -> None:
        self._kept = kept
        self._answers: OrderedDict[tuple[str, str], tuple[str, Request]] = OrderedDict()

    def find(self, client: str, key: str, asked: str) -> Request | None:
        """Return the earlier answer to the same question. Raises ProblemError when the question differs."""
        earlier = self._answers.get((client, key))
        if earlier is None:
            return None
        question, answer = earlier
        if question != asked:
            raise ProblemError("idempotency_key_reused")
        return answer

    def keep(self, client: str, key: str, asked: str, answer: Request) -> None:
        """Remember ``answer``."""
        self._answers[client, key] = (asked, answer)
        if len(self._answers) > self._kept:
            self._answers.popitem(last=False)

    def forget(self, client: str, key: str) -> None:
        """Forget an answer that never came true."""
        self._answers.pop((client, key), None)
