"""Exclusions as rules of the kernel's audit, where these leave out exactly what the policy does.

That is so for connections: no protected event is one, and executable and user are known to the kernel when the call
ends. A program's launch is protected if it has a terminal, which the kernel cannot ask; a file's opening, if it is for
writing; networks it cannot ask for at all. Those are left out by the agent. What the kernel leaves out nobody counts.
"""

from __future__ import annotations

import itertools
import platform
from typing import TYPE_CHECKING, Final

from tocsin.agent.audit.rule_fields import BITS
from tocsin.agent.audit.rules import Rule, compile_line
from tocsin.agent.policy.document import Handling
from tocsin.agent.policy.protected import NETWORK
from tocsin.model.errors import InvalidRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tocsin.agent.policy.document import Exclusion, Policy

__all__ = ["KEY", "MOST_RULES", "kernel_rules"]

KEY: Final = "tocsin-policy"  # by which the agent knows its own doing when the kernel tells of it
MOST_RULES: Final = 64  # every such system call walks them; what is beyond is left out by the agent
# Not `socket` or `socketcall`, by which packet sockets are opened too.
_CALLS: Final = "connect,bind,accept,accept4"


def kernel_rules(policy: Policy, uid_of: Callable[[str], str | None], machine: str | None = None) -> list[Rule]:
    """Rules that keep the kernel from recording connections that the policy excludes, of whatever activity."""
    exclusions = policy.exclude + policy.events.get((NETWORK, None), Handling()).exclude
    machine = machine or platform.machine()
    lines = (line for each in exclusions for line in _lines(each, uid_of, machine))
    compiled = (_compiled(line, machine) for line in itertools.islice(lines, MOST_RULES))
    return [rule for rule in compiled if rule is not None]


def _lines(exclusion: Exclusion, uid_of: Callable[[str], str | None], machine: str) -> Iterator[str]:
    if exclusion.path or exclusion.cidr:
        return
    exes = [f' -F "exe={exe}"' for exe in exclusion.exe if "*" not in exe and '"' not in exe]
    uids = [uid for user in exclusion.user if (uid := user if user.isdecimal() else uid_of(user)) is not None]
    for arch in BITS.get(machine, {"b64": ""}):
        for exe, user in itertools.product(
            exes if exclusion.exe else [""], [f" -F uid={uid}" for uid in uids] if exclusion.user else [""]
        ):
            yield f"-A never,exit -F arch={arch} -S {_CALLS}{exe}{user} -k {KEY}"


def _compiled(line: str, machine: str) -> Rule | None:
    try:
        entry = compile_line(line, machine)
    except InvalidRule:  # a character that no rule can hold: the agent leaves the events out
        return None
    return entry if isinstance(entry, Rule) else None
