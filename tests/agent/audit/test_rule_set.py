"""Rule files are filled in for the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.agent.audit.rule_fields import FILTERS
from tocsin.agent.audit.rule_set import BASE_RULES, MAX_HOMES, expand, login_homes, read_rules
from tocsin.agent.audit.rules import EVERY_SYSCALL, compile_rules
from tocsin.model.errors import InvalidSetting


def test_words_become_one_rule_for_each_value() -> None:
    """A line with two words becomes every combination; comments stay as they are."""
    text = "# {arch} and {home}\n-a always,exit -F arch={arch} -F dir={home}/.ssh -S open\n-b 1"
    assert expand(text, ["/root", "/home/a"], "x86_64").splitlines() == [
        "# {arch} and {home}",
        "-a always,exit -F arch=b64 -F dir=/root/.ssh -S open",
        "-a always,exit -F arch=b64 -F dir=/home/a/.ssh -S open",
        "-a always,exit -F arch=b32 -F dir=/root/.ssh -S open",
        "-a always,exit -F arch=b32 -F dir=/home/a/.ssh -S open",
        "-b 1",
    ]


def test_homes_are_those_of_people_who_can_log_in(tmp_path: Path) -> None:
    """Service accounts and broken lines are left out, and a host full of people is cut at a limit."""
    passwd = tmp_path / "passwd"
    people = [f"p{i}:x:{2000 + i}:1::/home/p{i}:/bin/bash" for i in range(MAX_HOMES + 5)]
    others = [
        "root:x:0:0::/root/:/bin/sh",
        "www-data:x:33:33::/var/www:/usr/sbin/nologin",
        "broken:x",
        "d:x:7:7::/d:/bin/sh",
    ]
    passwd.write_text("\n".join([*people, *others]))
    homes = login_homes(passwd)
    assert homes[:2] == ["/root", "/home/p0"]
    assert len(homes) == MAX_HOMES


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_our_own_rules_are_valid_and_never_catch_every_system_call(machine: str) -> None:
    """No rule of ours on system calls is without a list of them: that is what makes every getppid slower."""
    text = expand(BASE_RULES.read_text(), ["/root"], machine)
    rules = compile_rules(text, "base.rules", machine)
    exit_rules = [rule for rule in rules.rules if rule.list_flags == FILTERS["exit"]]
    assert len(exit_rules) > 20
    assert [rule.text for rule in exit_rules if rule.mask == EVERY_SYSCALL] == []
    assert [str(error) for error in rules.invalid if "has none of the system calls" not in str(error)] == []


def test_a_missing_rule_file_is_a_wrong_setting(tmp_path: Path) -> None:
    """The setting's error names the file."""
    with pytest.raises(InvalidSetting, match=r"absent\.rules cannot be read: No such file"):
        read_rules([tmp_path / "absent.rules"], [])
