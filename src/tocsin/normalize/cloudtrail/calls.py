"""What a call of AWS is: class, activity, and where it names whom it is about; see content/mappings/cloudtrail.toml."""

from __future__ import annotations

import pkgutil
import tomllib
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

__all__ = ["API_ACTIVITY", "Call", "call_of"]

API_ACTIVITY: Final = 6003
_OTHER: Final = 99
_VERBS: Final = (
    (1, ("Create", "Run", "Put", "Add", "Attach", "Allocate", "Register", "Import", "Issue", "Authorize")),
    (2, ("Get", "List", "Describe", "Lookup", "Head", "Search", "Batch", "Query", "Scan", "Assume")),
    (3, ("Update", "Modify", "Set", "Enable", "Change", "Replace", "Start", "Stop", "Reboot", "Associate", "Tag")),
    (4, ("Delete", "Remove", "Detach", "Terminate", "Disable", "Deregister", "Revoke", "Release", "Untag")),
)


class Call(NamedTuple):
    """What a call becomes; `verb` is its activity as API activity."""

    class_uid: int
    activity_id: int
    verb: int
    user: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def call_of(source: str, operation: str) -> Call:
    """What a service's operation is."""
    verb = next((activity for activity, verbs in _VERBS if operation.startswith(verbs)), _OTHER)
    entry = _calls().get((source, operation))
    if entry is None:
        return Call(API_ACTIVITY, verb, verb)
    paths = {key: tuple(entry.get(key, ())) for key in ("user", "group", "policy")}
    return Call(entry["class"], entry["activity"], verb, **paths)


@cache
def _calls() -> dict[tuple[str, str], dict[str, Any]]:
    text = (pkgutil.get_data("tocsin", "content/mappings/cloudtrail.toml") or b"").decode()
    entries = tomllib.loads(text)["calls"]
    return {(entry["source"], name): entry for entry in entries for name in entry["names"]}
