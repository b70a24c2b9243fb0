"""A million indicators against none: the detector's CPU time on the same events, memory, and how long loading takes.

The events are those of a fleet's hosts: half are launches, a third connections, a tenth name look-ups, the rest file
changes. Addresses and names are either as they come (40 % never seen before) or, as the worst case, all fresh. Judging
is what the detector does with a batch of 4,096 events: gather its columns, run the rules, match the indicators.

    python benchmarks/intel.py [--events 200000] [--indicators 1000000] [--rules FOLDER...]
"""

from __future__ import annotations

import argparse
import gc
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fleet import SEED, activity
from report import table
from tocsin.columnar.frame import Batch, frames
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.sigma.library import load, ruleset_folder
from tocsin.intel.index import Feed, FeedIndex
from tocsin.intel.indicator import Indicator, Kind
from tocsin.intel.match import Matcher
from tocsin.intel.table import blocks, gather, table_of
from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.model.wire import BatchHeader, encode_sections, expand
from tocsin.ports import LogEntry

Seconds = npt.NDArray[np.float64]

ROWS = 4_096
ROUNDS = 4
GOAL_PERCENT = 10.0
SEEN_BEFORE = 2_000
LISTED_ONE_IN = 20_000
START = 1_767_225_600_000


def indicators(count: int) -> Iterator[Indicator]:
    """Half addresses and a few hundred networks, a third domain names, the rest URLs and hashes."""
    rng = random.Random(SEED)  # noqa: S311 -- a pinned load
    for number in range(count):
        draw = rng.random()
        if number % 2_000 == 0:
            length = rng.choice((16, 20, 22, 24, 28))
            # Beside the addresses of the events: hits of random networks would be measured instead of looking.
            yield Indicator(Kind.CIDR, f"{rng.randrange(100, 126)}.{rng.randrange(256)}.0.0/{length}")
        elif draw < 0.5:
            yield Indicator(Kind.IP, _public(rng))
        elif draw < 0.83:
            yield Indicator(Kind.DOMAIN, _name(rng))
        elif draw < 0.9:
            yield Indicator(Kind.URL, f"http://{_name(rng)}/{rng.getrandbits(32):x}")
        else:
            yield Indicator(Kind.SHA256, f"{rng.getrandbits(256):064x}")


def _public(rng: random.Random) -> str:
    return f"{rng.randrange(11, 99)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}"


def _name(rng: random.Random) -> str:
    return f"{rng.getrandbits(36):x}.{rng.choice(('cdn', 'api', 'x1'))}{rng.randrange(10_000)}.example"


def batches(count: int, fresh: float, listed: Sequence[Indicator]) -> list[Batch]:
    """Batches of a host's events with addresses and names of the internet in them."""
    rng = random.Random(SEED + 1)  # noqa: S311 -- as above
    pools = [_public(rng) for _ in range(SEEN_BEFORE)], [_name(rng) for _ in range(SEEN_BEFORE)]
    made = []
    for sequence, start in enumerate(range(0, count, ROWS)):
        of_hosts = activity(rng, min(ROWS, count - start), START + sequence * 250)
        made.append(_batch([_outward(event, rng, pools, fresh, listed) for event in of_hosts], sequence))
    return made


def _outward(
    event: Event, rng: random.Random, pools: tuple[list[str], list[str]], fresh: float, listed: Sequence[Indicator]
) -> Event:
    """The event with an address of the internet; some file changes become look-ups of names."""
    new = rng.random() < fresh
    if event.class_uid == 4001:
        known = rng.choice(listed).value if rng.random() * LISTED_ONE_IN < 1 else ""
        event.values["dst_endpoint.ip"] = known or (_public(rng) if new else rng.choice(pools[0]))
    elif event.class_uid == 1001 and rng.random() < 0.6:
        name = _name(rng) if new else rng.choice(pools[1])
        return Event(4003, {"time": event.values["time"], "activity_id": 1, "query.hostname": name})
    return event


def _batch(events: list[Event], sequence: int) -> Batch:
    header = BatchHeader(1, "default", "host-1", "boot", 1, sequence, b"", 0, 1, len(events), {}, 0, b"")
    sections = encode_sections(events)
    for section in sections:
        expand(section)
    return LogEntry(0, sequence, "default", "host-1", 1, sequence, START, b""), header, sections


