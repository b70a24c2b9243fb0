"""Write the reference pages that follow from declarations: schema, settings, metrics, lints.

`python docs/generate.py` writes them, `--check` fails if one is out of date; a test runs the check.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mapping_pages

from tocsin import metrics
from tocsin.config import Settings
from tocsin.detect.quality.lint.catalogue import LINTS, ROOMS
from tocsin.model.schema import BASE, CLASSES, OCSF_VERSION, Attribute

DOCS = Path(__file__).parent
_DATA_DIR = "`/var/lib/tocsin` as root, else `~/.local/share/tocsin`"


def schema_page() -> str:
    """Every class and attribute of the event schema."""
    parts = [
        f"# Event schema\n\nOCSF {OCSF_VERSION}, as declared in `src/tocsin/model/schema/`; this page is made from",
        "it by `docs/generate.py`. In rules and search an attribute is its dotted path.",
        "\n## Every class\n",
        _table(BASE),
    ]
    for event_class in CLASSES.values():
        activities = ", ".join(f"{uid} {name}" for uid, name in event_class.activities.items())
        parts += [
            f"\n## {event_class.caption} ({event_class.uid}, `{event_class.name}`)\n",
            f"Activities: {activities}.\n",
            _table(event_class.own),
        ]
    return "\n".join(parts) + "\n"


def _table(attributes: tuple[Attribute, ...]) -> str:
    rows = ["| Attribute | Type | Meaning |", "|---|---|---|"]
    rows += [f"| `{a.path}` | {a.kind.value}{f' ({a.unit})' if a.unit else ''} | {a.meaning} |" for a in attributes]
    return "\n".join(rows)


def configuration_page() -> str:
    """Every setting of the server."""
    parts = [
        "# Configuration of the server\n",
        "Read from `tocsin.toml` in the current folder (or `--config FILE`) and from `TOCSIN_*` variables; a command's",
        "own options win over variables, variables over the file. Unknown keys are errors, and so are variables that",
        "are nearly called like a setting; `tocsin up` names any other `TOCSIN_*` variable that it does not use.\n",
        "| Setting | Variable | Default | Meaning |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = (
            "`/var/lib/tocsin` as root, else `~/.local/share/tocsin`" if name == "data_dir" else f"`{field.default!r}`"
        )
        parts.append(f"| `{name}` | `TOCSIN_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(parts) + "\n"


def metrics_page() -> str:
    """Every metric of the server."""
    parts = [
        "# Metrics\n",
        "Served at `/metrics` in Prometheus' format.\n",
        "| Metric | Labels | Meaning |",
        "|---|---|---|",
    ]
    for name in metrics.__all__:
        metric = getattr(metrics, name)
        family = next(iter(metric.describe()))
        suffix = "_total" if family.type == "counter" else ""
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 -- the library has no other way
        parts.append(f"| `{family.name}{suffix}` | {labels} | {family.documentation} |")
    return "\n".join(parts) + "\n"


def lint_page() -> str:
    """Every lint of `tocsin rules lint`."""
    parts = [
        f"# Lints\n\nThe {len(LINTS)} lints of `tocsin rules lint`; this page is made by `docs/generate.py`.",
        "How they are used is said in [Rule quality](rule-quality.md). An *error* breaks the Sigma specification or",
        "keeps the rule from working, a *warning* is likely a mistake, *info* is style. `--fix` mends those marked so.",
    ]
    rooms = {room.__name__: heading for heading, room in ROOMS.items()}
    for heading in ["Files", *ROOMS]:
        lints = [each for each in LINTS.values() if rooms.get(each.module, "Files") == heading]
        rows = [f"| `{each.id}` | {each.level} | {'yes' if each.fixes else ''} | {each.promise} |" for each in lints]
        parts += [f"\n## {heading}\n", "| Lint | Level | `--fix` | What is wrong |", "|---|---|---|---|", *rows]
    return "\n".join(parts) + "\n"


PAGES = {
    "schema.md": schema_page,
    "configuration.md": configuration_page,
    "metrics.md": metrics_page,
    "lint.md": lint_page,
    **mapping_pages.PAGES,
}


def main() -> int:
    """Write or check the pages; 1 if one is out of date."""
    stale = [name for name, page in PAGES.items() if not _current(name, page())]
    if "--check" in sys.argv:
        print("\n".join(f"docs/{name} is out of date: run python docs/generate.py" for name in stale))
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(PAGES[name]())
    return 0


def _current(name: str, text: str) -> bool:
    path = DOCS / name
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
