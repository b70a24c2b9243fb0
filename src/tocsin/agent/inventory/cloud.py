"""What the cloud that a machine runs in says of it: AWS by IMDSv2, Google Cloud, Azure.

Only asked where the hardware's maker says that there is somebody to ask. Of AWS the token of version 2 is used, and
never version 1, which anything that can be made to fetch a URL could read.

Source: the providers' documentation of their instance metadata.
"""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

if TYPE_CHECKING:
    from tocsin.model.event import Value

__all__ = ["cloud_values"]

METADATA_ADDRESS: Final = "169.254.169.254"
TIMEOUT_S: Final = 1.0
HELD_SECONDS: Final = "60"
LARGEST_ANSWER: Final = 64 << 10
MAKERS: Final = {"Amazon EC2": "AWS", "Google": "GCP", "Microsoft Corporation": "Azure"}
VENDOR: Final = Path("/sys/class/dmi/id/sys_vendor")


def cloud_values(vendor: str | None = None, address: str = METADATA_ADDRESS) -> dict[str, Value]:
    """Attributes of the machine that its cloud knows; empty outside of one, and where it does not answer."""
    ask = {"AWS": _aws, "GCP": _gcp, "Azure": _azure}.get(MAKERS.get(vendor or _vendor(), ""))
    if ask is None:
        return {}
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        return {path: value for path, value in ask(connection).items() if value not in {"", "{}"}}
    except (OSError, http.client.HTTPException, msgspec.MsgspecError):
        return {}
    finally:
        connection.close()


def _vendor() -> str:
    try:
        return VENDOR.read_text().strip()
    except OSError:
        return ""


def _ask(connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]) -> str:
    """The answer's text; empty if there is no such thing."""
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    text = response.read(LARGEST_ANSWER).decode("utf-8", "backslashreplace")
    response.read()
    return text if response.status == http.client.OK else ""


class _AwsDocument(msgspec.Struct, rename="camel"):
    """The instance identity document."""

    account_id: str = ""
    region: str = ""
    availability_zone: str = ""
    instance_id: str = ""
    instance_type: str = ""
    image_id: str = ""


def _aws(connection: http.client.HTTPConnection) -> dict[str, Value]:
    asked = {"X-aws-ec2-metadata-token-ttl-seconds": HELD_SECONDS}
    token = {"X-aws-ec2-metadata-token": _ask(connection, "PUT", "/latest/api/token", asked)}
    if not all(token.values()):
        return {}
    document = _ask(connection, "GET", "/latest/dynamic/instance-identity/document", token)
    about = msgspec.json.decode(document, type=_AwsDocument)
    names = _ask(connection, "GET", "/latest/meta-data/tags/instance", token).split("\n")
    base = "/latest/meta-data/tags/instance/"
    tags = {name: _ask(connection, "GET", base + quote(name), token) for name in names if name}
    mac = _ask(connection, "GET", "/latest/meta-data/mac", token)
    vpc = _ask(connection, "GET", f"/latest/meta-data/network/interfaces/macs/{mac}/vpc-id", token) if mac else ""
    return _values("AWS", about.account_id, about.region, tags) | {
        "device.instance_uid": about.instance_id,
        "device.zone": about.availability_zone,
        "device.model": about.instance_type,
        "device.image.uid": about.image_id,
        "device.vpc_uid": vpc,
    }


class _GcpInstance(msgspec.Struct, rename="camel"):
    id: int = 0
    zone: str = ""  # projects/NUMBER/zones/NAME
    machine_type: str = ""
    image: str = ""
    tags: list[str] = []


def _gcp(connection: http.client.HTTPConnection) -> dict[str, Value]:
    asked = {"Metadata-Flavor": "Google"}
    text = _ask(connection, "GET", "/computeMetadata/v1/instance/?recursive=true", asked)
    project = _ask(connection, "GET", "/computeMetadata/v1/project/project-id", asked)
    about = msgspec.json.decode(text, type=_GcpInstance)
    zone = about.zone.rpartition("/")[2]
    return _values("GCP", project, zone.rpartition("-")[0], dict.fromkeys(about.tags, "")) | {
        "device.instance_uid": str(about.id),
        "device.zone": zone,
        "device.model": about.machine_type.rpartition("/")[2],
        "device.image.uid": about.image,
    }


class _AzureTag(msgspec.Struct):
    name: str
    value: str = ""


class _AzureCompute(msgspec.Struct, rename="camel"):
    location: str = ""
    subscription_id: str = ""
    vm_id: str = ""
    vm_size: str = ""
    zone: str = ""
    tags_list: list[_AzureTag] = []


class _AzureInstance(msgspec.Struct):
    compute: _AzureCompute


def _azure(connection: http.client.HTTPConnection) -> dict[str, Value]:
    path = "/metadata/instance?api-version=2021-02-01"
    about = msgspec.json.decode(_ask(connection, "GET", path, {"Metadata": "true"}), type=_AzureInstance).compute
    tags = {tag.name: tag.value for tag in about.tags_list}
    return _values("Azure", about.subscription_id, about.location, tags) | {
        "device.instance_uid": about.vm_id,
        "device.zone": about.zone,
        "device.model": about.vm_size,
    }


def _values(provider: str, account: str, region: str, tags: dict[str, str]) -> dict[str, Value]:
    return {
        "cloud.provider": provider,
        "cloud.account.uid": account,
        "cloud.region": region,
        "device.region": region,
        "unmapped.inventory.cloud_tags": msgspec.json.encode(tags).decode(),
    }
