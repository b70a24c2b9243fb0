"""Cut secrets out of arguments before they leave the host.

The text around a secret stays, so that rules on the rest of a command line still match. A secret found in one place of
an event is cut out of every text of its: the joined command line, single arguments, the ancestors' command lines.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

from tocsin.model.errors import InvalidSetting
from tocsin.normalize.auditd.record import AuditRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin.model.event import Event

__all__ = ["DEFAULT_PATTERNS", "REDACTED", "Redactor"]

REDACTED: Final = "[redacted]"
CACHED_TEXTS: Final = 2048
LONGEST_CACHED: Final = 1024

_WORDS = r"(?:pass(?:word|wd|phrase|wort)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)s?"
_FOLDER = r"/(?:etc|home|root|usr|var|opt|tmp|run|srv|mnt|proc|dev)/"
DEFAULT_PATTERNS: Final = (
    # --password=x, PGPASSWORD=x, ?token=x; not passwd:/etc/passwd, nor PWD=/home/x
    rf"(?i)(?<!/etc/){_WORDS}(?:=|:\s*)(?!{_FOLDER})(?P<secret>[^\s&;'\"|]+)",
    # --api-key x, but not: passwd root
    rf"(?i)\s--?[\w-]*{_WORDS}\s+(?P<secret>[^\s-]\S*)",
    r"\b(?:mysql\w*|mariadb[\w-]*)\s(?:.*?\s)?-p(?P<secret>\S+)",
    r"\b(?:sshpass|ldap\w+|rclone)\s(?:.*?\s)?-[pw]\s*(?P<secret>[^\s-]\S*)",
    # scheme://user:secret@host
    r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@]*:(?P<secret>[^\s/@]+)@",
    # curl -u user:secret
    r"\s(?:-u|--user|--proxy-user)[=\s]?\s*[^\s:]+:(?P<secret>\S+)",
    r"(?i)authorization:\s*(?:(?:basic|bearer|token|digest|negotiate)\s+)?(?P<secret>[^\s'\"]+)",
    # Keys and tokens that show by themselves what they are: AWS, GitHub, GitLab, Slack, Stripe, JSON web tokens, PEM.
    r"(?P<secret>\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)",
    r"(?P<secret>\b(?:gh[pousr]_[A-Za-z0-9]{36,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}|sk_live_[A-Za-z0-9]{16,}))",
    r"(?P<secret>\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<secret>[^-]+)",
)
# Of these each of the default patterns needs one: most command lines have none, and are done. Plain words, tried one
# after another, are found ten times faster than by one pattern of all.
_HINTS: Final = (
    *(
        "pass",
        "pwd",
        "secret",
        "token",
        "key",
        "credential",
        "mysql",
        "mariadb",
        "ldap",
        "rclone",
        "://",
        "-u",
        "--user",
    ),
    *("proxy-user", "authorization", "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "glpat", "xox", "sk_live"),
    "eyj",
)

# Command lines of other processes come from the process table, which keeps none uncleaned.
_COMMAND_PATHS: Final = (
    "process.cmd_line",
    "actor.process.cmd_line",  # of the event's own PROCTITLE
    "job.cmd_line",
    "message",
    "raw_data",
    "unmapped.source",
    "http_request.url.url_string",
    "http_request.url.query_string",
)
# Which fields of which records hold what a person typed.
_RECORD_FIELDS: Final = {"PROCTITLE": ("proctitle",), "USER_CMD": ("cmd",), "USER_TTY": ("data",), "TTY": ("data",)}
_TYPED: Final = frozenset({"EXECVE", *_RECORD_FIELDS})


class Redactor:
    """Redacts events in place by patterns; `count` says how many secrets were cut out."""

    def __init__(self, extra_patterns: Iterable[str] = (), *, defaults: bool = True) -> None:
        self.count = 0
        self._defaults = tuple(map(re.compile, DEFAULT_PATTERNS if defaults else ()))
        self._own = tuple(map(_compile, extra_patterns))
        self.use(())

    def use(self, patterns: Iterable[str]) -> None:
        """Cut out what these patterns find, too, in the place of those that were given here before."""
        self._extra = self._own + tuple(map(_compile, patterns))
        self._cached = functools.lru_cache(CACHED_TEXTS)(self._search)

    def redact(self, event: Event) -> None:
        """Replace every secret in the event's command lines and records."""
        secrets: tuple[str, ...] = ()
        for text in _texts(event):
            secrets += self.secrets(text)
        if secrets:
            self.count += len(set(secrets))
            # The longest first: one secret may be part of another.
            _replace(event, sorted(set(secrets), key=len, reverse=True))

    def clean(self, text: str) -> str:
        """The text without its secrets."""
        secrets = self.secrets(text)
        return _without(text, sorted(secrets, key=len, reverse=True)) if secrets else text

    def secrets(self, text: str) -> tuple[str, ...]:
        """The secrets in a text."""
        return self._cached(text) if len(text) <= LONGEST_CACHED else self._search(text)

    def _search(self, text: str) -> tuple[str, ...]:
        patterns = self._extra
        if self._defaults and _may_hold_secret(text.lower()):
            patterns += self._defaults
        found = (match for pattern in patterns for match in pattern.finditer(text))
        return tuple({_secret(match) for match in found} - {"", REDACTED})


def _may_hold_secret(lowered: str) -> bool:
    for hint in _HINTS:  # noqa: SIM110 - any() with a generator takes twice as long
        if hint in lowered:
            return True
    return False


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InvalidSetting(f"redact.patterns: {pattern!r} is not a regular expression: {error}") from error


def _secret(match: re.Match[str]) -> str:
    return match["secret"] or "" if "secret" in match.re.groupindex else match[0]


def _texts(event: Event) -> list[str]:
    values = event.values
    has_command = not values.keys().isdisjoint(_COMMAND_PATHS)
    texts = [str(values[path]) for path in _COMMAND_PATHS if path in values] if has_command else []
    for record in event.records:
        kind = record.type
        if kind not in _TYPED:
            continue
        if kind != "EXECVE":
            names = _RECORD_FIELDS[kind]
            texts += [value for key, value in zip(record.keys, record.values, strict=True) if key in names]
        elif not texts:  # otherwise its arguments, joined, are the command line
            texts.append(" ".join(record.values[1:]))
    return texts


def _replace(event: Event, secrets: list[str]) -> None:
    for path in _COMMAND_PATHS:
        value = event.values.get(path)
        if isinstance(value, str):
            event.values[path] = _without(value, secrets)
    for record in event.records:
        if isinstance(record, AuditRecord):
            _replace_in_record(record, secrets)


def _replace_in_record(record: AuditRecord, secrets: list[str]) -> None:
    names = _RECORD_FIELDS.get(record.type, ())
    for at, key in enumerate(record.keys):
        if key in names or (record.type == "EXECVE" and key != "argc"):
            record.values[at] = _without(record.values[at], secrets)


def _without(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text
