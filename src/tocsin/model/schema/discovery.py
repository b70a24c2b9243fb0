"""Classes of what a host consists of: packages, accounts, listening ports, services, jobs."""

from __future__ import annotations

from tocsin.model.schema.attribute import integer, json, text, timestamp
from tocsin.model.schema.event_class import EventClass
from tocsin.model.schema.shared import file, process, user

__all__ = ["DISCOVERY"]

_COLLECTED = {0: "Unknown", 1: "Log", 2: "Collect", 99: "Other"}
_ASKED = {0: "Unknown", 1: "Query", 99: "Other"}
_INVENTORY = (
    text("unmapped.inventory.change", "present in a whole list; added, removed or changed since the last one"),
    text("unmapped.inventory.key", "what tells this item from others of its kind on the host"),
    text("unmapped.inventory.list", "the whole list that the item belongs to; absent of a change"),
    integer("unmapped.inventory.count", "items in that list"),
)
_FOUND = (integer("query_result_id", "OCSF result: 1 exists, 3 does not exist"), *_INVENTORY)

DISCOVERY = (
    EventClass(
        5001,
        "inventory_info",
        "Device Inventory Info",
        5,
        "Discovery",
        _COLLECTED,
        (
            text("device.instance_uid", "id of the machine in its cloud"),
            text("device.region", "region of the machine's cloud"),
            text("device.zone", "availability zone of the machine"),
            text("device.vpc_uid", "virtual network of the machine"),
            text("device.image.uid", "image that the machine was started from"),
            text("device.model", "instance type, or model of the hardware"),
            text("device.vendor_name", "maker of the hardware, or of what pretends to be it"),
            text("device.hw_info.cpu_architecture", "architecture of the processor"),
            integer("device.hw_info.cpu_count", "processors"),
            integer("device.hw_info.ram_size", "memory", "MiB"),
            timestamp("device.boot_time", "when the machine started"),
            json("device.network_interfaces", "interfaces: [{name, ip, mac}]"),
            text("cloud.provider", "AWS, GCP, Azure"),
            text("cloud.account.uid", "account of the machine"),
            text("cloud.region", "region of the machine"),
            json("unmapped.inventory.cloud_tags", "tags of the machine in its cloud: {name: value}"),
            *_INVENTORY,
        ),
    ),
    EventClass(
        5003,
        "user_inventory",
        "User Inventory Info",
        5,
        "Discovery",
        _COLLECTED,
        (
            *user("user", "the account"),
            text("user.full_name", "full name of the account"),
            integer("user.type_id", "OCSF user type: 1 user, 2 administrator, 3 system"),
            json("user.groups", "groups of the account: [{name, uid}]"),
            text("unmapped.inventory.home", "home folder of the account"),
            text("unmapped.inventory.shell", "login shell of the account"),
            *_INVENTORY,
        ),
    ),
    EventClass(
        5010,
        "job_query",
        "Job Query",
        5,
        "Discovery",
        _ASKED,
        (
            text("job.name", "name of the job"),
            text("job.cmd_line", "what the job runs"),
            *file("job.file", "the file that declares the job"),
            text("job.user.name", "account that the job runs as"),
            text("unmapped.inventory.schedule", "when the job runs, as cron writes it"),
            *_FOUND,
        ),
    ),
    EventClass(
        5012,
        "network_connection_query",
        "Network Connection Query",
        5,
        "Discovery",
        _ASKED,
        (
            text("unmapped.inventory.ip", "address that is listened on"),
            integer("unmapped.inventory.port", "port that is listened on"),
            text("connection_info.protocol_name", "tcp, udp"),
            integer("connection_info.protocol_num", "IP protocol number"),
            integer("connection_info.direction_id", "1 inbound"),
            integer("state_id", "OCSF state of the socket: 10 listens"),
            *process("process", "the process that listens"),
            *_FOUND,
        ),
    ),
    EventClass(
        5016,
        "service_query",
        "Service Query",
        5,
        "Discovery",
        _ASKED,
        (
            text("service.name", "name of the unit"),
            text("service.uid", "file that declares the unit"),
            text("unmapped.inventory.enabled", "whether the unit starts by itself: enabled, disabled, static, masked"),
            text("unmapped.inventory.exec", "what the unit runs"),
            *_FOUND,
        ),
    ),
    EventClass(
        5020,
        "software_info",
        "Software Inventory Info",
        5,
        "Discovery",
        _COLLECTED,
        (
            text("package.name", "name of the package"),
            text("package.version", "version, with what the distribution adds to it"),
            text("package.architecture", "architecture of the package"),
            text("package.type", "OCSF package type in words"),
            integer("package.type_id", "OCSF package type: 1 application, 2 operating system"),
            text("package.package_manager", "dpkg, rpm, apk, pip, npm, gem"),
            text("package.purl", "package URL"),
            text("package.vendor_name", "maker of the package"),
            text("package.license", "license of the package"),
            text("unmapped.inventory.source", "source package that the package is built from"),
            text("unmapped.inventory.source_version", "version of the source package"),
            text("unmapped.inventory.path", "where the package lies, if it is of a language"),
            *_INVENTORY,
        ),
    ),
)
