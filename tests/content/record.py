"""Record the cases of the Base rules on this machine's kernel.

    PYTHONPATH=tests python -m content.record --image FOLDER [--lock FILE] [RULE ...]

FOLDER is a Debian made by image.sh. For each rule, activity.yml says what fires it and what nearly does; both are done
for real, and what the kernel's audit says about them becomes RULE.fires.log and RULE.misses.log beside the rule. Needs
root; the kernel's audit is left as it was found.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from content.activity import Activity, activities
from content.capture import capture, holding
from content.sandbox import private_mounts, sandbox

RULES: Final = Path(__file__).parents[2] / "src" / "tocsin" / "content" / "rules" / "base"


def record(name: str, activity: Activity, image: Path, lock: Path | None) -> None:
    """Record the two cases of one rule."""
    for case, script in (("fires", activity.fires), ("misses", activity.misses)):
        with holding(lock), sandbox(image) as box:
            lines = capture(box, script, activity.before, own_pids=activity.own_pids)
        (RULES / f"{name}.{case}.log").write_bytes(b"".join(line + b"\n" for line in lines))
        sys.stdout.write(f"{name}.{case}: {len(lines)} records\n")
        sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Record the rules that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, required=True, help="folder made by image.sh")
    parser.add_argument("--lock", type=Path, help="file to lock while the kernel's audit is used")
    parser.add_argument("rules", nargs="*", help="names of rule files without .yml; all if none is named")
    options = parser.parse_args(arguments)
    known = activities()
    private_mounts()
    for name in options.rules or known:
        record(name, known[name], options.image, options.lock)


if __name__ == "__main__":
    main()
