"""Capture the sample intrusion that `tocsin demo` replays, on this machine's kernel.

    PYTHONPATH=tests python -m content.capture_demo --image FOLDER [--lock FILE]

FOLDER is a Debian made by image.sh. Two sandboxes share one network: web-1, which is recorded, and everybody else, who
is not. The scripts are in demo/. Needs root and takes a minute; the kernel's audit is left as it was found.
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

SCRIPTS: Final = Path(__file__).parent / "demo"
INTRUSION: Final = Path(__file__).parents[2] / "src" / "tocsin" / "content" / "demo" / "intrusion.log.gz"


def main(arguments: Sequence[str] | None = None) -> None:
    """Let it happen, and keep what the kernel said."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, required=True, help="folder made by image.sh")
    parser.add_argument("--lock", type=Path, help="file to lock while the kernel's audit is used")
    options = parser.parse_args(arguments)
    prepare, inside, outside = ((SCRIPTS / f"{name}.sh").read_text() for name in ("prepare", "web-1", "outside"))
    private_mounts()
    with holding(options.lock), sandbox(options.image) as web, sandbox(options.image) as others:
        lines = capture(web, inside, prepare, visitor=(others, outside), limit_s=90)
    packed = gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)
    INTRUSION.write_bytes(packed)
    sys.stdout.write(f"{len(lines)} records, {len(packed)} bytes\n")


if __name__ == "__main__":
    main()
