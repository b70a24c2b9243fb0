"""Fuzz the parsers, guided by coverage: `python tests/fuzzing.py [TARGET ...] [--runs N] [--keep]`.

Targets are in fuzz_targets.py. What covers something new is kept in `tests/golden/fuzz/TARGET.txt`, one input in Base64
a line, from which the next run sets out; `--keep` writes it anew, minimised. An input that breaks a target is printed.
The same seed and number of runs take the same way. Exit code 1 if a target broke.
"""

from __future__ import annotations

import argparse
import base64
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

CORPORA = Path(__file__).parent / "golden" / "fuzz"
LONGEST_INPUT = 1024
SLOWEST_S = 10

with atheris.instrument_imports(include=["tocsin.normalize", "tocsin.model", "tocsin.agent"]):
    from fuzz_targets import TARGETS


def corpus(target: str) -> list[bytes]:
    """The inputs that are kept for a target; what it begins with, if none are."""
    kept = CORPORA / f"{target}.txt"
    if kept.exists():
        return [base64.b64decode(line) for line in kept.read_text().splitlines()]
    return list(TARGETS[target][1]())


def fuzz(target: str, options: list[str]) -> None:
    """Hand over to libFuzzer, which ends the process; to merge, it calls what it takes for itself through a shell."""
    itself = shlex.join([sys.executable, __file__, "--as-child", target])
    atheris.Setup([itself, *options], TARGETS[target][0])
    atheris.Fuzz()


def run(target: str, runs: int, seed: int, *, keep: bool) -> bool:
    """Fuzz one target in a process of its own; whether it held."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "corpus"
        unpack(inputs, corpus(target))
        broken = f"-artifact_prefix={folder}/broken-"
        limits = [f"-max_len={LONGEST_INPUT}", f"-timeout={SLOWEST_S}", "-verbosity=0", "-print_final_stats=1"]
        done = child(target, [str(inputs), f"-runs={runs}", f"-seed={seed}", broken, *limits])
        last = [line for line in done.stderr.splitlines() if line.startswith(("stat::", "Done"))]
        print(f"{target}: {'held' if done.returncode == 0 else 'BROKE'}; {'; '.join(last)}", flush=True)
        if done.returncode:
            print(done.stdout + done.stderr, file=sys.stderr)
            for found in Path(folder).glob("broken-*"):
                print(f"broken by {found.read_bytes()!r}", file=sys.stderr)
        elif keep:
            minimised = Path(folder) / "minimised"
            minimised.mkdir()
            child(target, ["-merge=1", str(minimised), str(inputs)])
            pack(target, minimised)
        return done.returncode == 0


def child(target: str, options: list[str]) -> subprocess.CompletedProcess[str]:
    """This program again, as libFuzzer wants it: one target, its own options."""
    command = [sys.executable, __file__, "--as-child", target, *options]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def unpack(folder: Path, inputs: list[bytes]) -> None:
    """One file per input."""
    folder.mkdir()
    for number, content in enumerate(inputs):
        (folder / str(number)).write_bytes(content[:LONGEST_INPUT])


def pack(target: str, folder: Path) -> None:
    """All inputs of a folder as the target's corpus, in an order that does not change."""
    CORPORA.mkdir(exist_ok=True)
    inputs = sorted(path.read_bytes() for path in folder.iterdir())
    (CORPORA / f"{target}.txt").write_text("".join(f"{base64.b64encode(one).decode()}\n" for one in inputs))


def main() -> int:
    """Fuzz the targets that are named, or all, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all if none is named")
    parser.add_argument("--runs", type=int, default=100_000, help="executions per target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="write the corpus anew")
    options = parser.parse_args()
    held = [run(target, options.runs, options.seed, keep=options.keep) for target in options.targets or TARGETS]
    return 0 if all(held) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-child"]:
        fuzz(sys.argv[2], sys.argv[3:])
    sys.exit(main())
