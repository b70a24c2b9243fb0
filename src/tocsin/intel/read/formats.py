"""The formats of feeds, by the name that people give them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tocsin.intel.indicator import Items
from tocsin.intel.options import Options
from tocsin.intel.read import misp, plain, stix, table

__all__ = ["FORMATS", "READERS", "TAXII", "WARNING_LIST", "guess_format"]

_LOOKED_AT: Final = 4096
WARNING_LIST: Final = "warninglist"
TAXII: Final = "taxii"
READERS: Final[dict[str, Callable[[bytes, Options], Items]]] = {
    "list": plain.read,
    "csv": table.read,
    "stix": stix.read,
    "misp": misp.read,
}
FORMATS: Final = (*READERS, TAXII, WARNING_LIST)


def guess_format(location: str) -> str:
    """The format that a file's name and beginning suggest; a list if nothing does.

    What is not a file here is judged by its name alone.
    """
    path = Path(location)
    start = b""
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
    name = location.rpartition("/")[2].lower().removesuffix(".gz")
    if "/taxii" in location or "/collections/" in location:
        return TAXII
    if name == "manifest.json" or b'"Event"' in start or b'"Attribute"' in start:
        return "misp"
    if b'"matching_attributes"' in start or (name == "list.json" and b'"list"' in start):
        return WARNING_LIST
    if name.endswith(".json"):
        return "stix"
    return "csv" if name.endswith(".csv") else "list"
