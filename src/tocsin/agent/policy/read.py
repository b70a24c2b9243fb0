"""Read a capture policy from TOML, and say everything that is wrong with it, by file, line and key."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from tocsin.agent.policy.document import Exclusion, Handling, Policy
from tocsin.agent.policy.protected import DROPPABLE
from tocsin.model.errors import InvalidSetting
from tocsin.model.schema import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["SECTIONS", "problems", "read_policy", "read_sections", "remarks"]

SECTIONS: Final = ("agents", "exclude", "events", "limit", "redact", "tags")
_LISTS: Final = ("exe", "path", "user", "cidr")
_HANDLING: Final = ("sample", "max_per_second", "exclude")
_HEADER: Final = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_MOST_PERCENT: Final = 100


def read_policy(text: str, file: str) -> Policy:
    """The policy that the document declares, whole.

    Raises:
        InvalidSetting: names the file, the line and the key of the first problem, and how many more there are.
    """
    policy, found = _read(text, file)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InvalidSetting(f"{found[0]}{more}")
    return policy


def problems(text: str, file: str) -> list[str]:
    """Everything that keeps the document from being a policy, a sentence each."""
    return _read(text, file)[1]


def read_sections(values: dict[str, Any], text: str, file: str) -> Policy:
    """The policy in sections that are read already, such as those of the agent's own settings.

    Raises:
        InvalidSetting: as `read_policy`.
    """
    reader = _Reader(text, file)
    policy = reader.policy(values)
    if reader.problems:
        raise InvalidSetting(reader.problems[0])
    return policy


def remarks(policy: Policy) -> list[str]:
    """What the policy seems to say and cannot: some events are kept whatever it says."""
    said = []
    for class_uid, activity in policy.events:
        if activity is None and class_uid in {1001, 1007}:
            named = ", ".join(sorted(_activity_names(class_uid)[each] for each in DROPPABLE[class_uid]))
            said.append(f"events.{CLASSES[class_uid].name}: only {named}; the rest of the class is protected")
    if policy.exclude:
        said.append("exclude: never authentication, changes of accounts, privilege, watched files, modules or auditing")
    return said


def _read(text: str, file: str) -> tuple[Policy, list[str]]:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{file}:{line[1]}" if line else file
        return Policy(), [f"{where}: {str(error)[:1].lower()}{str(error)[1:]}"]
    reader = _Reader(text, file)
    return reader.policy(values), reader.problems


def _activity_names(class_uid: int) -> dict[int, str]:
    return {number: caption.lower().replace(" ", "_") for number, caption in CLASSES[class_uid].activities.items()}


class _Reader:
    """Turns the tables of a document into a policy, and notes what cannot be."""

    def __init__(self, text: str, file: str) -> None:
        self.problems: list[str] = []
        self._lines, self._file = text.splitlines(), file

    def policy(self, values: dict[str, Any]) -> Policy:
        self._only(values, SECTIONS, "")
        limit, redact = self._table(values, "limit"), self._table(values, "redact")
        self._only(limit, ("cpu_percent",), "limit.")
        self._only(redact, ("patterns",), "redact.")
        return Policy(
            tuple(self._tags(each, "agents") for each in self._tables(values, "agents", "agents")),
            self._exclusions(values, ""),
            self._events(self._table(values, "events")),
            self._patterns(redact),
            self._tags(self._table(values, "tags"), "tags"),
            self._number(limit, "cpu_percent", "limit.", 0, _MOST_PERCENT),
        )

    def _problem(self, key: str, reason: str) -> None:
        line = _line_of(self._lines, key)
        self.problems.append(f"{self._file}{f':{line}' if line else ''}: {key} {reason}")

    def _only(self, values: Iterable[str], known: Iterable[str], prefix: str) -> None:
        for key in values:
            if key not in known:
                self._problem(f"{prefix}{key}", f"is not known here; known are {', '.join(sorted(known))}")

    def _table(self, values: dict[str, Any], key: str) -> dict[str, Any]:
        found = values.get(key, {})
        if isinstance(found, dict):
            return found
        self._problem(key, "is a section")
        return {}

    def _tables(self, values: dict[str, Any], key: str, path: str) -> list[dict[str, Any]]:
        """One table, or several: then each is an alternative."""
        found = values.get(key, [])
        several = found if isinstance(found, list) else [found]
        if all(isinstance(each, dict) for each in several):
            return several
        self._problem(path, "is a section, or several of them")
        return []

    def _tags(self, values: dict[str, Any], path: str) -> dict[str, str]:
        tags = {}
        for name, value in values.items():
            if isinstance(value, str) and value and "," not in f"{name}{value}" and "=" not in name:
                tags[name] = value
            else:
                self._problem(f"{path}.{name}", f"cannot be {value!r}; a tag is a text without commas")
        return tags

    def _number(self, values: dict[str, Any], key: str, prefix: str, least: int, most: int = 1 << 31) -> int | None:
        value = values.get(key)
        if value is None or (type(value) is int and least <= value <= most):
            return value
        upper = f" to {most}" if most == _MOST_PERCENT else ""
        self._problem(f"{prefix}{key}", f"cannot be {value!r}; it is a whole number from {least}{upper}")
        return None

    def _texts(self, values: dict[str, Any], key: str, prefix: str, fault: Callable[[str], str]) -> tuple[str, ...]:
        value = values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self._problem(f"{prefix}{key}", f"cannot be {value!r}; it is a list of texts")
            return ()
        for each in value:
            if reason := fault(each):
                self._problem(f"{prefix}{key}", f"cannot hold {each!r}: {reason}")
        return tuple(value)

    def _patterns(self, redact: dict[str, Any]) -> tuple[str, ...]:
        return self._texts(redact, "patterns", "redact.", _pattern_fault)

    def _exclusions(self, values: dict[str, Any], prefix: str) -> tuple[Exclusion, ...]:
        path = f"{prefix}exclude"
        found = [self._exclusion(each, f"{path}.") for each in self._tables(values, "exclude", path)]
        return tuple(each for each in found if each.says_something)

    def _exclusion(self, values: dict[str, Any], prefix: str) -> Exclusion:
        self._only(values, _LISTS, prefix)
        lists = {name: self._texts(values, name, prefix, _FAULTS[name]) for name in _LISTS}
        return Exclusion(**lists)

    def _events(self, values: dict[str, Any]) -> dict[tuple[int, int | None], Handling]:
        found: dict[tuple[int, int | None], Handling] = {}
        for name, said in values.items():
            class_uid = _class_named(name)
            if class_uid is None:
                self._problem(f"events.{name}", f"is no class of events; {_usable()}")
            elif class_uid not in DROPPABLE:
                self._problem(f"events.{name}", f"is protected: its events are never left out; {_usable()}")
            elif not isinstance(said, dict):
                self._problem(f"events.{name}", "is a section")
            else:
                self._class(class_uid, said, f"events.{name}.", found)
        return found

    def _class(
        self, class_uid: int, said: dict[str, Any], prefix: str, found: dict[tuple[int, int | None], Handling]
    ) -> None:
        names = {name: number for number, name in _activity_names(class_uid).items()}
        of_class = {}
        for key, value in said.items():
            if key not in names or not isinstance(value, dict):
                of_class[key] = value
            elif names[key] in DROPPABLE[class_uid]:
                found[class_uid, names[key]] = self._handling(value, f"{prefix}{key}.", ())
            else:
                self._problem(f"{prefix}{key}", "is protected: its events are never left out")
        if of_class:
            droppable = (name for name, number in names.items() if number in DROPPABLE[class_uid])
            found[class_uid, None] = self._handling(of_class, prefix, droppable)

    def _handling(self, said: dict[str, Any], prefix: str, activities: Iterable[str]) -> Handling:
        self._only(said, (*_HANDLING, *activities), prefix)
        return Handling(
            self._number(said, "sample", prefix, 1),
            self._number(said, "max_per_second", prefix, 1),
            self._exclusions(said, prefix),
        )


def _class_named(name: str) -> int | None:
    if name.isdecimal():
        return int(name) if int(name) in CLASSES else None
    return next((uid for uid, each in CLASSES.items() if each.name == name), None)


def _usable() -> str:
    return f"those that may be left out are {', '.join(CLASSES[uid].name for uid in sorted(DROPPABLE))}"


def _path_fault(path: str) -> str:
    if not path.startswith("/"):
        return "it is not a whole path"
    return "only a last * stands for the rest" if "*" in path[:-1] else ""


def _user_fault(user: str) -> str:
    return "" if user and not set(user) & set(" ,*") else "it is no user's name or id"


def _cidr_fault(cidr: str) -> str:
    try:
        ipaddress.ip_network(cidr)
    except ValueError as error:
        return str(error)
    return ""


def _pattern_fault(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        return f"it is not a regular expression: {error}"
    return ""


_FAULTS: Final = {"exe": _path_fault, "path": _path_fault, "user": _user_fault, "cidr": _cidr_fault}


def _line_of(lines: list[str], key: str) -> int:
    """The line where a dotted key is said, counted from 1; that of the nearest section that is found, else 0."""
    section, found = "", 0
    for number, line in enumerate(lines, 1):
        header = _HEADER.match(line)
        if header:
            section = header[1].replace('"', "").replace("'", "")
            if key == section or key.startswith(f"{section}."):
                found = number
        else:
            name = line.partition("=")[0].strip().strip("\"'")
            said = f"{section}.{name}" if section else name
            if name and (key == said or key.startswith(f"{said}.")):
                return number
    return found
