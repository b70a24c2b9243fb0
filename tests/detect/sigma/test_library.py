"""Rules in folders, what is wrong with them, and their cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_lines import Log
from tocsin.detect.quality.case import run_cases
from tocsin.detect.quality.check import Severity, check
from tocsin.detect.sigma.library import Loader, load, ruleset_folder
from tocsin.detect.sigma.logsource import RAW
from tocsin.model.errors import NotFound

_RULE = """title: Netcat
id: 00000000-0000-4000-8000-00000000000{number}
logsource: {{product: linux, category: process_creation}}
detection:
  nc:
    {field}: /usr/bin/nc
  condition: nc
"""


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_one_bad_rule_does_not_keep_the_others_out(tmp_path: Path) -> None:
    """Also not the ones behind it in the same file; each refusal names its place."""
    good = _RULE.format(number=1, field="Image")
    _write(tmp_path, "a.yml", "title: Broken\n---\n" + good)
    _write(tmp_path, "deep/b.yml", _RULE.format(number=2, field="Image"))
    _write(tmp_path, "c.yml", "{")
    _write(tmp_path, "d.txt", "no rule")
    library = load([tmp_path])
    assert [rule.id[-1] for rule in library.rules] == ["1", "2"]
    assert sorted((Path(error.path).name, error.line) for error in library.refused) == [("a.yml", 1), ("c.yml", 2)]


def test_an_id_is_used_once(tmp_path: Path) -> None:
    """The second rule of the same id is refused, and says which one has it."""
    for name in ("a.yml", "b.yml"):
        _write(tmp_path, name, _RULE.format(number=1, field="Image"))
    library = load([tmp_path])
    assert len(library.rules) == 1
    assert "is also the id of" in library.refused[0].reason
    assert [problem.line for problem in check([tmp_path])] == [2]


def test_what_does_not_exist_is_said(tmp_path: Path) -> None:
    """A path and a ruleset."""
    with pytest.raises(NotFound, match="no such file"):
        load([tmp_path / "nowhere"])
    with pytest.raises(NotFound, match="no ruleset 'nosuch'"):
        ruleset_folder("nosuch")


@pytest.mark.parametrize(
    ("field", "own", "line", "severity", "words"),
    [
        ("Imag", "", 6, Severity.ERROR, "field Imag can never exist .* did you mean Image?"),
        ("Imag", "", 7, Severity.ERROR, "never match"),
        ("file.path", "", 6, Severity.ERROR, "field file.path can never exist"),
        ("Image", "tocsin: {title: '{{file.path}}'}\n", 8, Severity.ERROR, "no attribute file.path"),
        ("Image", "tocsin: {group_by: [nosuch]}\n", 8, Severity.ERROR, "no attribute nosuch"),
        ("Image", "tocsin: {title: '{{Image}}'}\n", 8, Severity.ERROR, "did you mean process.file.path?"),
    ],
)
def test_check_names_line_and_cause(
    tmp_path: Path, field: str, own: str, line: int, severity: Severity, words: str
) -> None:
    """Fields that no event has, rules that cannot match, templates that cannot be filled."""
    path = _write(tmp_path, "a.yml", _RULE.format(number=1, field=field) + own)
    problems = {(problem.path, problem.line, problem.severity): problem.text for problem in check([tmp_path])}
    found = problems[str(path), line, severity]
    assert pytest.RaisesExc(Exception, match=words).matches(Exception(found))


def test_a_good_rule_has_no_problem(tmp_path: Path) -> None:
    """And one without an id has one."""
    good = _RULE.format(number=1, field="Image")
    _write(tmp_path, "a.yml", good)
    assert check([tmp_path]) == []
    _write(tmp_path, "a.yml", "\n".join(line for line in good.splitlines() if not line.startswith("id:")))
    assert [problem.text for problem in check([tmp_path])] == ["the rule has no id"]


@pytest.mark.data
def test_public_rules_whose_field_no_source_fills_are_reported(public_data: Path) -> None:
    """Not dropped: the three rules on host names of connections are named with file and line."""
    problems = check([public_data / "sigma" / "rules" / "linux"])
    assert {problem.severity for problem in problems} == {Severity.WARNING}
    assert {Path(problem.path).name for problem in problems} == {
        "net_connection_lnx_crypto_mining_indicators.yml",
        "net_connection_lnx_domain_localtonet_tunnel.yml",
        "net_connection_lnx_ngrok_tunnel.yml",
    }
    assert all(problem.line > 1 for problem in problems)


def _cases(folder: Path, fires: str, misses: str) -> list[str]:
    path = _write(folder, "nc.yml", _RULE.format(number=1, field="Image"))
    for kind, exe in (("fires", fires), ("misses", misses)):
        log = Log()
        log.launch(exe, [exe])
        _write(folder, f"nc.{kind}.log", "\n".join(line.decode() for line in log.lines))
    (rule,) = load([path]).rules
    return [outcome.problem for outcome in run_cases(rule)]


def test_cases_run_the_real_path(tmp_path: Path) -> None:
    """Raw records beside the rule: it fires on the one and not on the other."""
    assert _cases(tmp_path, "/usr/bin/nc", "/usr/bin/ls") == ["", ""]


def test_cases_that_are_wrong_say_how(tmp_path: Path) -> None:
    """The wrong way round, missing, or unreadable."""
    assert _cases(tmp_path, "/usr/bin/ls", "/usr/bin/nc") == [
        "the rule does not fire on any of 1 events",
        "the rule fires on 1 of 1 events",
    ]
    (tmp_path / "nc.fires.log").unlink()
    _write(tmp_path, "nc.misses.log", "no audit record\n")
    (rule,) = load([tmp_path]).rules
    missing, unreadable = run_cases(rule)
    assert missing.problem == "nc.fires.log is missing"
    assert unreadable.problem.startswith("line 1 cannot be read")


@pytest.mark.data
def test_every_public_rule_loads_or_the_specification_says_why_not(public_data: Path) -> None:
    """All log sources, by their mappings and on fields as they stand; a placeholder needs values that a site gives."""
    for mapping in (None, RAW):
        library = load([public_data / "sigma"], mapping)
        assert len(library.rules) == 3399
        assert {error.reason.partition(";")[0] for error in library.refused} == {
            "placeholder %known_cdcs% has no value"
        }
        assert all(error.line > 1 for error in library.refused)


def test_what_did_not_change_is_not_compiled_again(tmp_path: Path) -> None:
    """The same objects come out of the next load; a changed file gives new ones, a lost file none."""
    paths = [_write(tmp_path, f"{at}.yml", _RULE.format(number=at, field="Image")) for at in (1, 2, 3)]
    loader = Loader()
    before = loader.load([tmp_path]).rules
    _write(tmp_path, "2.yml", _RULE.format(number=2, field="CommandLine"))
    paths[2].unlink()
    after = loader.load([tmp_path]).rules
    assert [rule.id[-1] for rule in after] == ["1", "2"]
    assert after[0] is before[0]
    assert after[1].condition != before[1].condition


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """YAML would keep the last one, and the rule would lose a condition without a word."""
    text = _RULE.format(number=1, field="Image").replace("  nc:\n", "  nc:\n    Image: /bin/sh\n")
    (refused,) = load([_write(tmp_path, "a.yml", text)]).refused
    assert (refused.line, refused.reason[:28]) == (7, "key 'Image' stands twice in ")


def test_check_names_what_joins_nothing(tmp_path: Path) -> None:
    """A filter of a rule that is not there, and a group-by that the rule's events can never have."""
    path = _write(
        tmp_path,
        "a.yml",
        _RULE.format(number=1, field="Image")
        + "---\ntitle: F\nid: f\nlogsource: {product: linux}\n"
        + "filter:\n  rules:\n    - nosuch\n  s: {User: x}\n  condition: not s\n"
        + "---\ntitle: C\nid: c\ncorrelation:\n  type: event_count\n  timespan: 1h\n  condition: {gte: 2}\n"
        + "  rules: [00000000-0000-4000-8000-000000000001]\n  group-by: [User, Nosuch]\n",
    )
    problems = check([path])
    assert {problem.severity for problem in problems} == {Severity.WARNING}
    assert [(problem.line, problem.text.partition(",")[0]) for problem in problems] == [
        (14, "rule 'nosuch'"),
        (18, "field Nosuch"),
    ]


