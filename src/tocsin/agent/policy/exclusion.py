"""Exclusions made ready to be asked of every event."""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tocsin.agent.policy.document import Exclusion
    from tocsin.model.event import Event

__all__ = ["ExcludedEvents"]

_EXES: Final = ("process.file.path", "actor.process.file.path")
_USER_UIDS: Final = ("process.user.uid", "actor.process.user.uid")
_USER_NAMES: Final = ("process.user.name", "actor.process.user.name")
_PATHS: Final = ("file.path",)
_ADDRESSES: Final = ("dst_endpoint.ip", "src_endpoint.ip")
_CACHED_ADDRESSES: Final = 1024


class ExcludedEvents:
    """The events that fit one exclusion.

    A user is known by id, and by name where the event says it; `uid_of` gives the id of a name on this host.
    """

    def __init__(self, exclusion: Exclusion, uid_of: Callable[[str], str | None]) -> None:
        self._exe, self._path = _Paths(exclusion.exe), _Paths(exclusion.path)
        self._users = frozenset(exclusion.user) | {uid for name in exclusion.user if (uid := uid_of(name)) is not None}
        self._holds = _networks(exclusion.cidr)
        self._asks_exe, self._asks_path = bool(exclusion.exe), bool(exclusion.path)
        self._asks_user, self._asks_address = bool(exclusion.user), bool(exclusion.cidr)

    def hold(self, event: Event) -> bool:
        """Whether the event fits a value of every list."""
        if self._asks_exe and not self._exe.hold(_first(event, _EXES)):
            return False
        if self._asks_path and not self._path.hold(_first(event, _PATHS)):
            return False
        if self._asks_user and not self._is_user(event):
            return False
        return not self._asks_address or self._holds(_first(event, _ADDRESSES))

    def _is_user(self, event: Event) -> bool:
        # The name first: it is only there where ids of this host mean nothing, which is on the server.
        return _first(event, _USER_NAMES) in self._users or _first(event, _USER_UIDS) in self._users


class _Paths:
    """Whole paths, and beginnings of paths."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._whole = frozenset(path for path in paths if not path.endswith("*"))
        self._starts = tuple(path[:-1] for path in paths if path.endswith("*"))

    def hold(self, path: str) -> bool:
        return path in self._whole or path.startswith(self._starts)


def _first(event: Event, paths: Iterable[str]) -> str:
    values, shared = event.values, event.shared
    for path in paths:
        value = values.get(path) or shared.get(path)
        if value:
            return str(value)
    return ""


def _networks(cidrs: Iterable[str]) -> Callable[[str], bool]:
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs]

    @functools.lru_cache(_CACHED_ADDRESSES)
    def holds(address: str) -> bool:
        try:
            known = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(known, "ipv4_mapped", None) or known
        return any(mapped in network for network in networks)

    return holds
