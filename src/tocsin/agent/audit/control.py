"""Ask and set the kernel's audit state: status and rules.

Source: linux/audit.h, auditctl(8).
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, fields
from typing import Final

from tocsin.agent.audit.netlink import KernelRefused, open_audit_socket, request
from tocsin.model.errors import NotAllowed

__all__ = ["AuditControl", "AuditStatus"]

AUDIT_GET: Final = 1000
AUDIT_SET: Final = 1001
AUDIT_ADD_RULE: Final = 1011
AUDIT_DEL_RULE: Final = 1012
AUDIT_LIST_RULES: Final = 1013
NLMSG_DONE: Final = 3
RULE_BYTES: Final = 1040  # struct audit_rule_data without its strings; its last word is their length

STATUS = struct.Struct("=11I")
# AUDIT_STATUS_* mask bits of what can be set.
MASK_BITS: Final = {
    "enabled": 1,
    "failure": 2,
    "pid": 4,
    "rate_limit": 8,
    "backlog_limit": 16,
    "backlog_wait_time": 32,
}


@dataclass(frozen=True, slots=True)
class AuditStatus:
    """The kernel's `struct audit_status`, in its order; waiting times are in jiffies."""

    mask: int = 0
    enabled: int = 0
    failure: int = 0
    pid: int = 0
    rate_limit: int = 0
    backlog_limit: int = 0
    lost: int = 0
    backlog: int = 0
    features: int = 0
    backlog_wait_time: int = 0
    backlog_wait_time_actual: int = 0

    @property
    def immutable(self) -> bool:
        """Whether rules and settings are locked until the next boot."""
        return self.enabled == 2  # noqa: PLR2004 - audit_enabled's AUDIT_LOCKED


class AuditControl:
    """A socket for requests to the kernel's audit; every method returns after the kernel's acknowledgement."""

    def __init__(self) -> None:
        self._socket = open_audit_socket()

    def close(self) -> None:
        """Close the socket; changes nothing in the kernel."""
        self._socket.close()

    def status(self) -> AuditStatus:
        """The kernel's present audit state; fields that an older kernel lacks are 0.

        Raises:
            NotAllowed: the process lacks CAP_AUDIT_CONTROL.
        """
        try:
            payload = request(self._socket, AUDIT_GET, b"", "tell its audit status", last=AUDIT_GET)[-1][1]
        except KernelRefused as error:
            raise NotAllowed("the kernel's audit needs root, outside of any container") from error
        return AuditStatus(*STATUS.unpack(payload[: STATUS.size].ljust(STATUS.size, b"\0")))

    def set(self, **values: int) -> None:
        """Set the named fields of the status together.

        Raises:
            KernelRefused: EPERM when the audit configuration is locked.
        """
        mask = sum(MASK_BITS[name] for name in values)
        numbers = [values.get(field.name, 0) for field in fields(AuditStatus)[1:]]
        request(self._socket, AUDIT_SET, STATUS.pack(mask, *numbers), f"set {', '.join(values)}")

    def rules(self) -> list[bytes]:
        """Every loaded rule as `struct audit_rule_data`, in the kernel's order."""
        answers = request(self._socket, AUDIT_LIST_RULES, b"", "list its rules", last=NLMSG_DONE)
        return [_unpadded(payload) for kind, payload in answers if kind == AUDIT_LIST_RULES]

    def add_rule(self, rule: bytes) -> None:
        """Append a rule.

        Raises:
            KernelRefused: EEXIST for a rule that is loaded, EINVAL for one that this kernel does not know, ENOENT for
                a directory that does not exist.
        """
        request(self._socket, AUDIT_ADD_RULE, rule, "add the rule")

    def delete_rule(self, rule: bytes) -> None:
        """Remove a rule.

        Raises:
            KernelRefused: ENOENT for a rule that is not loaded.
        """
        request(self._socket, AUDIT_DEL_RULE, rule, "delete the rule")


def _unpadded(rule: bytes) -> bytes:
    return rule[: RULE_BYTES + int.from_bytes(rule[RULE_BYTES - 4 : RULE_BYTES], sys.byteorder)]
