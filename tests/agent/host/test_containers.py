"""What is read of a container where its engine keeps it, in the forms that the engines write."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tocsin.agent.host.containers import MAX_KNOWN, Containers, Description
from tocsin.agent.host.procfs import Container, container_of

ID = "6636d0053e9dc9e4599fe2dde438ed269b9731910b5bddb55112775009806185"
IMAGE = "sha256:02d2119d8c1b64b046da8d49e92807c7b6595660f8c47c6c1b43267c202dee29"
POD = "0d3f1b5e-1234-4a5b-8c6d-0123456789ab"
DOCKER = {
    "State": {"Running": True, "Pid": 4711},
    "ID": ID,
    "Image": IMAGE,
    "Name": "/shop-web-1",
    "Config": {
        "Hostname": "6636d0053e9d",
        "Image": "nginx:1.25",
        "Labels": {"com.docker.compose.project": "shop", "maintainer": "NGINX"},
    },
}
CRI = {
    "ociVersion": "1.1.0",
    "annotations": {
        "io.kubernetes.cri.container-name": "web",
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.image-name": "docker.io/library/nginx:1.25",
        "io.kubernetes.cri.sandbox-id": "f" * 64,
        "io.kubernetes.cri.sandbox-name": "web-7d4b9c-x2x5z",
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.sandbox-uid": POD,
    },
}
CRI_O = {
    "ociVersion": "1.0.2",
    "annotations": {
        "io.kubernetes.container.name": "web",
        "io.kubernetes.pod.name": "web-7d4b9c-x2x5z",
        "io.kubernetes.pod.namespace": "shop",
        "io.kubernetes.pod.uid": POD,
        "io.kubernetes.cri-o.ImageName": "docker.io/library/nginx:1.25",
        "io.kubernetes.cri-o.ImageRef": IMAGE.removeprefix("sha256:"),
        "io.kubernetes.cri-o.Labels": '{"app":"web","io.kubernetes.pod.name":"web-7d4b9c-x2x5z"}',
    },
}
PODMAN = {"ociVersion": "1.0.2-dev", "annotations": {"io.container.manager": "libpod"}}
PODMAN_LIST = [
    {"id": "0" * 64, "names": ["other"], "image": "1" * 64, "metadata": "{}"},
    {
        "id": ID,
        "names": ["shop-web"],
        "image": IMAGE.removeprefix("sha256:"),
        "metadata": json.dumps({"image-name": "docker.io/library/nginx:1.25", "name": "shop-web"}),
    },
]
TASK = "io.containerd.runtime.v2.task/k8s.io"


def _put(root: Path, path: str, content: object) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content if isinstance(content, str) else json.dumps(content))


def _describe(root: Path) -> Description:
    return Containers(root).describe(Container(ID, "", ""))


@pytest.mark.parametrize("folder", ["var/lib/docker", "srv/docker"])
def test_docker(tmp_path: Path, folder: str) -> None:
    """Name, image and labels are in config.v2.json, wherever daemon.json has docker keep it."""
    _put(tmp_path, f"{folder}/containers/{ID}/config.v2.json", DOCKER)
    if folder != "var/lib/docker":
        _put(tmp_path, "etc/docker/daemon.json", {"data-root": f"/{folder}"})
    assert _describe(tmp_path).attributes("container.") == {
        "container.name": "shop-web-1",
        "container.image.name": "nginx:1.25",
        "container.image.uid": IMAGE,
        "container.labels": '["com.docker.compose.project=shop","maintainer=NGINX"]',
    }


@pytest.mark.parametrize("run", ["run/containerd", "run/k3s/containerd"])
def test_containerd(tmp_path: Path, run: str) -> None:
    """The bundle's annotations name container, image, pod and namespace."""
    _put(tmp_path, f"{run}/{TASK}/{ID}/config.json", CRI)
    assert _describe(tmp_path).attributes("container.") == {
        "container.name": "web",
        "container.image.name": "docker.io/library/nginx:1.25",
        "container.image.uid": "docker.io/library/nginx:1.25",
        "container.pod_uuid": POD,
        "container.orchestrator": "kubernetes",
        "unmapped.kubernetes.pod": "web-7d4b9c-x2x5z",
        "unmapped.kubernetes.namespace": "shop",
    }


def test_cri_o(tmp_path: Path) -> None:
    """Its annotations say all, the labels too; those that Kubernetes gives itself are left out."""
    _put(tmp_path, f"run/containers/storage/overlay-containers/{ID}/userdata/config.json", CRI_O)
    description = _describe(tmp_path)
    assert (description.name, description.pod, description.namespace) == ("web", "web-7d4b9c-x2x5z", "shop")
    assert (description.image_uid, description.labels) == (IMAGE.removeprefix("sha256:"), ("app=web",))


@pytest.mark.parametrize("storage", ["var/lib/containers/storage", "home/ann/.local/share/containers/storage"])
def test_podman(tmp_path: Path, storage: str) -> None:
    """Name and image are in its storage's list, root's or a person's own."""
    folder = f"{storage}/overlay-containers"
    _put(tmp_path, f"{folder}/{ID}/userdata/config.json", PODMAN)
    _put(tmp_path, f"{folder}/containers.json", PODMAN_LIST)
    expected = Description("shop-web", "docker.io/library/nginx:1.25", IMAGE.removeprefix("sha256:"))
    assert _describe(tmp_path) == expected


@pytest.mark.parametrize("content", ["", "{", "[]", '{"Name": 7, "Config": {"Labels": [1]}}', "[" * 100_000])
def test_what_cannot_be_read_is_unknown(tmp_path: Path, content: str) -> None:
    """A file that is half written, or none of an engine's, breaks nothing."""
    path = f"var/lib/docker/containers/{ID}/config.v2.json"
    _put(tmp_path, path, content)
    _put(tmp_path, f"var/lib/containers/storage/overlay-containers/{ID}/userdata/config.json", content)
    assert _describe(tmp_path).attributes("container.") == {}
    (tmp_path / path).unlink()
    os.mkfifo(tmp_path / path)  # nobody ever writes to it
    assert _describe(tmp_path).attributes("container.") == {}


def test_each_is_read_once_and_what_was_not_there_again(tmp_path: Path) -> None:
    """An engine may write late: after a while it is looked for again. What was found stays, though it is removed."""
    now_s = [0.0]
    containers = Containers(tmp_path, clock=lambda: now_s[0])
    container, path = Container(ID, "docker", ""), f"var/lib/docker/containers/{ID}/config.v2.json"
    assert containers.describe(container) == Description()
    _put(tmp_path, path, DOCKER)
    assert containers.describe(container) == Description()
    now_s[0] = 5.0
    assert containers.describe(container).name == "shop-web-1"
    (tmp_path / path).unlink()
    now_s[0] = 100.0
    assert containers.describe(container).name == "shop-web-1"
    for number in range(MAX_KNOWN):
        containers.describe(Container(f"{number:064x}", "", ""))
    assert containers.describe(container) == Description()


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/docker/{ID}/kubelet.slice/cri-containerd-{'a' * 64}.scope\n",
        f"12:pids:/docker/{ID}/docker/{'a' * 64}\n0::/docker/{ID}/docker/{'a' * 64}\n",
        f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container\n",
        f"9:name=systemd:/libpod_parent/libpod-{ID}\n0::/libpod_parent/libpod-{ID}\n",
    ],
)
def test_a_container_in_a_container_is_the_host_s_one(cgroup: str) -> None:
    """The outermost is the one that this host's engine knows."""
    container = container_of(cgroup.encode())
    assert container is not None
    assert container.uid == ID
