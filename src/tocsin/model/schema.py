"""The event schema, declared once: OCSF 1.8.0 classes and, per class, the attributes that Tocsin fills.

Everything else that knows attributes derives from this file: the wire's columns, the Arrow and Iceberg schemas, the
Sigma mapping's check, search completion and docs/schema.md. Plain Python, since the agent reads it too.

An attribute is named by its dotted path. In memory and on the wire an event is flat (path -> value); nesting happens
at the edge, in `model.event.nest`. What follows from class and activity alone (`class_uid`, `type_uid`, `category_uid`,
the captions) is never carried: `model.event` and `columnar` derive it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

__all__ = ["BASE", "CLASSES", "OCSF_VERSION", "RECORDS", "Attribute", "EventClass", "Kind", "attribute", "by_name"]

OCSF_VERSION = "1.8.0"
RECORDS = "unmapped.audit.records"


class Kind(enum.StrEnum):
    """How a value looks in memory and on the wire."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # integer, milliseconds since the epoch, UTC
    JSON = "json"  # a string holding a JSON object or array; nested in exports


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of an event: its dotted path, how its value looks, what it means."""

    path: str
    kind: Kind
    meaning: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class EventClass:
    """An OCSF event class and the attributes Tocsin fills in it, in column order."""

    uid: int
    name: str
    caption: str
    category_uid: int
    category: str
    activities: dict[int, str]
    own: tuple[Attribute, ...]
    extension: str = ""  # the OCSF extension that declares it: win
    attributes: tuple[Attribute, ...] = field(init=False)
    paths: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", BASE + self.own)
        object.__setattr__(self, "paths", frozenset(a.path for a in self.attributes))

    def type_uid(self, activity_id: int) -> int:
        """The event type: class and activity in one number."""
        return self.uid * 100 + activity_id


def _s(path: str, meaning: str) -> Attribute:
    return Attribute(path, Kind.STRING, meaning)


def _i(path: str, meaning: str, unit: str = "") -> Attribute:
    return Attribute(path, Kind.INTEGER, meaning, unit)


def _t(path: str, meaning: str) -> Attribute:
    return Attribute(path, Kind.TIMESTAMP, meaning, "ms")


def _b(path: str, meaning: str) -> Attribute:
    return Attribute(path, Kind.BOOLEAN, meaning)


def _j(path: str, meaning: str) -> Attribute:
    return Attribute(path, Kind.JSON, meaning)


def _file(prefix: str, what: str) -> tuple[Attribute, ...]:
    return (
        _s(f"{prefix}.path", f"absolute path of {what}"),
        _s(f"{prefix}.name", f"file name of {what}, without its directory"),
        _i(f"{prefix}.type_id", f"OCSF file type of {what}: 1 regular, 2 folder, 5 socket, 6 pipe, 7 link, 99 other"),
    )


def _user(prefix: str, what: str) -> tuple[Attribute, ...]:
    return (
        _s(f"{prefix}.name", f"login name of {what}"),
        _s(f"{prefix}.uid", f"numeric user id or SID of {what}, as text"),
        _s(f"{prefix}.domain", f"Windows domain or machine that {what} belongs to"),
        _s(f"{prefix}.display_name", f"{what} as the source writes it: DOMAIN\\name"),
    )


def _image(prefix: str, what: str) -> tuple[Attribute, ...]:
    """What a Windows executable says about itself, and its hashes."""
    return (
        _s(f"{prefix}.internal_name", f"original file name, as written in the header of {what}"),
        _s(f"{prefix}.desc", f"description in the header of {what}"),
        _s(f"{prefix}.company_name", f"company in the header of {what}"),
        _s(f"{prefix}.product.name", f"product in the header of {what}"),
        _s(f"{prefix}.version", f"version in the header of {what}"),
        _j(f"{prefix}.hashes", f"hashes of {what}: [{{algorithm, algorithm_id, value}}]"),
        _s("unmapped.windows.hashes", "the hashes as Sysmon writes them: SHA256=...,IMPHASH=..."),
    )


def _process(prefix: str, what: str) -> tuple[Attribute, ...]:
    return (
        _s(f"{prefix}.uid", f"identity of {what}, the same from every sensor and in every replay"),
        _i(f"{prefix}.pid", f"process id of {what}"),
        _s(f"{prefix}.name", f"command name (comm) of {what}"),
        *_file(f"{prefix}.file", f"the executable of {what}"),
        _s(f"{prefix}.cmd_line", f"arguments of {what} joined by spaces, after redaction"),
        _s(f"{prefix}.working_directory", f"working directory of {what}"),
        _t(f"{prefix}.created_time", f"start of {what}"),
        *_user(f"{prefix}.user", f"the real user of {what}"),
        _i(f"{prefix}.auid", f"audit (login) user id of {what}; absent if unset"),
        _i(f"{prefix}.euid", f"effective user id of {what}"),
        _i(f"{prefix}.egid", f"effective group id of {what}"),
        _s(f"{prefix}.session.uid", f"audit session of {what}; absent if unset"),
        _s(f"{prefix}.session.terminal", f"terminal of {what}"),
        _s(f"{prefix}.container.uid", f"container that {what} runs in"),
        _s(f"{prefix}.container.runtime", "runtime of that container: docker, containerd, cri-o, podman"),
        _s(f"{prefix}.container.pod_uuid", "Kubernetes pod of that container"),
        _s(f"{prefix}.parent_process.uid", f"identity of the parent of {what}"),
        _i(f"{prefix}.parent_process.pid", f"process id of the parent of {what}"),
        _s(f"{prefix}.parent_process.name", f"command name of the parent of {what}"),
        *_file(f"{prefix}.parent_process.file", f"the executable of the parent of {what}"),
        _s(f"{prefix}.parent_process.cmd_line", f"arguments of the parent of {what}"),
        *_user(f"{prefix}.parent_process.user", f"the user of the parent of {what}"),
        _s(f"{prefix}.parent_process.parent_process.file.path", f"path of the executable of the grandparent of {what}"),
        _s(f"{prefix}.parent_process.parent_process.file.name", "file name of that executable"),
        _s(f"{prefix}.integrity", f"Windows integrity level of {what}, as the source writes it"),
        _i(f"{prefix}.integrity_id", f"OCSF integrity level of {what}: 2 low, 3 medium, 4 high, 5 system"),
        _j(f"{prefix}.ancestry", f"ancestors of {what}, nearest first: [{{pid, uid, name, path, cmd_line}}]"),
    )


def _endpoint(prefix: str, what: str) -> tuple[Attribute, ...]:
    return (
        _s(f"{prefix}.ip", f"IP address of {what}"),
        _i(f"{prefix}.port", f"port of {what}"),
        _s(f"{prefix}.hostname", f"host name of {what}"),
        _s(f"{prefix}.svc_name", f"local socket path of {what}, or service name"),
    )


BASE: tuple[Attribute, ...] = (
    _t("time", "when it happened, by the source's clock"),
    _i("activity_id", "what was done, within the class"),
    _i("severity_id", "OCSF severity: 1 informational .. 6 fatal"),
    _i("status_id", "1 success, 2 failure"),
    _s("status_code", "errno name or result code of the source"),
    _s("status_detail", "what the source says about the result"),
    _s("message", "one line for people"),
    _s("metadata.uid", "id of the event, time-ordered, derived from its batch"),
    _s("metadata.tenant_uid", "org that the event belongs to"),
    _s("metadata.log_name", "source format: auditd, cloudtrail, k8s-audit, windows, syslog, access-log, ..."),
    _s("metadata.log_source", "part of the source that it comes from: channel of a Windows log, syslog facility"),
    _s("metadata.log_provider", "what wrote it: provider of a Windows log, program of a syslog line, web server"),
    _s("metadata.log_level", "level as the source writes it"),
    _s("metadata.event_code", "event code of the source: syscall or record type for auditd"),
    _s("metadata.original_event_uid", "id of the event at its source"),
    _t("metadata.logged_time", "when the source logged it"),
    _t("metadata.processed_time", "when the gateway accepted it"),
    _s("device.hostname", "host name of the machine it happened on"),
    _s("device.uid", "origin: agent id of the machine, or account and region"),
    _i("device.type_id", "OCSF device type: 1 server"),
    _s("device.os.name", "operating system"),
    _i("device.os.type_id", "OCSF operating system type: 100 Windows, 200 Linux, 300 macOS"),
    _s("device.os.version", "operating system version"),
    _s("device.os.kernel_release", "running kernel"),
    _s("device.boot_uid", "boot id: changes with every boot"),
    _s("device.ip", "main address of the machine"),
    _i("unmapped.audit.serial", "serial number of the kernel's audit event"),
    _s("unmapped.audit.identity", "how the process identity came about: proc or record"),
    _i("unmapped.sample_rate", "one in how many such events is kept; absent if all are"),
    _j("unmapped.source", "the original event of a JSON source, whole"),
)

_ACTOR = _process("actor.process", "the acting process") + _user("actor.user", "the acting user")
_SESSION = (
    _s("session.uid", "session at the source"),
    _s("session.terminal", "terminal of the session"),
)

# Of changes that are asked for over an API of a cloud or a cluster.
_CALLER = (
    _s("api.operation", "operation called"),
    _s("api.service.name", "service called"),
    _s("api.version", "version of the API"),
    _s("api.request.uid", "request id"),
    _i("api.response.code", "status code of the answer"),
    _s("api.response.error", "error code of the answer"),
    _s("api.response.error_message", "error text of the answer"),
    _s("cloud.provider", "AWS, GCP, Azure, Kubernetes"),
    _s("cloud.account.uid", "account"),
    _s("cloud.region", "region"),
    _s("http_request.user_agent", "user agent of the caller"),
    _s("actor.user.type", "kind of principal at the source"),
    _s("actor.user.account.uid", "account of the principal"),
    _s("actor.session.uid", "access key or session of the principal"),
    _j("actor.user.groups", "groups of the principal: [{name}]"),
    _s("actor.session.issuer", "who gave the session: the role assumed"),
    _b("actor.session.is_mfa", "whether the session began with a second factor"),
    _s("actor.invoked_by", "service that called for the principal"),
)
_PRINCIPAL = (_s("actor.user.uid", "principal id"), _s("actor.user.name", "principal name"))
_SIGNED = (
    _s("unmapped.windows.signed", "whether the file is signed: true or false"),
    _s("unmapped.windows.signature", "who signed the file"),
    _s("unmapped.windows.signature_status", "what the signature is worth: Valid, Expired, Unavailable, ..."),
)

_CLASSES = (
    EventClass(0, "base_event", "Base Event", 0, "Uncategorized", {0: "Unknown", 99: "Other"}, _ACTOR),
    EventClass(
        1001,
        "file_activity",
        "File System Activity",
        1,
        "System Activity",
        {
            0: "Unknown",
            1: "Create",
            2: "Read",
            3: "Update",
            4: "Delete",
            5: "Rename",
            6: "Set Attributes",
            7: "Set Security",
            8: "Get Attributes",
            9: "Get Security",
            12: "Mount",
            13: "Unmount",
            14: "Open",
            99: "Other",
        },
        (
            *_file("file", "the file"),
            _j("file.hashes", "hashes of the file: [{algorithm, algorithm_id, value}]"),
            _s("unmapped.windows.hashes", "the hashes as Sysmon writes them: SHA256=...,IMPHASH=..."),
            _s("file.parent_folder", "directory of the file"),
            _s("file.uid", "device and inode"),
            *_file("file_result", "the file after a rename or link"),
            _i("create_mask", "mode that was asked for, as a number"),
            *_ACTOR,
        ),
    ),
    EventClass(
        1002,
        "kernel_extension_activity",
        "Kernel Extension Activity",
        1,
        "System Activity",
        {0: "Unknown", 1: "Load", 2: "Unload", 99: "Other"},
        (*_file("driver.file", "the kernel module"), *_image("driver.file", "the kernel module"), *_SIGNED, *_ACTOR),
    ),
    EventClass(
        1004,
        "memory_activity",
        "Memory Activity",
        1,
        "System Activity",
        {0: "Unknown", 1: "Allocate Page", 2: "Modify Page", 3: "Delete Page", 7: "Read", 8: "Write", 99: "Other"},
        (
            _s("process.uid", "identity of the process whose memory it is"),
            _i("process.pid", "process id of the process whose memory it is"),
            _s("process.name", "command name of the process whose memory it is"),
            *_ACTOR,
        ),
    ),
    EventClass(
        1005,
        "module_activity",
        "Module Activity",
        1,
        "System Activity",
        {0: "Unknown", 1: "Load", 2: "Unload", 3: "Invoke", 99: "Other"},
        (
            *_file("module.file", "the library"),
            *_image("module.file", "the library"),
            _i("module.load_type_id", "OCSF load type: 1 standard"),
            *_SIGNED,
            *_ACTOR,
        ),
    ),
    EventClass(
        1006,
        "scheduled_job_activity",
        "Scheduled Job Activity",
        1,
        "System Activity",
        {0: "Unknown", 1: "Create", 2: "Update", 3: "Delete", 4: "Enable", 5: "Disable", 6: "Start", 99: "Other"},
        (
            _s("job.name", "name of the job"),
            _s("job.cmd_line", "what the job runs"),
            *_file("job.file", "the file that declares the job"),
            *_ACTOR,
        ),
    ),
    EventClass(
        1007,
        "process_activity",
        "Process Activity",
        1,
        "System Activity",
        {0: "Unknown", 1: "Launch", 2: "Terminate", 3: "Open", 4: "Inject", 5: "Set User ID", 99: "Other"},
        (
            *_process("process", "the process"),
            *_image("process.file", "the executable of the process"),
            _i("exit_code", "exit code, or the system call's return value"),
            _i("requested_permissions", "Windows access mask that was asked for, as a number"),
            _i("injection_type_id", "OCSF injection type: 1 remote thread"),
            _s("unmapped.windows.granted_access", "the access mask as Sysmon writes it: 0x1010"),
            _s("unmapped.windows.call_trace", "stack of the call that opened the process"),
            *_ACTOR,
        ),
    ),
    EventClass(
        1008,
        "event_log_actvity",  # so spelled in OCSF 1.8.0
        "Event Log Activity",
        1,
        "System Activity",
        {
            0: "Unknown",
            1: "Clear",
            2: "Delete",
            3: "Export",
            4: "Archive",
            5: "Rotate",
            6: "Start",
            7: "Stop",
            8: "Restart",
            9: "Enable",
            10: "Disable",
            99: "Other",
        },
        (_s("log_name", "the log that it was done to"), *_ACTOR),
    ),
    EventClass(
        1009,
        "script_activity",
        "Script Activity",
        1,
        "System Activity",
        {0: "Unknown", 1: "Execute", 99: "Other"},
        (
            _s("script.script_content.value", "text of the script or command"),
            _i("script.type_id", "OCSF script type: 2 PowerShell, 6 Unix shell"),
            _s("script.uid", "id of the script block"),
            *_file("script.file", "the file that the script is from"),
            *_ACTOR,
        ),
    ),
    EventClass(
        3001,
        "account_change",
        "Account Change",
        3,
        "Identity & Access Management",
        {
            0: "Unknown",
            1: "Create",
            2: "Enable",
            3: "Password Change",
            4: "Password Reset",
            5: "Disable",
            6: "Delete",
            7: "Attach Policy",
            8: "Detach Policy",
            9: "Lock",
            10: "MFA Factor Enable",
            11: "MFA Factor Disable",
            12: "Unlock",
            99: "Other",
        },
        (
            *_user("user", "the account that changed"),
            _s("policy.name", "policy attached or detached"),
            *_endpoint("src_endpoint", "the caller"),
            *_CALLER,
            *_ACTOR,
        ),
    ),
    EventClass(
        3002,
        "authentication",
        "Authentication",
        3,
        "Identity & Access Management",
        {
            0: "Unknown",
            1: "Logon",
            2: "Logoff",
            3: "Authentication Ticket",
            4: "Service Ticket Request",
            5: "Service Ticket Renew",
            6: "Preauth",
            7: "Account Switch",
            99: "Other",
        },
        (
            *_user("user", "the account that authenticates"),
            *_endpoint("src_endpoint", "where the login comes from"),
            *_endpoint("dst_endpoint", "what is logged in to"),
            _s("service.name", "service that authenticates: sshd, sudo, login"),
            _i("auth_protocol_id", "OCSF authentication protocol"),
            _s("auth_protocol", "authentication mechanism: password, publickey, PAM"),
            _i("logon_type_id", "OCSF logon type: 2 interactive, 3 network, 10 remote interactive"),
            _b("is_remote", "whether the login comes over the network"),
            _b("is_mfa", "whether a second factor was used"),
            *_SESSION,
            *_CALLER,
            *_ACTOR,
        ),
    ),
    EventClass(
        3006,
        "group_management",
        "Group Management",
        3,
        "Identity & Access Management",
        {
            0: "Unknown",
            1: "Assign Privileges",
            2: "Revoke Privileges",
            3: "Add User",
            4: "Remove User",
            5: "Delete",
            6: "Create",
            99: "Other",
        },
        (
            _s("group.name", "name of the group"),
            _s("group.uid", "numeric group id, as text"),
            *_user("user", "the account added or removed"),
            *_endpoint("src_endpoint", "the caller"),
            *_CALLER,
            *_ACTOR,
        ),
    ),
    EventClass(
        4001,
        "network_activity",
        "Network Activity",
        4,
        "Network Activity",
        {
            0: "Unknown",
            1: "Open",
            2: "Close",
            3: "Reset",
            4: "Fail",
            5: "Refuse",
            6: "Traffic",
            7: "Listen",
            99: "Other",
        },
        (
            *_endpoint("src_endpoint", "the side that opened"),
            *_endpoint("dst_endpoint", "the side that was opened to"),
            _i("connection_info.direction_id", "1 inbound, 2 outbound, 3 lateral"),
            _s("connection_info.protocol_name", "tcp, udp, unix, netlink, ..."),
            _i("connection_info.protocol_num", "IP protocol number"),
            _i("traffic.bytes", "bytes in both directions", "bytes"),
            _i("traffic.packets", "packets in both directions"),
            *_ACTOR,
        ),
    ),
    EventClass(
        4002,
        "http_activity",
        "HTTP Activity",
        4,
        "Network Activity",
        {
            0: "Unknown",
            1: "Connect",
            2: "Delete",
            3: "Get",
            4: "Head",
            5: "Options",
            6: "Post",
            7: "Put",
            8: "Trace",
            9: "Patch",
            99: "Other",
        },
        (
            _s("http_request.http_method", "method"),
            _s("http_request.url.url_string", "what was asked for, as the request line has it"),
            _s("http_request.url.path", "path, without the query"),
            _s("http_request.url.query_string", "what follows the question mark"),
            _s("http_request.url.hostname", "host that was asked for"),
            _s("http_request.referrer", "page that it came from"),
            _s("http_request.user_agent", "user agent of the caller"),
            _s("http_request.version", "protocol version"),
            _i("http_response.code", "status code"),
            _i("http_response.length", "length of the answer", "bytes"),
            *_endpoint("src_endpoint", "the caller"),
            *_endpoint("dst_endpoint", "the web server"),
            *_ACTOR,
        ),
    ),
    EventClass(
        4003,
        "dns_activity",
        "DNS Activity",
        4,
        "Network Activity",
        {0: "Unknown", 1: "Query", 2: "Response", 6: "Traffic", 99: "Other"},
        (
            _s("query.hostname", "name asked for"),
            _s("query.type", "record type asked for"),
            _j("answers", "answers: [{rdata, type, ttl}]"),
            _s("rcode", "response code"),
            *_endpoint("src_endpoint", "who asked"),
            *_endpoint("dst_endpoint", "the resolver"),
            *_ACTOR,
        ),
    ),
    EventClass(
        6003,
        "api_activity",
        "API Activity",
        6,
        "Application Activity",
        {0: "Unknown", 1: "Create", 2: "Read", 3: "Update", 4: "Delete", 99: "Other"},
        (
            *_CALLER,
            *_endpoint("src_endpoint", "the caller"),
            _j("resources", "what it was done to: [{name, type, uid, namespace}]"),
            *_PRINCIPAL,
        ),
    ),
    EventClass(
        201001,
        "registry_key_activity",
        "Registry Key Activity",
        1,
        "System Activity",
        {
            0: "Unknown",
            1: "Create",
            2: "Read",
            3: "Modify",
            4: "Delete",
            5: "Rename",
            6: "Set Security",
            7: "Restore",
            8: "Import",
            9: "Export",
            99: "Other",
        },
        (_s("reg_key.path", "full path of the key"), *_ACTOR),
        extension="win",
    ),
    EventClass(
        201002,
        "registry_value_activity",
        "Registry Value Activity",
        1,
        "System Activity",
        {0: "Unknown", 1: "Get", 2: "Set", 3: "Modify", 4: "Delete", 99: "Other"},
        (
            _s("reg_value.path", "full path of the value: its key's, and its name"),
            _s("reg_value.name", "name of the value"),
            _s("reg_value.data", "the data, as the source writes it"),
            _s("reg_value.type", "type of the data: REG_SZ, REG_DWORD, ..."),
            *_ACTOR,
        ),
        extension="win",
    ),
    EventClass(
        201004,
        "windows_service_activity",
        "Windows Service Activity",
        1,
        "System Activity",
        {
            0: "Unknown",
            1: "Create",
            2: "Reconfigure",
            3: "Start",
            4: "Stop",
            5: "Pause",
            6: "Continue",
            7: "Delete",
            99: "Other",
        },
        (
            _s("win_service.name", "name of the service"),
            _s("win_service.cmd_line", "what the service runs"),
            _s("win_service.service_start_name", "account that the service runs as"),
            _i("win_service.service_start_type_id", "OCSF start type: 3 automatic, 4 on demand, 5 disabled"),
            _i("win_service.service_type_id", "OCSF service type: 1 kernel driver, 3 own process"),
            *_ACTOR,
        ),
        extension="win",
    ),
)

CLASSES: dict[int, EventClass] = {c.uid: c for c in _CLASSES}
_BY_NAME = {c.name: c for c in _CLASSES}
_ATTRIBUTES = {a.path: a for c in _CLASSES for a in c.attributes}


def by_name(name: str) -> EventClass:
    """The class of that OCSF name.

    Raises:
        KeyError: no such class.
    """
    return _BY_NAME[name]


def attribute(path: str) -> Attribute | None:
    """The attribute at a dotted path in any class; one path means the same wherever it occurs."""
    return _ATTRIBUTES.get(path)
