"""The agent's settings, read once from TOML; a key that nobody knows is an error."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, cast, get_args, get_type_hints

from tocsin.agent.audit.rule_set import BASE_RULES, EXIT_RULES
from tocsin.agent.policy.document import Policy
from tocsin.agent.policy.read import read_sections
from tocsin.model.errors import InvalidSetting

__all__ = [
    "DEFAULT_FILE",
    "DEFAULT_STATE_DIR",
    "AuditSettings",
    "BatchSettings",
    "Config",
    "EbpfSettings",
    "FileSettings",
    "InventorySettings",
    "LogSettings",
    "NameSettings",
    "RedactSettings",
    "SpoolSettings",
    "read_config",
]

_Section = TypeVar("_Section")

POLICY_SECTIONS: Final = ("exclude", "events", "limit", "tags")
DEFAULT_FILE: Final = Path("/etc/tocsin/agent.toml")
DEFAULT_STATE_DIR: Final = Path("/var/lib/tocsin-agent")


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What is asked of the kernel's audit."""

    rules: tuple[str, ...] = (str(BASE_RULES),)  # rule files, loaded in this order
    backlog_records: int = 8192  # records the kernel keeps for a slow agent
    backlog_wait_jiffies: int = 60  # how long a process waits, then its record is lost: 0.24 s at 250 Hz
    receive_buffer_bytes: int = 8 << 20
    coalesce_ms: int = 20  # after the first record, wait for more to read them all at once
    coalesce_busy_ms: int = 70  # the same while many come: cheaper, though fewer processes are still there then
    environment: tuple[str, ...] = (  # variables that a program's start is told with
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "GCONV_PATH",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PERL5LIB",
        "PERL5OPT",
        "RUBYOPT",
        "NODE_OPTIONS",
        "JAVA_TOOL_OPTIONS",
        "BASH_ENV",
        "PROMPT_COMMAND",
        "HISTFILE",
    )
    exits: bool = False  # also processes that end

    @property
    def rule_files(self) -> tuple[Path, ...]:
        """All files whose rules are loaded."""
        return (*map(Path, self.rules), *([EXIT_RULES] if self.exits else []))


@dataclass(frozen=True, slots=True)
class EbpfSettings:
    """Programs and connections told by eBPF programs instead of audit rules; where they cannot run, by the audit."""

    enabled: bool = False
    exits: bool = False  # also processes that end, which audit's base rules leave out
    ring_bytes: int = 1 << 20  # records that the kernel keeps for a slow agent; a power of two


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """When events become a batch."""

    max_rows: int = 700
    max_delay_ms: int = 150
    offline_delay_ms: int = 3000  # while the server is away, larger batches


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """The batches on disk that the server does not have yet."""

    max_bytes: int = 256 << 20
    segment_bytes: int = 4 << 20
    sync_ms: int = 1000  # what a power failure may cost; what was shipped before is never written out


@dataclass(frozen=True, slots=True)
class RedactSettings:
    """What is cut out of arguments before they leave the host."""

    defaults: bool = True
    patterns: tuple[str, ...] = ()  # regular expressions; the group "secret" is cut out, or all of the match


@dataclass(frozen=True, slots=True)
class FileSettings:
    """Files whose changes are told with their content's hash, whoever makes them."""

    enabled: bool = True
    # Folders with all that is in them, or single files; {home} stands for the home of root and of each person.
    paths: tuple[str, ...] = (
        "/etc",
        "/boot",
        "/usr/bin",
        "/usr/sbin",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/usr/lib/systemd",
        "/var/spool/cron",
        "{home}/.ssh",
        "{home}/.bashrc",
        "{home}/.bash_profile",
        "{home}/.profile",
        "{home}/.zshrc",
    )
    exclude: tuple[str, ...] = ()  # globs of whole paths; * also stands for /
    settle_ms: int = 200  # what one process does to one file within this time is one change
    hash_max_bytes: int = 64 << 20  # larger files are told without a hash
    hash_bytes_per_s: int = 8 << 20  # beyond it, hashes are left out and made up for later
    max_files: int = 50_000  # files whose state before is remembered
    max_folders: int = 20_000  # folders that are watched; the kernel keeps each in memory


