"""HTTP for hosts that have no agent yet: the installer, and the packages that it installs."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from tocsin.ingest.answers import problem
from tocsin.model.errors import NotFound

__all__ = ["Packages", "installing_routes"]

# As nfpm names them: tocsin-agent_0.1.0_amd64.deb, tocsin-agent-0.1.0-1.x86_64.rpm.
_NAMES: Final = {
    "deb": re.compile(r"tocsin-agent_(?P<version>[0-9.]+)[^_]*_(?P<machine>[a-z0-9]+)\.deb"),
    "rpm": re.compile(r"tocsin-agent-(?P<version>[0-9.]+)-[^-]*\.(?P<machine>[a-z0-9_]+)\.rpm"),
}
_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
_URL: Final = re.compile(r"https?://[A-Za-z0-9.\-:\[\]/_~%]+")


@dataclass(frozen=True)
class _Package:
    version: tuple[int, ...]
    path: Path


class Packages:
    """The newest package of each kind and machine in a folder, which may change while the server runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sums: dict[tuple[Path, int, int], str] = {}

    def newest(self) -> dict[tuple[str, str], Path]:
        """By kind and machine, as `uname -m` names it; empty if there are none."""
        found: dict[tuple[str, str], _Package] = {}
        for path in sorted(self._folder.glob("tocsin-agent*")):
            for kind, name in _NAMES.items():
                if (match := name.fullmatch(path.name)) is None:
                    continue
                key = kind, _MACHINES.get(match["machine"], match["machine"])
                package = _Package(tuple(int(part) for part in match["version"].split(".") if part), path)
                if key not in found or package.version > found[key].version:
                    found[key] = package
        return {key: package.path for key, package in found.items()}

    def sha256(self, path: Path) -> str:
        """Of a package's content, computed once per state of the file."""
        status = path.stat()
        key = path, status.st_mtime_ns, status.st_size
        if key not in self._sums:
            with path.open("rb") as file:
                self._sums[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._sums[key]

    def listed(self) -> str:
        """A line per package: kind, machine, SHA-256."""
        return "\n".join(f"{kind} {machine} {self.sha256(path)}" for (kind, machine), path in self.newest().items())


def installing_routes(folder: Path | None, url: str) -> list[Route]:
    """The routes of the installer; none without a folder of packages, or for a URL that a shell might misread."""
    if folder is None or not _URL.fullmatch(url):
        return []
    packages = Packages(folder)
    script = files("tocsin").joinpath("content/install.sh").read_text()

    async def installer(_request: Request) -> Response:
        listed = await asyncio.to_thread(packages.listed)
        return PlainTextResponse(script.replace("@URL@", url).replace("@PACKAGES@", listed))

    async def package(request: Request) -> Response:
        kind, machine = request.path_params["kind"], request.path_params["machine"]
        path = packages.newest().get((kind, machine))
        if path is None:
            return problem(NotFound(f"there is no {kind} of the agent for {machine}"))
        return FileResponse(path, filename=path.name, media_type="application/octet-stream")

    return [Route("/install.sh", installer), Route("/packages/{kind}/{machine}", package)]
