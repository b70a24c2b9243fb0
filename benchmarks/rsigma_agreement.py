"""Does Tocsin find what rsigma finds? Every public rule, on events made for it and events that nearly match it.

rsigma is an engine that nobody here wrote (Rust, crates.io). Both get the same rule files and the same NDJSON, fields
as they stand; beside the public rules, one for each thing that Sigma can say. Every difference must be one that the
specification, or docs/sigma.md, explains: the explanations are predicates, so that a new kind of difference fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))

from event_frames import frames_of  # noqa: E402 - it lies among the tests
from rsigma_reasons import UNEXPLAINED, reason_for  # noqa: E402
from rule_events import Draft, satisfy  # noqa: E402
from tocsin.detect.evaluate.engine import Engine  # noqa: E402
from tocsin.detect.sigma.library import load, rule_files  # noqa: E402
from tocsin.detect.sigma.logsource import RAW  # noqa: E402
from tocsin.model.event import Event, Json  # noqa: E402
from tocsin.model.rule import Rule  # noqa: E402

DATA = Path(os.environ.get("TOCSIN_TEST_DATA", ROOT.parent / "shared" / "data"))
MODIFIERS = Path(__file__).with_name("modifiers.yml")
MODIFIER_EVENTS = 25  # times as many as for a public rule
NUMBER = "_n"  # each event carries its number, so that rsigma's matches can be told apart
LONGEST_NUMBER = 18  # digits that 64 bits hold
Found = set[tuple[str, int]]  # id of a rule, number of an event
Original = dict[str, Json]


def main() -> int:
    """Compare, and print the differences by reason; 1 if one has none."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--per-rule", type=int, default=4, help="events made for each rule")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--rules", type=Path, nargs="+", default=[DATA / "sigma", MODIFIERS])
    arguments.add_argument("--show", type=int, default=0, help="so many differences of each reason in full")
    given = arguments.parse_args()
    command = rsigma()
    rules = {rule.id: rule for rule in load(given.rules, RAW).rules}
    chance = random.Random(given.seed)  # noqa: S311 - reproducible events, no secrets
    made = list(originals(rules.values(), chance, given.per_rule))
    ours, theirs = tocsin_finds(list(rules.values()), made), rsigma_finds(command, given.rules, made)
    theirs = {(rule, number) for rule, number in theirs if rule in rules}
    both, only_ours, only_theirs = ours & theirs, len(ours - theirs), len(theirs - ours)
    print(f"{len(rules)} rules, {len(made)} events, {version(command)}: both find {len(both)} matches of")
    print(f"{len({rule for rule, _ in both})} rules, only Tocsin {only_ours}, only rsigma {only_theirs}.\n")
    return report(rules, made, ours, theirs, given.show)


def report(rules: dict[str, Rule], made: list[Original], ours: Found, theirs: Found, show: int) -> int:
    """Print what only one of them finds, by reason; 1 if there is none for some of it."""
    differences: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for rule, number in sorted(ours ^ theirs):
        only_ours = (rule, number) in ours
        reason = reason_for(rules[rule], made[number], only_ours=only_ours)
        differences[reason, "Tocsin" if only_ours else "rsigma"].append((rule, number))
    print("| Reason | Found by | Matches | Rules |\n|---|---|---|---|")
    for (reason, finder), pairs in sorted(differences.items()):
        print(f"| {reason} | {finder} only | {len(pairs)} | {len({rule for rule, _ in pairs})} |")
        for rule, number in pairs[:show]:
            print(f"    {rules[rule].title}: {json.dumps(made[number], ensure_ascii=False)[:700]}")
    return 1 if any(reason == UNEXPLAINED for reason, _ in differences) else 0


def version(command: str) -> str:
    """What it says that it is."""
    return subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def rsigma() -> str:
    """The command: on the path, where RSIGMA says, or built with cargo."""
    found = os.environ.get("RSIGMA") or shutil.which("rsigma")
    if found:
        return found
    home = ROOT / ".rsigma"
    if not (home / "bin" / "rsigma").exists():
        if shutil.which("cargo") is None:
            sys.exit("neither rsigma nor cargo is on the path: install one, or set RSIGMA")
        subprocess.run(["cargo", "install", "--quiet", "--root", str(home), "rsigma"], check=True)
    return str(home / "bin" / "rsigma")


def originals(rules: Iterable[Rule], chance: random.Random, per_rule: int) -> Iterator[Original]:
    """Events that match each rule, and others that differ from such in one thing."""
    for rule in rules:
        for at in range(per_rule * (MODIFIER_EVENTS if rule.path == str(MODIFIERS) else 1)):
            draft = Draft()
            satisfy(rule.condition, chance.randrange, draft)
            source = draft.source()
            # Keywords were written where our own events keep their message.
            if text := draft.attributes.get("message"):
                source["message"] = text
            yield mutated(source, chance) if at else source


def mutated(source: Original, chance: random.Random) -> Original:
    """The same with one value changed, somewhere in it."""
    made: Original = dict(source)
    if not made:
        return made
    key = chance.choice(sorted(made))
    value = made[key]
    if isinstance(value, dict):
        made[key] = mutated(value, chance)
        return made
    text = str(value)
    changed: list[Json] = [
        text.upper(),
        text.swapcase(),
        text + "x",
        "x" + text,
        text[1:],
        text.replace(" ", "  "),
        text.replace("s", "\u017f").replace("k", "\u212a"),
        text.replace("\\", "/"),
        f"line\n{text}",
        "",
        None,
        ["other", text],
        [text],
        [],
        {"inner": text},
        int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST_NUMBER else 7,
        text == "true",
        f"{text}.0",
    ]
    made[key] = chance.choice(changed)
    return made


def event(source: Original, number: int) -> Event:
    """As our engine sees it."""
    return Event(0, {"time": number, "unmapped.source": json.dumps({**source, NUMBER: number}, ensure_ascii=False)})


def tocsin_finds(rules: list[Rule], made: list[Original]) -> Found:
    """By the masks, in batches."""
    engine = Engine(rules)
    found: Found = set()
    for start in range(0, len(made), 2048):
        batch = [event(source, start + at) for at, source in enumerate(made[start : start + 2048])]
        for frame in frames_of(batch).values():
            times = frame.table.column("time").to_pylist()
            found |= {(rule.id, times[row]) for rule, rows in engine.matches(frame) for row in rows}
    return found


def rsigma_finds(command: str, rules: list[Path], made: list[Original]) -> Found:
    """By its command."""
    with tempfile.TemporaryDirectory() as folder:
        together = Path(folder) / "rules"
        together.mkdir()
        for at, path in enumerate(rule_files(rules)):
            shutil.copyfile(path, together / f"{at:05}.yml")
        events = Path(folder) / "events.ndjson"
        lines = (json.dumps({**source, NUMBER: at}, ensure_ascii=False) for at, source in enumerate(made))
        events.write_text("".join(line + "\n" for line in lines))
        done = subprocess.run(
            [command, "engine", "eval", "--rules", str(together), "--event", f"@{events}", "--include-event",
             "--input-format", "json", "--no-stats"],
            capture_output=True, check=False,
        )  # fmt: skip
    if not done.stdout:
        sys.exit(f"rsigma found nothing: {done.stderr.decode()[-2000:]}")
    matches = [json.loads(line) for line in done.stdout.splitlines()]
    return {(match["rule_id"], match["event"][NUMBER]) for match in matches}


if __name__ == "__main__":
    sys.exit(main())
