"""rsigma, the Rust engine, built from crates.io: its command over the events as NDJSON."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from engines.setting import Measured, Task, chosen_rules, made_events

__all__ = ["rsigma"]

_NEVER = """title: Never
id: 00000000-0000-4000-8000-00000000dead
logsource: {category: none}
detection: {s: {NoSuchField: nothing}, condition: s}
"""


def rsigma(task: Task, command: str) -> Measured:
    """What a run costs less what loading the rules costs; decoding is told apart by a run with one idle rule."""
    rules = chosen_rules(task)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for at, rule in enumerate(rules):
            (folder / "rules").mkdir(exist_ok=True)
            shutil.copyfile(rule.path, folder / "rules" / f"{at:05}.yml")
        (folder / "idle").mkdir()
        (folder / "idle" / "never.yml").write_text(_NEVER)
        made = made_events(task)
        (folder / "events").write_text("".join(json.dumps(event) + "\n" for event in made))
        (folder / "nothing").write_text('{"a":1}\n')
        whole_s, hits = _run(command, folder, "rules", "events")
        load_s, _ = _run(command, folder, "rules", "nothing")
        idle_s, _ = _run(command, folder, "idle", "events")
        idle_load_s, _ = _run(command, folder, "idle", "nothing")
    decode_s = idle_s - idle_load_s
    memory_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Measured(len(made), whole_s - load_s - decode_s, hits, load_s, memory_mib=memory_mib, decode_s=decode_s)


def _run(command: str, folder: Path, rules: str, events: str) -> tuple[float, dict[str, int]]:
    """CPU seconds of user and system over all its threads, and hits by rule id."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    arguments = ["--rules", str(folder / rules), "--event", f"@{folder / events}"]
    with (folder / "out").open("wb") as out:
        subprocess.run([command, "engine", "eval", *arguments], stdout=out, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = map(json.loads, (folder / "out").read_text().splitlines())
    hits = Counter(str(line["rule_id"]) for line in lines)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, dict(hits)
