"""What a cloud says of a machine, asked of servers that answer as the providers document it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from tocsin.agent.inventory.cloud import cloud_values

DOCUMENT = {
    "accountId": "123456789012",
    "availabilityZone": "eu-central-1b",
    "imageId": "ami-1",
    "instanceId": "i-0abc",
    "instanceType": "t3.small",
    "region": "eu-central-1",
    "privateIp": "10.0.0.1",
}
AWS = {
    "/latest/dynamic/instance-identity/document": json.dumps(DOCUMENT),
    "/latest/meta-data/tags/instance": "Name\nteam a",
    "/latest/meta-data/tags/instance/Name": "web-1",
    "/latest/meta-data/tags/instance/team%20a": "payments",
    "/latest/meta-data/mac": "0a:00",
    "/latest/meta-data/network/interfaces/macs/0a:00/vpc-id": "vpc-9",
}
GCP = {
    "/computeMetadata/v1/instance/?recursive=true": json.dumps(
        {
            "id": 42,
            "zone": "projects/7/zones/europe-west3-a",
            "machineType": "projects/7/machineTypes/e2",
            "tags": ["web"],
        }
    ),
    "/computeMetadata/v1/project/project-id": "shop",
}
AZURE = {
    "/metadata/instance?api-version=2021-02-01": json.dumps(
        {
            "compute": {
                "location": "westeurope",
                "subscriptionId": "s-1",
                "vmId": "vm-1",
                "vmSize": "Standard_B1s",
                "tagsList": [{"name": "env", "value": "prod"}],
            }
        }
    )
}


class Metadata(BaseHTTPRequestHandler):
    """Answers only who asks as the providers demand: with AWS's session token, with Google's and Azure's headers."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]] = []

    def do_PUT(self) -> None:
        """AWS's token."""
        wanted = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
        self._answer(200 if wanted else 400, "secret-token")

    def do_GET(self) -> None:
        """Anything else."""
        self.asked.append(self.path)
        headers = self.headers
        if self.path.startswith("/latest/"):
            allowed, texts = headers.get("X-aws-ec2-metadata-token") == "secret-token", AWS
        elif self.path.startswith("/computeMetadata/"):
            allowed, texts = headers.get("Metadata-Flavor") == "Google", GCP
        else:
            allowed, texts = headers.get("Metadata") == "true", AZURE
        if not allowed:
            self._answer(401, "no")
        elif self.path in texts:
            self._answer(200, texts[self.path])
        else:
            self._answer(404, "not here")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """Where the metadata is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_aws_is_asked_with_a_token(address: str) -> None:
    """Identity, network and tags, with the second version's token alone."""
    values = cloud_values("Amazon EC2", address)
    assert values["device.instance_uid"] == "i-0abc"
    assert (values["cloud.account.uid"], values["cloud.region"]) == ("123456789012", "eu-central-1")
    assert (values["device.zone"], values["device.vpc_uid"]) == ("eu-central-1b", "vpc-9")
    assert json.loads(str(values["unmapped.inventory.cloud_tags"])) == {"Name": "web-1", "team a": "payments"}


def test_google_cloud_and_azure_are_asked_their_way(address: str) -> None:
    """Their headers, their paths, the same attributes."""
    google, azure = cloud_values("Google", address), cloud_values("Microsoft Corporation", address)
    assert (google["device.instance_uid"], google["cloud.account.uid"]) == ("42", "shop")
    assert (google["cloud.region"], google["device.zone"]) == ("europe-west3", "europe-west3-a")
    assert (azure["device.instance_uid"], azure["cloud.region"]) == ("vm-1", "westeurope")
    assert json.loads(str(azure["unmapped.inventory.cloud_tags"])) == {"env": "prod"}


def test_nobody_is_asked_outside_of_a_cloud(address: str) -> None:
    """A host of another maker does not send anything, and one whose cloud does not answer goes without."""
    Metadata.asked.clear()
    assert cloud_values("QEMU", address) == {}
    assert Metadata.asked == []
    assert cloud_values("Amazon EC2", "127.0.0.1:1") == {}