@pytest.mark.parametrize(
    ("condition", "never"),
    [
        ("nc and not nc", True),
        ("not nc and (nc and other)", True),
        ("(nc and not nc) or (other and not other)", True),
        ("not not nc and not nc", True),
        ("(nc or nc) and not nc", False),  # not seen: it is not written the same
        ("(nc and not nc) or other", False),
        ("nc and not other", False),
    ],
)
def test_a_condition_that_contradicts_itself_never_matches(tmp_path: Path, condition: str, *, never: bool) -> None:
    """As far as it can be seen without weighing values."""
    other = "  other:\n    User: root\n"
    text = _RULE.format(number=1, field="Image").replace("  condition: nc\n", f"{other}  condition: {condition}\n")
    path = _write(tmp_path, "a.yml", text)
    found = [(problem.path, problem.line, problem.text) for problem in check([tmp_path])]
    assert found == ([(str(path), 9, "the rule can never match")] if never else [])


@pytest.mark.parametrize(
    ("text", "warned"), [("", True), ("# later\n", True), ("---\n", True), ("vars: {a: b}\n", False)]
)
def test_a_file_without_a_rule_is_pointed_at(tmp_path: Path, text: str, *, warned: bool) -> None:
    """It may have been emptied by mistake."""
    path = _write(tmp_path, "a.yml", text)
    found = [(problem.path, problem.line, problem.severity, problem.text) for problem in check([tmp_path])]
    assert found == ([(str(path), 1, Severity.WARNING, "the file holds no rule")] if warned else [])
