"""Attributes that several classes have: of every event, of who acts, of files, users, processes and endpoints."""

from __future__ import annotations

from tocsin.model.schema.attribute import Attribute, boolean, integer, json, text, timestamp

__all__ = ["ACTOR", "BASE", "CALLER", "PRINCIPAL", "SESSION", "SIGNED", "endpoint", "file", "image", "process", "user"]


def file(prefix: str, what: str) -> tuple[Attribute, ...]:
    return (
        text(f"{prefix}.path", f"absolute path of {what}"),
        text(f"{prefix}.name", f"file name of {what}, without its directory"),
        integer(
            f"{prefix}.type_id", f"OCSF file type of {what}: 1 regular, 2 folder, 5 socket, 6 pipe, 7 link, 99 other"
        ),
    )


def user(prefix: str, what: str) -> tuple[Attribute, ...]:
    return (
        text(f"{prefix}.name", f"login name of {what}"),
        text(f"{prefix}.uid", f"numeric user id or SID of {what}, as text"),
        text(f"{prefix}.domain", f"Windows domain or machine that {what} belongs to"),
        text(f"{prefix}.display_name", f"{what} as the source writes it: DOMAIN\\name"),
    )


def image(prefix: str, what: str) -> tuple[Attribute, ...]:
    """What a Windows executable says about itself, and its hashes."""
    return (
        text(f"{prefix}.internal_name", f"original file name, as written in the header of {what}"),
        text(f"{prefix}.desc", f"description in the header of {what}"),
        text(f"{prefix}.company_name", f"company in the header of {what}"),
        text(f"{prefix}.product.name", f"product in the header of {what}"),
        text(f"{prefix}.version", f"version in the header of {what}"),
        json(f"{prefix}.hashes", f"hashes of {what}: [{{algorithm, algorithm_id, value}}]"),
        text("unmapped.windows.hashes", "the hashes as Sysmon writes them: SHA256=...,IMPHASH=..."),
    )


def process(prefix: str, what: str) -> tuple[Attribute, ...]:
    return (
        text(f"{prefix}.uid", f"identity of {what}, the same from every sensor and in every replay"),
        integer(f"{prefix}.pid", f"process id of {what}"),
        text(f"{prefix}.name", f"command name (comm) of {what}"),
        *file(f"{prefix}.file", f"the executable of {what}"),
        text(f"{prefix}.cmd_line", f"arguments of {what} joined by spaces, after redaction"),
        text(f"{prefix}.working_directory", f"working directory of {what}"),
        timestamp(f"{prefix}.created_time", f"start of {what}"),
        *user(f"{prefix}.user", f"the real user of {what}"),
        integer(f"{prefix}.auid", f"audit (login) user id of {what}; absent if unset"),
        integer(f"{prefix}.euid", f"effective user id of {what}"),
        integer(f"{prefix}.egid", f"effective group id of {what}"),
        text(f"{prefix}.session.uid", f"audit session of {what}; absent if unset"),
        text(f"{prefix}.session.terminal", f"terminal of {what}"),
        text(f"{prefix}.container.uid", f"container that {what} runs in"),
        text(f"{prefix}.container.runtime", "runtime of that container: docker, containerd, cri-o, podman"),
        text(f"{prefix}.container.pod_uuid", "Kubernetes pod of that container"),
        text(f"{prefix}.container.name", "name of that container"),
        text(f"{prefix}.container.image.name", "image of that container, as it was asked for"),
        text(f"{prefix}.container.image.uid", "id or digest of that image, or its name where neither is known"),
        text(f"{prefix}.container.orchestrator", "kubernetes, if that container is of a pod"),
        json(f"{prefix}.container.labels", "labels of that container: [name=value]"),
        text(f"{prefix}.parent_process.uid", f"identity of the parent of {what}"),
        integer(f"{prefix}.parent_process.pid", f"process id of the parent of {what}"),
        text(f"{prefix}.parent_process.name", f"command name of the parent of {what}"),
        *file(f"{prefix}.parent_process.file", f"the executable of the parent of {what}"),
        text(f"{prefix}.parent_process.cmd_line", f"arguments of the parent of {what}"),
        *user(f"{prefix}.parent_process.user", f"the user of the parent of {what}"),
        text(
            f"{prefix}.parent_process.parent_process.file.path", f"path of the executable of the grandparent of {what}"
        ),
        text(f"{prefix}.parent_process.parent_process.file.name", "file name of that executable"),
        text(f"{prefix}.integrity", f"Windows integrity level of {what}, as the source writes it"),
        integer(f"{prefix}.integrity_id", f"OCSF integrity level of {what}: 2 low, 3 medium, 4 high, 5 system"),
        json(f"{prefix}.ancestry", f"ancestors of {what}, nearest first: [{{pid, uid, name, path, cmd_line}}]"),
    )


