"""The lake: one Apache Iceberg table per event class, Parquet files that any Iceberg engine reads."""

from __future__ import annotations

from tocsin.adapters.iceberg.lake import IcebergLake
from tocsin.adapters.iceberg.reader import LakeReader, Plan

__all__ = ["IcebergLake", "LakeReader", "Plan"]
