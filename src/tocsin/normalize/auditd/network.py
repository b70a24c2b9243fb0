"""Endpoints of connections: SOCKADDR records, and what the call says about who opened."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from tocsin.model.event import Value
from tocsin.normalize.auditd.reassemble import AuditEvent
from tocsin.normalize.auditd.record import AuditRecord
from tocsin.normalize.auditd.sockaddr import decode_sockaddr, family_name

__all__ = ["REFUSED", "UNDER_WAY", "read_accept", "read_connect", "read_listen", "read_traffic"]

_OPEN, _FAIL, _REFUSE = 1, 4, 5
_UNKNOWN, _INBOUND, _OUTBOUND = 0, 1, 2
_SUCCESS: Final = 1
REFUSED: Final = "-111"
# Under way, as a socket that does not wait is told: EINPROGRESS, EINTR and the kernel's own restart codes.
UNDER_WAY: Final = frozenset({"-115", "-4", "-512", "-513", "-514", "-516"})


def read_connect(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """A connection to somewhere; one that is under way counts as made, since audit never tells how it ended."""
    del code
    _set_endpoint(values, event, "dst_endpoint")
    values["connection_info.direction_id"] = _OUTBOUND
    exit_code = call.get("exit") if call else ""
    if exit_code in UNDER_WAY:
        values["status_id"] = _SUCCESS
    elif values.get("status_id") != _SUCCESS:
        values["activity_id"] = _REFUSE if exit_code == REFUSED else _FAIL


def read_accept(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """A connection from somewhere."""
    del call, code
    _set_endpoint(values, event, "src_endpoint")
    values["connection_info.direction_id"] = _INBOUND


def read_listen(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The address taken to be reached at."""
    del call, code
    _set_endpoint(values, event, "dst_endpoint")
    values["connection_info.direction_id"] = _INBOUND


def read_traffic(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The other end of datagrams, or the family of a new socket."""
    values["connection_info.direction_id"] = _INBOUND if code.startswith("recv") else _OUTBOUND
    if code in {"socket", "socketpair"}:
        values["connection_info.direction_id"] = _UNKNOWN
        family = family_name(call.get("a0") if call else "")
        values["dst_endpoint.svc_name"] = values["connection_info.protocol_name"] = family
        return
    _set_endpoint(values, event, "src_endpoint" if code.startswith("recv") else "dst_endpoint")


def _set_endpoint(values: dict[str, Value], event: AuditEvent, endpoint: str) -> None:
    for record in event.records:
        if record.type == "SOCKADDR":
            values.update(_endpoint(record.get("saddr"), endpoint))
            return


@lru_cache(maxsize=1024)
def _endpoint(saddr: str, endpoint: str) -> dict[str, Value]:
    address = decode_sockaddr(saddr)
    if "addr" in address:
        return {f"{endpoint}.ip": address["addr"], f"{endpoint}.port": int(address["port"])}
    # Neither path nor address: then the family is all there is to say.
    family = address.get("family", "unknown")
    return {f"{endpoint}.svc_name": address.get("path") or family, "connection_info.protocol_name": family}
