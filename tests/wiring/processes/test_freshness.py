"""The thread that reads the log's tail ahead of questions."""

from __future__ import annotations

import threading
import time

from house import wait_until
from tocsin.wiring.processes.freshness import Freshness


class _Tail:
    """Counts refreshes; each takes a while, and the second fails."""

    def __init__(self, asked_at: float) -> None:
        self.asked_at, self.refreshed = asked_at, 0

    def refresh(self) -> None:
        self.refreshed += 1
        time.sleep(0.01)
        if self.refreshed == 2:
            raise OSError("the log cannot be read")


def test_while_somebody_asks_the_tail_is_read_again_and_again() -> None:
    """Refreshes go on at their pace, a failed one too, until told to stop."""
    tail = _Tail(asked_at=time.monotonic())
    freshness = Freshness(tail, every_s=0.001)
    freshness.start()
    wait_until(lambda: tail.refreshed >= 5)
    freshness.stop()
    ended = tail.refreshed
    time.sleep(0.05)
    assert tail.refreshed == ended


def test_when_nobody_asks_the_thread_rests_most_of_the_time() -> None:
    """Unasked, a refresh of 10 ms is followed by a rest of 200."""
    tail = _Tail(asked_at=time.monotonic() - 61)
    freshness = Freshness(tail, every_s=0.001)
    freshness.start()
    threading.Event().wait(0.3)
    freshness.stop()
    assert 1 <= tail.refreshed <= 3
