"""The lake's tables: how they are declared, and what their snapshots say about the log.

Partitioned by org and by day. The day is `truncate(86400000, time)`, since OCSF's time is a number of milliseconds,
which Iceberg's `day` does not take; so every filter on time prunes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError, TableAlreadyExistsError
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform, TruncateTransform

from tocsin.columnar.nested import schema
from tocsin.model.schema import CLASSES, by_name
from tocsin.ports import LakePosition

__all__ = [
    "CATALOG",
    "DAY_MS",
    "NAMESPACE",
    "class_of",
    "find_table",
    "generation_of",
    "open_catalog",
    "open_table",
    "position_of",
    "snapshot_properties",
]

CATALOG = "tocsin"
NAMESPACE = "tocsin"
DAY_MS = 86_400_000
_POSITION, _GENERATION = "tocsin.position", "tocsin.generation"
_STATISTICS = ("time", "metadata.uid", "metadata.tenant_uid", "device.uid")
_PROPERTIES = {
    "format-version": "2",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "8",
    # A retry inside the library would commit on top of a newer owner's snapshot without looking at it.
    "commit.retry.num-retries": "0",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
    "write.metadata.metrics.default": "none",
    **{f"write.metadata.metrics.column.{path}": "full" for path in _STATISTICS},
}


def open_catalog(url: str, warehouse: Path) -> SqlCatalog:
    """The catalog of all tables, in the SQL database at that URL; the files lie below `warehouse`."""
    catalog = SqlCatalog(
        CATALOG,
        uri=url,
        warehouse=f"file://{warehouse.absolute()}",
        **{"py-io-impl": "tocsin.adapters.iceberg.storage.SyncedFileIO"},
    )
    catalog.create_namespace_if_not_exists(NAMESPACE)
    return catalog


def open_table(catalog: SqlCatalog, class_uid: int) -> Table:
    """The class's table, created if need be, with all attributes that the class declares by now."""
    table = find_table(catalog, class_uid)
    if table is None:
        return _create(catalog, class_uid)
    declared = schema(class_uid)
    if _names(declared) - _names(table.schema().as_arrow()):
        with table.update_schema() as update:
            update.union_by_name(declared)
        with table.transaction() as transaction:
            transaction.set_properties({"schema.name-mapping.default": table.schema().name_mapping.model_dump_json()})
    return table


def find_table(catalog: SqlCatalog, class_uid: int) -> Table | None:
    """The class's table; None as long as nothing was stored in it."""
    try:
        return _load(catalog, class_uid)
    except NoSuchTableError:
        return None


def class_of(table_name: str) -> int:
    """The class that a table holds."""
    return by_name(table_name).uid


def position_of(table: Table) -> LakePosition:
    """Up to where the table's current snapshot holds the log, as its owner wrote it."""
    text = _summary(table).get(_POSITION)
    return msgspec.json.decode(text, type=LakePosition) if text else LakePosition({}, {})


def generation_of(table: Table) -> int:
    """The generation of the owner who made the current snapshot."""
    return int(_summary(table).get(_GENERATION, "0"))


def snapshot_properties(position: LakePosition, generation: int) -> dict[str, str]:
    """What `position_of` and `generation_of` read back."""
    return {_POSITION: msgspec.json.encode(position).decode(), _GENERATION: str(generation)}


def _load(catalog: SqlCatalog, class_uid: int) -> Table:
    return catalog.load_table((NAMESPACE, CLASSES[class_uid].name))


def _create(catalog: SqlCatalog, class_uid: int) -> Table:
    identifier = (NAMESPACE, CLASSES[class_uid].name)
    try:
        with catalog.create_table_transaction(identifier, schema(class_uid), properties=_PROPERTIES) as transaction:
            with transaction.update_spec() as spec:
                spec.add_field("metadata.tenant_uid", IdentityTransform(), "org")
                spec.add_field("time", TruncateTransform(DAY_MS), "day")
            names = transaction.table_metadata.schema().name_mapping.model_dump_json()
            transaction.set_properties({"schema.name-mapping.default": names})
    except TableAlreadyExistsError:
        # Another process was faster; its table is as good.
        pass
    return _load(catalog, class_uid)


def _summary(table: Table) -> Mapping[str, str]:
    snapshot = table.current_snapshot()
    if snapshot is None or snapshot.summary is None:
        return {}
    properties: Mapping[str, str] = snapshot.summary.additional_properties
    return properties


def _names(of: pa.Schema) -> set[str]:
    names: set[str] = set()
    pending = [(field.name, field.type) for field in of]
    while pending:
        name, type_ = pending.pop()
        names.add(name)
        if pa.types.is_struct(type_):
            pending += [(f"{name}.{field.name}", field.type) for field in type_]
    return names