def judging(rules: Sequence[Rule], feeds: Sequence[FeedIndex], given: Sequence[Batch]) -> tuple[Seconds, int]:
    """CPU seconds that each batch takes, and how many findings indicators gave.

    Rules and feeds are as after a start, and the first tenth of the batches is not counted.
    """
    engine, matcher = Engine(rules), Matcher(feeds)
    gc.collect()
    found, taken = 0, []
    for batch in given:
        started = time.process_time()
        by_class = frames([batch])
        engine.findings(by_class)
        found += len(matcher.findings(by_class))
        taken.append(time.process_time() - started)
    return np.array(taken[len(given) // 10 :]), found


def compared(
    rules: Sequence[Rule], feeds: Sequence[FeedIndex], given: Sequence[Batch]
) -> tuple[float, float, int, int]:
    """CPU seconds without and with indicators, of each batch the least of several rounds; the events; the findings."""
    without, with_, found = [], [], 0
    for _ in range(ROUNDS):
        without.append(judging(rules, (), given)[0])
        taken, found = judging(rules, feeds, given)
        with_.append(taken)
    events = sum(header.rows for _, header, _ in given[len(given) // 10 :])
    return float(np.min(without, axis=0).sum()), float(np.min(with_, axis=0).sum()), events, found


def loading(packed: Path) -> str:
    """CPU seconds and memory of loading the blocks, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--load", str(packed)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _load(packed: Path) -> None:
    """In the other process: what was there before is not counted."""
    parts = _unpacked(packed)
    _matcher(parts[:1])
    gc.collect()
    before, started = _resident_mb(), time.process_time()
    matcher = _matcher(parts)
    took_s = time.process_time() - started
    parts.clear()
    gc.collect()
    pa.default_memory_pool().release_unused()
    print(f"{took_s:.2f} | {matcher.size_bytes / 1e6:.0f} | {_resident_mb() - before:.0f}")


def _matcher(parts: Sequence[bytes]) -> Matcher:
    return Matcher([FeedIndex(Feed("", "listed", "high", START), table_of(parts))])


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def _packed(parts: Sequence[bytes], path: Path) -> None:
    path.write_bytes(b"".join(len(part).to_bytes(8, "big") + part for part in parts))


def _unpacked(path: Path) -> list[bytes]:
    content, parts, at = path.read_bytes(), [], 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 8], "big")
        parts.append(content[at + 8 : at + 8 + size])
        at += 8 + size
    return parts


def main() -> int:
    """Print the tables; 1 if indicators cost more than the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--indicators", type=int, default=1_000_000)
    parser.add_argument("--rules", type=Path, nargs="*", default=[])
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.load:
        _load(chosen.load)
        return 0
    rules = load([ruleset_folder("base"), *chosen.rules]).rules
    rows = gather(indicators(chosen.indicators), START // 1000).rows
    parts = list(blocks(rows))
    matcher = _matcher(parts)
    listed = [Indicator(Kind.IP, value) for value in _some_addresses(rows)]
    measured, dearest = [], 0.0
    for what, fresh in (("40 % fresh", 0.4), ("all fresh", 1.0)):
        without, with_, events, found = compared(rules, matcher.feeds, batches(chosen.events, fresh, listed))
        percent = 100 * (with_ / without - 1)
        dearest = max(dearest, percent)
        speed = (f"{events / without:,.0f}", f"{events / with_:,.0f}", f"{percent:+.1f} %")
        measured.append([what, f"{events:,}", f"{found:,}", f"{without:.2f}", f"{with_:.2f}", *speed])
    head = ["addresses and names", "events", "findings", "CPU s, none", "CPU s, all", "events/s, none", "all", "cost"]
    print(table(f"{rows.num_rows:,} indicators against none, {len(rules)} rules", head, measured))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "indicators"
        _packed(parts, path)
        size = f"{sum(map(len, parts)) / 1e6:.1f}"
        head = ["indicators", "in the state, MB", "loading, CPU s", "in memory, MB", "resident, MB"]
        print(table("Loading", head, [[f"{rows.num_rows:,}", size, *loading(path).split(" | ")]]))
    return 0 if dearest < GOAL_PERCENT else 1


def _some_addresses(rows: pa.Table) -> list[str]:
    values = rows["value"].slice(0, 20_000).to_pylist()
    return [value for value in values if value.count(".") == 3 and value.replace(".", "").isdigit()]


if __name__ == "__main__":
    sys.exit(main())
