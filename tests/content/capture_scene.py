"""Capture a scene on this machine's kernel: the intrusion that `tocsin demo` replays, or an ordinary working minute.

    PYTHONPATH=tests python -m content.capture_scene intrusion|quiet --image FOLDER [--lock FILE]

FOLDER is a Debian made by image.sh. Two sandboxes share one network: web-1, which is recorded, and everybody else, who
is not. What they do is in scenes/. Needs root and takes a minute; the kernel's audit is left as it was found.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from content.capture import capture, holding
from content.sandbox import private_mounts, sandbox

HERE: Final = Path(__file__).parent
SCENES: Final = HERE / "scenes"
RECORDINGS: Final = {
    "intrusion": HERE.parents[1] / "src" / "tocsin" / "content" / "demo" / "intrusion.log.gz",
    "quiet": HERE / "quiet.log.gz",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Let it happen, and keep what the kernel said."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", choices=RECORDINGS)
    parser.add_argument("--image", type=Path, required=True, help="folder made by image.sh")
    parser.add_argument("--lock", type=Path, help="file to lock while the kernel's audit is used")
    options = parser.parse_args(arguments)
    private_mounts()
    with holding(options.lock):
        lines = _scene(options.scene, options.image)
    packed = gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)
    RECORDINGS[options.scene].write_bytes(packed)
    sys.stdout.write(f"{len(lines)} records, {len(packed)} bytes\n")


def _scene(name: str, image: Path) -> list[bytes]:
    before, inside = (SCENES / "prepare.sh").read_text(), (SCENES / f"{name}.sh").read_text()
    outside = SCENES / f"{name}-outside.sh"
    with sandbox(image) as web, sandbox(image) as others:
        visitor = (others, outside.read_text()) if outside.exists() else None
        return capture(web, inside, before, visitor=visitor, limit_s=90)


if __name__ == "__main__":
    main()
