"""Logins and changes to accounts and groups: what PAM, sshd, sudo and shadow-utils report about themselves."""

from __future__ import annotations

import posixpath
from typing import Final

from tocsin.model.event import Value
from tocsin.normalize.auditd.acting import present
from tocsin.normalize.auditd.interpret import UNSET_IDS
from tocsin.normalize.auditd.reassemble import AuditEvent
from tocsin.normalize.auditd.record import AuditRecord
from tocsin.normalize.auditd.sockaddr import canonical_ip

__all__ = ["read_account", "read_group", "read_login"]

_LOGON, _ACCOUNT_SWITCH = 1, 7
_INTERACTIVE, _REMOTE_INTERACTIVE = 2, 10
_NO_USER: Final = UNSET_IDS | {""}
_SWITCHING: Final = frozenset({"su", "sudo", "runuser", "pkexec", "doas", "sudo-rs"})


def read_login(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """Who logs in or out, from where, at which service."""
    del call
    record = event.records[0] if event.records[0].type == code else _of_type(event, code)
    _set_account(values, record)
    service = posixpath.basename(str(values.get("actor.process.file.path", ""))) or str(
        values.get("actor.process.name", "unknown")
    )
    values["service.name"] = service
    if values["activity_id"] == _LOGON and service in _SWITCHING:
        values["activity_id"] = _ACCOUNT_SWITCH
    _set_source(values, record)
    _set_session(values, record)
    mechanism = record.get("op").removeprefix("PAM:")
    if present(mechanism) and code == "USER_AUTH":
        values["auth_protocol"] = (
            "publickey" if "pubkey" in mechanism else "PAM" if "PAM:" in record.get("op") else mechanism
        )
    if code == "USER_LOGIN":
        values["logon_type_id"] = _REMOTE_INTERACTIVE if values.get("is_remote") else _INTERACTIVE


def read_account(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The account that is made, changed or removed."""
    del call
    record = _of_type(event, code)
    _set_account(values, record)
    _set_source(values, record)
    values.pop("is_remote", None)
    _set_operation(values, record)


def read_group(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The group, and whoever joins or leaves it."""
    del call
    record = _of_type(event, code)
    group = record.get("grp")
    if present(group):
        values["group.name"] = group
        _set_account(values, record)
    else:  # shadow-utils names the group itself in acct or id
        if present(record.get("acct")):
            values["group.name"] = record.get("acct")
        if present(record.get("id")):
            values["group.uid"] = record.get("id")
    _set_operation(values, record)


def _of_type(event: AuditEvent, kind: str) -> AuditRecord:
    return next((record for record in event.records if record.type == kind), event.records[0])


def _set_account(values: dict[str, Value], record: AuditRecord) -> None:
    name = record.get("acct")
    if present(name):
        values["user.name"] = name
    # LOGIN is the kernel's own word that a session got its user.
    number = _login_user(record) if record.type == "LOGIN" else record.get("id")
    if present(number) and number not in UNSET_IDS:
        values["user.uid"] = number
    if "user.name" not in values and "user.uid" not in values:
        number = next((record.get(key) for key in ("auid", "uid") if record.get(key) not in _NO_USER), "")
        if number:
            values["user.uid"] = number
    if values.get("user.uid") == "0":
        values.setdefault("user.name", "root")


def _login_user(record: AuditRecord) -> str:
    return record.get("auid") or record.get("new_auid")  # new_auid before Linux 3.3


def _set_source(values: dict[str, Value], record: AuditRecord) -> None:
    address = canonical_ip(record.get("addr"))  # old programs write names and UNKNOWN there
    host = record.get("hostname")
    if address:
        values["src_endpoint.ip"] = address
    if present(host) and host != address:
        values["src_endpoint.hostname"] = host
    if address or present(host):
        values["is_remote"] = True


def _set_session(values: dict[str, Value], record: AuditRecord) -> None:
    session = record.get("ses")
    if present(session) and session not in UNSET_IDS:
        values["session.uid"] = session
    terminal = record.get("terminal") if present(record.get("terminal")) else record.get("tty")
    if present(terminal):
        values["session.terminal"] = terminal
        values["actor.process.session.terminal"] = terminal


def _set_operation(values: dict[str, Value], record: AuditRecord) -> None:
    operation = record.get("op")
    if present(operation):
        values["status_detail"] = operation
