"""What is done to record the cases of each Base rule; the scripts themselves are in activity.yml."""

from __future__ import annotations

from pathlib import Path

import msgspec

__all__ = ["Activity", "activities"]


class Activity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shell scripts that root runs on the sandbox."""

    fires: str
    misses: str
    before: str = ""  # prepares both and is not recorded
    own_pids: bool = True  # False: process ids of the machine, which a change to the audit configuration needs


def activities() -> dict[str, Activity]:
    """What is done for each rule, by the name of its file."""
    return msgspec.yaml.decode(Path(__file__).with_suffix(".yml").read_bytes(), type=dict[str, Activity])
