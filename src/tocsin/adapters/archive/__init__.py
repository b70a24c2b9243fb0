"""The archive: signed batches as they came, in files named by their content, beside the lake that was made of them."""

from __future__ import annotations

from tocsin.adapters.archive.frames import ArchivedBatch, Damage
from tocsin.adapters.archive.store import Archive, ArchivedFile, list_files

__all__ = ["Archive", "ArchivedBatch", "ArchivedFile", "Damage", "list_files"]
