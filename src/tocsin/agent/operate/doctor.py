"""Check that every piece of the agent is configured and would work, without changing anything."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.audit.control import AuditControl
from tocsin.agent.audit.rule_set import login_homes, read_rules
from tocsin.agent.deliver.transport import Transport
from tocsin.agent.identity import KEY_FILE, load_identity, load_key
from tocsin.agent.operate.health import is_running, read_report
from tocsin.agent.redact import Redactor
from tocsin.model.errors import TocsinError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.agent.config import Config

__all__ = ["Finding", "examine"]

PRIVATE_MODE: Final = 0o077
SERVER_ERROR: Final = 500


class Finding(msgspec.Struct, frozen=True):
    """One thing that was checked."""

    check: str
    healthy: bool
    reason: str


class _NotWell(Exception):
    """What a check found wrong."""


def examine(config: Config) -> list[Finding]:
    """Check everything, each thing whatever the others say."""
    return [_finding(name, check, config) for name, check in _CHECKS.items()]


def _finding(name: str, check: Callable[[Config], str], config: Config) -> Finding:
    try:
        return Finding(name, healthy=True, reason=check(config))
    except (_NotWell, TocsinError, OSError) as error:
        return Finding(name, healthy=False, reason=str(error))


def _root(config: Config) -> str:
    del config
    if os.geteuid() != 0:
        raise _NotWell("the kernel's audit needs root")
    return "runs as root"


def _audit(config: Config) -> str:
    control = AuditControl()
    status = control.status()
    control.close()
    report = read_report(config.state_dir)
    if status.immutable:
        raise _NotWell("the audit configuration is locked until the next boot (enabled 2)")
    if status.pid and not (report and report.pid == status.pid):
        return f"process {status.pid} owns the kernel's audit: the agent will listen beside it"
    return "owned by the agent" if status.pid else "free"


def _rules(config: Config) -> str:
    rules = read_rules(config.audit.rule_files, login_homes())
    if rules.invalid:
        raise _NotWell("; ".join(map(str, rules.invalid)))
    return f"{len(rules.rules)} rules compile"


def _ebpf(config: Config) -> str:
    if not config.ebpf.enabled:
        return "not asked for"
    from tocsin.agent.bpf.loading import load  # noqa: PLC0415 - only who asks for it needs it

    load(config.ebpf, attach=False).close()
    return "the kernel takes the programs"


def _redaction(config: Config) -> str:
    redactor = Redactor(config.redact.patterns, defaults=config.redact.defaults)
    if config.redact.defaults and "secret-canary" in redactor.clean("tool --password=secret-canary"):
        raise _NotWell("a password in an argument is not redacted")
    return "a password in an argument is redacted" if config.redact.defaults else "the default patterns are off"


def _identity(config: Config) -> str:
    identity = load_identity(config.state_dir)
    load_key(config.state_dir)
    if (config.state_dir / KEY_FILE).stat().st_mode & PRIVATE_MODE:
        raise _NotWell(f"{config.state_dir / KEY_FILE} can be read by others than root: chmod 600 it")
    return f"agent {identity.agent_id} of {identity.org}"


def _server(config: Config) -> str:
    identity = load_identity(config.state_dir)
    transport = Transport(identity.server, identity.ca)
    # An empty batch is refused, by a Tocsin server and as it refuses.
    answer = transport.post("/ingest/batch", b"", {"Content-Type": "application/vnd.tocsin.batch"})
    transport.close()
    if answer.status >= SERVER_ERROR or not answer.detail:
        raise _NotWell(f"{identity.server} answers, but not as a Tocsin server does: {answer.status}")
    return f"{identity.server} answers"


def _space(config: Config) -> str:
    free = shutil.disk_usage(config.state_dir).free
    if free < config.spool.max_bytes:
        raise _NotWell(f"{free} bytes are free at {config.state_dir}; the spool may take {config.spool.max_bytes}")
    return f"{free >> 20} MiB are free for a spool of {config.spool.max_bytes >> 20}"


def _running(config: Config) -> str:
    report = read_report(config.state_dir)
    if report is None or not is_running(report):
        raise _NotWell("not running: start it with `tocsin agent run`")
    ill = [f"{name}: {module.reason}" for name, module in report.modules.items() if not module.healthy]
    if ill:
        raise _NotWell("; ".join(ill))
    return f"process {report.pid}"


_CHECKS: Final[dict[str, Callable[[Config], str]]] = {
    "root": _root,
    "audit": _audit,
    "rules": _rules,
    "ebpf": _ebpf,
    "redaction": _redaction,
    "identity": _identity,
    "server": _server,
    "space": _space,
    "running": _running,
}