@dataclass(frozen=True, slots=True)
class NameSettings:
    """Names that are asked for, and what is answered."""

    enabled: bool = True
    max_packets_per_s: int = 500  # of port 53; what is beyond it is counted and not looked at


@dataclass(frozen=True, slots=True)
class InventorySettings:
    """What the host has: packages, accounts, listening ports, units, jobs, and the machine itself."""

    enabled: bool = True
    every_hours: int = 24  # whole lists; changes are told when they are seen, within 15 s
    # Where packages of Python, Node and Ruby are looked for.
    language_roots: tuple[str, ...] = ("/usr/lib", "/usr/local", "/usr/share", "/opt", "/srv", "/var/www", "/var/lib")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Text logs and the journal."""

    enabled: bool = True
    # Whose lines a journal has as well: they are followed where none is read.
    syslog_files: tuple[str, ...] = ("/var/log/auth.log", "/var/log/secure", "/var/log/cron", "/var/log/cron.log")
    files: tuple[str, ...] = (
        "/var/log/nginx/*access.log",
        "/var/log/nginx/*error.log",
        "/var/log/apache2/*access.log",
        "/var/log/apache2/*error.log",
        "/var/log/httpd/*access_log",
        "/var/log/httpd/*error_log",
    )
    journal: bool = True  # where there is one
    journal_matches: tuple[str, ...] = ("SYSLOG_FACILITY=4", "SYSLOG_FACILITY=9", "SYSLOG_FACILITY=10")
    max_lines_per_s: int = 1000  # what is beyond it waits in its file
    max_behind_bytes: int = 64 << 20  # of one file; beyond it lines are passed over, and counted
    max_line_bytes: int = 16 << 10
    max_files: int = 100


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of the agent."""

    state_dir: Path = DEFAULT_STATE_DIR
    audit: AuditSettings = field(default_factory=AuditSettings)
    ebpf: EbpfSettings = field(default_factory=EbpfSettings)
    batch: BatchSettings = field(default_factory=BatchSettings)
    spool: SpoolSettings = field(default_factory=SpoolSettings)
    redact: RedactSettings = field(default_factory=RedactSettings)
    files: FileSettings = field(default_factory=FileSettings)
    names: NameSettings = field(default_factory=NameSettings)
    inventory: InventorySettings = field(default_factory=InventorySettings)
    logs: LogSettings = field(default_factory=LogSettings)
    policy: Policy = field(default_factory=Policy)  # sections of its own: exclude, events, limit, tags


def read_config(path: Path, state_dir: Path | None = None) -> Config:
    """Read the settings; a file that does not exist means the defaults, `state_dir` overrides the file's.

    Raises:
        InvalidSetting: names the file and the key.
    """
    text = ""
    try:
        text = path.read_text()
        values = tomllib.loads(text)
    except FileNotFoundError:
        values = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSetting(f"{path}: {error}") from error
    if state_dir is not None:
        values["state_dir"] = str(state_dir)
    said: dict[str, Any] = {name: values.pop(name) for name in POLICY_SECTIONS if name in values}
    config = _section(Config, values, f"{path}: ")
    return replace(config, policy=read_sections(said, text, str(path)))


def _section(kind: type[_Section], values: dict[str, Any], where: str) -> _Section:
    types = get_type_hints(kind)
    known = {setting.name for setting in fields(cast(Any, kind))} - {"policy"}
    for key in values:
        if key not in known:
            all_known = known.union(POLICY_SECTIONS if kind is Config else ())
            raise InvalidSetting(f"{where}{key} is not a setting; known are {', '.join(sorted(all_known))}")
    return kind(**{key: _value(types[key], value, f"{where}{key}") for key, value in values.items()})


def _value(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401 - any setting's type and value
    if is_dataclass(kind):
        if isinstance(value, dict):
            return _section(cast(type[Any], kind), value, f"{where}.")
    elif kind is Path:
        if isinstance(value, str):
            return Path(value)
    elif get_args(kind):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif type(value) is kind and not (kind is int and value < 0):
        return value
    raise InvalidSetting(f"{where} cannot be {value!r}; it is {_described(kind)}")


def _described(kind: Any) -> str:  # noqa: ANN401 - any setting's type
    if is_dataclass(kind):
        return "a section"
    names = {int: "a number from 0", bool: "true or false", str: "a text", Path: "a path"}
    return names.get(kind, "a list of texts")
