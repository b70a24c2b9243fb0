"""Garbage collection for processes that hold much and make few cycles."""

from __future__ import annotations

import gc

__all__ = ["spare_the_collector"]

_YOUNG, _MIDDLE, _OLD = 50_000, 20, 100


def spare_the_collector() -> None:
    """Call once a process has started: what is there by now stays, and what batches decode to is not searched often.

    Libraries and rules are some hundred thousand objects. Looking through them whenever a few hundred small lists have
    been made doubled the time that it took to decode a batch.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
