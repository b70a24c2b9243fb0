"""The formats of feeds, by the name that people give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tocsin.intel.indicator import Items
from tocsin.intel.options import Options
from tocsin.intel.read import misp, plain, stix, table

__all__ = ["FORMATS", "READERS", "TAXII", "WARNING_LIST"]

WARNING_LIST: Final = "warninglist"
TAXII: Final = "taxii"
READERS: Final[dict[str, Callable[[bytes, Options], Items]]] = {
    "list": plain.read,
    "csv": table.read,
    "stix": stix.read,
    "misp": misp.read,
}
FORMATS: Final = (*READERS, TAXII, WARNING_LIST)
