"""Classes of OCSF's Windows extension."""

from __future__ import annotations

from tocsin.model.schema.attribute import integer, text
from tocsin.model.schema.event_class import EventClass
from tocsin.model.schema.shared import ACTOR

__all__ = ["WINDOWS"]

WINDOWS = (
    EventClass(
        201001,
        "registry_key_activity",
        "Registry Key Activity",
        1,
        "System Activity",
        {
            0: "Unknown",
            1: "Create",
            2: "Read",
            3: "Modify",
            4: "Delete",
            5: "Rename",
            6: "Set Security",
            7: "Restore",
            8: "Import",
            9: "Export",
            99: "Other",
        },
        (text("reg_key.path", "full path of the key"), *ACTOR),
        extension="win",
    ),
    EventClass(
        201002,
        "registry_value_activity",
        "Registry Value Activity",
        1,
        "System Activity",
        {0: "Unknown", 1: "Get", 2: "Set", 3: "Modify", 4: "Delete", 99: "Other"},
        (
            text("reg_value.path", "full path of the value: its key's, and its name"),
            text("reg_value.name", "name of the value"),
            text("reg_value.data", "the data, as the source writes it"),
            text("reg_value.type", "type of the data: REG_SZ, REG_DWORD, ..."),
            *ACTOR,
        ),
        extension="win",
    ),
    EventClass(
        201004,
        "windows_service_activity",
        "Windows Service Activity",
        1,
        "System Activity",
        {
            0: "Unknown",
            1: "Create",
            2: "Reconfigure",
            3: "Start",
            4: "Stop",
            5: "Pause",
            6: "Continue",
            7: "Delete",
            99: "Other",
        },
        (
            text("win_service.name", "name of the service"),
            text("win_service.cmd_line", "what the service runs"),
            text("win_service.service_start_name", "account that the service runs as"),
            integer("win_service.service_start_type_id", "OCSF start type: 3 automatic, 4 on demand, 5 disabled"),
            integer("win_service.service_type_id", "OCSF service type: 1 kernel driver, 3 own process"),
            *ACTOR,
        ),
        extension="win",
    ),
)
