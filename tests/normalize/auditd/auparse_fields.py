"""Prints what auparse reads from a log, one JSON list a record: type, time in ms, serial, [name, value] pairs.

Run by the system's own Python, which has the bindings (Debian: python3-audit).
"""

from __future__ import annotations

import json
import sys
from typing import Any, TypeAlias

import auparse  # type: ignore[import-not-found]  # bindings of the system's Python, absent from ours

Parser: TypeAlias = Any  # auparse.AuParser, whose bindings have no types

ENCODED = {auparse.AUPARSE_TYPE_ESCAPED, auparse.AUPARSE_TYPE_ESCAPED_FILE, auparse.AUPARSE_TYPE_PROCTITLE}


def read_field(parser: Parser) -> tuple[str, str]:
    """Name and value; auparse itself says which values are encoded, and decodes them."""
    name, printed = parser.get_field_name(), parser.get_field_str()
    if parser.get_field_type() in ENCODED:
        return name, parser.interpret_field()
    return name, printed.strip('"')


def read_record(parser: Parser) -> list[Any]:
    """The current record without `type` and `node`, which are no fields to us."""
    fields = []
    parser.first_field()
    while True:
        field = read_field(parser)
        if field[0] not in {"type", "node"}:
            fields.append(field)
        if not parser.next_field():
            break
    stamp = parser.get_timestamp()
    return [parser.get_type_name(), stamp.sec * 1000 + stamp.milli, stamp.serial, fields]


def main() -> None:
    """Read the log named on the command line."""
    parser = auparse.AuParser(auparse.AUSOURCE_FILE, sys.argv[1])
    parser.set_escape_mode(auparse.AUPARSE_ESC_RAW)
    while parser.parse_next_event():
        parser.first_record()
        while True:
            print(json.dumps(read_record(parser)))  # noqa: T201 - its answer to the test
            if not parser.next_record():
                break


main()
