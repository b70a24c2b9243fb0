"""Classes of what is asked of an application: the API of a cloud or a cluster."""

from __future__ import annotations

from tocsin.model.schema.attribute import json
from tocsin.model.schema.event_class import EventClass
from tocsin.model.schema.shared import CALLER, PRINCIPAL, endpoint

__all__ = ["APPLICATION"]

APPLICATION = (
    EventClass(
        6003,
        "api_activity",
        "API Activity",
        6,
        "Application Activity",
        {0: "Unknown", 1: "Create", 2: "Read", 3: "Update", 4: "Delete", 99: "Other"},
        (
            *CALLER,
            *endpoint("src_endpoint", "the caller"),
            json("resources", "what it was done to: [{name, type, uid, namespace}]"),
            *PRINCIPAL,
        ),
    ),
)
