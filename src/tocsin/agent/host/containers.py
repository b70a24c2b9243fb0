"""What the engines keep on this host's disk about a container: its name and image, the pod that it belongs to.

Nothing is asked of an engine: what it wrote when it made the container is read, once for each container.

Source: moby's config.v2.json; OCI runtime-spec (config.json) with containerd's CRI annotations, CRI-O's annotations;
containers/storage's containers.json; docs.podman.io.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tocsin.agent.host.procfs import Container
    from tocsin.model.event import Value

__all__ = ["Containers", "Description"]

MAX_KNOWN: Final = 1024
LONGEST_FILE: Final = 4 << 20
LOOK_AGAIN_S: Final = 5.0  # for what was not found: an engine may write it late
MAX_LABELS: Final = 32
LONGEST_LABEL: Final = 256

_DOCKER: Final = "var/lib/docker"
_TASKS: Final = "containerd/io.containerd.runtime.v2.task"
_STORAGES: Final = ("run/containers/storage", "var/lib/containers/storage", "home/*/.local/share/containers/storage")
_CRI: Final = "io.kubernetes.cri."
_CRI_O: Final = "io.kubernetes.cri-o."
_POD: Final = "io.kubernetes.pod."
_OF_ENGINES: Final = ("io.kubernetes.", "annotation.io.kubernetes.", "io.podman.", "io.container.")

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_decode_list: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Description(msgspec.Struct, frozen=True):
    """What people call a container; an empty text is unknown."""

    name: str = ""
    image: str = ""
    image_uid: str = ""
    pod: str = ""
    namespace: str = ""
    pod_uuid: str = ""
    labels: tuple[str, ...] = ()

    def attributes(self, prefix: str) -> dict[str, Value]:
        """As an event says it of a container, whose attributes begin with a prefix."""
        known: dict[str, Value] = {
            f"{prefix}name": self.name,
            f"{prefix}image.name": self.image,
            f"{prefix}image.uid": self.image_uid or self.image.partition("@")[2] or self.image,
            f"{prefix}pod_uuid": self.pod_uuid,
            f"{prefix}orchestrator": "kubernetes" if self.pod else "",
            f"{prefix}labels": msgspec.json.encode(self.labels).decode() if self.labels else "",
            "unmapped.kubernetes.pod": self.pod,
            "unmapped.kubernetes.namespace": self.namespace,
        }
        return {path: value for path, value in known.items() if value}


UNKNOWN: Final = Description()


class Containers:
    """The containers of this host by their ids; bounded, the longest known are forgotten first."""

    def __init__(self, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._clock = root, clock
        self._known: dict[str, tuple[Description, float]] = {}

    def describe(self, container: Container) -> Description:
        """What is known of a container; nothing if no engine that is known has made it."""
        known = self._known.get(container.uid)
        if known is not None and (known[0] is not UNKNOWN or self._clock() < known[1]):
            return known[0]
        description = self._look(container.uid)
        self._known[container.uid] = description, self._clock() + LOOK_AGAIN_S
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return description

    def _look(self, uid: str) -> Description:
        for find in (self._of_docker, self._of_containerd, self._of_storage):
            description = find(uid)
            if description is not None:
                return description
        return UNKNOWN

    def _of_docker(self, uid: str) -> Description | None:
        settings = _read(self._root / "etc/docker/daemon.json") or {}
        folder = str(settings.get("data-root") or _DOCKER).lstrip("/")
        written = _read(self._root / folder / "containers" / uid / "config.v2.json")
        if written is None:
            return None
        config = _object(written, "Config")
        labels = _object(config, "Labels")
        return Description(
            _text(written, "Name").removeprefix("/"),
            _text(config, "Image"),
            _text(written, "Image"),
            _text(labels, f"{_POD}name"),
            _text(labels, f"{_POD}namespace"),
            _text(labels, f"{_POD}uid"),
            _labels(labels),
        )

    def _of_containerd(self, uid: str) -> Description | None:
        for run in ("run", "run/k3s"):
            for path in self._root.glob(f"{run}/{_TASKS}/*/{uid}/config.json"):
                if (spec := _read(path)) is not None:
                    return _of_cri(_object(spec, "annotations"))
        return None

    def _of_storage(self, uid: str) -> Description | None:
        """Of CRI-O, or podman: both keep their containers in a storage of the same form."""
        for storage in _STORAGES:
            for folder in self._root.glob(f"{storage}/overlay-containers"):
                spec = _read(folder / uid / "userdata" / "config.json")
                if spec is None:
                    continue
                annotations = _object(spec, "annotations")
                if _text(annotations, f"{_POD}name"):
                    return _of_cri_o(annotations)
                return _of_podman(folder / "containers.json", uid)
        return None


def _of_cri(annotations: Mapping[str, Any]) -> Description:
    return Description(
        _text(annotations, f"{_CRI}container-name") or _text(annotations, "nerdctl/name"),
        _text(annotations, f"{_CRI}image-name"),
        "",
        _text(annotations, f"{_CRI}sandbox-name"),
        _text(annotations, f"{_CRI}sandbox-namespace"),
        _text(annotations, f"{_CRI}sandbox-uid"),
    )


def _of_cri_o(annotations: Mapping[str, Any]) -> Description:
    return Description(
        _text(annotations, "io.kubernetes.container.name"),
        _text(annotations, f"{_CRI_O}ImageName"),
        _text(annotations, f"{_CRI_O}ImageRef") or _text(annotations, f"{_CRI_O}Image"),
        _text(annotations, f"{_POD}name"),
        _text(annotations, f"{_POD}namespace"),
        _text(annotations, f"{_POD}uid"),
        _labels(_parsed(_text(annotations, f"{_CRI_O}Labels"))),
    )


def _of_podman(listed: Path, uid: str) -> Description | None:
    content = _content(listed)
    try:
        entries = _decode_list(content) if content else []
    except (msgspec.MsgspecError, RecursionError):
        return None
    entry = next((entry for entry in entries if entry.get("id") == uid), None)
    if entry is None:
        return None
    names, metadata = entry.get("names"), _parsed(_text(entry, "metadata"))
    name = str(names[0]) if isinstance(names, list) and names else _text(metadata, "name")
    return Description(name, _text(metadata, "image-name"), _text(entry, "image"))


def _labels(labels: Mapping[str, Any]) -> tuple[str, ...]:
    """Those that people have given; the engines' own say what is said elsewhere."""
    given = (f"{name}={value}"[:LONGEST_LABEL] for name, value in labels.items() if not name.startswith(_OF_ENGINES))
    return tuple(sorted(given))[:MAX_LABELS]


def _object(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    inner = value.get(key)
    return inner if isinstance(inner, str) else ""


def _parsed(text: str) -> dict[str, Any]:
    try:
        return _decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _read(path: Path) -> dict[str, Any] | None:
    """None if there is no such file, or it is none of an engine's."""
    content = _content(path)
    try:
        return _decode(content) if content else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def _content(path: Path) -> bytes:
    """The content of a file that a person may have made: never a link, never one that waits."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        status = os.fstat(descriptor)
        return os.read(descriptor, LONGEST_FILE) if stat.S_ISREG(status.st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)