def endpoint(prefix: str, what: str) -> tuple[Attribute, ...]:
    return (
        text(f"{prefix}.ip", f"IP address of {what}"),
        integer(f"{prefix}.port", f"port of {what}"),
        text(f"{prefix}.hostname", f"host name of {what}"),
        text(f"{prefix}.svc_name", f"local socket path of {what}, or service name"),
    )


BASE: tuple[Attribute, ...] = (
    timestamp("time", "when it happened, by the source's clock"),
    integer("activity_id", "what was done, within the class"),
    integer("severity_id", "OCSF severity: 1 informational .. 6 fatal"),
    integer("status_id", "1 success, 2 failure"),
    text("status_code", "errno name or result code of the source"),
    text("status_detail", "what the source says about the result"),
    text("message", "one line for people"),
    text("metadata.uid", "id of the event, time-ordered, derived from its batch"),
    text("metadata.tenant_uid", "org that the event belongs to"),
    text("metadata.log_name", "source format: auditd, ebpf, cloudtrail, k8s-audit, windows, syslog, access-log, ..."),
    text("metadata.log_source", "part of the source that it comes from: channel of a Windows log, syslog facility"),
    text("metadata.log_provider", "what wrote it: provider of a Windows log, program of a syslog line, web server"),
    text("metadata.log_level", "level as the source writes it"),
    text("metadata.event_code", "event code of the source: syscall or record type for auditd"),
    text("metadata.original_event_uid", "id of the event at its source"),
    timestamp("metadata.logged_time", "when the source logged it"),
    timestamp("metadata.processed_time", "when the gateway accepted it"),
    text("device.hostname", "host name of the machine it happened on"),
    text("device.uid", "origin: agent id of the machine, or account and region"),
    integer("device.type_id", "OCSF device type: 1 server"),
    text("device.os.name", "operating system"),
    integer("device.os.type_id", "OCSF operating system type: 100 Windows, 200 Linux, 300 macOS"),
    text("device.os.version", "operating system version"),
    text("device.os.kernel_release", "running kernel"),
    text("device.boot_uid", "boot id: changes with every boot"),
    text("device.ip", "main address of the machine"),
    integer("unmapped.audit.serial", "serial number of the kernel's audit event"),
    text("unmapped.audit.identity", "how the process identity came about: proc or record"),
    boolean(
        "unmapped.truncated", "the sensor keeps no arguments as long as these, or no path as deep; absent if whole"
    ),
    json("metadata.tags", "tags of the host, as its capture policy says: [{name, value}]"),
    integer("unmapped.sample_rate", "one in how many such events is kept; absent if all are"),
    json("unmapped.source", "the original event of a JSON source, whole"),
    text("unmapped.kubernetes.pod", "name of the Kubernetes pod that the process runs in, or the acting process"),
    text("unmapped.kubernetes.namespace", "namespace of that pod"),
    text("raw_data", "the line of a text log as it was written, where the message is not all of it"),
    text("unmapped.log.file", "file that the agent has read the line in"),
    integer("unmapped.log.offset", "where the line begins in that file; a line that came twice has the same"),
    text("unmapped.log.host", "host that the line itself names, if it is another than the agent's"),
)

ACTOR = process("actor.process", "the acting process") + user("actor.user", "the acting user")
SESSION = (
    text("session.uid", "session at the source"),
    text("session.terminal", "terminal of the session"),
)

# Of changes that are asked for over an API of a cloud or a cluster.
CALLER = (
    text("api.operation", "operation called"),
    text("api.service.name", "service called"),
    text("api.version", "version of the API"),
    text("api.request.uid", "request id"),
    integer("api.response.code", "status code of the answer"),
    text("api.response.error", "error code of the answer"),
    text("api.response.error_message", "error text of the answer"),
    text("cloud.provider", "AWS, GCP, Azure, Kubernetes"),
    text("cloud.account.uid", "account"),
    text("cloud.region", "region"),
    text("http_request.user_agent", "user agent of the caller"),
    text("actor.user.type", "kind of principal at the source"),
    text("actor.user.account.uid", "account of the principal"),
    text("actor.session.uid", "access key or session of the principal"),
    json("actor.user.groups", "groups of the principal: [{name}]"),
    text("actor.session.issuer", "who gave the session: the role assumed"),
    boolean("actor.session.is_mfa", "whether the session began with a second factor"),
    text("actor.invoked_by", "service that called for the principal"),
)
PRINCIPAL = (text("actor.user.uid", "principal id"), text("actor.user.name", "principal name"))
SIGNED = (
    text("unmapped.windows.signed", "whether the file is signed: true or false"),
    text("unmapped.windows.signature", "who signed the file"),
    text("unmapped.windows.signature_status", "what the signature is worth: Valid, Expired, Unavailable, ..."),
)
