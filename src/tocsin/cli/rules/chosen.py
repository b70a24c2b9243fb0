"""Which rule and which events a command is about, named the way a person names them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from tocsin.cli.log_files import SOURCES_HELP
from tocsin.cli.rules.in_force import in_force
from tocsin.model.errors import BadInput, NotFound

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tocsin.config import Settings
    from tocsin.detect.sigma.logsource import Mapping
    from tocsin.model.correlation import Correlation
    from tocsin.model.event import Event, RefusedLine
    from tocsin.model.rule import Rule

__all__ = ["RAW_SOURCE", "ChosenRule", "SourceOption", "chosen_rule", "events_in_files", "mapping_of", "stored_events"]

RAW_SOURCE: Final = "raw"
SourceOption = Annotated[str, typer.Option(help=f"{SOURCES_HELP} {RAW_SOURCE}: JSON, in the rule's own terms.")]
_EVENT_UID: Final = re.compile(r"[0-9a-f]{17}-[0-9a-f]{16}")


def mapping_of(source: str) -> Mapping | None:
    """The mapping that rules are loaded with for a source: events in their own terms have one for all rules."""
    from tocsin.detect.sigma.logsource import RAW

    return RAW if source == RAW_SOURCE else None


class ChosenRule(NamedTuple):
    """A rule, and what its file says if that lies in no folder."""

    rule: Rule
    text: str | None


def chosen_rule(name: str, settings: Settings, paths: list[Path] | None, mapping: Mapping | None = None) -> ChosenRule:
    """The rule that a person means: its file, else its id, title or file name among these, or among those in force.

    Raises:
        NotFound: there is none; or several, which are then named.
        InvalidRule: it cannot be used.
    """
    named_file = Path(name).is_file()
    rules = in_force(settings, [Path(name)] if named_file else paths, mapping)
    found = [rule for rule in rules.library.rules if named_file or _means(name, rule)]
    if not found and rules.library.refused and named_file:
        raise rules.library.refused[0]
    if not found:
        _refuse_correlation(name, rules.library.correlations)
        raise NotFound(f"there is no rule {name!r}: name its file, id, title or file name; see `tocsin rules list`")
    if len(found) > 1:
        raise NotFound(f"{name!r} is {len(found)} rules: name one of them, {', '.join(rule.id for rule in found[:5])}")
    return ChosenRule(found[0], rules.texts.get(found[0].path))


def _refuse_correlation(name: str, correlations: Iterable[Correlation]) -> None:
    for each in correlations:
        if _means(name, each):
            members = ", ".join(member.rule for member in each.members)
            raise BadInput(f"{name!r} is a correlation, which is about many events; name one of its rules: {members}")


def _means(name: str, rule: Rule | Correlation) -> bool:
    wanted = name.casefold()
    return wanted in {rule.id.casefold(), rule.title.casefold(), Path(rule.path).stem.casefold()}


def events_in_files(paths: list[Path], source: str) -> Iterator[Event | RefusedLine]:
    """Events and refused lines of files; - is standard input.

    Raises:
        BadInput: an unknown source, or a file that cannot be read.
    """
    from tocsin.cli import log_files
    from tocsin.detect.history.replay import raw_events

    if source == RAW_SOURCE:
        for path in paths:
            yield from log_files.read_lines(path, raw_events)
    else:
        log_files.check_source(source, RAW_SOURCE)
        yield from log_files.read_source(paths, source)


def stored_events(settings: Settings, key: str) -> list[Event]:
    """The event of that id, or the evidence of the alert whose id begins so, from a server's store.

    Raises:
        NotFound: there is neither.
        BadInput: the id is of neither kind.
    """
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.processes.first_start import open_server_state

    now = SystemClock().now_ms()
    if _EVENT_UID.fullmatch(key):
        return [_stored_event(settings, key, now)]
    if not re.fullmatch(r"[0-9a-f]{4,24}", key):
        raise BadInput(f"{key!r} is no file, no event's id and no alert's id")
    return _evidence(open_server_state(settings, now), settings.org, key)


def _stored_event(settings: Settings, uid: str, now_ms: int) -> Event:
    from tocsin.api.search import document
    from tocsin.model.event import flatten
    from tocsin.wiring.lake.storage import open_storage
    from tocsin.wiring.processes.first_start import open_server_state

    with closing(open_storage(settings, open_server_state(settings, now_ms))) as storage:
        rows = storage.query.by_uid(settings.org, [uid])
    if not rows:
        raise NotFound(f"there is no event {uid} in the store")
    return flatten(document(rows[0]))


def _evidence(engine: sa.Engine, org: str, key: str) -> list[Event]:
    from tocsin.alert import read
    from tocsin.model.event import flatten
    from tocsin.state.engine import reading

    with reading(engine) as connection:
        found = read.evidence(connection, org, read.full_id(connection, org, key))
    return [flatten(each.event) for each in found]
