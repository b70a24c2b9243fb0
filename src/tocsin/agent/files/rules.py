"""The audit rules that name who changes what is watched, for the paths that no other rule covers yet."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Final

from tocsin.agent.audit.rule_set import expand
from tocsin.agent.audit.rules import Rule, compile_rules

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["rules_for"]

# Every call that changes a file or a name. Never a bare watch: without this list each system call would walk the rule.
CALLS: Final = (
    "open,creat,openat,openat2,open_by_handle_at,truncate,truncate64,rename,renameat,renameat2,link,linkat,symlink,"
    "symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,mknod,mknodat,chmod,fchmod,fchmodat,fchmodat2,chown,lchown,fchown,"
    "fchownat,chown32,lchown32,fchown32,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr"
)
KEY: Final = "files"
_PLACE: Final = re.compile(r"-F (dir|path)=(\S+)")
_CHANGES: Final = re.compile(r"-F perm=(?=\S*w)(?=\S*a)")


def rules_for(paths: Iterable[str], others: Iterable[Rule]) -> tuple[Rule, ...]:
    """One rule per path and word size, but none for what `others` cover: one event of audit per change is enough."""
    covered = [found.groups() for rule in others if _CHANGES.search(rule.text) for found in _PLACE.finditer(rule.text)]
    lines = [_line(path) for path in paths if not any(_covers(kind, place, path) for kind, place in covered)]
    return compile_rules(expand("\n".join(lines), ()), "files.paths").rules


def _covers(kind: str, place: str, path: str) -> bool:
    return path == place or (kind == "dir" and path.startswith(f"{place}/"))


def _line(path: str) -> str:
    # What is not there yet is watched as a name, until it is.
    kind = "dir" if os.path.isdir(path) else "path"  # noqa: PTH112 - paths are texts here
    return f"-a always,exit -F arch={{arch}} -F perm=wa -F {shlex.quote(f'{kind}={path}')} -S {CALLS} -k {KEY}"
