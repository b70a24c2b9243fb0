"""An explanation as a person reads it in a terminal: a tree of ticks and crosses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from tocsin.detect.quality.explain import Explanation, Kind, Missing, Seen, Step

__all__ = ["lines"]

_ALTERNATIVES: Final = 5  # of so many that all failed, the others are only counted
_WORDS: Final = {Kind.ALL: "all of", Kind.ANY: "any of", Kind.NOT: "not", Kind.RECORD: "one record"}


def lines(explanation: Explanation) -> Iterator[RenderableType]:
    """The verdict, the tree, and what would have to differ."""
    verdict = Text("✓ matches", "bold green") if explanation.matches else Text("✗ does not match", "bold red")
    where = f"{explanation.path}:{explanation.line}"
    yield Text.assemble(verdict, f"  {explanation.rule_title}  ", (where, "dim"))
    if not explanation.right_class:
        yield Text(f"✗ the rule is not about events of class {explanation.event_class}", "red")
    for each in explanation.other_source:
        yield Text(f"✗ the event is not of the rule's log source {explanation.logsource}: {_differs(each)}", "red")
    tree = Tree(_label(explanation.tree))
    _grow(tree, explanation.tree)
    yield tree
    yield from _would_match(explanation)


def _grow(tree: Tree, step: Step) -> None:
    shown, hidden = _shown(step)
    for part in shown:
        _grow(tree.add(_label(part)), part)
    if hidden:
        tree.add(Text(f"... {hidden} more, none of which holds", "dim"))


def _shown(step: Step) -> tuple[tuple[Step, ...], int]:
    """The parts to show, and how many are left out: of alternatives, those that failed beside one that held."""
    if step.kind is not Kind.ANY or len(step.parts) <= _ALTERNATIVES:
        return step.parts, 0
    held = tuple(part for part in step.parts if part.holds)
    shown = held or step.parts[:_ALTERNATIVES]
    return shown, len(step.parts) - len(shown)


def _label(step: Step) -> Text:
    mark = Text("✓ ", "green") if step.holds else Text("✗ ", "red")
    if step.kind is Kind.TERM:
        return Text.assemble(mark, step.name, "  ", _seen(step.seen))
    words = _WORDS[step.kind]
    named = (f"{step.name} ", "bold") if step.name else ""
    line = (f" line {step.line}", "dim") if step.line else ""
    return Text.assemble(mark, named, (f"({words})" if step.name else words, "dim"), line)


def _seen(seen: tuple[Seen, ...]) -> Text:
    if not seen:
        return Text("nothing there", "dim italic")
    return Text(f"seen: {', '.join(_printable(each.value) for each in seen)}", "cyan")


def _printable(value: str) -> str:
    """Events hold what an attacker chose: nothing of it may act on the terminal."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in value)
    return f"'{plain}'"


def _would_match(explanation: Explanation) -> Iterator[Text]:
    if explanation.missing is None:
        yield Text("no change of single terms would make it match", "yellow")
    elif explanation.missing:
        yield Text("It would match if", "bold")
        for missing in explanation.missing:
            yield Text(f"  {_wish(missing)}")


def _differs(missing: Missing) -> str:
    seen = ", ".join(_printable(each.value) for each in missing.seen)
    wanted = missing.term if missing.must_hold else f"not {missing.term}"
    return f"that is {wanted}; {f'seen: {seen}' if seen else f'{missing.field} is missing'}"


def _wish(missing: Missing) -> str:
    seen = ", ".join(_printable(each.value) for each in missing.seen)
    if missing.must_hold:
        return f"{missing.term}  held; {f'seen at {missing.field}: {seen}' if seen else f'{missing.field} is missing'}"
    return f"{missing.term}  did not hold; seen at {missing.field}: {seen}"
